"""One client that calls and waits: what a file system client does, where ``load`` keeps many busy.

It runs the client core as it is, over one UDP socket, and adds up the time it waits.
"""

from __future__ import annotations

import select
import time

from load import Stalled
from servers import Servers

from pbft_node.core.authentication import Keyring
from pbft_node.core.client import Client
from pbft_node.core.effects import CancelTimer, Completed, Effect, Send, SetTimer
from pbft_node.core.events import Event, Received
from pbft_node.timers import Timers
from pbft_node.transport import AddressBook, UdpTransport

PATIENCE_SECONDS = 30.0


class Caller:
    """``needed``: matching replies, what the cluster demands unless told. ``fast_reads``: operations that
    only read take the read-only path."""

    def __init__(
        self,
        servers: Servers,
        *,
        needed: int | None = None,
        keys: Keyring | None = None,
        fast_reads: bool = False,
    ) -> None:
        config = servers.clients
        self._servers = servers
        self._needed = needed
        self._fast_reads = fast_reads
        self._transport = UdpTransport(config.address, AddressBook(config.replica_addresses))
        self._client = Client(config.cluster, config.first, keys or config.keyring)
        self._timers = Timers()
        self._poll = select.epoll()
        self._poll.register(self._transport.fileno(), select.EPOLLIN)
        self._done: Completed | None = None
        self.waited = 0.0
        """Seconds spent in calls."""

    def close(self) -> None:
        """Give the port back."""
        self._poll.close()
        self._transport.close()

    def call(self, operation: bytes, reads: bool = False, needed: int | None = None) -> bytes:
        """The result. Raises Stalled when it does not come."""
        begin = time.perf_counter()
        path = {"read_only": True} if reads and self._fast_reads else {}
        now_ns = time.monotonic_ns()
        deadline_ns = now_ns + int(PATIENCE_SECONDS * 1e9)
        self._done = None
        self._take(self._client.invoke(operation, now_ns, needed=needed or self._needed, **path), now_ns)
        while self._done is None:
            now_ns = time.monotonic_ns()
            if now_ns > deadline_ns:
                raise Stalled(f"no answer in {PATIENCE_SECONDS} s. {self._servers.complaints()}")
            due_ns = min(deadline_ns, self._timers.next_due_ns() or deadline_ns)
            self._poll.poll(max(0, due_ns - now_ns) / 1e9)
            now_ns = time.monotonic_ns()
            events: list[Event] = [Received(data) for data in self._transport.receive(256)]
            fired = self._timers.take_due(now_ns)
            for event in [*events, fired] if fired else events:
                self._take(self._client.handle(event, now_ns), now_ns)
        self.waited += time.perf_counter() - begin
        return self._done.result

    def _take(self, effects: list[Effect], now_ns: int) -> None:
        for effect in effects:
            match effect:
                case Send(to, data):
                    self._transport.send(to, data)
                case SetTimer(name, generation, delay_ns):
                    self._timers.set(name, generation, now_ns + delay_ns)
                case CancelTimer(name):
                    self._timers.cancel(name)
                case Completed():
                    self._done = effect
