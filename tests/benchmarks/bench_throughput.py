"""Operations per second of a cluster of four with as many clients as it takes, and how far that is from the
wall.

The wall of signed requests: every replica verifies every client signature once. What that alone allows on
these cores is measured beside it, with one process per core that does nothing but verify.
"""

from __future__ import annotations

import multiprocessing
import signal
import time

from load import LoadGenerator
from servers import make_cluster, replicas

from pbft_node.core.services.null import zeros
from pbft_node.genesis import ClientBlock, make_genesis
from pbft_node.keys import NodeKeys

GOALS = {"saturated, hybrid": 2500, "saturated, client_auth mac": 6000}
UNBATCHED_GOALS = {"unbatched, hybrid": 600, "unbatched, client_auth mac": 1000}
MAC: dict[str, object] = {"client_auth": "mac"}
REQUEST_BYTES = 150
CORES = 2


def run(quick: bool) -> list[dict[str, object]]:
    """Saturated: batches of 64 at most, no durability."""
    seconds = 2.0 if quick else 10.0
    verifies = verify_rate(1.0 if quick else 3.0)
    rows = []
    for name, settings, clients in (
        ("saturated, hybrid", {}, 256),
        ("saturated, client_auth mac", MAC, 256),
    ):
        row = one(name, settings, clients, seconds, GOALS[name])
        if "client_auth" not in settings:
            wall = verifies / make_cluster().n
            row["verifies_per_second"] = round(verifies)
            row["wall"] = round(wall)
            row["share_of_wall"] = round(float(str(row["per_second"])) / wall, 3)
        rows.append(row)
    return rows


def run_unbatched(quick: bool) -> list[dict[str, object]]:
    """One request a batch: what the protocol itself costs."""
    seconds = 2.0 if quick else 8.0
    return [
        one(name, {"batch_limit": 1, "pipeline": 8, **settings}, 16, seconds, UNBATCHED_GOALS[name])
        for name, settings in (("unbatched, hybrid", {}), ("unbatched, client_auth mac", MAC))
    ]


def one(name: str, settings: dict[str, object], clients: int, seconds: float, goal: int) -> dict[str, object]:
    """Throughput of a cluster with these settings."""
    cluster = make_cluster(**settings)
    with replicas(cluster) as servers:
        generator = LoadGenerator(servers, clients, zeros(0))
        try:
            generator.wait_ready(answering=cluster.n)
            generator.run(seconds=seconds / 4)
            load = generator.run(seconds=seconds)
        finally:
            generator.close()
    done = max(1, load.completed)
    ordered = sorted(load.latencies_ns)
    return {
        "case": name,
        "per_second": round(load.per_second),
        "goal": goal,
        "clients": clients,
        "p50_ms": round(ordered[len(ordered) // 2] / 1e6, 1),
        "p99_ms": round(ordered[len(ordered) * 99 // 100] / 1e6, 1),
        "replica_cpu_us": [round(ns / done / 1000) for ns in load.server_cpu_ns],
        "client_cpu_us": round(load.own_cpu_ns / done / 1000),
        "client_share_of_one_core": round(load.own_cpu_ns / load.elapsed_ns, 2),
        "cores_used": round((load.own_cpu_ns + sum(load.server_cpu_ns)) / load.elapsed_ns, 2),
        "retransmissions": load.retries,
    }


def verify_rate(seconds: float) -> float:
    """Signatures of a request's size that ``CORES`` processes verify in a second, together."""
    context = multiprocessing.get_context("fork")
    with context.Pool(CORES, _die_on_sigterm) as pool:
        return sum(pool.map(_verify_for, [seconds] * CORES))


def _die_on_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _verify_for(seconds: float) -> float:
    cluster = make_cluster()
    addresses = [("127.0.0.1", 7000 + i) for i in range(cluster.n)]
    genesis = make_genesis(cluster, 1, addresses, [ClientBlock(1000, 1000, "127.0.0.1", 7100)])
    client = genesis.client_keyring(0)
    replica = NodeKeys(genesis.directory(), genesis.replica_secrets[0], cache_entries=1)
    messages = [b"%0*d" % (REQUEST_BYTES, i) for i in range(64)]
    signed = [(message, client.sign(message)) for message in messages]
    count, start = 0, time.monotonic()
    while (elapsed := time.monotonic() - start) < seconds:
        for message, signature in signed:
            assert replica.verify(1000, message, signature)
        count += len(signed)
    return count / elapsed
