"""What can happen to a replica or a client. Events are data; the driver supplies ``now_ns`` beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Started:
    """The first event of a life. ``records``: the log's records, oldest first; empty when it never ran,
    ``records.LOST_LOG`` when what it promised is lost."""

    records: tuple[bytes, ...] = ()
    wall_offset_ns: int = 0
    """Wall-clock time minus ``now_ns``, for the times that primaries choose (section 4.6)."""
    nonce: bytes = b""
    """16 random bytes, never used before: needed when the log is lost (see ``silence``)."""


class Received(NamedTuple):
    """A datagram, from anyone: nothing about it is true until its authentication says so. A tuple: see
    ``effects.Send``."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer set by an effect ran out. A generation that is no longer current is stale and does nothing."""

    name: str
    generation: int


class ClockMoved(NamedTuple):
    """The driver's clock is no longer the true one, or is again; both in ns. From ``at_ns`` of the true
    clock on, ``now_ns`` begins at ``own_ns`` and runs at ``rate`` billionths of the true one's. To the core
    only the wall clock is news; the rest lets others tell when something was."""

    at_ns: int
    own_ns: int
    rate: int
    wall_offset_ns: int
    """As in ``Started``, from now on."""


Event = Started | Received | TimerFired | ClockMoved
