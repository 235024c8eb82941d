"""``set``: add unique elements, remove them, ask for one, read them all.

A set hides the order of what does not touch the same element, and so shows exactly what got lost, came back
or was never there.
"""

from __future__ import annotations

import random
from typing import ClassVar

from .growth import Growth
from .keyspace import Values
from .objects import Asker, Function, Objects, failed, nothing, says, texts
from .operation import Operation
from .parameters import Settings

_NEVER_ADDED = "nothing"
_CHANGE = {"ok": nothing, "full": failed("full")}


class Sets(Objects):
    """A workload over keys that hold one set each."""

    __slots__ = ()
    table: ClassVar = {
        "add": Function(_CHANGE, "an element"),
        "remove": Function(_CHANGE, "an element"),
        "contains": Function({"yes": says(True), "no": says(False)}, "an element"),
        "read": Function({"set": texts}),
    }

    def asker(self, settings: Settings, clients: int, races: random.Random) -> Asker:
        return _SetAsker(Growth(settings, "set_size", clients), races)

    def written(self, operation: Operation) -> str | None:
        return str(operation.input) if operation.f == "add" else None


class _SetAsker(Asker):
    def __init__(self, growth: Growth, races: random.Random) -> None:
        self._growth = growth
        self._races = races
        self._there: dict[str, list[str]] = {}

    def ask(self, f: str, number: int, client: int, values: Values) -> Operation:
        key = self._growth.key(client, number)
        there = self._there.setdefault(key, [])
        if f == "read":
            return Operation(f, key, None)
        if f == "add":
            element = values.fresh(client)
            self._growth.put(client, number)
            there.append(element)
            return Operation(f, key, element)
        element = self._races.choice(there) if there else _NEVER_ADDED
        if f == "remove" and there:
            there.remove(element)
        return Operation(f, key, element)
