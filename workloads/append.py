"""``append``: grow lists, element by unique element, and read them.

A list shows what a register hides: an operation executed twice stands there twice, one executed in another
order stands elsewhere; and its history checks in linear time. Lists are kept short (see ``growth``).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .cells import REFUSED, UNREADABLE
from .encoding import pack, unpack
from .growth import Growth
from .keyspace import Keys, Values, weighted
from .operation import Operation, Outcome, Slot
from .parameters import Parameter, Settings
from .shape import key_problem, size_problem, text_problem

FULL = Outcome("fail", error="full")


@dataclass(frozen=True, slots=True)
class Append:
    """A workload over keys that hold a list each."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    model: str = "append"
    service: str = "append"
    functions: tuple[str, ...] = ("append", "read")

    def generate(
        self,
        settings: Settings,
        slots: Sequence[Slot],
        streams: Mapping[int, random.Random],
        races: random.Random,
    ) -> list[Operation]:
        keys, values = Keys(settings), Values(settings)
        growth = Growth(settings, "list_length", len(streams))
        operations = []
        for slot in slots:
            stream = streams[slot.client]
            f = weighted(stream, self.functions, settings)
            number = keys.draw(stream)
            key = growth.key(slot.client, number)
            if f == "append":
                growth.put(slot.client, number)
                operations.append(Operation(f, key, values.fresh(slot.client)))
            else:
                operations.append(Operation(f, key, None))
        return operations

    def problem(self, operation: Operation) -> str | None:
        f, given = operation.f, operation.input
        if f not in self.functions:
            return f"f = {f!r:.80}: {self.name} knows {', '.join(self.functions)}"
        if f == "append":
            wrong = text_problem("input", given)
        else:
            wrong = None if given is None else f"input = {given!r:.80}: read takes null"
        return key_problem(operation.key) or wrong or size_problem(self.encode(operation))

    def written(self, operation: Operation) -> str | None:
        """The element it leaves behind if it takes effect."""
        return operation.input if isinstance(operation.input, str) else None

    def encode(self, operation: Operation) -> bytes:
        if operation.f == "read":
            return pack("read", operation.key)
        return pack("append", operation.key, str(operation.input))

    def decode(self, f: str, result: bytes) -> Outcome:
        match (f, unpack(result)):
            case ("append", ("ok",)):
                return Outcome("ok", None)
            case ("append", ("full",)):
                return FULL
            case ("read", ("list", *elements)):
                return Outcome("ok", list(elements))
            case (_, ("error", _)):
                return REFUSED
        return UNREADABLE

    def final_read(self, key: str) -> Operation:
        return Operation("read", key, None)

    def probe(self) -> Operation:
        return Operation("read", "probe", None)
