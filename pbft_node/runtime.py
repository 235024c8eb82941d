"""Drives one replica: a single epoll loop over its UDP socket, its timers, its log and its trace.

Each turn handles the datagrams that wait (at most ``MAX_DATAGRAMS_PER_TURN``) and the timers that are due,
and gathers the effects. Then, in this order: records to the log with one sync, lines to the trace with one
write, datagrams out. So nothing leaves before what it promises is durable, and one sync serves many
messages (group commit). A ``Halt``, a failing log or an exception of the core ends the process with nothing
of that turn sent.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FrameType
from typing import Protocol

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
from .core.events import Event, Received, Started
from .core.retransmission import OTHER_PARAMETERS
from .errors import HaltedError
from .meter import Meter
from .metrics_socket import MetricsSocket
from .timers import Timers
from .trace import TraceFile
from .transport import UdpTransport
from .wal import Log

MAX_DATAGRAMS_PER_TURN = 256
MAX_TIMERS_PER_TURN = 1024
MAX_WAIT_SECONDS = 60.0
TOLD = ("silent", "recovered", "alarm")
_SECOND_NS = 1_000_000_000


class Machine(Protocol):
    """A replica: the core's contract."""

    def handle(self, event: Event, now_ns: int) -> Sequence[Effect]:
        """What happened, and when; what to do about it, in order."""


class Runtime:
    """One life of a replica, from ``Started`` to SIGTERM."""

    def __init__(
        self,
        machine: Machine,
        log: Log,
        transport: UdpTransport,
        trace: TraceFile | None,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._machine = machine
        self._log = log
        self._transport = transport
        self._trace = trace
        self._clock_ns = clock_ns
        self._timers = Timers()
        self._outbox: list[Send] = []
        self._halt: str | None = None
        self._stopping = False
        self.meter = Meter()
        self.metrics: MetricsSocket | None = None
        """Where this replica tells its metrics, if it does; set before ``run``."""
        self.tell: Callable[[str, Mapping[str, object]], None] = lambda kind, fields: None
        """Hears of ``TOLD``, and as ``rejected`` of peers configured otherwise; set before ``run``."""

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
            if self.metrics is not None:
                poll.register(self.metrics.fileno(), select.EPOLLIN)
            while not self._stopping:
                ready = poll.poll(self._wait_seconds())
                begin_ns = self._clock_ns()
                readable = {descriptor for descriptor, _ in ready}
                datagrams = self._transport.receive(MAX_DATAGRAMS_PER_TURN, readable)
                self.meter.received.add(datagrams)
                self.turn(map(Received, datagrams))
                self.meter.turn_ns.add(self._clock_ns() - begin_ns)
                self._tell_metrics(readable, poll)
            if self._trace:
                self._trace.finish(self._clock_ns())
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

    def close(self) -> None:
        """Let go of log, socket and trace, as a crash would."""
        self._log.close()
        self._transport.close()
        if self._trace:
            self._trace.close()
        if self.metrics is not None:
            self.metrics.close()

    def turn(self, events: Iterable[Event]) -> None:
        """Handle these events and the timers that are due, then carry out what came of them, together."""
        for event in events:
            self._step(event)
        self._fire_due_timers()
        self._log.sync()
        if self._trace:
            self._trace.end_interval(self._clock_ns())
            self._trace.flush()
        if self._halt is not None:
            raise HaltedError(
                f"halted: {self._halt}. See its trace for what led there before you start it again"
            )
        self.meter.send(self._outbox)
        for message in self._outbox:
            self._transport.send(message.to, message.data)
        self._outbox.clear()

    def _fire_due_timers(self) -> None:
        now_ns = self._clock_ns()
        for _ in range(MAX_TIMERS_PER_TURN):
            due_ns = self._timers.next_due_ns()
            if due_ns is None or due_ns > now_ns:
                return
            fired = self._timers.take_due(now_ns)
            assert fired is not None, "it is due"
            self.meter.timer_late_ns.add(now_ns - due_ns)
            self._step(fired)

    def _step(self, event: Event) -> None:
        """One event enters, its effects leave: the place for a journal of inputs and outputs."""
        if self._halt is not None:
            return
        now_ns = self._clock_ns()
        for effect in self._machine.handle(event, now_ns):
            if type(effect) is Send:  # most of them
                self._outbox.append(effect)
            else:
                self._take(effect, now_ns)

    def _take(self, effect: Effect, now_ns: int) -> None:
        match effect:
            case Persist(record):
                self._log.append(record)
            case SetTimer(name, generation, delay_ns):
                self._timers.set(name, generation, now_ns + delay_ns)
            case CancelTimer(name):
                self._timers.cancel(name)
            case Trace(kind, fields):
                self.meter.trace(kind, fields)
                if kind in TOLD:
                    self.tell(kind, fields)
                if self._trace:
                    self._trace.add(now_ns, kind, fields)
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

    def _wait_seconds(self) -> float:
        """Until the next timer. Epoll rounds up to its milliseconds, so the loop never spins."""
        due_ns = self._timers.next_due_ns()
        return -1 if due_ns is None else min(max(0, due_ns - self._clock_ns()) / _SECOND_NS, MAX_WAIT_SECONDS)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
