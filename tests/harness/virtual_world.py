"""A test double: a world of virtual time with an ideal cluster in it, for tests of what drives a run.

It is no PBFT: replicas answer from one shared state as long as they run and the links are up, and n-f of
them must, or none does. Its client takes f+1 equal answers. Everything takes a millisecond.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.sessions import ClientPort
from harness.world import Exit, Who
from nemesis.machinery import Link, ProcessState
from pbft_node.core.effects import CancelTimer, Completed, Effect, Send, SetTimer
from pbft_node.core.events import Event, Received
from workloads.encoding import pack, unpack

MILLISECOND_NS = 1_000_000
RETRY_NS = 100 * MILLISECOND_NS


@dataclass
class Call:
    """A timer."""

    callback: Callable[[], None] | None

    def cancel(self) -> None:
        self.callback = None


class VirtualWorld:
    """See ``harness.world.World``."""

    name = "virtual"
    capabilities = frozenset({"kill", "pause", "cut"})

    def __init__(self, n: int = 4) -> None:
        self.n, self.f = n, (n - 1) // 3
        self.time_ns = 1000
        self.stopped: str | None = None
        self.log: list[str] = []
        self.mute_until_ns = 0
        """No replica answers before."""
        self.garbage = False
        """Every reply says something that is no result."""
        self.restarts = True
        """A restarted replica really comes back."""
        self._heap: list[tuple[int, int, Call]] = []
        self._order = 0
        self._receive: Callable[[bytes], None] = lambda datagram: None
        self._primary: Callable[[], int] = lambda: 0
        self._states = ["running"] * n
        self._lives = [1] * n
        self._cuts: dict[str, frozenset[Link]] = {}
        self._dropped: dict[Link, int] = {}
        self._done: dict[tuple[int, int], bytes] = {}
        self._cells: dict[str, str] = {}

    def set_up(self) -> None:
        self.log.append("set up")

    def tear_down(self) -> None:
        self.log.append("tear down")

    def now_ns(self) -> int:
        return self.time_ns

    def call_at(self, at_ns: int, callback: Callable[[], None], who: Who | None = None) -> Call:
        call = Call(callback)
        self._order += 1
        heapq.heappush(self._heap, (at_ns, self._order, call))
        return call

    def run(self, until: Callable[[], bool], deadline_ns: int) -> bool:
        while self.stopped is None and not until():
            if not self._heap or self._heap[0][0] > deadline_ns:
                self.time_ns = max(self.time_ns, deadline_ns)
                return False
            at_ns, _, call = heapq.heappop(self._heap)
            self.time_ns = max(self.time_ns, at_ns)
            callback, call.callback = call.callback, None
            if callback is not None:
                callback()
        return self.stopped is None

    def stop(self, reason: str) -> None:
        self.stopped = self.stopped or reason

    def exits(self) -> tuple[Exit, ...]:
        return ()

    def lag(self) -> tuple[int, int]:
        return (0, 0)

    # Datagrams: [client, timestamp, operation in hex] and [client, timestamp, replica, result in hex]

    def on_datagram(self, callback: Callable[[bytes], None]) -> None:
        self._receive = callback

    def on_order(self, callback: Callable[[str, int], None]) -> None:
        """Nobody gives any."""

    def primary_from(self, source: Callable[[], int]) -> None:
        self._primary = source

    def tamper(self, owner: str, rules: Sequence[Mapping[str, object]]) -> None:
        self.log.append(f"tamper {owner} {len(rules)}")

    def tampered(self, owner: str) -> Mapping[str, object]:
        return {"in_force": False}

    def primary_hint(self) -> int:
        return self._primary() % self.n

    def send(self, replica: int, datagram: bytes) -> None:
        self.call_at(self.time_ns + MILLISECOND_NS, lambda: self._arrive(replica, datagram))

    def _arrive(self, replica: int, datagram: bytes) -> None:
        if self._lost(Link("clients", f"r{replica}")) or self._states[replica] != "running":
            return
        if self._serving() < self.n - self.f or self.time_ns < self.mute_until_ns:
            return
        client, timestamp, operation = json.loads(datagram)
        result = self._done.get((client, timestamp))
        if result is None:
            result = self._done[client, timestamp] = self._apply(bytes.fromhex(operation))
        if not self._lost(Link(f"r{replica}", "clients")):
            reply = json.dumps(
                [client, timestamp, replica, (b"?" if self.garbage else result).hex()]
            ).encode()
            self.call_at(self.time_ns + MILLISECOND_NS, lambda: self._receive(reply))

    def _apply(self, operation: bytes) -> bytes:
        f, key, *arguments = unpack(operation) or ("", "")
        there = self._cells.get(key)
        match f:
            case "get":
                return pack("nil") if there is None else pack("ok", there)
            case "put":
                self._cells[key] = arguments[0]
            case "delete":
                self._cells.pop(key, None)
            case "cas":
                if there == arguments[0]:
                    self._cells[key] = arguments[1]
                    return pack("swapped", there)
                return pack("differs") if there is None else pack("differs", there)
        return pack("ok")

    def _serving(self) -> int:
        """Replicas that run and reach all others that matter."""
        cut_off = {link.source for link in self.blocked()} & {f"r{i}" for i in range(self.n)}
        return sum(state == "running" and f"r{i}" not in cut_off for i, state in enumerate(self._states))

    def _lost(self, link: Link) -> bool:
        for other in [other for other in self.blocked() if set(other) & set(link)]:
            self._dropped[other] += (
                1  # the replicas talk all the time: whatever is cut near here lost a packet
            )
        return link in self.blocked()

    # Machinery

    def process(self, replica: int) -> ProcessState:
        state = self._states[replica]
        detail = {"exit_signal": 9} if state == "dead" else {}
        pid = None if state == "dead" else 100 * self._lives[replica] + replica
        return ProcessState(replica, pid, state, self._lives[replica], detail)

    def kill(self, replica: int) -> None:
        self._states[replica] = "dead"

    def restart(self, replica: int) -> None:
        if self.restarts and self._states[replica] == "dead":
            self._states[replica] = "running"
            self._lives[replica] += 1

    def pause(self, replica: int) -> None:
        self._states[replica] = "stopped"

    def resume(self, replica: int) -> None:
        self._states[replica] = "running"

    def cut(self, owner: str, links: frozenset[Link]) -> None:
        self._cuts[owner] = links
        self._dropped = {link: self._dropped.get(link, 0) for cut in self._cuts.values() for link in cut}

    def blocked(self) -> Mapping[Link, int]:
        return self._dropped


class VirtualClient:
    """See ``harness.sessions.ClientMachine``: asks every replica, takes ``needed`` equal answers."""

    view = 3

    def __init__(self, n: int, client: int, retry: bool) -> None:
        self._n, self._client, self._retry = n, client, retry
        self.timestamp = 0
        self._answers: dict[int, bytes] = {}
        self._request = b""
        self._needed = 0
        self._path = "ordered"

    @property
    def replies(self) -> tuple[VirtualReply, ...]:
        return tuple(VirtualReply(replica) for replica in self._answers)

    def invoke(
        self, operation: bytes, now_ns: int, *, needed: int | None = None, read_only: bool = False
    ) -> list[Effect]:
        self.timestamp += 1
        self._answers = {}
        self._path = "fast" if read_only else "ordered"
        self._needed = needed or (self._n - 1) // 3 + 1
        self._request = json.dumps([self._client, self.timestamp, operation.hex()]).encode()
        return self._ask()

    def _ask(self) -> list[Effect]:
        sends: list[Effect] = [Send(replica, self._request) for replica in range(self._n)]
        return [*sends, SetTimer("retry", self.timestamp, RETRY_NS)] if self._retry else sends

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        if not isinstance(event, Received):
            return self._ask() if self._needed else []
        _, timestamp, replica, result = json.loads(event.data)
        if timestamp != self.timestamp or not self._needed:
            return []
        self._answers[replica] = bytes.fromhex(result)
        if len(self._answers) < self._needed:
            return []
        self._needed = 0
        return [
            CancelTimer("retry"),
            Completed(timestamp, bytes.fromhex(result), tuple(sorted(self._answers)), self._path),
        ]

    def abandon(self) -> list[Effect]:
        self._needed = 0
        return [CancelTimer("retry")]


@dataclass
class VirtualReply:
    """All that a session looks at."""

    replica: int


def virtual_port(world: VirtualWorld) -> ClientPort:
    """Clients 1000 … 1999 of the virtual cluster."""
    return ClientPort(
        1000,
        1999,
        lambda client, retry: VirtualClient(world.n, client, retry),  # type: ignore[arg-type, return-value]
        lambda datagram: json.loads(datagram)[0],
    )
