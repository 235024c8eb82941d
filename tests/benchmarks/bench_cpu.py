"""Processor time per operation by role, of the replica's own code: four replicas and their clients in one
process, datagrams handed over in memory.

What others do to the machine hardly shows in it, so it is what to look at while optimising: before and
after, side by side. System calls (a third to a half of a real replica's time) are not in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from servers import FIRST_CLIENT, make_cluster
from unreplicated import NoLog

from pbft_node.core.client import Client
from pbft_node.core.client_codec import reply_client
from pbft_node.core.cluster import Cluster
from pbft_node.core.effects import Completed, Send
from pbft_node.core.events import Received, Started
from pbft_node.core.replica import Replica
from pbft_node.core.services import SERVICES
from pbft_node.core.services.null import zeros
from pbft_node.core.types import ReplicaId
from pbft_node.genesis import ClientBlock, make_genesis
from pbft_node.runtime import MAX_DATAGRAMS_PER_TURN, Runtime

ROLES = ("client", "primary", "backup")


class MemoryTransport:
    """Puts what a replica sends into the inbox of its receiver."""

    def __init__(self, inboxes: dict[int, list[bytes]], clients: list[bytes]) -> None:
        self._inboxes = inboxes
        self._clients = clients
        self.sent = 0

    def send(self, to: int, data: bytes) -> None:
        """At once."""
        self.sent += 1
        self._inboxes.get(to, self._clients).append(data)


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of processor time per operation; ``backup`` is the mean of all backups."""

    client: float
    primary: float
    backup: float
    requests_per_batch: float
    datagrams_per_operation: float
    """Sent by replicas."""


class MemoryCluster:
    """Four replicas in their real ``Runtime``, and closed-loop clients."""

    def __init__(self, cluster: Cluster, clients: int, operation: bytes) -> None:
        genesis = make_genesis(
            cluster,
            1,
            [("127.0.0.1", 7000 + i) for i in range(cluster.n)],
            [ClientBlock(FIRST_CLIENT, FIRST_CLIENT + clients, "127.0.0.1", 7100)],
        )
        keys = genesis.client_keyring(0)
        self.operation = operation
        self.inboxes: dict[int, list[bytes]] = {i: [] for i in range(cluster.n)}
        self.answers: list[bytes] = []
        self.transports = [MemoryTransport(self.inboxes, self.answers) for _ in range(cluster.n)]
        self.replicas = [
            Replica(cluster, ReplicaId(i), genesis.replica_keyring(i), SERVICES[cluster.service]())
            for i in range(cluster.n)
        ]
        self.runtimes = [
            Runtime(replica, NoLog(), transport, None)  # type: ignore[arg-type]
            for replica, transport in zip(self.replicas, self.transports)
        ]
        for runtime in self.runtimes:
            runtime.turn([Started()])
        first = FIRST_CLIENT
        self.clients = {first + i: Client(cluster, first + i, keys, retry=False) for i in range(clients)}
        self.completed = 0

    def run(self, operations: int) -> tuple[int, list[int]]:
        """(ns of the clients, ns of each replica) for that many operations."""
        target = self.completed + operations
        client_ns, replica_ns = 0, [0] * len(self.runtimes)
        before = time.process_time_ns()
        self._invoke(client for client in self.clients.values() if not client.busy)
        client_ns += time.process_time_ns() - before
        while self.completed < target:
            for index, runtime in enumerate(self.runtimes):
                inbox = self.inboxes[index]
                now, self.inboxes[index][:] = inbox[:MAX_DATAGRAMS_PER_TURN], inbox[MAX_DATAGRAMS_PER_TURN:]
                before = time.process_time_ns()
                runtime.turn(map(Received, now))
                replica_ns[index] += time.process_time_ns() - before
            before = time.process_time_ns()
            self._answered()
            client_ns += time.process_time_ns() - before
        return client_ns, replica_ns

    def _invoke(self, clients: Iterable[Client]) -> None:
        for client in clients:
            for effect in client.invoke(self.operation, 0):
                if isinstance(effect, Send):
                    self.inboxes[effect.to].append(effect.data)

    def _answered(self) -> None:
        answers, self.answers[:] = list(self.answers), []
        done = []
        for data in answers:
            client = self.clients[reply_client(data) or 0]
            for effect in client.handle(Received(data), 0):
                if isinstance(effect, Completed):
                    done.append(client)
        self.completed += len(done)
        self._invoke(done)


def measure(cluster: Cluster, clients: int, operation: bytes, operations: int, rounds: int) -> Cost:
    """The cheapest of some rounds: noise only ever adds."""
    memory = MemoryCluster(cluster, clients, operation)
    memory.run(max(clients, operations // 4))
    costs = []
    sequence = memory.replicas[0].executed
    sent = sum(t.sent for t in memory.transports)
    done = memory.completed
    for _ in range(rounds):
        before = memory.completed
        client_ns, replica_ns = memory.run(operations)
        count = memory.completed - before
        backups = replica_ns[1:]
        costs.append((client_ns / count, replica_ns[0] / count, sum(backups) / len(backups) / count))
    done = memory.completed - done
    best = [min(cost[i] for cost in costs) / 1000 for i in range(3)]
    return Cost(
        *best,
        requests_per_batch=done / max(1, memory.replicas[0].executed - sequence),
        datagrams_per_operation=(sum(t.sent for t in memory.transports) - sent) / done,
    )


def patient(**settings: object) -> Cluster:
    """A cluster whose timers never matter here."""
    hour = 3600 * 1_000_000_000
    return make_cluster(request_timeout_ns=hour, view_change_timeout_ns=hour, max_timeout_ns=hour, **settings)


def run(quick: bool) -> list[dict[str, object]]:
    """A row per way of working."""
    rounds, operations = (3, 500) if quick else (5, 2000)
    rows = []
    for name, clients, settings in cases():
        cost = measure(patient(**settings), clients, zeros(0), operations, rounds)
        rows.append({"case": name, **{f: round(getattr(cost, f), 1) for f in Cost.__slots__}})
    return rows


def cases() -> list[tuple[str, int, dict[str, object]]]:
    """(name, clients, settings of the cluster)."""
    single: dict[str, object] = {"batch_limit": 1, "pipeline": 8}
    mac: dict[str, object] = {"client_auth": "mac"}
    return [
        ("hybrid, 256 clients", 256, {}),
        ("client_auth mac, 256 clients", 256, mac),
        ("hybrid, batches of one", 16, single),
        ("client_auth mac, batches of one", 16, {**single, **mac}),
    ]
