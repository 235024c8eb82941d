"""Engines that decide in a pass or a sort, where values are unique: one module for each structure.

They check that values are unique and say `Undecided` where they are not (enough): the search engine is next.
A module is imported when a model of its kind is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from checker.engines.answers import Engine
from checker.models.base import Model

MODULES: Mapping[str, str] = {
    "append": "lists",
    "cas-register": "registers",
    "counter": "counters",
    "grow-only set": "grow_sets",
    "kv-append": "lists",
    "queue": "queues",
    "register": "registers",
    "set": "sets",
}
"""`Model.kind` -> the module here that has `decide`."""


def engine_for(model: Model) -> Engine | None:
    """The engine for `model`, or None if there is none."""
    name = MODULES.get(model.kind)
    if name is None:
        return None
    return cast(Engine, import_module(f"{__name__}.{name}").decide)
