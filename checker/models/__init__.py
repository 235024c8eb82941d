"""The models by name: what an object must do when asked one thing at a time.

A model's module is imported when it is asked for. `package.module:Class` names a model of the user's own,
from the user's PYTHONPATH: trusted code. Only the user may give such a name (`--model`), never a history.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from importlib import import_module

from checker.models.base import Model

_MODELS: Mapping[str, tuple[str, str]] = {
    "append": ("append", "AppendList"),
    "bank": ("banks", "Bank"),
    "cas-register": ("register", "CasRegister"),
    "counter": ("counters", "Counter"),
    "grow-only-set": ("sets", "GrowOnlySet"),
    "kv": ("register", "Register"),
    "kv-append": ("texts", "KvAppend"),
    "list-append": ("list_append", "ListAppend"),
    "multi-register": ("multi_registers", "MultiRegister"),
    "queue": ("queues", "Queue"),
    "register": ("register", "Register"),
    "set": ("sets", "Set"),
    "txn-append": ("list_append", "ListAppend"),
}

MODEL_NAMES = tuple(sorted(_MODELS))


class ModelError(Exception):
    """A name that is no model's. The text says what to do."""


def model_class(name: str) -> type[Model]:
    """The class of the model called `name`. Raises ModelError."""
    if name in _MODELS:
        module, class_name = _MODELS[name]
        found = getattr(import_module(f"{__name__}.{module}"), class_name)
        assert isinstance(found, type)
        assert issubclass(found, Model)
        return found
    if ":" in name:
        return _own(name)
    known = ", ".join(MODEL_NAMES)
    raise ModelError(
        f"model {name!r:.80} is unknown. Name one of {known}, or your own as package.module:Class"
    )


def _own(name: str) -> type[Model]:
    module_name, _, class_name = name.partition(":")
    advice = "Name it as package.module:Class, with its folder in PYTHONPATH"
    try:
        found: object = import_module(module_name)
        for part in class_name.split("."):
            found = getattr(found, part)
    except Exception as error:
        why = f"{type(error).__name__}: {error!s:.200}"
        raise ModelError(f"model {name!r:.200} cannot be imported ({why}). {advice}") from None
    if not isinstance(found, type) or not issubclass(found, Model):
        raise ModelError(f"{name!r:.200} is not a subclass of checker.models.base.Model. {advice}")
    missing = ", ".join(sorted(found.__abstractmethods__))
    if missing:
        raise ModelError(f"model {name!r:.200} lacks {missing}. Define it; the other hooks have defaults")
    return found


def model_named(name: str, initial: Hashable = None) -> Model:
    """The model called `name`, every key of it starting at `initial`. Raises ModelError."""
    return model_class(name)(name, initial)


def initial_problem(name: str, initial: Hashable) -> str | None:
    """Why `initial` cannot be the first value of a key under model `name`, or None if it can."""
    return None if initial is None else model_class(name).initial_problem(initial)
