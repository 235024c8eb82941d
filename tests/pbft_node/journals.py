"""Journals for tests: one of a made-up life, and the shortest replayer there can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pbft_node.assembly import make_replica
from pbft_node.config import load_replica
from pbft_node.core.effects import (
    CancelTimer,
    Compact,
    Effect,
    Persist,
    Send,
    SetTimer,
    Trace,
)
from pbft_node.core.events import Event, Received, Started, TimerFired
from pbft_node.core.replica import Replica
from pbft_node.journal import (
    NO_OUTPUT,
    Journal,
    outputs_hash,
    trace_lines,
)
from pbft_node.journal_reader import Contents, RecordHistory, Start, read_journal

CLUSTER = bytes(range(16))
SEND = Send(1, b"datagram")
TRACE = Trace("prepared", {"view": 0, "seq": 3, "digest": "ab"})
TURNS: list[list[tuple[Event, int, list[Effect]]]] = [
    [(Started((), -5, b"n" * 16), 100, [SetTimer("status", 1, 50), TRACE])],
    [(Received(b""), 200, []), (Received(b"x" * 300), 210, [Persist(b"r"), SEND, SEND])],
    [(TimerFired("status", 1), 300, [SEND, TRACE, CancelTimer("status"), Compact((b"a", b"b"))])],
]


Spoil = Callable[[int, Replica], None]
"""Called before each event, with its number (from 0)."""


def write(path: Path, turns: list[list[tuple[Event, int, list[Effect]]]] = TURNS) -> list[bytes]:
    """One life; the file after each turn, the empty journal first."""
    journal = Journal(path, CLUSTER, 2)
    after = [path.read_bytes()]
    for turn in turns:
        for event, now_ns, effects in turn:
            journal.add(event, now_ns, effects, trace_lines(effects, now_ns))
        assert path.read_bytes() == after[-1], "nothing is written before the turn ends"
        journal.end_turn(now_ns + 1)
        after.append(path.read_bytes())
    journal.close()
    return after


@dataclass(frozen=True)
class Replayed:
    contents: Contents
    events: int
    mismatch: int | None
    """The first event whose hash is another."""
    lines: tuple[str, ...]
    """Of all traces."""


def replay(folder: Path, spoil: Spoil = lambda number, replica: None) -> Replayed:
    """The journal in a replica's folder."""
    config = load_replica(folder / "config.json")
    contents = read_journal(folder / "journal")
    history = RecordHistory()
    number = 0
    lines: list[str] = []
    for life in contents.lives:
        replica = make_replica(config, print)
        before = NO_OUTPUT
        for turn in life.turns():
            for entry in turn.entries:
                event = entry.event
                if isinstance(event, Start):
                    records = history.found(event)
                    assert records is not None, f"life {life.number}: {event.count} records from nowhere"
                    event = event.event(records)
                spoil(number, replica)
                effects = replica.handle(event, entry.now_ns)
                history.take(effects)
                made = trace_lines(effects, entry.now_ns)
                before = outputs_hash(before, effects, made)
                if before != entry.hash:
                    return Replayed(contents, number, number, tuple(lines))
                lines += made
                number += 1
            if not turn.goes_on:
                history.turn_ended()
    return Replayed(contents, number, None, tuple(lines))
