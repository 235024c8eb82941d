"""Whatever f replicas say: the others agree, execute once, and serve as soon as those are quiet.

Each run draws loss, delay, restarts and naps of correct replicas, and the liars' boldness, from its seed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Container

import pytest
from liar import Careless, Liar
from memory_cluster import MemoryCluster, Network

from pbft_node.core.authentication import Keyring
from pbft_node.core.cluster import MILLISECOND_NS, Cluster
from pbft_node.core.frames import MessageType, parse_frame
from pbft_node.core.operations import decode_fields
from pbft_node.core.replica import Replica
from pbft_node.core.services import Service
from pbft_node.core.types import FIRST_CLIENT_ID, ReplicaId

RUNS = int(os.environ.get("TRAITOR_LIAR_RUNS", "40"))
OPERATIONS = 12
CLIENTS = 3


def run_with_liars(seed: int, n: int = 4) -> tuple[MemoryCluster, dict[int, Liar]]:
    """Operations, lies and troubles; then the liars fall silent and the rest must finish what was begun."""
    stream = random.Random(seed)
    bad = stream.sample(range(n), (n - 1) // 3)
    good = [r for r in range(n) if r not in bad]

    def make(cluster: Cluster, me: ReplicaId, keys: Keyring, service: Service) -> Replica:
        return (Careless if me in bad else Replica)(cluster, me, keys, service)

    network = Network(max_ns=stream.choice([2, 10, 40]) * MILLISECOND_NS, loss=stream.choice([0, 0.02, 0.1]))
    auth = stream.choice(["hybrid", "sign"])
    cluster = MemoryCluster(seed, network, make, service="append", auth=auth, n=n)
    liars = {i: Liar(cluster, i, stream, boldness=stream.choice([0.05, 0.3, 0.7])) for i in bad}
    cluster.on_send = lambda source, send: liars[source].on_send(source, send) if source in liars else [send]
    for number in range(OPERATIONS):
        for client in range(CLIENTS):
            if not cluster.client(client).busy:
                cluster.invoke(client, b"append", b"k", b"%d-%d" % (client, number))
        if stream.random() < 0.4:
            trouble(cluster, stream, stream.choice(good))
        cluster.run(stream.choice([20, 100, 600]), until=lambda: idle(cluster))
    for index in bad:
        cluster.crash(index)
    network.loss = min(network.loss, 0.02)
    assert cluster.run(120_000, until=lambda: idle(cluster)), f"seed {seed}, n = {n}: not live without {bad}"
    together = lambda: len({cluster.replica(i).executed for i in good}) == 1  # noqa: E731
    assert cluster.run(20_000, until=together), f"seed {seed}, n = {n}: the others do not come together"
    return cluster, liars


def trouble(cluster: MemoryCluster, stream: random.Random, victim: int) -> None:
    """A correct replica is cut in the middle of an event and comes back, or sleeps through its timeouts."""
    if stream.random() < 0.5:
        cluster.crash_after_effects(victim, stream.randint(0, 5))
        cluster.run(50)
        cluster.crash_in_effects.clear()
        if cluster.hosts[victim].replica is None:
            cluster.start(victim)
    else:
        cluster.pause(victim)
        cluster.run(stream.choice([50, 500]))
        cluster.resume(victim)


def idle(cluster: MemoryCluster) -> bool:
    return not any(client.busy for client in cluster.clients.values())


def assert_agreement(cluster: MemoryCluster, liars: Container[int], context: str) -> None:
    for kind in ("committed", "executed", "checkpoint"):
        seen: dict[object, object] = {}
        for _, replica, _, trace in cluster.traces:
            if trace.kind == kind and replica not in liars:
                seq, digest = trace.fields["seq"], trace.fields["digest"]
                assert seen.setdefault(seq, digest) == digest, f"{context}: two digests {kind} at {seq}"
    alarms = [
        trace for _, replica, _, trace in cluster.traces if trace.kind == "alarm" and replica not in liars
    ]
    assert not alarms, f"{context}: {alarms}"


def assert_votes_stand(cluster: MemoryCluster, liars: Container[int], context: str) -> None:
    """No correct replica signed two contents for one (type, view, number)."""
    voting = {MessageType.PRE_PREPARE, MessageType.PREPARE, MessageType.COMMIT, MessageType.CHECKPOINT}
    seen: dict[object, bytes] = {}
    for source, send in cluster.sent:
        frame, _ = parse_frame(send.data)
        if source not in liars and frame.sender == source and frame.type in voting:
            key = (frame.type, source, frame.view, frame.seq)
            assert seen.setdefault(key, frame.body) == frame.body, f"{context}: {source} signed two {key}"


@pytest.mark.parametrize(
    ("seed", "n"),
    [*((seed, 4) for seed in range(RUNS)), *((seed, 5 + seed % 3) for seed in range(RUNS // 3))],
)
def test_the_others_agree_and_execute_once(seed: int, n: int) -> None:
    cluster, liars = run_with_liars(seed, n)
    context = f"seed {seed}, n = {n}, liars {sorted(liars)}"
    correct = [i for i in range(n) if i not in liars]
    assert not {i: why for i, why in cluster.halted.items() if i in correct}, context
    assert_agreement(cluster, liars, context)
    assert_votes_stand(cluster, liars, context)
    assert len({cluster.replica(i).store.image().digest for i in correct}) == 1, context
    elements = decode_fields(cluster.call(7, b"read", b"k"))
    assert elements is not None
    appended = list(elements[1:])
    acknowledged = sum(len(cluster.completed[FIRST_CLIENT_ID + c]) for c in range(CLIENTS))
    assert len(appended) == len(set(appended)) == acknowledged, f"{context}: {appended}"


def test_the_liars_do_lie() -> None:
    """Enough of them, and every kind reached the others: seen as rejections of well-sealed words."""
    reasons, lies, views = set(), 0, 0
    for seed in range(12):
        cluster, liars = run_with_liars(seed)
        lies += sum(liar.lies for liar in liars.values())
        views += len(cluster.trace("new-view"))
        reasons |= {(r.message, r.reason[:16]) for i, r in cluster.rejected if i not in liars}
    assert lies > 500
    assert views > 12
    assert len(reasons) >= 8, reasons
