"""Journals for tests: one of a made-up life, and the shortest replayer there can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pbft_node.assembly import make_replica
from pbft_node.config import load_replica
from pbft_node.core.effects import (
    CancelTimer,
    Compact,
    Effect,
    Persist,
    Rejected,
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
from pbft_node.trace import TraceLines

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


@dataclass
class Replayed:
    contents: Contents
    mismatch: int | None = None
    """The first event whose hash is another."""
    events: list[tuple[Event, Sequence[Effect]]] = field(default_factory=list)
    """Of all lives, up to the mismatch."""
    lives: list[list[list[str]]] = field(default_factory=list)
    """The trace's lines, by life and turn; at the end of a life that ended in order, what that wrote."""


def replay(folder: Path, spoil: Spoil = lambda number, replica: None) -> Replayed:
    """The journal in a replica's folder, up to the first mismatch."""
    config = load_replica(folder / "config.json")
    done = Replayed(read_journal(folder / "journal"))
    history = RecordHistory()
    for life in done.contents.lives:
        replica = make_replica(config, print)
        trace = TraceLines()
        done.lives.append([])
        before = NO_OUTPUT
        for turn in life.turns():
            for entry in turn.entries:
                event = begun(entry.event, history)
                spoil(len(done.events), replica)
                effects = replica.handle(event, entry.now_ns)
                before = outputs_hash(before, effects, trace_lines(effects, entry.now_ns))
                if before != entry.hash:
                    done.mismatch = len(done.events)
                    return done
                done.events.append((event, effects))
                history.take(effects)
                note(trace, effects, entry.now_ns)
            if not turn.goes_on:
                history.turn_ended()
                trace.end_interval(turn.end_ns)
                done.lives[-1].append(trace.take())
        if life.ended_ns is not None:
            trace.end_life(life.ended_ns)
            done.lives[-1].append(trace.take())
    return done


def begun(event: Start | Received | TimerFired, history: RecordHistory) -> Event:
    """With its records, where a life begins."""
    if not isinstance(event, Start):
        return event
    records = history.found(event)
    assert records is not None, f"life {event.life}: {event.count} records from nowhere"
    return event.event(records)


def note(trace: TraceLines, effects: Sequence[Effect], now_ns: int) -> None:
    """As ``turns`` does."""
    for effect in effects:
        if isinstance(effect, Trace):
            trace.add(now_ns, effect.kind, effect.fields)
        elif isinstance(effect, Rejected):
            trace.rejected(now_ns, effect)


def fits(lines: Sequence[str], lives: Sequence[Sequence[Sequence[str]]]) -> bool:
    """The trace is that of these lives, but for the last turn of each, which a kill may have kept out."""
    if not lives:
        return not lines
    first, *others = lives
    for turns in (first, first[:-1]):
        own = [line for turn in turns for line in turn]
        if list(lines[: len(own)]) == own and fits(lines[len(own) :], others):
            return True
    return False
