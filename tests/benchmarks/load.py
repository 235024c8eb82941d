"""The load generator: as many logical clients as asked for, all in this process, behind one UDP socket.

Closed loop: every client sends its next operation as soon as its last one completed. It runs the client
core as it is (``pbft_node/core/client.py``), so every reply is authenticated and matched.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from machine import own_cpu_ns
from servers import Servers

from pbft_node.core.authentication import Keyring
from pbft_node.core.client import Client
from pbft_node.core.client_codec import reply_client
from pbft_node.core.effects import CancelTimer, Completed, Effect, Send, SetTimer
from pbft_node.core.events import Received, TimerFired
from pbft_node.timers import Timers
from pbft_node.transport import AddressBook, UdpTransport

_SECOND_NS = 1_000_000_000


class Stalled(Exception):
    """Nothing completed for far too long; says what the servers said."""


@dataclass(slots=True)
class Load:
    """What one stretch of load came to."""

    completed: int = 0
    elapsed_ns: int = 0
    own_cpu_ns: int = 0
    server_cpu_ns: list[int] = field(default_factory=list)
    retries: int = 0
    """Requests sent again because no answer came in time."""
    latencies_ns: list[int] = field(default_factory=list)
    completions_ns: list[int] = field(default_factory=list)
    """When each operation completed; kept on request."""

    @property
    def per_second(self) -> float:
        """Throughput."""
        return self.completed * _SECOND_NS / self.elapsed_ns if self.elapsed_ns else 0.0


class LoadGenerator:
    """Logical clients of one cluster. ``needed``: matching replies, f+1 unless told."""

    def __init__(
        self,
        servers: Servers,
        clients: int,
        operation: bytes,
        *,
        needed: int | None = None,
        keys: Keyring | None = None,
        **invoke: bool,
    ) -> None:
        config = servers.clients
        self._servers = servers
        self.operation = operation
        self._needed = needed
        self._invoke = invoke
        self._transport = UdpTransport(config.address, AddressBook(config.replica_addresses))
        self._timers = Timers()
        self._poll = select.epoll()
        self._poll.register(self._transport.fileno(), select.EPOLLIN)
        self._clients = {
            identity: Client(config.cluster, identity, keys or config.keyring)
            for identity in range(config.first, config.first + clients)
        }
        self._begun_ns: dict[int, int] = {}
        self.load = Load()
        self.keep_completions = False

    @property
    def view(self) -> int:
        """The highest view any client believes in."""
        return max(client.view for client in self._clients.values())

    def close(self) -> None:
        """Give the port back."""
        self._poll.close()
        self._transport.close()

    def wait_ready(self, *, answering: int, seconds: float = 30.0) -> None:
        """Until that many servers answered one operation alike."""
        needed, self._needed = self._needed, answering
        self.run(operations=1, clients=1, patience=seconds)
        self._needed = needed

    def run(
        self,
        *,
        seconds: float | None = None,
        operations: int | None = None,
        clients: int | None = None,
        patience: float = 30.0,
        until: Callable[[], bool] | None = None,
    ) -> Load:
        """Load for so long, or that many operations, or until told; then every client ends its operation."""
        active = list(self._clients)[:clients]
        self.load = Load()
        own, theirs = own_cpu_ns(), self._servers.cpu_ns()
        start_ns = time.monotonic_ns()
        end_ns = start_ns + int((seconds if seconds is not None else 86_400) * _SECOND_NS)

        def goes_on(now_ns: int) -> bool:
            if operations is not None and self.load.completed + len(self._begun_ns) >= operations:
                return False
            return now_ns < end_ns and not (until is not None and until())

        for identity in active:
            if goes_on(start_ns):
                self._begin(identity, time.monotonic_ns())
        self._loop(goes_on, int(patience * _SECOND_NS))
        self.load.elapsed_ns = time.monotonic_ns() - start_ns
        self.load.own_cpu_ns = own_cpu_ns() - own
        self.load.server_cpu_ns = [b - a for a, b in zip(theirs, self._servers.cpu_ns())]
        return self.load

    def _loop(self, goes_on: Callable[[int], bool], patience_ns: int) -> None:
        progress_ns, seen = time.monotonic_ns(), -1
        while self._begun_ns:
            now_ns = time.monotonic_ns()
            if self.load.completed != seen:
                progress_ns, seen = now_ns, self.load.completed
            elif now_ns - progress_ns > patience_ns:
                raise Stalled(
                    f"nothing completed for {patience_ns / _SECOND_NS} s, {len(self._begun_ns)} operations "
                    f"open. {self._servers.complaints()}"
                )
            due_ns = self._timers.next_due_ns() or now_ns + _SECOND_NS
            self._poll.poll(min(1.0, max(0, due_ns - now_ns) / _SECOND_NS))
            for data in self._transport.receive(256):
                identity = reply_client(data)
                if identity in self._clients:
                    now_ns = time.monotonic_ns()
                    self._take(identity, self._clients[identity].handle(Received(data), now_ns), goes_on)
            self._fire(goes_on)

    def _fire(self, goes_on: Callable[[int], bool]) -> None:
        now_ns = time.monotonic_ns()
        while (fired := self._timers.take_due(now_ns)) is not None:
            identity, name = fired.name.split("/", 1)
            self.load.retries += 1
            event = TimerFired(name, fired.generation)
            self._take(int(identity), self._clients[int(identity)].handle(event, now_ns), goes_on)

    def _begin(self, identity: int, now_ns: int) -> None:
        self._begun_ns[identity] = now_ns
        effects = self._clients[identity].invoke(self.operation, now_ns, needed=self._needed, **self._invoke)
        self._take(identity, effects, None)

    def _take(self, identity: int, effects: list[Effect], goes_on: Callable[[int], bool] | None) -> None:
        for effect in effects:
            match effect:
                case Send(to, data):
                    self._transport.send(to, data)
                case SetTimer(name, generation, delay_ns):
                    self._timers.set(f"{identity}/{name}", generation, time.monotonic_ns() + delay_ns)
                case CancelTimer(name):
                    self._timers.cancel(f"{identity}/{name}")
                case Completed():
                    assert goes_on is not None
                    self._completed(identity, goes_on)

    def _completed(self, identity: int, goes_on: Callable[[int], bool]) -> None:
        now_ns = time.monotonic_ns()
        self.load.completed += 1
        self.load.latencies_ns.append(now_ns - self._begun_ns.pop(identity))
        if self.keep_completions:
            self.load.completions_ns.append(now_ns)
        if goes_on(now_ns):
            self._begin(identity, now_ns)
