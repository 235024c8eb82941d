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


Event = Started | Received | TimerFired
