"""Quorums for any n >= 4: two share a correct replica, and f silent ones cannot prevent one.

2f+1 is right for n = 3f+1 only; with five replicas, two quorums of three may share nobody but a liar.
"""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from members import Members
from memory_cluster import MemoryCluster

from pbft_node.core.cluster import Cluster
from pbft_node.core.types import View

ID = b"sixteen bytes id"
SMALL = {"checkpoint_interval": 1, "window": 2}


@pytest.mark.parametrize("n", range(4, 14))
def test_quorums_intersect_in_a_correct_replica_and_can_be_formed(n: int) -> None:
    cluster = Cluster(cluster_id=ID, n=n)
    f, quorum = cluster.f, cluster.quorum
    assert 3 * f + 1 <= n < 3 * (f + 1) + 1
    assert 2 * quorum - n >= f + 1, "two quorums share f+1 replicas, one of them correct"
    assert quorum <= n - f, "f silent replicas cannot prevent a quorum"
    assert 2 * (quorum - 1) - n < f + 1, "a smaller quorum would not do"
    assert cluster.weak == f + 1


@pytest.mark.parametrize("n", range(4, 14))
def test_every_two_quorums_one_by_one(n: int) -> None:
    """Whichever f replicas lie. Replicas are bits; by symmetry one of the two quorums may be the first."""
    cluster = Cluster(cluster_id=ID, n=n)
    first = (1 << cluster.quorum) - 1
    quorums = [sum(1 << member for member in members) for members in combinations(range(n), cluster.quorum)]
    liars = [sum(1 << member for member in members) for members in combinations(range(n), cluster.f)]
    shared = {first & quorum for quorum in quorums}
    assert all(common & ~some for common in shared for some in liars), "no correct one in common"
    assert all(any(not quorum & some for quorum in quorums) for some in liars), "liars can prevent a quorum"


@pytest.mark.parametrize("n", range(4, 14))
def test_weak_sets_and_what_rests_on_them(n: int) -> None:
    cluster = Cluster(cluster_id=ID, n=n)
    f, quorum, weak = cluster.f, cluster.quorum, cluster.weak
    assert weak - f == 1, "of f+1 one is correct, and of f none need be"
    assert quorum - f >= weak, "of a quorum f+1 are correct: enough to make others believe a decision"
    assert n - f >= weak + f, "a client hears from f+1 correct ones, though f lie"
    fast = Cluster(cluster_id=ID, n=n, reads="fast")
    assert fast.reply_quorum + quorum - n > f, "a fast read meets every write in a correct replica"
    assert fast.reply_quorum <= n - f, "and f silent ones cannot prevent it"


def test_for_3f_plus_1_the_quorum_is_2f_plus_1() -> None:
    for f in range(1, 40):
        assert Cluster(cluster_id=ID, n=3 * f + 1, **SMALL).quorum == 2 * f + 1


@given(st.integers(4, 200), st.integers(0, 2**62))
def test_primaries_take_turns(n: int, view: int) -> None:
    cluster = Cluster(cluster_id=ID, n=n, **SMALL)
    turns = [cluster.primary(View(view + i)) for i in range(n)]
    assert sorted(turns) == list(range(n))


@pytest.mark.parametrize("n", [-1, 0, 1, 2, 3, 1000])
def test_too_few_or_too_many_replicas_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match="PBFT needs n >= 3f"):
        Cluster(cluster_id=ID, n=n)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"cluster_id": b"short"}, "cluster_id"),
        ({"auth": "none"}, "auth"),
        ({"checkpoint_interval": 0}, "checkpoint_interval"),
        ({"checkpoint_interval": 128, "window": 255}, "window"),
        ({"window": 4097}, "window"),
        ({"n": 7, "window": 2700}, "a NEW-VIEW could take"),
        ({"n": 31, "window": 256}, "a NEW-VIEW could take"),
        ({"batch_limit": 0}, "batch_limit"),
        ({"batch_limit": 4097}, "batch_limit"),
        ({"pipeline": 0}, "pipeline"),
        ({"request_timeout_ns": 0}, "request_timeout_ns"),
        ({"request_timeout_ns": 999_999}, "request_timeout_ns = 999999: it must be at least 1000000 ns"),
        ({"view_change_timeout_ns": 5}, "view_change_timeout_ns = 5"),
        ({"status_busy_ns": 1}, "status_busy_ns = 1"),
        ({"status_idle_ns": 999_999}, "status_idle_ns"),
        ({"client_retry_ns": 7}, "client_retry_ns = 7"),
        ({"client_retry_max_ns": 7}, "client_retry_max_ns = 7"),
        ({"max_timeout_ns": 0}, "max_timeout_ns"),
        ({"max_timeout_ns": 10**9, "request_timeout_ns": 2 * 10**9}, "max_timeout_ns"),
    ],
)
def test_parameters_that_cannot_work_are_refused(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Cluster(**({"cluster_id": ID, "n": 4} | settings))


@pytest.mark.parametrize(("n", "window"), [(4, 4096), (7, 2500), (10, 1300), (22, 256), (100, 12)])
def test_windows_whose_new_view_fits_are_allowed(n: int, window: int) -> None:
    Cluster(cluster_id=ID, n=n, window=window, checkpoint_interval=6)


@pytest.mark.parametrize("n", [4, 6, 7])
def test_the_largest_new_view_is_as_large_as_reckoned(n: int) -> None:
    cluster = Cluster(cluster_id=ID, n=n, checkpoint_interval=4, window=8)
    cast = Members(cluster, 0)
    proof = cast.proof(4, b"d" * 32)
    certificates = [cast.certificate(cast.pre_prepare(seq)) for seq in range(5, 13)]
    changes = [cast.view_change(1, by, *certificates, stable=4, proof=proof) for by in range(cluster.quorum)]
    assert len(cast.new_view(1, *changes).raw) == cluster.largest_new_view_bytes()


@pytest.mark.parametrize("n", [4, 5, 6, 7, 10])
def test_clusters_of_every_size_serve_with_f_dead_and_stop_with_more(n: int) -> None:
    cluster = MemoryCluster(n=n)
    cluster.call(0, b"put", b"k", b"1")
    for index in range(cluster.cluster.f):
        cluster.crash(n - 1 - index)
    cluster.call(0, b"put", b"k", b"2")
    spare = n - cluster.cluster.f - cluster.cluster.quorum
    for index in range(spare + 1):
        cluster.crash(index + 1)
    cluster.invoke(0, b"put", b"k", b"3")
    assert not cluster.run(5_000, until=lambda: len(cluster.completed[1000]) > 2)
    cluster.start(1)
    assert cluster.run(30_000, until=lambda: len(cluster.completed[1000]) > 2)
