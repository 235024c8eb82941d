"""A cluster in memory: the core under a small driver with no sockets and a virtual clock.

One heap of due events, one random stream for the network. Records are durable as the effects contract
demands; a crash may cut an event's effects anywhere, so a promise sent but not persisted would show.
"""

from __future__ import annotations

import heapq
import hmac
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from pbft_node.core.client import Client
from pbft_node.core.cluster import MILLISECOND_NS, Cluster
from pbft_node.core.effects import (
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
from pbft_node.core.events import Event, Received, Started, TimerFired
from pbft_node.core.operations import encode_fields
from pbft_node.core.records import LOST_LOG
from pbft_node.core.replica import Replica
from pbft_node.core.services import SERVICES
from pbft_node.core.trace_events import problem
from pbft_node.core.types import FIRST_CLIENT_ID, ClientId, ReplicaId


class SimulatedKeys:
    """Keyed hashes that stand in for Ed25519: the verifier knows all secrets, the replicas do not ask."""

    def __init__(self, owner: int) -> None:
        self.owner = owner

    def sign(self, message: bytes) -> bytes:
        return hmac.digest(b"sign%d" % self.owner, message, "sha512")

    def verify(self, signer: int, message: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(SimulatedKeys(signer).sign(message), signature)

    def mac(self, peer: int, message: bytes) -> bytes:
        low, high = sorted((self.owner, peer))
        return hmac.digest(b"mac%d-%d" % (low, high), message, "sha256")[:16]

    def verify_mac(self, peer: int, message: bytes, tag: bytes) -> bool:
        return hmac.compare_digest(self.mac(peer, message), tag)


@dataclass
class Network:
    """What the network does to a datagram, and who can talk to whom."""

    min_ns: int = MILLISECOND_NS // 2
    max_ns: int = 2 * MILLISECOND_NS
    loss: float = 0.0
    duplication: float = 0.0
    cut: Callable[[int, int], bool] = lambda source, target: False


@dataclass
class Host:
    """A replica's place: its log outlives the process."""

    replica: Replica | None = None
    records: list[bytes] = field(default_factory=list)
    promised: int = 0
    """Records before this index are durable for sure: something was sent after them."""
    life: int = 0
    paused: bool = False
    backlog: list[Event] = field(default_factory=list)


class MemoryCluster:
    """n replicas, clients, a network, a clock."""

    def __init__(
        self,
        seed: int = 0,
        network: Network | None = None,
        replica: type = Replica,
        traces_debug: bool = False,
        **cluster: object,
    ):
        settings: dict[str, object] = {"n": 4, "checkpoint_interval": 4, "window": 8, "pipeline": 4}
        settings |= {
            "cluster_id": b"in memory, tests",
            "request_timeout_ns": 200 * MILLISECOND_NS,
            "view_change_timeout_ns": 200 * MILLISECOND_NS,
        }
        settings |= {"status_busy_ns": 40 * MILLISECOND_NS, "status_idle_ns": 100 * MILLISECOND_NS}
        self.cluster = Cluster(**(settings | cluster))
        self.random = random.Random(seed)
        self.network = network or Network()
        self.make_replica = replica
        self.traces_debug = traces_debug
        self.now_ns = 0
        self.hosts = [Host() for _ in range(self.cluster.n)]
        self.clients: dict[int, Client] = {}
        self.completed: dict[int, list[Completed]] = {}
        self.traces: list[tuple[int, int, int, Trace]] = []
        self.rejected: list[tuple[int, Rejected]] = []
        self.sent: list[tuple[int, Send]] = []
        self.halted: dict[int, str] = {}
        self.on_send: Callable[[int, Send], list[Send]] = lambda source, send: [send]
        self.crash_in_effects: dict[int, int] = {}
        self._heap: list[tuple[int, int, int, int, Event]] = []
        self._order = 0
        for index in range(self.cluster.n):
            self.start(index)

    # ------------------------------------------------------------ machines

    def start(self, index: int) -> None:
        host = self.hosts[index]
        host.life += 1
        host.paused = False
        host.backlog = []
        service = SERVICES[self.cluster.service]()
        host.replica = self.make_replica(self.cluster, ReplicaId(index), SimulatedKeys(index), service)
        host.replica.traces_debug = self.traces_debug
        nonce = b"%8d%8d" % (index, host.life)
        self.deliver(index, Started(tuple(host.records), nonce=nonce))

    def crash(self, index: int) -> None:
        """Dies; of the records that nothing was sent after, some may not have reached the disk."""
        host = self.hosts[index]
        host.replica = None
        del host.records[self.random.randint(min(host.promised, len(host.records)), len(host.records)) :]

    def lose_log(self, index: int) -> None:
        """The disk of a crashed replica is gone: it will know that it promised, not what."""
        assert self.hosts[index].replica is None, f"replica {index} runs"
        self.hosts[index].records = list(LOST_LOG)
        self.hosts[index].promised = 1

    def crash_after_effects(self, index: int, count: int) -> None:
        """Die in the middle of the next event that has effects, after ``count`` of them."""
        self.crash_in_effects[index] = count

    def pause(self, index: int) -> None:
        self.hosts[index].paused = True

    def resume(self, index: int) -> None:
        host = self.hosts[index]
        host.paused = False
        backlog, host.backlog = host.backlog, []
        for event in backlog:
            self.deliver(index, event)

    def client(self, number: int = 0, retry: bool = True) -> Client:
        client_id = FIRST_CLIENT_ID + number
        if client_id not in self.clients:
            keys = SimulatedKeys(client_id)
            self.clients[client_id] = Client(self.cluster, ClientId(client_id), keys, retry=retry)
            self.completed[client_id] = []
        return self.clients[client_id]

    def invoke(self, number: int, *fields: bytes) -> None:
        client = self.client(number)
        self.carry_out(FIRST_CLIENT_ID + number, client.invoke(encode_fields(*fields), self.now_ns))

    def call(self, number: int, *fields: bytes, within_ms: int = 20_000) -> bytes:
        """Invoke and run until it completes."""
        before = len(self.completed.get(FIRST_CLIENT_ID + number, []))
        self.invoke(number, *fields)
        done = self.run(within_ms, until=lambda: len(self.completed[FIRST_CLIENT_ID + number]) > before)
        assert done, f"{fields} did not complete within {within_ms} ms of virtual time"
        return self.completed[FIRST_CLIENT_ID + number][-1].result

    # ------------------------------------------------------------ time

    def run(self, for_ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let virtual time pass; True iff ``until()`` came true."""
        end = self.now_ns + for_ms * MILLISECOND_NS
        while not until():
            if not self._heap or self._heap[0][0] > end:
                self.now_ns = end
                return until()
            due, _, target, life, event = heapq.heappop(self._heap)
            self.now_ns = max(self.now_ns, due)
            if isinstance(event, TimerFired) and target < self.cluster.n and life != self.hosts[target].life:
                continue
            self.deliver(target, event)
        return True

    def deliver(self, target: int, event: Event) -> None:
        if target >= FIRST_CLIENT_ID:
            if target in self.clients:
                self.carry_out(target, self.clients[target].handle(event, self.now_ns))
            return
        host = self.hosts[target]
        if host.replica is None:
            return
        if host.paused:
            host.backlog.append(event)
            return
        effects = host.replica.handle(event, self.now_ns)
        if effects and target in self.crash_in_effects:
            effects = effects[: self.crash_in_effects.pop(target)]
            self.carry_out(target, effects)
            self.crash(target)
        else:
            self.carry_out(target, effects)

    def carry_out(self, source: int, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Persist(record):
                    self.hosts[source].records.append(record)
                case Compact(records):
                    self.hosts[source].records = list(records)
                    self.hosts[source].promised = len(records)
                case Send():
                    if source < self.cluster.n:
                        self.hosts[source].promised = len(self.hosts[source].records)
                    for send in self.on_send(source, effect):
                        self.transmit(source, send)
                case SetTimer(name, generation, delay_ns):
                    life = self.hosts[source].life if source < self.cluster.n else 0
                    self.push(self.now_ns + delay_ns, source, life, TimerFired(name, generation))
                case Trace(kind, fields):
                    assert problem(kind, fields) is None, problem(kind, fields)
                    life = self.hosts[source].life if source < self.cluster.n else 0
                    self.traces.append((self.now_ns, source, life, effect))
                case Rejected():
                    self.rejected.append((source, effect))
                case Halt(reason):
                    self.halted[source] = reason
                    self.crash(source)
                case Completed():
                    self.completed[source].append(effect)
                case CancelTimer():
                    pass

    def transmit(self, source: int, send: Send) -> None:
        self.sent.append((source, send))
        if self.network.cut(source, send.to) or self.random.random() < self.network.loss:
            return
        copies = 2 if self.random.random() < self.network.duplication else 1
        for _ in range(copies):
            delay = self.random.randint(self.network.min_ns, self.network.max_ns)
            self.push(self.now_ns + delay, send.to, 0, Received(send.data))

    def push(self, due_ns: int, target: int, life: int, event: Event) -> None:
        self._order += 1
        heapq.heappush(self._heap, (due_ns, self._order, target, life, event))

    # ------------------------------------------------------------ looking

    def replica(self, index: int) -> Replica:
        found = self.hosts[index].replica
        assert found is not None, f"replica {index} is down"
        return found

    def silent(self) -> set[int]:
        """Those that lost their logs and have not recovered."""
        return {i for i, host in enumerate(self.hosts) if host.replica and not host.replica.may_leave}

    def trace(self, kind: str, replica: int | None = None) -> list[Trace]:
        return [t for _, r, _, t in self.traces if t.kind == kind and replica in (None, r)]
