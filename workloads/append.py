"""``append``: grow lists, element by unique element, and read them.

A list shows what a register hides: an operation executed twice stands there twice, one executed in another
order stands elsewhere; and its history checks in linear time. Lists are kept short by moving on: when a key
has had its share of elements, the clients turn to a fresh one (``k3`` is followed by ``k3.1``). Each client
counts its own appends, so that the choices of one do not depend on another's; a list stays within
``list_length`` all the same.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .cells import REFUSED, UNREADABLE
from .encoding import pack, unpack
from .keyspace import Keys, Values, weighted
from .operation import Operation, Outcome, Slot
from .parameters import Parameter, Settings
from .shape import key_problem, size_problem, text_problem

FULL = Outcome("fail", error="full")
_LONGEST_RESULT_BYTES = 32 * 1024
"""A list is read in one reply: with long elements it is followed by a fresh one sooner."""
_ELEMENT_OVERHEAD_BYTES = 16


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
        share = max(1, _longest_list(settings) // max(1, len(streams)))
        appended: dict[tuple[int, int], int] = {}
        operations = []
        for slot in slots:
            stream = streams[slot.client]
            f = weighted(stream, self.functions, settings)
            place = (slot.client, keys.draw(stream))
            generation = appended.get(place, 0) // share
            key = f"k{place[1]}" if generation == 0 else f"k{place[1]}.{generation}"
            if f == "append":
                appended[place] = appended.get(place, 0) + 1
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


def _longest_list(settings: Settings) -> int:
    """How many elements a list may have."""
    element_bytes = settings.count("value_bytes") + _ELEMENT_OVERHEAD_BYTES
    return min(settings.count("list_length"), _LONGEST_RESULT_BYTES // element_bytes)
