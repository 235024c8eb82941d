"""The nouns of a workload: an operation, what came of it, and the protocol of a workload.

A workload is stateless. It writes down every operation before the run begins (``generate``, pure but for
the streams it is given), puts operations on the wire, and reads results.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from .parameters import Parameter, Settings

Value = None | bool | int | str | list["Value"]
"""JSON as it stands in a history: null, a written value, a number, ``[expected, new]``, a list …"""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a client asks for; ``f``, ``key`` and ``input`` as in ``history.jsonl``."""

    f: str
    key: str
    input: Value


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a result means. ``fail``: it certainly did not happen. ``info``: nobody can tell."""

    type: Literal["ok", "fail", "info"]
    output: Value = None
    error: str | None = None
    """A word, unless ``ok``."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the plan that waits for its operation."""

    client: int
    """0 … clients-1."""
    at_ns: int
    """Since the start of the load phase."""


class Workload(Protocol):
    """A kind of load."""

    @property
    def name(self) -> str:
        """As in ``--workload NAME``."""

    @property
    def description(self) -> str:
        """What it does and what it is good at finding."""

    @property
    def model(self) -> str:
        """Which model of the checker judges its history."""

    @property
    def service(self) -> str:
        """Which replicated service it talks to."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """With defaults and units."""

    @property
    def functions(self) -> tuple[str, ...]:
        """Every ``f`` a history of it may hold."""

    def generate(
        self,
        settings: Settings,
        slots: Sequence[Slot],
        streams: Mapping[int, random.Random],
        races: random.Random,
    ) -> list[Operation]:
        """An operation for every slot. ``slots`` ascend in time; ``streams`` holds one stream per client, so
        that one more client leaves the choices of the others alone; ``races`` is for what depends on all of
        them."""

    def problem(self, operation: Operation) -> str | None:
        """Why this operation (of an edited plan) cannot be sent, or None."""

    def written(self, operation: Operation) -> str | None:
        """The value it leaves behind if it takes effect; unique in a plan. None: there is no such thing."""

    def encode(self, operation: Operation) -> bytes:
        """For the wire. The operation has no ``problem``."""

    def decode(self, f: str, result: bytes) -> Outcome:
        """What these (hostile) bytes say about an operation ``f``. Never raises."""

    def final_read(self, key: str) -> Operation:
        """The read of that key after the cluster recovered."""

    def probe(self) -> Operation:
        """An ordered operation that changes nothing: proof that the cluster answers."""
