"""A replica as an object that is handed a recorded turn, event by event, and says where it went otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.schedule.record import CLOCK, START, TIMER, Event, Turn
from harness.virtual.host import TurnEnd
from harness.virtual.shared import Shared
from harness.virtual.sim_host import SimHost
from pbft_node.config import ReplicaConfig
from pbft_node.core import events
from pbft_node.core.effects import Effect
from pbft_node.journal import NO_OUTPUT, Journal, outputs_hash, raised_hash


class RunningHash:
    """Hears what goes into the journal of one life, and what its hash is then (``turns.JournalLike``)."""

    def __init__(self, journal: Journal | None) -> None:
        self.hash = NO_OUTPUT
        self._journal = journal

    def add(self, event: events.Event, now_ns: int, effects: Sequence[Effect], lines: Sequence[str]) -> None:
        """See ``JournalLike``."""
        self.hash = outputs_hash(self.hash, effects, lines)
        if self._journal is not None:
            self._journal.add(event, now_ns, effects, lines)

    def raised(self, event: events.Event, now_ns: int, error: BaseException) -> None:
        """See ``JournalLike``."""
        self.hash = raised_hash(self.hash, error)
        if self._journal is not None:
            self._journal.raised(event, now_ns, error)

    def end_turn(self, now_ns: int, *, empty_too: bool = False) -> None:
        """See ``JournalLike``."""
        if self._journal is not None:
            self._journal.end_turn(now_ns, empty_too=empty_too)

    def end_life(self, now_ns: int) -> None:
        """See ``JournalLike``."""
        if self._journal is not None:
            self._journal.end_life(now_ns)


class FollowedHost(SimHost):
    """See ``Host``; ``take`` and ``finish`` are for who follows a record."""

    def __init__(self, config: ReplicaConfig, folder: Path, shared: Shared) -> None:
        super().__init__(config, folder, shared)
        self._running = RunningHash(None)

    def listening(self, journal: Journal | None) -> RunningHash:
        """See ``SimHost``: one for each life."""
        self._running = RunningHash(journal)
        return self._running

    def take(self, event: Event, datagram: bytes) -> bool:
        """Was the outcome the recorded one? ``datagram``: of a DELIVER."""
        if event.kind == START:
            self._log.keep(event.records)
            self.begin_life(event.now_ns, event.number, event.digest)
        elif event.kind == TIMER:
            self.step(events.TimerFired(event.name, event.number), event.now_ns)
        elif event.kind == CLOCK:
            own_ns, rate = (int(word) for word in event.name.split(" "))
            self.step(events.ClockMoved(event.now_ns, own_ns, rate, event.number), event.now_ns)
        else:
            self.deliver(event.now_ns, datagram)
        return self._running.hash == event.hash

    def begin_as(self, first: FollowedHost) -> None:
        """A twin, with a copy of its replica's log."""
        self._log.begin_as(first._log)

    def finish(self, turn: Turn) -> TurnEnd:
        """Its end. Lines that never reached the recorded trace reach none here."""
        if not turn.told and self._trace is not None:
            self._trace.take()
        return self.end_turn(turn.t_ns)

    def stop(self, now_ns: int) -> None:
        """The process ends in order."""
        if self._turns is not None:
            self._turns.stop(now_ns)
