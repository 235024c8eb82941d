"""A cluster in memory: the core under a small driver with no sockets and a virtual clock.

One heap of due events, one random stream for the network. Records are durable as the effects contract
demands. With ``turn_ns`` 0 every effect is carried out at once and a crash may cut an event's effects
anywhere; with a turn, the events of that time share one sync as in the real driver, and a crash loses what
was not yet synced: records, traces and the sends that waited for them. Either way a promise sent but not
persisted would show.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

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
    """Keyed hashes that stand in for Ed25519: the verifier knows all secrets, the replicas do not ask.

    A signature still binds its signer and every byte signed, so nobody can speak for another.
    """

    def __init__(self, owner: int) -> None:
        self.owner = owner
        self._secret = b"sign%d" % owner

    def sign(self, message: bytes) -> bytes:
        return blake2b(message, key=self._secret).digest()

    def verify(self, signer: int, message: bytes, signature: bytes) -> bool:
        return blake2b(message, key=b"sign%d" % signer).digest() == signature

    def mac(self, peer: int, message: bytes) -> bytes:
        pair = (self.owner, peer) if self.owner < peer else (peer, self.owner)
        return blake2b(message, key=b"mac%d-%d" % pair, digest_size=16).digest()

    def verify_mac(self, peer: int, message: bytes, tag: bytes) -> bool:
        return self.mac(peer, message) == tag


MAX_UNDER_WAY = 50_000
"""Messages and timers to come: more is a storm, and a run that has one fails rather than never ends."""


@dataclass(frozen=True, slots=True)
class Sync:
    """The turn is over: what the host's events asked for becomes durable, then leaves."""


@dataclass(frozen=True, slots=True)
class Call:
    """The test's own business, at a time."""

    action: Callable[[], None]


@dataclass
class Network:
    """What the network does to a datagram, and who can talk to whom."""

    min_ns: int = MILLISECOND_NS // 2
    max_ns: int = 2 * MILLISECOND_NS
    loss: float = 0.0
    duplication: float = 0.0
    cut: Callable[[int, int], bool] = lambda source, target: False
    extra_ns: Callable[[int, int], int] = lambda source, target: 0


@dataclass
class Host:
    """A replica's place: its log outlives the process."""

    replica: Replica | None = None
    records: list[bytes] = field(default_factory=list)
    """What is durable."""
    promised: int = 0
    """Records before this index are durable for sure: something was sent after them, or they were synced."""
    unsynced: list[Effect] = field(default_factory=list)
    """What the present turn asked for."""
    life: int = 0
    paused: bool = False
    backlog: list[Event | Sync] = field(default_factory=list)


class MemoryCluster:
    """n replicas, clients, a network, a clock."""

    def __init__(
        self,
        seed: int = 0,
        network: Network | None = None,
        replica: Callable[..., Replica] = Replica,
        turn_ns: int = 0,
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
        self.turn_ns = turn_ns
        self.now_ns = 0
        self.hosts = [Host() for _ in range(self.cluster.n)]
        self.clients: dict[int, Client] = {}
        self.completed: dict[int, list[Completed]] = {}
        self.traces: list[tuple[int, int, int, Trace]] = []
        self.rejected: list[tuple[int, Rejected]] = []
        self.sent: list[tuple[int, Send]] = []
        self.halted: dict[int, str] = {}
        self.records_lost = 0
        self.logs_lost = 0
        self.on_emit: Callable[[int, Send], None] = lambda source, send: None
        """Sees what leaves a machine, before ``on_send``."""
        self.on_send: Callable[[int, Send], list[Send]] = lambda source, send: [send]
        """Says what the network gets instead."""
        self.on_completed: Callable[[int, Completed], None] = lambda client, effect: None
        self.crash_in_effects: dict[int, int] = {}
        self._heap: list[tuple[int, int, int, int, Event | Sync | Call]] = []
        self._order = 0
        for index in range(self.cluster.n):
            self.start(index)

    # ------------------------------------------------------------ machines

    def start(self, index: int) -> None:
        host = self.hosts[index]
        host.life += 1
        host.paused = False
        host.backlog = []
        host.unsynced = []
        service = SERVICES[self.cluster.service]()
        host.replica = self.make_replica(self.cluster, ReplicaId(index), SimulatedKeys(index), service)
        host.replica.traces_debug = self.traces_debug
        nonce = b"%8d%8d" % (index, host.life)
        self.deliver(index, Started(tuple(host.records), nonce=nonce))

    def crash(self, index: int, kept: int = 0) -> None:
        """Dies; of the records that nothing was sent after, some may not have reached the disk.

        ``kept``: with turns, how many of those not yet synced happen to be on disk.
        """
        host = self.hosts[index]
        host.replica = None
        tail = [effect for effect in host.unsynced if isinstance(effect, Persist | Compact)]
        host.unsynced = []
        for effect in tail[:kept]:
            self.write(host, effect)
        last = len(host.records)
        durable = last if self.turn_ns else self.random.randint(min(host.promised, last), last)
        self.records_lost += len(tail[kept:]) + last - durable
        del host.records[durable:]

    def lose_log(self, index: int) -> None:
        """The disk of a crashed replica is gone: it will know that it promised, not what."""
        assert self.hosts[index].replica is None, f"replica {index} runs"
        self.hosts[index].records = list(LOST_LOG)
        self.hosts[index].promised = 1
        self.logs_lost += 1

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

    def invoke(self, number: int, *fields: bytes, **how: Any) -> None:
        client = self.client(number)
        effects = client.invoke(encode_fields(*fields), self.now_ns, **how)
        self.carry_out(FIRST_CLIENT_ID + number, effects)

    def call(self, number: int, *fields: bytes, within_ms: int = 20_000, **how: Any) -> bytes:
        """Invoke and run until it completes."""
        before = len(self.completed.get(FIRST_CLIENT_ID + number, []))
        self.invoke(number, *fields, **how)
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
            if isinstance(event, Call):
                event.action()
            elif not life or life == self.hosts[target].life:
                self.deliver(target, event)
        return True

    def call_at(self, due_ns: int, action: Callable[[], None]) -> None:
        """Do something then."""
        self.push(due_ns, -1, 0, Call(action))

    def deliver(self, target: int, event: Event | Sync) -> None:
        if target >= FIRST_CLIENT_ID:
            if target in self.clients and not isinstance(event, Sync):
                self.carry_out(target, self.clients[target].handle(event, self.now_ns))
            return
        host = self.hosts[target]
        if host.replica is None:
            return
        if host.paused:
            host.backlog.append(event)
        elif isinstance(event, Sync):
            self.sync(target)
        elif self.turn_ns:
            self.gather(target, host.replica.handle(event, self.now_ns))
        else:
            self.finish(target, host.replica.handle(event, self.now_ns))

    def gather(self, index: int, effects: list[Effect]) -> None:
        """Timers run from now; the rest waits for the end of the turn."""
        host = self.hosts[index]
        idle = not host.unsynced
        self.carry_out(index, [effect for effect in effects if isinstance(effect, SetTimer | CancelTimer)])
        host.unsynced += [effect for effect in effects if not isinstance(effect, SetTimer | CancelTimer)]
        if idle and host.unsynced:
            self.push(self.now_ns + self.turn_ns, index, host.life, Sync())

    def sync(self, index: int) -> None:
        """The records, then the traces, then the sends."""
        host = self.hosts[index]
        effects, host.unsynced = host.unsynced, []
        records = [effect for effect in effects if isinstance(effect, Persist | Compact)]
        others = [effect for effect in effects if not isinstance(effect, Persist | Compact | Send)]
        self.finish(index, [*records, *others, *(effect for effect in effects if isinstance(effect, Send))])

    def finish(self, index: int, effects: list[Effect]) -> None:
        """Carry them out, or die in the middle."""
        if effects and index in self.crash_in_effects:
            count = self.crash_in_effects.pop(index)
            self.carry_out(index, effects[:count])
            self.records_lost += sum(isinstance(effect, Persist | Compact) for effect in effects[count:])
            self.crash(index)
        else:
            self.carry_out(index, effects)

    def carry_out(self, source: int, effects: list[Effect]) -> None:
        life = self.hosts[source].life if source < self.cluster.n else 0
        for effect in effects:
            match effect:
                case Send():
                    if source < self.cluster.n:
                        self.hosts[source].promised = len(self.hosts[source].records)
                    self.on_emit(source, effect)
                    for send in self.on_send(source, effect):
                        self.transmit(source, send)
                case Persist() | Compact():
                    self.write(self.hosts[source], effect)
                case SetTimer(name, generation, delay_ns):
                    self.push(self.now_ns + delay_ns, source, life, TimerFired(name, generation))
                case Trace(kind, fields):
                    assert problem(kind, fields) is None, problem(kind, fields)
                    self.traces.append((self.now_ns, source, life, effect))
                case Rejected():
                    self.rejected.append((source, effect))
                case Halt(reason):
                    self.halted[source] = reason
                    self.crash(source)
                case Completed():
                    self.completed[source].append(effect)
                    self.on_completed(source, effect)
                case CancelTimer():
                    pass

    def write(self, host: Host, effect: Persist | Compact) -> None:
        """To the disk."""
        if isinstance(effect, Persist):
            host.records.append(effect.record)
        else:
            host.records = list(effect.records)
            host.promised = len(host.records)

    def transmit(self, source: int, send: Send) -> None:
        self.sent.append((source, send))
        network = self.network
        if network.cut(source, send.to) or (network.loss and self.random.random() < network.loss):
            return
        copies = 2 if network.duplication and self.random.random() < network.duplication else 1
        for _ in range(copies):
            delay = network.min_ns + int(self.random.random() * (network.max_ns - network.min_ns))
            due_ns = self.now_ns + delay + network.extra_ns(source, send.to)
            self.push(due_ns, send.to, 0, Received(send.data))

    def push(self, due_ns: int, target: int, life: int, event: Event | Sync | Call) -> None:
        self._order += 1
        assert len(self._heap) < MAX_UNDER_WAY, f"a storm: {MAX_UNDER_WAY} events under way"
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
