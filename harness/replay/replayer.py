"""One replica's journal, fed to fresh cores event by event.

``Replayer.events`` stops before each event, with ``replica`` as all events before it left it; asked for the
next one, it hands the event to the core and holds the hash of what came back against the journal's. The
first thing that is not as it was is the end: whatever came after it would differ, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.replay.readable import effect_words, event_words
from harness.replay.recorded_trace import Comparison
from pbft_node import assembly
from pbft_node.clock import own_ns, true_ns
from pbft_node.config import ReplicaConfig
from pbft_node.core.effects import CancelTimer, Effect, Rejected, SetTimer, Trace
from pbft_node.core.events import ClockMoved, Event, TimerFired
from pbft_node.core.replica import Replica
from pbft_node.journal import NO_OUTPUT, outputs_hash, raised_hash, trace_lines
from pbft_node.journal_file import JournalError
from pbft_node.journal_reader import Contents, Entry, Life, RecordHistory, Start
from pbft_node.trace import TraceLines

MOST_EFFECTS = 40
"""Shown of one event."""


@dataclass(frozen=True, slots=True)
class Upcoming:
    """An event that the core has not seen yet."""

    number: int
    """Of this replica, from 1, through all its lives."""
    life: int
    now_ns: int
    event: Event


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first event that did not go as recorded."""

    number: int
    life: int
    now_ns: int
    event: str
    what: str
    """A sentence."""
    effects: tuple[str, ...]
    """What the core gave back now."""
    trace: tuple[str, ...]
    """Its trace lines now."""


class Replayer:
    """``events`` once. ``comparison`` hears of every turn's trace lines."""

    def __init__(
        self, config: ReplicaConfig, contents: Contents, comparison: Comparison | None = None
    ) -> None:
        self.mismatch: Mismatch | None = None
        self.done = 0
        """Events whose hash was equal."""
        self.timers: dict[str, tuple[int, int]] = {}
        """Name -> (generation, when it is due)."""
        self.call: Callable[[Replica, Event, int], Sequence[Effect]] = Replica.handle
        """How an event is handed to the core: the place for a debugger."""
        self.effects: Sequence[Effect] = ()
        """Of the last event."""
        self._config = config
        self._contents = contents
        self._comparison = comparison
        self._history = RecordHistory()
        self._lines = TraceLines()
        self._hash = NO_OUTPUT
        self._life = 0
        self._clock: ClockMoved | None = None
        self.replica = self._fresh()

    def events(self) -> Iterator[Upcoming]:
        """See the module. Raises HarnessError when the journal changes meanwhile."""
        try:
            for life in self._contents.lives:
                yield from self._live(life)
                if self.mismatch is not None:
                    return
        except JournalError as error:
            raise HarnessError(str(error), "Leave a run alone while it is replayed.") from None
        if self._comparison is not None and self._contents.ending.why in ("whole", "torn"):
            self._comparison.end()

    def _live(self, life: Life) -> Iterator[Upcoming]:
        self._life, self._hash = life.number, NO_OUTPUT
        self.replica, self._lines = self._fresh(), TraceLines()
        self.timers.clear()
        self._clock = None
        first = self.done + 1
        for turn in life.turns():
            for entry in turn.entries:
                event = self._event(entry)
                if event is None:
                    return
                yield Upcoming(self.done + 1, life.number, entry.now_ns, event)
                if not self._handle(entry, event):
                    return
            if not turn.goes_on:
                self._lines.end_interval(turn.end_ns)
                self._history.turn_ended()
                self._tell_lines((first, self.done))
                first = self.done + 1
        if life.ended_ns is not None:
            self._lines.end_life(life.ended_ns)
        if life.ended_ns is not None or first <= self.done:
            self._tell_lines((first, self.done))
        if self._comparison is not None:
            self._comparison.end_life()

    def _tell_lines(self, events: tuple[int, int]) -> None:
        lines = [line.encode() for line in self._lines.take()]
        if self._comparison is not None:
            self._comparison.turn(lines, events)

    def _fresh(self) -> Replica:
        return assembly.make_replica(self._config, lambda text: None)

    def _event(self, entry: Entry) -> Event | None:
        """The event with all that belongs to it, or None and a mismatch."""
        event = entry.event
        if not isinstance(event, Start):
            return event
        records = self._history.found(event)
        if records is None:
            self._differs(
                entry,
                f"started with {event.count} records",
                f"the {event.count} records it began with, by their digest, are not what the lives before it "
                "had written, nor any of it that a kill can have left",
            )
            return None
        return event.event(records)

    def _handle(self, entry: Entry, event: Event) -> bool:
        """True iff all was as recorded."""
        now_ns = entry.now_ns
        if isinstance(event, ClockMoved):
            self._clock = event
        own = own_ns(self._clock, now_ns)
        try:
            effects = self.call(self.replica, event, own)
        except Exception as error:  # of the core, or of a service of the user's
            self._hash = raised_hash(self._hash, error)
            if entry.raised and self._hash == entry.hash:
                self.effects = ()
                self.done += 1
                return True
            self._differs(entry, event_words(event), f"the core raised {type(error).__name__}: {error}")
            return False
        self.effects = effects
        lines = trace_lines(effects, now_ns)
        self._hash = outputs_hash(self._hash, effects, lines)
        if entry.raised or self._hash != entry.hash:
            what = (
                "the core had raised an exception at it, and does not now"
                if entry.raised
                else "what the core gives back is not what it had given back"
            )
            self._differs(entry, event_words(event), what, effects, lines)
            return False
        self._history.take(effects)
        self._note(event, effects, now_ns, own)
        self.done += 1
        return True

    def _note(self, event: Event, effects: Sequence[Effect], now_ns: int, own: int) -> None:
        """What a driver would have done: timers and trace."""
        if isinstance(event, TimerFired) and self.timers.get(event.name, (None,))[0] == event.generation:
            del self.timers[event.name]
        for effect in effects:
            match effect:
                case SetTimer(name, generation, delay_ns):
                    due_ns = true_ns(self._clock, own + delay_ns)
                    self.timers[name] = (generation, now_ns + delay_ns if due_ns is None else due_ns)
                case CancelTimer(name):
                    self.timers.pop(name, None)
                case Trace(kind, fields):
                    self._lines.add(now_ns, kind, fields)
                case Rejected():
                    self._lines.rejected(now_ns, effect)

    def _differs(
        self,
        entry: Entry,
        event: str,
        what: str,
        effects: Sequence[Effect] = (),
        lines: Sequence[str] = (),
    ) -> None:
        words = [effect_words(effect) for effect in effects[:MOST_EFFECTS]]
        if len(effects) > MOST_EFFECTS:
            words.append(f"… {len(effects) - MOST_EFFECTS} more")
        self.mismatch = Mismatch(
            self.done + 1, self._life, entry.now_ns, event, what, tuple(words), tuple(lines)
        )
