"""What clients saw, as data: operations with closed intervals, and the error for a history nobody can judge.

Invariants, held by the readers in `checker.formats` and relied on everywhere else:
operations are sorted by the index of their invocation; an `ok` operation has `return_ns >= call_ns` and an
output; an `info` operation has no return: it may take effect at any time after its call, or never; a `fail`
operation certainly did not happen. Inputs and outputs are immutable (lists became tuples). Times are
nanoseconds of one monotonic clock. Operation `a` precedes `b` iff `a.return_ns < b.call_ns`, strictly. Where
a clock is too coarse to tell, the order of the lines does: the readers move times on to say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Literal, cast

Outcome = Literal["ok", "fail", "info"]
Phase = Literal["load", "final"]

READS = frozenset({"get", "read", "contains", "peek", "length", "balance"})
"""Functions that change nothing, of every object: they may be answered without being ordered."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a client asked for, and how it ended. `index` is that of the invoke line."""

    index: int
    process: int
    f: str
    key: str
    input: Hashable
    output: Hashable
    type: Outcome
    call_ns: int
    return_ns: int | None
    phase: Phase = "load"
    client: int | None = None
    timestamp: int | None = None
    gave_up_ns: int | None = None
    """When a `fail` or `info` was written; None if it was still open at the end of the file."""
    error: str | None = None
    view: int | None = None
    replicas: tuple[int, ...] = ()
    path: str | None = None
    """`fast`: a read that was answered without being ordered."""

    @property
    def known(self) -> bool:
        """Whether its output is: it completed."""
        return self.type == "ok"

    def to_json(self) -> dict[str, object]:
        """As certificates show it."""
        return {
            "index": self.index,
            "process": self.process,
            "f": self.f,
            "input": self.input,
            "output": self.output,
            "type": self.type,
            "call_ns": self.call_ns,
            "return_ns": self.return_ns,
        }


class _Draft:
    """An `Operation` before it is one: frozen dataclasses take five times as long to fill."""

    __slots__ = Operation.__slots__

    def __init__(
        self, index: int, process: int, f: str, key: str, input: Hashable, output: Hashable, type: Outcome,
        call_ns: int, return_ns: int | None, phase: Phase, client: int | None, timestamp: int | None,
        gave_up_ns: int | None, error: str | None, view: int | None, replicas: tuple[int, ...],
        path: str | None,
    ) -> None:  # fmt: skip
        self.index = index
        self.process = process
        self.f = f
        self.key = key
        self.input = input
        self.output = output
        self.type = type
        self.call_ns = call_ns
        self.return_ns = return_ns
        self.phase = phase
        self.client = client
        self.timestamp = timestamp
        self.gave_up_ns = gave_up_ns
        self.error = error
        self.view = view
        self.replicas = replicas
        self.path = path
        self.__class__ = Operation  # type: ignore[assignment]


operation = cast(Callable[..., Operation], _Draft)
"""`Operation(...)` with every field in its place, for readers of millions."""


@dataclass(frozen=True, slots=True)
class NemesisEvent:
    """A line the nemesis wrote into the history: when a fault began or ended."""

    index: int
    time_ns: int
    f: str
    fault: str
    kind: str


@dataclass(frozen=True, slots=True)
class History:
    """A whole history, ready to be judged."""

    source: str
    model: str
    initial: Hashable
    operations: tuple[Operation, ...]
    nemesis: tuple[NemesisEvent, ...]
    sha256: str
    torn_line: int | None = None
    """Line number of a half last line that the reader was told to forgive."""
    gaps: int = 0
    """Event numbers (`index`) that no line has."""


class HistoryError(Exception):
    """A history that cannot be judged. `line` counts from 1; 0 means the file as a whole."""

    def __init__(self, source: str, line: int, reason: str, advice: str) -> None:
        self.source = source
        self.line = line
        self.reason = reason
        self.advice = advice
        where = f"{source}: line {line}" if line else source
        super().__init__(f"{where}: {reason}. {advice}.")


def by_key(operations: Iterable[Operation]) -> dict[str, tuple[Operation, ...]]:
    """Operations of each key that may have happened (`fail` left out), keys in order of first use."""
    groups: dict[str, list[Operation]] = {}
    for operation in operations:
        if operation.type != "fail":
            groups.setdefault(operation.key, []).append(operation)
    return {key: tuple(group) for key, group in groups.items()}
