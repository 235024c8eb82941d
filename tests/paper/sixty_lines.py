"""The smallest driver of the core: no sockets, a virtual clock, one heap. ``memory_cluster`` adds faults."""

from __future__ import annotations

import heapq

from memory_cluster import SimulatedKeys

from pbft_node.core.client import Client
from pbft_node.core.cluster import Cluster
from pbft_node.core.effects import Compact, Completed, Effect, Persist, Send, SetTimer
from pbft_node.core.events import Event, Received, Started, TimerFired
from pbft_node.core.operations import encode_fields
from pbft_node.core.replica import Replica
from pbft_node.core.services import SERVICES
from pbft_node.core.types import ClientId, ReplicaId

CLIENT = 1000
LATENCY_NS = 1_000_000


class Driver:
    """Every datagram takes a millisecond; every record is durable at once."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.now_ns, self.order = cluster, 0, 0
        self.heap: list[tuple[int, int, int, Event]] = []
        self.logs: dict[int, list[bytes]] = {i: [] for i in range(cluster.n)}
        self.machines: dict[int, Replica | Client] = {
            CLIENT: Client(cluster, ClientId(CLIENT), SimulatedKeys(CLIENT))
        }
        self.results: list[bytes] = []
        for index in range(cluster.n):
            self.start(index)

    def start(self, index: int) -> None:
        service = SERVICES[self.cluster.service]()
        self.machines[index] = Replica(self.cluster, ReplicaId(index), SimulatedKeys(index), service)
        self.push(0, index, Started(tuple(self.logs[index])))

    def push(self, delay_ns: int, target: int, event: Event) -> None:
        self.order += 1
        heapq.heappush(self.heap, (self.now_ns + delay_ns, self.order, target, event))

    def carry_out(self, source: int, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Persist(record):
                    self.logs[source].append(record)
                case Compact(records):
                    self.logs[source] = list(records)
                case Send(to, data):
                    self.push(LATENCY_NS, to, Received(data))
                case SetTimer(name, generation, delay_ns):
                    self.push(delay_ns, source, TimerFired(name, generation))
                case Completed(_, result, _):
                    self.results.append(result)

    def call(self, *fields: bytes) -> bytes:
        client = self.machines[CLIENT]
        assert isinstance(client, Client)
        self.carry_out(CLIENT, client.invoke(encode_fields(*fields), self.now_ns))
        wanted = len(self.results) + 1
        while len(self.results) < wanted:
            self.now_ns, _, target, event = heapq.heappop(self.heap)
            if target in self.machines:
                self.carry_out(target, self.machines[target].handle(event, self.now_ns))
        return self.results[-1]
