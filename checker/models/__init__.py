"""The models by name: what an object must do when asked one thing at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from checker.models.append import AppendList
from checker.models.base import Model
from checker.models.register import Register

_MODELS: dict[str, Callable[[str, Hashable], Model]] = {
    "register": Register,
    "kv": Register,
    "append": AppendList,
}

MODEL_NAMES = tuple(sorted(_MODELS))


def model_named(name: str, initial: Hashable = None) -> Model:
    """The model called `name`, every key of it starting at `initial`. KeyError if there is none."""
    return _MODELS[name](name, initial)


def initial_problem(name: str, initial: Hashable) -> str | None:
    """Why `initial` cannot be the first value of a key under model `name`, or None if it can."""
    if initial is None:
        return None
    if name == "append":
        if isinstance(initial, tuple) and all(isinstance(element, str) for element in initial):
            return None
        return "a list of strings or null"
    return None if isinstance(initial, str) else "a string or null"
