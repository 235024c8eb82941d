"""The journal of a replica: every input of its core, and a running hash of what the core gave back.

The core is a function of its configuration and of what is written here: whoever feeds a journal to a fresh
core gets the same effects, byte for byte, and the hash beside each event says where not. The format is in
ARCHITECTURE.md.

A turn is written with one write at its end, before the log is synced, the trace written and anything sent, so
what is in the log, in the trace or on the wire is in the journal. Not the other way round: the last turn of a
life that was killed may be here and not, or not all of it, in the log; the records with which the next life
began (their count and digest) say how much was. A turn that did not end left nothing anywhere.

Else a replayer needs ``config.json`` beside it: the cluster (a ``service`` of the user's must be importable),
``replica``, the keys, and ``trace_level``, for the core makes debug events only when told to. With
``durability: none`` no record is kept, and every life but the first is LOST.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from hashlib import blake2b
from pathlib import Path

from .core.effects import CancelTimer, Compact, Effect, Halt, Persist, Rejected, Send, SetTimer, Trace
from .core.events import ClockMoved, Event, Received, Started, TimerFired
from .core.records import LOST_LOG
from .journal_file import (
    BEGINS,
    GOES_ON,
    LIMIT_BYTES,
    MAX_ENTRIES,
    OF_REPLICA,
    FrameFile,
    FrameType,
    Identity,
)
from .trace import encode_line

HASH_BYTES = 8
NO_OUTPUT = bytes(HASH_BYTES)
"""The hash before the first event of a life."""
DIGEST_BYTES = 16
NO_RECORDS = bytes(DIGEST_BYTES)
RAISED = 128
FLUSH_BYTES = 1024 * 1024
"""A turn longer than this is written in several frames."""

ENTRY = struct.Struct(">QBI8s")
STARTED = struct.Struct(">qIBQ16s")
GENERATION = struct.Struct(">Q")
MOVED = struct.Struct(">QQq")
TURN_END = struct.Struct(">Q")
_SEND = struct.Struct(">BIQ")
_TAGGED = struct.Struct(">BQ")


class Kind(IntEnum):
    """Of an entry."""

    STARTED = 1
    RECEIVED = 2
    TIMER = 3
    CLOCK = 4


_RECEIVED = int(Kind.RECEIVED)


class Origin(IntEnum):
    """Where the records of a life come from, which the journal does not repeat."""

    NEW = 0
    """None: it never promised anything."""
    LOST = 1
    """Just ``records.LOST_LOG``."""
    KEPT = 2
    """What earlier lives persisted: see ``journal_reader.RecordHistory``."""


def outputs_hash(before: bytes, effects: Sequence[Effect], lines: Sequence[str]) -> bytes:
    """The hash after an event: of the hash before it (``NO_OUTPUT`` when a life begins) and every effect, in
    order; the same where there is none. ``lines``: a ``Trace`` enters as its line of ``trace.jsonl``."""
    if not effects:
        return before
    parts = [before]
    left = iter(lines)
    for effect in effects:  # in the order of how many there are
        kind = type(effect)
        if kind is Send:
            data = effect.data  # type: ignore[union-attr]
            parts += _SEND.pack(1, effect.to, len(data)), data  # type: ignore[union-attr]
        elif kind is Trace:
            data = next(left).encode()
            parts += _TAGGED.pack(2, len(data)), data
        elif kind is Persist:
            data = effect.record  # type: ignore[union-attr]
            parts += _TAGGED.pack(3, len(data)), data
        elif kind is SetTimer:
            parts += _text(5, f"{effect.name} {effect.generation} {effect.delay_ns}")  # type: ignore[union-attr]
        else:
            parts += _other(effect)
    return blake2b(b"".join(parts), digest_size=HASH_BYTES).digest()


def trace_lines(effects: Iterable[Effect], now_ns: int) -> list[str]:
    """The lines of the ``Trace`` effects of an event at ``now_ns``."""
    return [encode_line(now_ns, e.kind, e.fields) for e in effects if type(e) is Trace]


def raised_hash(before: bytes, error: BaseException) -> bytes:
    """The hash after an event of which the core raised; the text of the error is for people."""
    return blake2b(before + type(error).__name__.encode(), digest_size=HASH_BYTES, person=b"raised").digest()


def grow_digest(digest: bytes, record: bytes) -> bytes:
    """The digest of the records with one more, which begins with ``NO_RECORDS`` for none."""
    return blake2b(digest + record, digest_size=DIGEST_BYTES).digest()


def records_digest(records: Iterable[bytes]) -> bytes:
    """Of all of them in order; every prefix has one."""
    digest = NO_RECORDS
    for record in records:
        digest = grow_digest(digest, record)
    return digest


class Journal:
    """The journal of one life, open for writing. ``report`` takes a text for whoever looks after the replica.
    Raises MachineError when it cannot be opened or written: one with gaps tells a false story."""

    def __init__(
        self,
        path: Path,
        cluster_id: bytes,
        replica: int,
        *,
        limit: int = LIMIT_BYTES,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._file = FrameFile(path, Identity(OF_REPLICA, cluster_id, replica), limit, report)
        self._hash = NO_OUTPUT
        self._flags = 0
        self._parts: list[bytes] = []
        self._entries = self._bytes = 0

    def add(self, event: Event, now_ns: int, effects: Sequence[Effect], lines: Sequence[str]) -> None:
        """One event, at ``now_ns`` of the true clock (``ClockMoved``: its ``at_ns``), and what came of it;
        see ``outputs_hash`` for ``lines``."""
        if self._file.full:
            return
        if effects:
            self._hash = outputs_hash(self._hash, effects, lines)
        self._enter(event, now_ns, 0)

    def raised(self, event: Event, now_ns: int, error: BaseException) -> None:
        """The core raised: written at once, for it is the end of this life."""
        if self._file.full:
            return
        self._hash = raised_hash(self._hash, error)
        self._enter(event, now_ns, RAISED)
        self.end_turn(now_ns)

    def end_turn(self, now_ns: int, *, empty_too: bool = False) -> None:
        """Everything added reaches the kernel. ``empty_too``: also a turn without events is of interest."""
        if self._entries or empty_too:
            self._write(now_ns, 0)

    def end_life(self, now_ns: int) -> None:
        """The driver was told to stop, and did so in order."""
        self.end_turn(now_ns)
        self._file.note(FrameType.END, now_ns)

    def close(self) -> None:
        """Let go of the file. What waits is lost, as in a crash: nothing of it has left."""
        self._file.close()

    def _enter(self, event: Event, now_ns: int, raised: int) -> None:
        if type(event) is Received:  # most of them
            kind, data = _RECEIVED, event.data
        elif type(event) is TimerFired:
            kind, data = Kind.TIMER, GENERATION.pack(event.generation) + event.name.encode()
        elif type(event) is ClockMoved:
            kind, data = Kind.CLOCK, MOVED.pack(event.own_ns, event.rate, event.wall_offset_ns)
        else:
            assert type(event) is Started
            kind, data = Kind.STARTED, self._started(event)
            self._flags = BEGINS
        self._parts += ENTRY.pack(now_ns, kind + raised, len(data), self._hash), data
        self._entries += 1
        self._bytes += len(data)
        if self._bytes > FLUSH_BYTES or self._entries == MAX_ENTRIES:
            self._write(now_ns, GOES_ON)

    def _started(self, event: Started) -> bytes:
        records = event.records
        if records == LOST_LOG:
            origin = Origin.LOST
        else:
            origin = Origin.KEPT if records else Origin.NEW
        life = self._file.lives + 1
        return (
            STARTED.pack(event.wall_offset_ns, life, origin, len(records), records_digest(records))
            + event.nonce
        )

    def _write(self, end_ns: int, flags: int) -> None:
        payload = b"".join((TURN_END.pack(end_ns), *self._parts))
        self._file.append(FrameType.TURN, self._flags | flags, self._entries, payload)
        self._parts.clear()
        self._flags = self._entries = self._bytes = 0


def _other(effect: Effect) -> Sequence[bytes]:
    """What is rare."""
    match effect:
        case CancelTimer(name):
            return _text(6, name)
        case Compact(records):
            return _TAGGED.pack(4, len(records)), *(b for r in records for b in (_TAGGED.pack(0, len(r)), r))
        case Rejected(sender, message, reason):
            return _text(7, f"{sender} {message} {reason}")
        case Halt(reason):
            return _text(8, reason)
        case _:
            raise AssertionError(f"no effect of a replica: {type(effect).__name__}")


def _text(tag: int, text: str) -> Sequence[bytes]:
    data = text.encode(errors="backslashreplace")
    return _TAGGED.pack(tag, len(data)), data
