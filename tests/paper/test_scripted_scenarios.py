"""Stories of a whole cluster with its timers and its network, each the known grave of some implementation.

What can be told message by message is in ``scripts/``. Every story ends with the same questions: does it
serve, are all states equal, was nothing decided twice?
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from members import Members
from memory_cluster import MemoryCluster

from pbft_node.core.effects import Send
from pbft_node.core.events import Received
from pbft_node.core.frames import MessageType, parse_frame
from pbft_node.core.operations import encode_fields
from pbft_node.core.types import FIRST_CLIENT_ID

Drop = Callable[[int, int, MessageType, int, int], bool]


def dropping(cluster: MemoryCluster, drop: Drop) -> None:
    """``drop(source, target, type, view, seq)`` decides what the network loses."""

    def on_send(source: int, send: Send) -> list[Send]:
        frame, _ = parse_frame(send.data)
        return [] if drop(source, send.to, frame.type, frame.view, frame.seq) else [send]

    cluster.on_send = on_send


def assert_sound(cluster: MemoryCluster, but: tuple[int, ...] = ()) -> None:
    """It serves; correct replicas come to one state; one digest per number, executed in order."""
    cluster.on_send = lambda source, send: [send]
    for index, host in enumerate(cluster.hosts):
        if host.replica is None and index not in but:
            cluster.start(index)
    correct = [index for index in range(cluster.cluster.n) if index not in but]
    cluster.call(9, b"append", b"end", b"x", within_ms=60_000)
    together = lambda: len({cluster.replica(i).executed for i in correct}) == 1  # noqa: E731
    assert cluster.run(20_000, until=together)
    assert len({cluster.replica(i).store.image().digest for i in correct}) == 1
    assert not cluster.trace("alarm")
    assert not cluster.halted
    for kind in ("committed", "executed"):
        seen: dict[object, object] = {}
        for _, replica, _, trace in cluster.traces:
            if trace.kind == kind and replica in correct:
                seq, digest = trace.fields["seq"], trace.fields["digest"]
                assert seen.setdefault(seq, digest) == digest, f"two digests {kind} at {seq}"


def elements(cluster: MemoryCluster, key: bytes = b"k") -> bytes:
    return cluster.call(8, b"read", key, within_ms=60_000)


@pytest.fixture
def cluster() -> MemoryCluster:
    made = MemoryCluster(1, service="append")
    made.call(0, b"append", b"k", b"first")
    return made


def test_committed_at_one_replica_that_dies_with_the_primary(cluster: MemoryCluster) -> None:
    """It comes back later and has executed what the others only prepared."""
    dropping(cluster, lambda source, to, type_, view, seq: type_ is MessageType.COMMIT and to != 2)
    cluster.invoke(0, b"append", b"k", b"second")
    assert cluster.run(1_000, until=lambda: cluster.replica(2).executed == 2)
    cluster.crash(2)
    dropping(cluster, lambda source, to, type_, view, seq: source == 0 or to == 0)
    cluster.run(2_000)
    cluster.start(2)
    assert cluster.run(20_000, until=lambda: len(cluster.completed[FIRST_CLIENT_ID]) == 2)
    assert elements(cluster).count(b"second") == 1
    assert_sound(cluster)


def test_a_new_primary_that_lags_behind_min_s_serves() -> None:
    """It may not number below what others executed, and must learn their state before it can execute."""
    cluster = MemoryCluster(2, service="append")
    cluster.crash(1)
    for number in range(21):
        cluster.call(0, b"append", b"k", b"%d," % number)
    cluster.start(1)
    cluster.crash(0)
    assert cluster.replica(1).executed < cluster.replica(2).stable
    for number in range(21, 25):
        cluster.call(0, b"append", b"k", b"%d," % number)
    assert cluster.replica(1).primary == 1 or cluster.replica(2).view > 1
    assert_sound(cluster)


def test_a_new_primary_that_lags_with_numbers_prepared_above_min_s() -> None:
    """O lies beyond its window when it announces it."""
    cluster = MemoryCluster(3, service="append")
    cluster.crash(1)
    for number in range(18):
        cluster.call(0, b"append", b"k", b"%d," % number)
    dropping(cluster, lambda source, to, type_, view, seq: type_ is MessageType.COMMIT and seq > 18)
    cluster.invoke(0, b"append", b"k", b"prepared,")
    cluster.run(50)
    cluster.crash(0)
    cluster.start(1)
    cluster.on_send = lambda source, send: [send]
    assert cluster.run(30_000, until=lambda: len(cluster.completed[FIRST_CLIENT_ID]) == 19)
    assert elements(cluster).count(b"prepared,") == 1
    assert_sound(cluster)


def test_a_new_primary_that_sends_two_valid_new_views() -> None:
    """V may differ: one names a prepared batch, one does not. Only one of the orders can be prepared."""
    cluster = MemoryCluster(4, service="append")
    cluster.call(0, b"append", b"k", b"first")
    cast = Members(cluster.cluster, 0)
    one = cluster.replica(2).certificates[1]
    second = cast.pre_prepare(2, cast.request(1, b"append", b"k", b"second", client=1500))
    certificate = cast.certificate(second)
    cluster.crash(1)  # the liar, whose keys are used below
    with_it = [cast.view_change(1, by, one, certificate) for by in (0, 1)]
    for index in (0, 2, 3):
        cluster.replica(index).start_view_change(1, "request timeout")
        cluster.carry_out(index, cluster.replica(index).take_effects())
    honest = {i: cluster.replica(i).view_changes[i] for i in (0, 2, 3)}
    first = cast.new_view(1, honest[0], with_it[1], honest[2])
    other = cast.new_view(1, honest[0], honest[2], honest[3])
    for target, message in ((0, first), (2, other), (3, other)):
        cluster.deliver(target, Received(message.raw))
    assert {cluster.replica(i).view for i in (0, 2, 3)} == {1}
    cluster.run(3_000)
    assert_sound(cluster, but=(1,))


def test_a_split_of_two_and_two_decides_nothing_and_heals(cluster: MemoryCluster) -> None:
    cluster.network.cut = lambda source, to: max(source, to) < 4 and (source < 2) != (to < 2)
    before = [cluster.replica(i).executed for i in range(4)]
    cluster.invoke(0, b"append", b"k", b"split")
    cluster.run(5_000)
    assert [cluster.replica(i).executed for i in range(4)] == before
    cluster.network.cut = lambda source, to: False
    assert cluster.run(30_000, until=lambda: len(cluster.completed[FIRST_CLIENT_ID]) == 2)
    assert elements(cluster).count(b"split") == 1
    assert_sound(cluster)


def test_a_primary_paused_for_long_wakes_up_in_a_later_view(cluster: MemoryCluster) -> None:
    cluster.pause(0)
    for number in range(15):
        cluster.call(0, b"append", b"k", b"%d," % number)
    cluster.resume(0)
    assert cluster.run(10_000, until=lambda: cluster.replica(0).view >= 1)
    assert_sound(cluster)


def test_a_write_given_up_by_its_client_takes_effect_at_most_once(cluster: MemoryCluster) -> None:
    client = cluster.client(1, retry=False)
    dropping(cluster, lambda source, to, type_, view, seq: type_ is MessageType.REPLY and to == client.id)
    cluster.invoke(1, b"append", b"k", b"maybe")
    cluster.run(500)
    client.abandon()
    cluster.crash(0)
    cluster.on_send = lambda source, send: [send]
    cluster.call(0, b"append", b"k", b"sure")
    assert elements(cluster).count(b"maybe") <= 1
    assert elements(cluster).endswith(encode_fields(b"sure")[2:])
    assert_sound(cluster)
