"""``queue``: enqueue unique items, dequeue, peek, count and read them. First in, first out.

Every dequeue tells which item is next for everybody: an item lost, given out twice or overtaken shows.
"""

from __future__ import annotations

import random
from typing import ClassVar

from .growth import Growth
from .keyspace import Values
from .objects import Asker, Function, Objects, failed, nothing, number, says, text, texts
from .operation import Operation
from .parameters import Settings

_ITEM = {"item": text, "empty": says(None)}


class Queues(Objects):
    """A workload over keys that hold one queue each."""

    __slots__ = ()
    table: ClassVar = {
        "enqueue": Function({"ok": nothing, "full": failed("full")}, "an item"),
        "dequeue": Function(_ITEM),
        "peek": Function(_ITEM),
        "length": Function({"length": number}),
        "read": Function({"queue": texts}),
    }

    def asker(self, settings: Settings, clients: int, races: random.Random) -> Asker:
        return _QueueAsker(Growth(settings, "queue_length", clients))

    def written(self, operation: Operation) -> str | None:
        return str(operation.input) if operation.f == "enqueue" else None


class _QueueAsker(Asker):
    def __init__(self, growth: Growth) -> None:
        self._growth = growth

    def ask(self, f: str, number: int, client: int, values: Values) -> Operation:
        key = self._growth.key(client, number)
        if f != "enqueue":
            return Operation(f, key, None)
        self._growth.put(client, number)
        return Operation(f, key, values.fresh(client))
