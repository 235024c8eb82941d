"""Drives one replica in real time: a single epoll loop over its UDP sockets and its timers.

Each turn (see ``turns``) handles the datagrams that wait, at most ``MAX_DATAGRAMS_PER_TURN``, and the timers
that are due.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from types import FrameType

from .clock import LOOK_SECONDS, RIGHT, ClockFile
from .core.events import Event, Received, Started
from .journal import Journal
from .metrics_socket import MetricsSocket
from .trace import TraceFile
from .transport import UdpTransport
from .turns import Machine, Turns
from .wal import Log

MAX_DATAGRAMS_PER_TURN = 256
MAX_WAIT_SECONDS = 60.0
_SECOND_NS = 1_000_000_000


class Runtime:
    """One life of a replica, from ``Started`` to SIGTERM."""

    def __init__(
        self,
        machine: Machine,
        log: Log,
        transport: UdpTransport,
        trace: TraceFile | None,
        journal: Journal | None = None,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._log = log
        self._transport = transport
        self._trace = trace
        self._journal = journal
        self._clock_ns = clock_ns
        self._stopping = False
        self.turns = Turns(machine, log, trace, journal)
        self.meter = self.turns.meter
        self.metrics: MetricsSocket | None = None
        """Where this replica tells its metrics, if it does; set before ``run``."""
        self.clock: ClockFile | None = None
        """Where somebody may move its clock; set before ``run``."""
        self._setting = RIGHT

    def run(self, records: tuple[bytes, ...], wall_offset_ns: int = 0, nonce: bytes = b"") -> None:
        """Live until SIGTERM or SIGINT. Raises NodeError when it must stop, and whatever the core raises.

        ``wall_offset_ns``: wall clock minus this driver's clock. ``nonce``: see ``Started``.
        """
        wake_reader, wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        poll = select.epoll()
        try:
            poll.register(wake_reader, select.EPOLLIN)
            for descriptor in self._transport.filenos():
                poll.register(descriptor, select.EPOLLIN)
            self.turn([Started(records, wall_offset_ns, nonce)])
            self._look_at_clock(jumps=False)
            if self.metrics is not None:
                poll.register(self.metrics.fileno(), select.EPOLLIN)
            while not self._stopping:
                ready = poll.poll(self._wait_seconds())
                begin_ns = self._clock_ns()
                self._look_at_clock()
                readable = {descriptor for descriptor, _ in ready}
                datagrams = self._transport.receive(MAX_DATAGRAMS_PER_TURN, readable)
                self.meter.received.add(datagrams)
                self.turn(map(Received, datagrams))
                self.meter.turn_ns.add(self._clock_ns() - begin_ns)
                self._tell_metrics(readable, poll)
            self.turns.stop(self._clock_ns())
        finally:
            poll.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
            os.close(wake_reader)
            os.close(wake_writer)

    def _tell_metrics(self, readable: set[int], poll: select.epoll) -> None:
        """If somebody asks, after the turn's work is done."""
        metrics = self.metrics
        if metrics is None or metrics.fileno() not in readable:
            return
        if not metrics.serve(self._clock_ns()):
            poll.unregister(metrics.fileno())

    def _look_at_clock(self, *, jumps: bool = True) -> None:
        """Before each turn. What was moved before this life began makes it no jump."""
        setting = None if self.clock is None else self.clock.read()
        if setting is None or setting.serial == self._setting.serial:
            return
        self._setting = setting
        self.turns.move_clock(setting if jumps else setting._replace(jump_ns=0), self._clock_ns())

    def close(self) -> None:
        """Let go of log, socket, trace and journal, as a crash would."""
        self._log.close()
        self._transport.close()
        if self._trace:
            self._trace.close()
        if self._journal:
            self._journal.close()
        if self.metrics is not None:
            self.metrics.close()
        if self.clock is not None:
            self.clock.close()

    def turn(self, events: Iterable[Event]) -> None:
        """Handle these events and the timers that are due, then carry out what came of them, together."""
        turns = self.turns
        for event in events:
            turns.step(event, self._clock_ns())
        turns.fire_due(self._clock_ns())
        for message in turns.finish(self._clock_ns()):
            self._transport.send(message.to, message.data)

    def _wait_seconds(self) -> float:
        """Until the next timer. Epoll rounds up to its milliseconds, so the loop never spins."""
        due_ns = self.turns.next_due_ns()
        longest = MAX_WAIT_SECONDS if self.clock is None else LOOK_SECONDS
        if due_ns is None:
            return -1 if self.clock is None else longest
        return min(max(0, due_ns - self._clock_ns()) / _SECOND_NS, longest)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
