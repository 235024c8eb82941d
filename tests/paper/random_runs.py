"""Random chaos on the in-memory cluster, and what must hold whatever happens.

Every choice comes from the seed. At most f replicas are faulty at a time; the network loses, doubles and
reorders. When the faults end, every client must get its answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from memory_cluster import MemoryCluster, Network

from pbft_node.core.cluster import MILLISECOND_NS
from pbft_node.core.frames import MessageType, parse_frame
from pbft_node.core.operations import decode_fields, encode_fields
from pbft_node.core.types import FIRST_CLIENT_ID, ClientId

VOTES = {MessageType.PRE_PREPARE, MessageType.PREPARE, MessageType.COMMIT, MessageType.CHECKPOINT}


@dataclass(frozen=True)
class Options:
    """One run, drawn whole."""

    n: int
    loss: float
    duplication: float
    max_delay_ms: int
    faults: int
    clients: int
    operations: int
    auth: str
    client_auth: str


def draw(seed: int) -> Options:
    stream = random.Random(seed)
    return Options(
        n=stream.choice([4, 4, 4, 5, 6, 7]),
        loss=stream.choice([0, 0, 0.02, 0.1, 0.2]),
        duplication=stream.choice([0, 0.05, 0.3]),
        max_delay_ms=stream.choice([2, 10, 40]),
        faults=stream.randint(1, 8),
        clients=stream.randint(1, 4),
        operations=stream.randint(5, 25),
        auth=stream.choice(["hybrid", "hybrid", "sign"]),
        client_auth=stream.choice(["sign", "sign", "mac"]),
    )


def random_run(seed: int, traces_debug: bool = False) -> MemoryCluster:
    """One run under faults within the budget, then calm; every check at its end."""
    options = draw(seed)
    stream = random.Random(seed + 1_000_000)
    network = Network(max_ns=options.max_delay_ms * MILLISECOND_NS, loss=options.loss)
    network.duplication = options.duplication
    cluster = MemoryCluster(
        seed,
        network,
        traces_debug=traces_debug,
        service="append",
        n=options.n,
        auth=options.auth,
        client_auth=options.client_auth,
    )
    left = dict.fromkeys(range(options.clients), options.operations)

    def pump() -> None:
        for number in left:
            client_id = FIRST_CLIENT_ID + number
            client = cluster.client(number)
            done = len(cluster.completed[client_id])
            if left[number] and client.timestamp == done:
                left[number] -= 1
                cluster.invoke(number, b"append", b"k", b"%d-%d" % (number, client.timestamp))

    def finished() -> bool:
        pump()
        return not any(left.values()) and all(
            len(cluster.completed[FIRST_CLIENT_ID + number]) == options.operations for number in left
        )

    for _ in range(options.faults):
        one_fault(cluster, stream, finished)
    network.loss = min(network.loss, 0.05)
    assert cluster.run(120_000, until=finished), f"seed {seed} {options}: not live: {describe(cluster)}"
    cluster.run(10_000)
    assert not cluster.silent(), f"seed {seed} {options}: silent {cluster.silent()}: {describe(cluster)}"
    check_all(cluster, seed, options)
    return cluster


def one_fault(cluster: MemoryCluster, stream: random.Random, finished: object) -> None:
    """Up to f replicas die, lose their logs, stop or are cut off for a while; the silent count among them."""
    silent = cluster.silent()
    room = cluster.cluster.f - len(silent)
    if room == 0:
        recovered = cluster.run(60_000, until=lambda: not cluster.silent())
        assert recovered, f"still silent: {describe(cluster)}"
        room = cluster.cluster.f
        silent.clear()
    victims = stream.sample([i for i in range(cluster.cluster.n) if i not in silent], stream.randint(1, room))
    kind = stream.choice(["crash", "crash", "lose", "lose", "tear", "pause", "cut", "deaf", "all"])
    if kind == "all":
        for victim in range(cluster.cluster.n):
            cluster.crash(victim)
        for victim in range(cluster.cluster.n):
            cluster.start(victim)
        return
    if kind in ("cut", "deaf"):
        both = kind == "cut"
        cluster.network.cut = lambda source, target: target in victims or (both and source in victims)
    for victim in victims:
        if kind in ("crash", "lose"):
            cluster.crash(victim)
        elif kind == "tear":
            cluster.crash_after_effects(victim, stream.randint(0, 6))
        elif kind == "pause":
            cluster.pause(victim)
    cluster.run(stream.choice([50, 400, 1500]), until=finished)  # type: ignore[arg-type]
    cluster.network.cut = lambda source, target: False
    cluster.crash_in_effects.clear()
    for victim in victims:
        if kind == "lose":
            cluster.lose_log(victim)
        if cluster.hosts[victim].replica is None:
            cluster.start(victim)
        elif cluster.hosts[victim].paused:
            cluster.resume(victim)
    cluster.run(stream.choice([0, 20, 500]), until=finished)  # type: ignore[arg-type]


def describe(cluster: MemoryCluster) -> object:
    return [
        (i, r.view, r.active, r.executed, r.stable, r.fetching_state(), len(r.pending))
        for i, r in ((i, host.replica) for i, host in enumerate(cluster.hosts))
        if r is not None
    ]


def check_all(cluster: MemoryCluster, seed: int, options: Options) -> None:
    context = f"seed {seed} {options}"
    assert not cluster.halted, f"{context}: halted {cluster.halted}"
    assert not cluster.trace("alarm"), f"{context}: {cluster.trace('alarm')}"
    check_agreement(cluster, context)
    check_votes(cluster, context)
    executed = {host.replica.executed for host in cluster.hosts if host.replica is not None}
    assert len(executed) == 1, f"{context}: replicas did not come together: {describe(cluster)}"
    check_exactly_once(cluster, context)
    assert not cluster.rejected, f"{context}: correct replicas reject each other: {cluster.rejected[:3]}"


def check_agreement(cluster: MemoryCluster, context: str) -> None:
    for kind in ("committed", "executed", "checkpoint"):
        seen: dict[object, object] = {}
        for trace in cluster.trace(kind):
            seq, digest = trace.fields["seq"], trace.fields["digest"]
            assert seen.setdefault(seq, digest) == digest, f"{context}: two digests {kind} at {seq}"


def check_exactly_once(cluster: MemoryCluster, context: str) -> None:
    replica = next(host.replica for host in cluster.hosts if host.replica is not None)
    fields = decode_fields(
        replica.service.execute(replica.store, ClientId(FIRST_CLIENT_ID), encode_fields(b"read", b"k"))
    )
    assert fields is not None
    elements = fields[1:]
    expected = sum(len(done) for done in cluster.completed.values())
    assert len(elements) == len(set(elements)) == expected, (
        f"{context}: {len(elements)} of {expected}: {elements}"
    )


def check_votes(cluster: MemoryCluster, context: str) -> None:
    """No correct replica ever signs two conflicting messages, across restarts."""
    seen: dict[tuple[object, ...], bytes] = {}
    for source, send in cluster.sent:
        frame, _ = parse_frame(send.data)
        if frame.type in VOTES and frame.sender == source:
            key = (frame.type, source, frame.view, frame.seq)
            content = frame.body
        elif frame.type is MessageType.VIEW_CHANGE or frame.type is MessageType.NEW_VIEW:
            key = (frame.type, frame.sender, frame.view)
            content = frame.body
        else:
            continue
        assert seen.setdefault(key, content) == content, f"{context}: replica {source} signed two {key}"
