"""``register`` and ``kv``: keys that hold one value each, read and written by concurrent clients.

Both talk to the ``kv`` service; they differ in their words and in how many keys they spread over. A cas is
planned against the value the plan's own order would leave at the key, so that with little contention most of
them swap; what it found is in its reply, which makes even a failed one a read.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .encoding import pack, unpack
from .keyspace import Keys, Values, weighted
from .operation import Operation, Outcome, Slot, Value
from .parameters import Parameter, Settings
from .shape import key_problem, size_problem, text_problem

UNREADABLE = Outcome("info", error="unreadable")
"""Replicas vouched for bytes that are no result of this operation."""
REFUSED = Outcome("fail", error="refused")
"""The service said ``error``: deterministic, and nothing was changed."""
_NEVER_WRITTEN = "nothing"
_EXPECT_LATEST = 0.8
"""Share of cas operations that expect what the plan left there last; the others expect an older value."""


@dataclass(frozen=True, slots=True)
class Cells:
    """A workload over keys that hold one value each."""

    name: str
    description: str
    model: str
    parameters: tuple[Parameter, ...]
    wire: Mapping[str, str]
    """Our word for a function -> the service's."""
    service: str = "kv"

    @property
    def functions(self) -> tuple[str, ...]:
        return tuple(self.wire)

    def generate(
        self,
        settings: Settings,
        slots: Sequence[Slot],
        streams: Mapping[int, random.Random],
        races: random.Random,
    ) -> list[Operation]:
        keys, values = Keys(settings), Values(settings)
        latest: dict[str, str] = {}
        older: dict[str, str] = {}
        operations = []
        for slot in slots:
            stream = streams[slot.client]
            f = weighted(stream, self.functions, settings)
            key = f"k{keys.draw(stream)}"
            written = values.fresh(slot.client) if self.wire[f] in ("put", "cas") else None
            chosen: Value = written
            if self.wire[f] == "cas":
                expects_latest = races.random() < _EXPECT_LATEST
                source = latest if expects_latest else older
                expected = source.get(key, _NEVER_WRITTEN)
                chosen = [expected, written]
                if expected != latest.get(key):
                    written = None
            if written is not None:
                older[key] = latest.get(key, _NEVER_WRITTEN)
                latest[key] = written
            operations.append(Operation(f, key, chosen))
        return operations

    def problem(self, operation: Operation) -> str | None:
        f, given = operation.f, operation.input
        if f not in self.wire:
            return f"f = {f!r:.80}: {self.name} knows {', '.join(self.wire)}"
        wire = self.wire[f]
        if wire in ("get", "delete"):
            wrong = None if given is None else f"input = {given!r:.80}: {f} takes null"
        elif wire == "put":
            wrong = text_problem("input", given)
        elif not isinstance(given, list) or len(given) != 2:
            wrong = f"input = {given!r:.80}: {f} takes [expected, new]"
        else:
            wrong = text_problem("expected", given[0]) or text_problem("new", given[1])
        return key_problem(operation.key) or wrong or size_problem(self.encode(operation))

    def written(self, operation: Operation) -> str | None:
        """The value it leaves behind if it takes effect."""
        value = operation.input[1] if isinstance(operation.input, list) else operation.input
        return value if isinstance(value, str) else None

    def encode(self, operation: Operation) -> bytes:
        given = operation.input
        arguments = given if isinstance(given, list) else [] if given is None else [given]
        return pack(self.wire[operation.f], operation.key, *(str(argument) for argument in arguments))

    def decode(self, f: str, result: bytes) -> Outcome:
        match (self.wire.get(f), unpack(result)):
            case ("get", ("ok", value)):
                return Outcome("ok", value)
            case ("get", ("nil",)) | ("put" | "delete", ("ok",)):
                return Outcome("ok", None)
            case ("cas", ("swapped", actual)):
                return Outcome("ok", [True, actual])
            case ("cas", ("differs", actual)):
                return Outcome("ok", [False, actual])
            case ("cas", ("differs",)):
                return Outcome("ok", [False, None])
            case (_, ("error", _)):
                return REFUSED
        return UNREADABLE

    def final_read(self, key: str) -> Operation:
        return Operation(self._reading(), key, None)

    def probe(self) -> Operation:
        return Operation(self._reading(), "probe", None)

    def _reading(self) -> str:
        return next(f for f, wire in self.wire.items() if wire == "get")
