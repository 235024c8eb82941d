"""What one replica does in a turn, without a loop, a socket or a clock: the part that every driver shares.

``step`` hands an event to the core and gathers what comes of it: records wait in the log, lines in the trace,
datagrams in the outbox; timers are set. ``finish`` ends the turn, in this order: events to the journal with
one write, records to the log with one sync, lines to the trace with one write, then what is to leave. So
nothing leaves before what it promises is durable, one sync serves many messages (group commit), and the
journal, where there is one, explains all that is elsewhere. A ``Halt``, a failing log or an exception of the
core ends the process with nothing of that turn sent; the exception's event is in the journal.

``runtime`` turns under epoll in real time, ``lockstep`` when it is told to and at the time it is told, and a
simulation does so with objects: the same events give the same bytes in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from .clock import Setting, move, own_ns, true_ns
from .core.effects import (
    CancelTimer,
    Compact,
    Completed,
    Effect,
    Halt,
    Persist,
    Rejected,
    Send,
    SetTimer,
    Trace,
)
from .core.events import ClockMoved, Event, Started
from .core.retransmission import OTHER_PARAMETERS
from .errors import HaltedError
from .meter import Meter
from .timers import Timers
from .trace import TraceFile, encode_line

MAX_TIMERS_PER_TURN = 1024
TOLD = ("silent", "recovered", "alarm")


class Machine(Protocol):
    """A replica: the core's contract."""

    def handle(self, event: Event, now_ns: int) -> Sequence[Effect]:
        """What happened, and when; what to do about it, in order."""


class LogLike(Protocol):
    """What a turn needs of a log (``wal.Log``, or a model of one)."""

    def append(self, record: bytes) -> None:
        """Durable after the next ``sync``."""

    def sync(self) -> None:
        """Everything appended is durable."""

    def compact(self, records: Sequence[bytes]) -> None:
        """Replace everything by these, atomically and now."""


class JournalLike(Protocol):
    """What a turn needs of a journal (``journal.Journal``, or something that compares)."""

    def add(self, event: Event, now_ns: int, effects: Sequence[Effect], lines: Sequence[str]) -> None:
        """An event, what came of it, and the trace lines among that."""

    def raised(self, event: Event, now_ns: int, error: BaseException) -> None:
        """The core raised: nothing more will come."""

    def end_turn(self, now_ns: int, *, empty_too: bool = False) -> None:
        """Nothing of the turn has left yet. ``empty_too``: it had no events, but wrote to the trace."""

    def end_life(self, now_ns: int) -> None:
        """Stopped in order, between turns."""


class Turns:
    """One life of a replica, turn by turn. Times are true ones, in ns; the core and its timers are told those
    of the replica's own clock (``clock``)."""

    def __init__(
        self, machine: Machine, log: LogLike, trace: TraceFile | None, journal: JournalLike | None = None
    ) -> None:
        self._machine = machine
        self._log = log
        self._trace = trace
        self._journal = journal
        self._lines: list[str] = []
        """Of the event under way, for the journal."""
        self._timers = Timers()
        self._outbox: list[Send] = []
        self._halt: str | None = None
        self._clock: ClockMoved | None = None
        """None: it is right."""
        self._wall_offset_ns = 0
        """Of a clock that is right."""
        self.meter = Meter()
        self.tell: Callable[[str, Mapping[str, object]], None] = lambda kind, fields: None
        """Hears of ``TOLD``, and as ``rejected`` of peers configured otherwise."""

    def step(self, event: Event, now_ns: int) -> None:
        """One event enters, its effects leave."""
        if self._halt is not None:
            return
        if type(event) is ClockMoved:
            self._clock = event
        elif type(event) is Started:
            self._wall_offset_ns = event.wall_offset_ns
        own = now_ns if self._clock is None else own_ns(self._clock, now_ns)
        try:
            effects = self._machine.handle(event, own)
        except BaseException as error:
            if self._journal:
                self._journal.raised(event, now_ns, error)
            raise
        for effect in effects:
            if type(effect) is Send:  # most of them
                self._outbox.append(effect)
            else:
                self._take(effect, now_ns, own)
        if self._journal:
            self._journal.add(event, now_ns, effects, self._lines)
            self._lines.clear()

    def move_clock(self, setting: Setting, now_ns: int) -> None:
        """Somebody moved this replica's clock, and its driver noticed."""
        self.step(move(self._clock, setting, now_ns, self._wall_offset_ns), now_ns)

    def fire_due(self, now_ns: int) -> None:
        """The timers that are due by now, earliest first."""
        own = own_ns(self._clock, now_ns)
        for _ in range(MAX_TIMERS_PER_TURN):
            due_ns = self._timers.next_due_ns()
            if due_ns is None or due_ns > own:
                return
            fired = self._timers.take_due(own)
            assert fired is not None, "it is due"
            self.meter.timer_late_ns.add(own - due_ns)
            self.step(fired, now_ns)

    def finish(self, now_ns: int) -> list[Send]:
        """The turn's end: all of it is on disk, or an error says why not. What may leave now."""
        trace, journal = self._trace, self._journal
        if trace:
            trace.end_interval(now_ns)
        if journal:
            journal.end_turn(now_ns, empty_too=trace is not None and trace.waiting)
        self._log.sync()
        if trace:
            trace.flush()
        if self._halt is not None:
            raise HaltedError(
                f"halted: {self._halt}. See its trace for what led there before you start it again"
            )
        outbox, self._outbox = self._outbox, []
        self.meter.send(outbox)
        return outbox

    def stop(self, now_ns: int) -> None:
        """This life ends in order, between turns."""
        if self._journal:
            self._journal.end_life(now_ns)
        if self._trace:
            self._trace.finish(now_ns)

    def next_due_ns(self) -> int | None:
        """When the earliest timer is due; None when none runs, or the clock stands still."""
        due_ns = self._timers.next_due_ns()
        return due_ns if due_ns is None or self._clock is None else true_ns(self._clock, due_ns)

    def _take(self, effect: Effect, now_ns: int, own: int) -> None:
        if isinstance(effect, Trace):
            self._take_trace(effect, now_ns)
            return
        match effect:
            case Persist(record):
                self._log.append(record)
            case SetTimer(name, generation, delay_ns):
                self._timers.set(name, generation, own + delay_ns)
            case CancelTimer(name):
                self._timers.cancel(name)
            case Rejected():
                self.meter.reject(effect)
                if effect.reason == OTHER_PARAMETERS:
                    self.tell("rejected", {"sender": effect.sender, "reason": effect.reason})
                if self._trace:
                    self._trace.rejected(now_ns, effect)
            case Compact(records):
                self._log.compact(records)
            case Halt(reason):
                self._halt = reason
            case Completed():
                raise AssertionError("a replica completed a client's operation")

    def _take_trace(self, fact: Trace, now_ns: int) -> None:
        kind, fields = fact.kind, fact.fields
        self.meter.trace(kind, fields)
        if kind in TOLD:
            self.tell(kind, fields)
        if self._journal:
            line = encode_line(now_ns, kind, fields)
            self._lines.append(line)
            if self._trace:
                self._trace.add(now_ns, kind, fields, line)
        elif self._trace:
            self._trace.add(now_ns, kind, fields)
