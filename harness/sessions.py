"""Protocol clients on a world: the sans-IO client of the system under test, given datagrams, timers and a way
to send.

A session is one client identity that has one operation under way at a time. Identities are used up: whoever
gives up on an operation goes on as a new one, because its late replies must never be taken for another's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.clients_journal import Arrived, ClientsJournal, Closed, Fired, Invoked
from harness.errors import HarnessError
from harness.world import Timer, World
from pbft_node.core.effects import CancelTimer, Completed, Effect, Rejected, Send, SetTimer
from pbft_node.core.events import Event, Received, TimerFired
from pbft_node.core.messages import Reply


class ClientMachine(Protocol):
    """A protocol client without I/O, such as ``pbft_node.core.client.Client``."""

    @property
    def timestamp(self) -> int:
        """Of the latest operation."""

    @property
    def view(self) -> int:
        """The view it believes in."""

    @property
    def replies(self) -> Sequence[Reply]:
        """To the latest operation."""

    def invoke(
        self, operation: bytes, now_ns: int, *, needed: int | None = None, read_only: bool = False
    ) -> list[Effect]:
        """Begin an operation. ``read_only``: it changes nothing, so it need not be ordered."""

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        """A datagram or a timer."""

    def abandon(self) -> list[Effect]:
        """Forget the operation."""


@dataclass(frozen=True, slots=True)
class ClientPort:
    """How this system under test is talked to."""

    first: int
    last: int
    """Client identities, inclusive."""
    make: Callable[[int, bool], ClientMachine]
    """A machine for an identity that was never used; whether it retransmits."""
    addressee: Callable[[bytes], int | None]
    """For which client a datagram is, or None."""


OnCompleted = Callable[[Completed], None]


class Session:
    """One client identity."""

    def __init__(
        self,
        world: World,
        client: int,
        machine: ClientMachine,
        on_completed: OnCompleted,
        retry: bool,
        journal: ClientsJournal | None,
    ) -> None:
        self.client = client
        self.machine = machine
        self._world = world
        self._on_completed = on_completed
        self._retry = retry
        self._journal = journal
        self._timers: dict[str, Timer] = {}
        self._closed = False

    def prepare(
        self, operation: bytes, now_ns: int, needed: int | None = None, *, read_only: bool = False
    ) -> list[Effect]:
        """Begin an operation. What is to be done about it is for ``carry_out``, once it is on record."""
        if self._journal:
            self._journal.write(Invoked(now_ns, self.client, operation, needed, read_only, self._retry))
        return self.machine.invoke(operation, now_ns, needed=needed, read_only=read_only)

    def carry_out(self, effects: Sequence[Effect]) -> None:
        """In order."""
        for effect in effects:
            match effect:
                case Send(to, data):
                    self._world.send(to, data)
                case SetTimer(name, generation, delay_ns):
                    self._set_timer(name, generation, delay_ns)
                case CancelTimer(name):
                    self._cancel(name)
                case Completed():
                    self._on_completed(effect)
                case Rejected():
                    pass
                case _:
                    raise AssertionError(f"a client has no {type(effect).__name__}")

    def receive(self, datagram: bytes, now_ns: int) -> None:
        """A datagram for this client."""
        self.carry_out(self.machine.handle(Received(datagram), now_ns))

    def replied(self) -> frozenset[int]:
        """Who answered the latest operation."""
        return frozenset(reply.replica for reply in self.machine.replies)

    def close(self) -> None:
        """Give up whatever is under way, for ever."""
        if not self._closed:
            self._closed = True
            if self._journal:
                self._journal.write(Closed(self._world.now_ns(), self.client))
            self.carry_out(self.machine.abandon())
            for name in list(self._timers):
                self._cancel(name)

    def _set_timer(self, name: str, generation: int, delay_ns: int) -> None:
        self._cancel(name)
        at_ns = self._world.now_ns() + delay_ns
        who = ("timer", self.client, name, generation)
        self._timers[name] = self._world.call_at(at_ns, lambda: self._fire(name, generation), who)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _fire(self, name: str, generation: int) -> None:
        if self._closed:
            return
        now_ns = self._world.now_ns()
        if self._journal:
            self._journal.write(Fired(now_ns, self.client, name, generation))
        self.carry_out(self.machine.handle(TimerFired(name, generation), now_ns))


class Sessions:
    """All sessions of a run: hands out identities and delivers datagrams. ``journal``: of all they do."""

    def __init__(self, world: World, port: ClientPort, journal: ClientsJournal | None = None) -> None:
        self._world = world
        self._port = port
        self._journal = journal
        self._probes = 0
        self._open: dict[int, Session] = {}
        self._view = 0
        world.on_datagram(self._deliver)
        world.primary_from(lambda: self.view)

    def client_of(self, process: int) -> int:
        """The identity of a process of the history."""
        return self._port.first + process

    @property
    def probes(self) -> int:
        """How many were opened."""
        return self._probes

    @property
    def view(self) -> int:
        """The highest view that f+1 replicas told one client they reached."""
        for session in self._open.values():
            self._view = max(self._view, session.machine.view)
        return self._view

    def open_process(self, process: int, retry: bool, on_completed: OnCompleted) -> Session:
        """For a process of the history: client ``first + process``. Each only once."""
        return self._open_as(self.client_of(process), retry, on_completed)

    def open_probe(self, on_completed: OnCompleted) -> Session:
        """For an operation that is in no history: identities from the other end."""
        self._probes += 1
        return self._open_as(self._port.last + 1 - self._probes, True, on_completed)

    def _open_as(self, client: int, retry: bool, on_completed: OnCompleted) -> Session:
        if client in self._open or not self._port.first <= client <= self._port.last:
            raise HarnessError(
                f"the client identities {self._port.first} … {self._port.last} are used up: "
                "too many operations timed out",
                "Raise operation_timeout, or lower --clients.",
            )
        machine = self._port.make(client, retry)
        session = Session(self._world, client, machine, on_completed, retry, self._journal)
        self._open[client] = session
        return session

    def close(self, session: Session) -> None:
        """Its identity is never used again."""
        self._view = max(self._view, session.machine.view)
        self._open.pop(session.client, None)
        session.close()

    def _deliver(self, datagram: bytes) -> None:
        now_ns = self._world.now_ns()
        if self._journal:
            self._journal.write(Arrived(now_ns, datagram))
        client = self._port.addressee(datagram)
        session = None if client is None else self._open.get(client)
        if session is not None:
            session.receive(datagram, now_ns)
