"""Any bytes, in any order, to a replica in the middle of a run: it never raises, stays small, and serves on.

The fourth replica is the liar: only its keys are used, and it does nothing useful, so the other three must
answer.
"""

from __future__ import annotations

import random

import pytest
from hostility import LIAR, corpus, datagrams, hostile, seal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_cluster import MemoryCluster
from playbook import Playbook

from pbft_node.core.client import Client
from pbft_node.core.codec import decode
from pbft_node.core.events import Received
from pbft_node.core.fragments import ASSEMBLIES_PER_SENDER
from pbft_node.core.frames import (
    NAMES_REPLIER,
    OF_STATE,
    READ_ONLY,
    RESULT_DIGEST,
    Malformed,
    MessageType,
)
from pbft_node.core.normal_case import MAX_EARLY
from pbft_node.core.replica import Replica
from pbft_node.core.requests import MAX_PENDING


def mid_run(operations: int, **settings: object) -> MemoryCluster:
    """Some numbers executed, some under way."""
    cluster = MemoryCluster(3, **settings)
    for number in range(operations):
        cluster.call(0, b"put", b"k", b"%d" % number)
    cluster.invoke(1, b"put", b"under way", b"x")
    cluster.run(2)
    cluster.crash(LIAR)
    return cluster


def feed(cluster: MemoryCluster, victim: int, data: bytes) -> None:
    """``handle`` may not raise; what it wants done is done."""
    cluster.deliver(victim, Received(data))
    assert cluster.hosts[victim].replica is not None, f"halted: {cluster.halted}"


def assert_bounded(replica: Replica) -> None:
    window, n = replica.cluster.window, replica.cluster.n
    assert len(replica.slots) <= window, "slots"
    assert all(replica.in_window(seq) for seq in replica.slots)
    assert all(len(slot.prepares) <= n and len(slot.commits) <= n for slot in replica.slots.values())
    assert len(replica.certificates) <= window, "certificates"
    assert len(replica.decided) <= window, "decided"
    assert len(replica.decision_claims) <= window, "claims"
    assert len(replica.checkpoint_votes) <= window // replica.cluster.checkpoint_interval + n, "checkpoints"
    assert all(len(kept) <= MAX_EARLY for kept in replica.early.values()), "early"
    assert max(len(replica.early), len(replica.view_changes), len(replica.peers)) <= n, "per replica"
    assert len(replica.pending) <= MAX_PENDING, "pending"
    assert all(len(held) <= ASSEMBLIES_PER_SENDER for held in replica.reassembly._pieces.values()), (
        "fragments"
    )
    assert len(replica.reassembly._pieces) <= n, "fragments"
    assert set(replica.batch_numbers) == set(replica.batches), "batches"


def assert_serves(cluster: MemoryCluster, victim: int) -> None:
    """Three of four are left: no answer without the victim."""
    before = cluster.replica(victim).executed
    assert cluster.call(0, b"put", b"k", b"after", within_ms=60_000).endswith(b"ok")
    assert cluster.call(0, b"get", b"k", within_ms=60_000).endswith(b"after")
    assert cluster.run(5_000, until=lambda: cluster.replica(victim).executed >= before + 1)
    assert not cluster.halted
    assert not cluster.trace("alarm")


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=60)
@given(
    plan=datagrams(),
    victim=st.sampled_from([0, 1, 2]),
    operations=st.integers(0, 9),
    auth=st.sampled_from(["hybrid", "sign"]),
)
def test_any_datagrams_in_any_order(
    plan: list[tuple[str, int, bytes]], victim: int, operations: int, auth: str
) -> None:
    cluster = mid_run(operations, auth=auth)
    for kind, choice, data in plan:
        if kind == "seeded":
            data = hostile(cluster, random.Random(choice), victim)
        feed(cluster, victim, data)
        cluster.run(choice % 7)
    assert_bounded(cluster.replica(victim))
    assert_serves(cluster, victim)


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_flood_of_thousands(victim: int) -> None:
    """The same, long: what leaks a little shows, and nothing wears out."""
    cluster = mid_run(6)
    stream = random.Random(victim)
    for number in range(4_000):
        feed(cluster, victim, hostile(cluster, stream, victim))
        if number % 100 == 0:
            cluster.run(50)
            assert_bounded(cluster.replica(victim))
    reached = {(effect.message, effect.reason[:12]) for _, effect in cluster.rejected}
    assert len(reached) > 25, f"the flood gets stuck at the door: {sorted(reached)}"
    assert_serves(cluster, victim)


def test_the_liar_floods_each_place_that_keeps_things(playbook: object) -> None:
    cluster = mid_run(2)
    sealing = seal(cluster, LIAR)
    digest = b"\x42" * 32
    for number in range(2_000):
        for type_, view, seq, body in [
            (MessageType.PREPARE, 0, number, digest),
            (MessageType.COMMIT, 0, number, digest),
            (MessageType.COMMIT, number, 5, digest),
            (MessageType.PREPARE, number, 5, digest),
            (MessageType.CHECKPOINT, 0, 4 * number + 4, digest),
            (MessageType.VIEW_CHANGE, number + 1, 0, b"\x00\x00\x00\x00"),
            (MessageType.STATUS, number, number, number.to_bytes(17, "big") + b"\x00\x00"),
            (MessageType.FRAGMENT, 3, 0, (1).to_bytes(4, "big") + number.to_bytes(32, "big") + b"x"),
        ]:
            feed(cluster, 1, sealing.for_peer(1, type_, view, seq, body))
    assert_bounded(cluster.replica(1))
    assert_serves(cluster, 1)


def test_fragments_within_fragments_do_not_exhaust_the_stack(playbook: object) -> None:
    """Each level is one datagram's worth smaller: hundreds fit."""
    play = Playbook(me=1)
    data = b"x"
    for _ in range(600):
        data = play.cast.fragment(LIAR, data)
    play.receives(data).rejects("FRAGMENT")


@pytest.mark.parametrize("flags", [1, 2, 128, 255])
def test_unknown_flags_are_rejected(flags: int) -> None:
    """One encoding for each message: nothing may vary that is not covered by its meaning."""
    known = {(MessageType.REPLY, flag) for flag in (RESULT_DIGEST, OF_STATE)}
    known |= {(MessageType.REQUEST, flag) for flag in (NAMES_REPLIER, READ_ONLY)}
    for data in corpus():
        if (data[5], flags) in known:
            continue
        changed = data[:7] + bytes([flags]) + data[8:]
        with pytest.raises(Malformed):
            decode(changed)


def test_every_real_message_survives_its_own_decoding_and_no_cut_does() -> None:
    for data in corpus():
        decode(data)
        for end in [*range(0, len(data), max(1, len(data) // 50)), len(data) - 1]:
            if data[5] == MessageType.PRE_PREPARE and end == 128:
                continue  # a proposal without its batch is well formed
            with pytest.raises(Malformed):
                decode(data[:end])
        if data[5] != MessageType.PRE_PREPARE:
            with pytest.raises(Malformed):
                decode(data + b"\0")


def test_what_comes_back_to_its_sender_changes_nothing() -> None:
    """A network may reflect datagrams: with signatures they are even authentic."""
    for auth in ("hybrid", "sign"):
        cluster = MemoryCluster(7, auth=auth)
        plain = cluster.transmit

        def reflect(
            source: int, send: object, plain: object = plain, cluster: MemoryCluster = cluster
        ) -> None:
            plain(source, send)
            if source < 4:
                cluster.push(cluster.now_ns + 1_000_000, source, 0, Received(send.data))

        cluster.transmit = reflect
        for number in range(20):
            cluster.call(0, b"put", b"k", b"%d" % number)
        cluster.crash(0)
        for number in range(20):
            cluster.call(0, b"put", b"k", b"%d" % number)
        cluster.start(0)
        assert cluster.call(0, b"get", b"k").endswith(b"19")
        assert not cluster.trace("alarm")
        assert not cluster.halted
        assert cluster.run(5_000, until=lambda c=cluster: c.replica(0).executed == c.replica(1).executed)
        assert len({cluster.replica(i).store.image().digest for i in range(4)}) == 1


def test_a_client_survives_any_datagrams() -> None:
    cluster = mid_run(3)
    client = cluster.client(0)
    assert isinstance(client, Client)
    stream = random.Random(1)
    cluster.invoke(0, b"put", b"k", b"v")
    for _ in range(3_000):
        client.handle(Received(hostile(cluster, stream, client.id)), cluster.now_ns)
    assert cluster.run(10_000, until=lambda: not client.busy)
    done = cluster.completed[client.id][-1]
    assert done.result.endswith(b"ok")
    assert any(replica != LIAR for replica in done.replicas)
