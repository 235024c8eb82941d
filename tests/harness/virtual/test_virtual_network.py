"""The virtual network: each model has the shape it says, and the fate of one datagram moves no other."""

import math
import os
import statistics
import subprocess
import sys
from dataclasses import replace

import pytest

from harness.virtual.latency import Constant, Exponential, Latency, Uniform, WideArea, minus_log
from harness.virtual.network import Network
from harness.virtual.settings import CLIENTS, Delivery, Virtual
from harness.virtual.wan import ONE_WAY_NS, REGIONS

MS = 1_000_000
MANY = 20_000


def delays(latency: Latency, source: int = 0, target: int = 1, seed: int = 7) -> list[int]:
    network = Network(seed, Virtual(latency=latency), 4)
    return [delay for nth in range(MANY) for delay in network.fate(source, target, nth, 100)]


def share(fates: list[tuple[int, ...]], copies: int) -> float:
    return sum(len(fate) == copies for fate in fates) / len(fates)


def fates(virtual: Virtual, source: int = 0, target: int = 1, n: int = 4) -> list[tuple[int, ...]]:
    network = Network(7, virtual, n)
    return [network.fate(source, target, nth, 100) for nth in range(MANY)]


def test_constant_is_constant() -> None:
    assert set(delays(Constant(3 * MS))) == {3 * MS}


def test_uniform_is_flat_from_end_to_end() -> None:
    seen = delays(Uniform(10, 19))
    counts = [seen.count(delay) for delay in range(10, 20)]
    assert sum(counts) == MANY
    chi_squared = sum((count - MANY / 10) ** 2 / (MANY / 10) for count in counts)
    assert chi_squared < 27.9, f"nine degrees of freedom, one in a thousand: {counts}"


def test_exponential_has_its_least_its_mean_and_its_tail() -> None:
    seen = [
        delay - 2 * MS for delay in delays(Exponential(mean_ns=5 * MS, least_ns=2 * MS, most_ns=900 * MS))
    ]
    assert min(seen) >= 0
    assert statistics.mean(seen) == pytest.approx(5 * MS, rel=0.03)
    for times in (1, 2, 4):
        beyond = sum(delay > times * 5 * MS for delay in seen) / MANY
        assert beyond == pytest.approx(math.exp(-times), abs=0.012)


def test_exponential_is_cut_at_its_most() -> None:
    seen = delays(Exponential(mean_ns=5 * MS, least_ns=2 * MS, most_ns=12 * MS))
    assert max(seen) == 12 * MS
    assert seen.count(12 * MS) / MANY == pytest.approx(math.exp(-2), abs=0.012)


def test_the_logarithm_is_one() -> None:
    worst = max(
        abs(minus_log(word) / 2**40 + math.log((word + 1) / 2**32)) for word in range(0, 2**32, 9_999_991)
    )
    assert worst < 3e-6
    assert minus_log(2**32 - 1) == 0
    assert minus_log(0) / 2**40 == pytest.approx(32 * math.log(2))


def test_the_matrix_says_how_far_it_is() -> None:
    wan = WideArea(replicas=(0, 5), clients=8, jitter=0.2)
    for source, target, row, column in (
        (0, 1, 0, 5),
        (1, 0, 5, 0),
        (0, 2, 0, 0),
        (CLIENTS, 3, 8, 5),
        (3, CLIENTS, 5, 8),
    ):
        seen = delays(wan, source, target)
        base_ns = ONE_WAY_NS[row][column]
        assert base_ns <= min(seen) < 1.001 * base_ns
        assert 1.199 * base_ns < max(seen) < 1.2 * base_ns


def test_a_matrix_of_ones_own_may_be_lopsided() -> None:
    wan = WideArea(("near", "far"), ((1, 2), (3, 4)), (0, 1), 0, jitter=0)
    network = Network(1, Virtual(latency=wan), 4)
    assert [network.fate(*link, 0, 9) for link in ((0, 1), (1, 0), (0, 2), (1, 3))] == [
        (2,),
        (3,),
        (1,),
        (4,),
    ]


def test_the_built_in_matrix_is_whole() -> None:
    assert len(ONE_WAY_NS) == len(REGIONS) == len(set(REGIONS))
    for row, near in enumerate(ONE_WAY_NS):
        assert len(near) == len(REGIONS)
        assert [near[column] for column in range(row)] == [ONE_WAY_NS[column][row] for column in range(row)]
        assert min(near) == near[row] == MS


@pytest.mark.parametrize("probability", [0.05, 0.5])
def test_shares_are_what_they_say(probability: float) -> None:
    near = {"abs": 0.011}
    assert share(fates(Virtual(loss=probability)), 0) == pytest.approx(probability, **near)
    assert share(fates(Virtual(duplication=probability)), 2) == pytest.approx(probability, **near)
    held = fates(Virtual(latency=Constant(MS), reordering=probability, reorder_by_ns=4 * MS))
    late = [fate[0] - MS for fate in held if fate[0] > MS]
    assert len(late) / MANY == pytest.approx(probability, **near)
    assert max(late) <= 4 * MS
    assert statistics.mean(late) == pytest.approx(2 * MS, rel=0.05)


def test_all_or_nothing() -> None:
    assert set(fates(Virtual(loss=1))) == {()}
    assert share(fates(Virtual(duplication=1)), 2) == 1
    assert min(fate[0] for fate in fates(Virtual(latency=Constant(MS), reordering=1))) > MS
    assert set(fates(Virtual(latency=Constant(MS)))) == {(MS,)}


def test_copies_have_delays_of_their_own() -> None:
    pairs = fates(Virtual(latency=Uniform(0, 999), duplication=1, reordering=0.5, reorder_by_ns=1000))
    correlation = statistics.correlation([a for a, _ in pairs], [b for _, b in pairs])
    assert abs(correlation) < 0.03


def test_a_large_datagram_takes_longer_on_a_narrow_link() -> None:
    network = Network(7, Virtual(latency=Constant(MS), bandwidth=1_000_000, duplication=1), 4)
    assert network.fate(0, 1, 0, 1500) == (MS + 1_500_000, MS + 1_500_000)
    assert Network(7, Virtual(latency=Constant(MS)), 4).fate(0, 1, 0, 1500) == (MS,)


BUSY = Virtual(loss=0.1, duplication=0.1, reordering=0.1)


def test_a_replica_more_changes_no_link() -> None:
    assert fates(BUSY, 1, 2, n=4) == fates(BUSY, 1, 2, n=31)
    assert fates(BUSY, CLIENTS, 2, n=4) == fates(BUSY, CLIENTS, 2, n=31)


def test_order_of_asking_changes_nothing() -> None:
    network = Network(7, BUSY, 4)
    asked = [(a, b, nth) for nth in range(50) for a in range(-1, 4) for b in range(-1, 4)]
    first = {link: network.fate(*link, 100) for link in asked}
    assert {link: network.fate(*link, 100) for link in reversed(asked)} == first


def test_links_directions_and_seeds_differ() -> None:
    links = [(0, 1), (1, 0), (0, 2), (CLIENTS, 0), (0, CLIENTS)]
    seen = [delays(Uniform(), *link) for link in links] + [delays(Uniform(), 0, 1, seed=8)]
    for index, one in enumerate(seen):
        for other in seen[index + 1 :]:
            assert abs(statistics.correlation(one, other)) < 0.03


def test_more_loss_leaves_the_delays_of_the_others_alone() -> None:
    before, after = fates(BUSY), fates(replace(BUSY, loss=0.3))
    arrived = [(one, other) for one, other in zip(before, after, strict=True) if other]
    assert all(one == other for one, other in arrived)
    assert 0.66 < len(arrived) / MANY < 0.74


def test_the_plans_own_word_comes_first() -> None:
    exceptions = (
        Delivery(0, 1, 3, ()),
        Delivery(0, 1, 4, (5, 6, 7)),
        Delivery(CLIENTS, 2, 0, (0,)),
    )
    plain, decided = Network(7, BUSY, 4), Network(7, replace(BUSY, deliveries=exceptions), 4)
    assert decided.fate(0, 1, 3, 100) == ()
    assert decided.fate(0, 1, 4, 100) == (5, 6, 7)
    assert decided.fate(CLIENTS, 2, 0, 100) == (0,)
    others = [(0, 1, 2), (1, 0, 3), (0, 2, 3), (CLIENTS, 2, 1)]
    assert [decided.fate(*one, 100) for one in others] == [plain.fate(*one, 100) for one in others]


PROGRAM = """
from harness.virtual.latency import Constant, Exponential, Uniform, WideArea
from harness.virtual.network import Network
from harness.virtual.settings import Virtual
for latency in (Constant(), Uniform(), Exponential(), WideArea()):
    network = Network(7, Virtual(latency=latency, loss=0.1, duplication=0.1, reordering=0.1), 5)
    print([network.fate(a, b, nth, 9) for a in range(-1, 5) for b in range(-1, 5) for nth in range(20)])
"""


def test_hash_seeds_change_nothing() -> None:
    def printed(hash_seed: str) -> bytes:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True
        ).stdout

    assert printed("1") == printed("2") != b""


def test_the_same_on_every_machine_and_for_ever() -> None:
    """A published seed must mean the same next year: these numbers change with the formula only."""
    network = Network(7, Virtual(latency=Exponential(), loss=0.2, duplication=0.2, reordering=0.2), 4)
    assert [network.fate(0, 1, nth, 100) for nth in range(6)] == [
        (2507948, 868331),
        (1352596, 4058562),
        (1711724,),
        (386289,),
        (),
        (),
    ]
