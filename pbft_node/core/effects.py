"""What a replica or client wants done, in execution order.

The contract with a driver: effects are carried out in order, and every ``Persist`` (or ``Compact``) is
durable before any later ``Send`` leaves. A driver may group: gather the effects of many events, make all
records durable with one sync, then send. ``Trace`` and ``Rejected`` of an event are written before its
sends leave, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .types import Principal


@dataclass(frozen=True, slots=True)
class Persist:
    """Append one record to the log."""

    record: bytes


@dataclass(frozen=True, slots=True)
class Compact:
    """Replace the whole log by these records, atomically: after a crash either the old or the new log is
    there."""

    records: tuple[bytes, ...]


class Send(NamedTuple):
    """One datagram to one principal. A tuple: most effects are one, and a frozen dataclass takes longer to
    make."""

    to: Principal
    data: bytes


@dataclass(frozen=True, slots=True)
class SetTimer:
    """(Re)start the timer of that name: fire ``TimerFired(name, generation)`` after ``delay_ns``."""

    name: str
    generation: int
    delay_ns: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget the timer of that name, if it runs."""

    name: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A protocol fact for the trace: JSON values only (digests in hex). The kinds are listed in
    ``trace_events``."""

    kind: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A peer (or whoever wrote its name) sent something a correct one would not have. Never an exception."""

    sender: Principal | None
    message: str
    """Type of the message, or ``datagram`` when it was not even one."""
    reason: str
    view: int | None = field(default=None, compare=False)
    """In its header, as ``seq``: which lie it was. None: nobody's message, or one kept from before."""
    seq: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Halt:
    """The replica's own memory contradicts itself; going on could break a promise. The driver stops with
    the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Completed:
    """Client only: enough replicas gave the same result."""

    timestamp: int
    result: bytes
    replicas: tuple[int, ...]
    """Who vouched for it, ascending."""
    path: str = "ordered"
    """``fast``: a read that was not ordered."""


Effect = Persist | Compact | Send | SetTimer | CancelTimer | Trace | Rejected | Halt | Completed
