"""Reads a replica's journal: its lives, their turns and events, and where and why it ends.

A journal is hostile bytes to its reader: whatever is in the file, the answer is what came before the first
thing that cannot be, and the reason; only a file that is no journal at all is a ``JournalError``. Events are
taken from the file when they are asked for, so a journal of any size needs little memory.

``RecordHistory`` finds the records a life began with, which the journal does not repeat.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .core.effects import Compact, Effect, Persist
from .core.events import ClockMoved, Received, Started, TimerFired
from .core.records import LOST_LOG
from .journal import (
    ENTRY,
    GENERATION,
    MOVED,
    NO_RECORDS,
    RAISED,
    STARTED,
    TURN_END,
    Kind,
    Origin,
    grow_digest,
)
from .journal_file import (
    BEGINS,
    GOES_ON,
    OF_REPLICA,
    Ending,
    Frame,
    FrameType,
    JournalError,
    Scan,
    open_to_read,
    read_frame,
)

MAX_BYTES = 16 * 1024 * 1024 * 1024
MAX_LIVES = 10_000
MAX_NONCE_BYTES = 64
MAX_TIMER_NAME = 64


@dataclass(frozen=True, slots=True)
class Start:
    """How a life began: ``Started`` without its records."""

    wall_offset_ns: int
    nonce: bytes
    life: int
    origin: Origin
    count: int
    digest: bytes

    def event(self, records: tuple[bytes, ...]) -> Started:
        """With the records, which are for ``RecordHistory`` to find."""
        return Started(records, self.wall_offset_ns, self.nonce)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event."""

    now_ns: int
    event: Start | Received | TimerFired | ClockMoved
    hash: bytes
    """After it."""
    raised: bool
    """The core raised: it was this life's last."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of the driver handed to the core; nothing, where only the trace had something to say."""

    entries: tuple[Entry, ...]
    end_ns: int
    """When it ended, for the trace."""
    goes_on: bool
    """It was large, and the next one is the rest of it."""


@dataclass(slots=True)
class Life:
    """From one ``Started`` to the next."""

    path: Path
    start: Start
    number: int
    """From 1, as counted here."""
    events: int = 0
    ended_ns: int | None = None
    """When it was stopped in order; None: it was killed, or died, or goes on beyond the journal."""
    cut_bytes: int = 0
    """Of a torn frame at its end, as the next life found it."""
    _offsets: array[int] = field(default_factory=lambda: array("Q"))

    def turns(self) -> Iterator[Turn]:
        """From the file. Raises JournalError where the file changed since it was read."""
        with open_to_read(self.path) as file:
            for offset in self._offsets:
                file.seek(offset)
                try:
                    yield _turn(read_frame(file, offset))
                except (ValueError, EOFError) as problem:
                    raise JournalError(
                        f"{self.path}: changed while it was read: at byte {offset} {problem}"
                    ) from None

    def entries(self) -> Iterator[Entry]:
        """The events of all turns."""
        for turn in self.turns():
            yield from turn.entries


@dataclass(frozen=True, slots=True)
class Contents:
    """What a journal holds."""

    path: Path
    cluster_id: bytes
    replica: int
    lives: tuple[Life, ...]
    ending: Ending


def read_journal(path: Path, *, max_bytes: int = MAX_BYTES) -> Contents:
    """See the module. Raises JournalError when it is no journal of a replica."""
    scan = Scan(path, max_bytes)
    if scan.identity.of != OF_REPLICA:
        raise JournalError(f"{path}: a journal of clients: give that of a replica")
    lives: list[Life] = []
    for frame in scan.frames():
        try:
            _take(path, lives, frame)
        except ValueError as problem:
            scan.damaged(frame, str(problem))
            break
    assert scan.ending is not None, "the scan is through"
    return Contents(path, scan.identity.cluster_id, scan.identity.replica, tuple(lives), scan.ending)


def _take(path: Path, lives: list[Life], frame: Frame) -> None:
    if frame.type is FrameType.LIMIT:
        return
    if frame.type is FrameType.TURN:
        turn = _turn(frame)
        if frame.flags & BEGINS:
            if len(lives) >= MAX_LIVES:
                raise ValueError(f"begins a life beyond {MAX_LIVES}")
            start = turn.entries[0].event
            assert isinstance(start, Start)
            lives.append(Life(path, start, len(lives) + 1))
    if not lives:
        if frame.type is FrameType.CUT:  # the first turn of all was torn
            return
        raise ValueError("belongs to no life")
    life = lives[-1]
    if frame.type is FrameType.CUT:
        life.cut_bytes = frame.number
    elif life.ended_ns is not None:
        raise ValueError("follows the end of its life")
    elif frame.type is FrameType.END:
        life.ended_ns = frame.number
    else:
        life._offsets.append(frame.offset)
        life.events += frame.entries


def _turn(frame: Frame) -> Turn:
    """Raises ValueError."""
    payload = frame.payload
    if len(payload) < TURN_END.size:
        raise ValueError("is a turn without its end")
    entries = tuple(_entries(payload))
    if len(entries) != frame.entries:
        raise ValueError(f"says {frame.entries} entries and has {len(entries)}")
    starts = [isinstance(entry.event, Start) for entry in entries]
    if any(starts[1:]) or any(starts[:1]) != bool(frame.flags & BEGINS):
        raise ValueError("begins a life where it says it does not, or the other way round")
    return Turn(entries, int(TURN_END.unpack_from(payload)[0]), bool(frame.flags & GOES_ON))


def _entries(payload: bytes) -> Iterator[Entry]:
    position = TURN_END.size
    while position < len(payload):
        if position + ENTRY.size > len(payload):
            raise ValueError("ends within an entry")
        now_ns, kind, length, after = ENTRY.unpack_from(payload, position)
        position += ENTRY.size
        if position + length > len(payload):
            raise ValueError("ends within an entry")
        data = payload[position : position + length]
        position += length
        yield Entry(now_ns, _event(now_ns, kind & ~RAISED, data), after, bool(kind & RAISED))


def _event(now_ns: int, kind: int, data: bytes) -> Start | Received | TimerFired | ClockMoved:
    if kind == Kind.RECEIVED:
        return Received(data)
    if kind == Kind.TIMER and GENERATION.size < len(data) <= GENERATION.size + MAX_TIMER_NAME:
        return TimerFired(data[GENERATION.size :].decode("ascii"), GENERATION.unpack_from(data)[0])
    if kind == Kind.CLOCK and len(data) == MOVED.size:
        own_ns, rate, wall_offset_ns = MOVED.unpack(data)
        return ClockMoved(now_ns, own_ns, rate, wall_offset_ns)
    if kind == Kind.STARTED and STARTED.size <= len(data) <= STARTED.size + MAX_NONCE_BYTES:
        offset_ns, life, origin, count, digest = STARTED.unpack_from(data)
        return Start(offset_ns, data[STARTED.size :], life, Origin(origin), count, digest)
    raise ValueError(f"has an entry of kind {kind} with {len(data)} bytes: none that is known")


class RecordHistory:
    """What the log of a replica can have held when a life ended, from what its core asked for.

    Feed it every effect of every life, and ``turn_ended`` behind every turn. A kill leaves the log as it was
    before the last turn, or with all of that turn, or, where that turn rewrote nothing, with its first few
    records. A power failure may leave less, if it was not synced; that is found, too, back to the latest
    rewrite.
    """

    def __init__(self) -> None:
        self._records: list[bytes] = []
        self._digests = [NO_RECORDS]
        """Of every prefix."""
        self._before: tuple[list[bytes], list[bytes]] | None = None
        """The same before the last turn, if that turn rewrote the log."""
        self._between_turns = True

    def take(self, effects: Iterable[Effect]) -> None:
        """Of one event, in order; what is no record is passed over."""
        if self._between_turns:
            self._between_turns, self._before = False, None
        for effect in effects:
            if isinstance(effect, Persist):
                self._append(effect.record)
            elif isinstance(effect, Compact):
                self._before = self._before or (self._records, self._digests)
                self._begin(effect.records)

    def turn_ended(self) -> None:
        """The next event is another turn's: what this one asked for is in the log by then."""
        self._between_turns = True

    def found(self, start: Start) -> tuple[bytes, ...] | None:
        """The records a life began with, which are what this holds from here on. None where nothing that was
        taken can have led to them: earlier lives are not in the journal, or do not replay as they were."""
        records = self._matching(start)
        if records is not None:
            self._before, self._between_turns = None, True
            self._begin(records)
        return records

    def _matching(self, start: Start) -> tuple[bytes, ...] | None:
        if start.origin is Origin.NEW:
            return ()
        if start.origin is Origin.LOST:
            return LOST_LOG
        for records, digests in filter(None, ((self._records, self._digests), self._before)):
            if start.count < len(digests) and digests[start.count] == start.digest:
                return tuple(records[: start.count])
        return None

    def _begin(self, records: Iterable[bytes]) -> None:
        self._records, self._digests = [], [NO_RECORDS]
        for record in records:
            self._append(record)

    def _append(self, record: bytes) -> None:
        self._records.append(record)
        self._digests.append(grow_digest(self._digests[-1], record))
