"""Workloads over small objects, one per key: what the sets, queues, counters and banks have in common.

A function is one line of a table: what it takes, and what each answer of the service means. Operations that
refer to what others put there (remove, contains) choose among what the plan put there before.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .cells import REFUSED, UNREADABLE
from .encoding import pack, unpack
from .keyspace import Keys, Values, weighted
from .operation import Operation, Outcome, Slot, Value
from .parameters import Parameter, Settings
from .shape import key_problem, size_problem, text_problem

Reading = Callable[[tuple[str, ...]], Outcome]
"""What the fields after the first one of a result mean. ValueError: they are no such result."""


def nothing(fields: tuple[str, ...]) -> Outcome:
    """It was done; there is nothing to tell."""
    if fields:
        raise ValueError
    return Outcome("ok", None)


def failed(word: str) -> Reading:
    """It changed nothing, and `word` says why."""
    return lambda _: Outcome("fail", error=word)


def says(value: Value) -> Reading:
    """The answer stands for `value`."""
    return lambda fields: Outcome("ok", value) if not fields else UNREADABLE


def text(fields: tuple[str, ...]) -> Outcome:
    """One text."""
    (value,) = fields
    return Outcome("ok", value)


def texts(fields: tuple[str, ...]) -> Outcome:
    """A list of them."""
    return Outcome("ok", list(fields))


def number(fields: tuple[str, ...]) -> Outcome:
    """A number as the services spell it."""
    (value,) = fields
    return Outcome("ok", _number(value))


def numbers(fields: tuple[str, ...]) -> Outcome:
    """A list of them."""
    return Outcome("ok", [_number(value) for value in fields])


def _number(spelled: str) -> int:
    if len(spelled) > 20 or str(value := int(spelled)) != spelled:
        raise ValueError
    return value


@dataclass(frozen=True, slots=True)
class Function:
    """`takes`: what the input must be, in words, or None where it takes null."""

    answers: Mapping[str, Reading]
    takes: str | None = None


@dataclass(frozen=True, slots=True)
class Objects(ABC):
    """A workload over keys that hold one small object each."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    table: ClassVar[Mapping[str, Function]]

    @property
    def model(self) -> str:
        return self.name

    @property
    def service(self) -> str:
        return self.name

    @property
    def functions(self) -> tuple[str, ...]:
        return tuple(self.table)

    @abstractmethod
    def asker(self, settings: Settings, clients: int, races: random.Random) -> Asker:
        """Makes the inputs of one plan."""

    def generate(
        self,
        settings: Settings,
        slots: Sequence[Slot],
        streams: Mapping[int, random.Random],
        races: random.Random,
    ) -> list[Operation]:
        keys, values = Keys(settings), Values(settings)
        asker = self.asker(settings, len(streams), races)
        operations = []
        for slot in slots:
            stream = streams[slot.client]
            f = weighted(stream, self.functions, settings)
            place = keys.draw(stream)
            operations.append(asker.ask(f, place, slot.client, values))
        return operations

    def problem(self, operation: Operation) -> str | None:
        f, given = operation.f, operation.input
        if f not in self.table:
            return f"f = {f!r:.80}: {self.name} knows {', '.join(self.table)}"
        if self.table[f].takes is None:
            wrong = None if given is None else f"input = {given!r:.80}: {f} takes null"
        else:
            wrong = self.input_problem(f, given)
        return key_problem(operation.key) or wrong or size_problem(self.encode(operation))

    def input_problem(self, f: str, given: Value) -> str | None:
        """Why `f`, which takes something, cannot take this."""
        return text_problem("input", given)

    def written(self, operation: Operation) -> str | None:
        return None

    def encode(self, operation: Operation) -> bytes:
        given = operation.input
        arguments = given if isinstance(given, list) else [] if given is None else [given]
        return pack(operation.f, operation.key, *(str(argument) for argument in arguments))

    def decode(self, f: str, result: bytes) -> Outcome:
        fields = unpack(result)
        function = self.table.get(f)
        if not fields or function is None:
            return UNREADABLE
        if fields[0] == "error":
            return REFUSED if len(fields) == 2 else UNREADABLE
        reading = function.answers.get(fields[0])
        try:
            return UNREADABLE if reading is None else reading(fields[1:])
        except ValueError:
            return UNREADABLE

    def final_read(self, key: str) -> Operation:
        return Operation("read", key, None)

    def probe(self) -> Operation:
        return Operation("read", "probe", None)


class Asker(ABC):
    """What one plan asks: remembers what it put where."""

    @abstractmethod
    def ask(self, f: str, number: int, client: int, values: Values) -> Operation:
        """An operation `f` of this client on key `number`."""
