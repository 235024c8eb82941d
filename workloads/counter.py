"""``counter``: add one and be told the sum, or read it.

An increment executed twice, or lost, is a number that nobody got or that two clients got.
"""

from __future__ import annotations

import random
from typing import ClassVar

from .keyspace import Values
from .objects import Asker, Function, Objects, failed, number
from .operation import Operation, Value
from .parameters import Settings

_MOST = 2**31


class Counter(Objects):
    """A workload over keys that hold one counter each."""

    __slots__ = ()
    table: ClassVar = {
        "add": Function({"ok": number, "overflow": failed("overflow")}, "a number"),
        "read": Function({"value": number}),
    }

    def asker(self, settings: Settings, clients: int, races: random.Random) -> Asker:
        return _CounterAsker()

    def input_problem(self, f: str, given: Value) -> str | None:
        if type(given) is int and abs(given) <= _MOST:
            return None
        return f"input = {given!r:.80}: {f} takes a whole number of at most {_MOST}"


class _CounterAsker(Asker):
    def ask(self, f: str, number: int, client: int, values: Values) -> Operation:
        return Operation(f, f"k{number}", 1 if f == "add" else None)
