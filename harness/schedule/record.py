"""What a schedule is made of. Times are ns on the clock of the recorded run, here in virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

SCHEMA = "traitor/schedule/1"
FILE_NAME = "schedule.jsonl"
DIGEST_BYTES = 8
IN_FORCE, UNDONE, LOOK = "in-force", "undone", "look"
"""Of a fault: its rules on packets came into force; the last step; when it sees whether what it waits for has
come, of which there is no record."""
START, DELIVER, TIMER, CLOCK = "start", "deliver", "timer", "clock"


def digest_of(datagram: bytes) -> bytes:
    """What a datagram is known by."""
    return blake2b(datagram, digest_size=DIGEST_BYTES).digest()


class Event(NamedTuple):
    """One event of a replica's turn."""

    now_ns: int
    kind: str
    """START, DELIVER, TIMER or CLOCK."""
    name: str
    """Of the timer; of a CLOCK what it shows and its rate; what the datagram claims to be, for people:
    ``COMMIT 2 0 57`` (sender, view, number)."""
    digest: bytes
    """Of the datagram; of a START its nonce."""
    number: int
    """Generation of the timer; of a START or CLOCK the wall clock's offset."""
    records: int
    """Of a START: how many were in its log."""
    hash: bytes
    """Of all that the core gave back in this life up to here, as in the journal."""


class Turn(NamedTuple):
    """A turn of a replica, all of it: it happens at its end."""

    t_ns: int
    replica: int
    life: int
    first: int
    """Number of its first event, from 1 through all lives."""
    events: tuple[Event, ...]
    last: bool
    """The process was killed, or died, after it."""
    told: bool
    """False: the process was killed before the lines of this turn reached its trace."""
    twin: str = ""
    """The folder's name of a second process under the replica's identity, if it is of one: ``0-twin``."""


class Stopped(NamedTuple):
    """A replica was stopped in order."""

    t_ns: int
    replica: int
    twin: str = ""
    """As of a turn."""


class Arrived(NamedTuple):
    """A datagram reached the clients' host."""

    t_ns: int
    name: str
    digest: bytes


class Called(NamedTuple):
    """Something of the clients or of the nemesis happened: ``who`` as in ``World.call_at``."""

    t_ns: int
    who: tuple[str | int, ...]


class Said(NamedTuple):
    """Rules on packets put this on the wire, and it arrived: a lie, as a rule."""

    t_ns: int
    datagram: bytes


class Ends(NamedTuple):
    """The record goes no further."""

    t_ns: int
    why: str


Item = Turn | Stopped | Arrived | Called | Said | Ends


class Phase(NamedTuple):
    """Of the recorded run."""

    name: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Items in the order of their times."""

    source: str
    """The run it was recorded in, for people."""
    n: int
    begin_ns: int
    phases: tuple[Phase, ...]
    items: tuple[Item, ...]
    wanted: Mapping[tuple[int, bytes], int] = field(default_factory=dict)
    """(host, digest) -> how many times it arrives there; a host is a replica, with its twins, or
    ``settings.CLIENTS``."""
