"""Partitions: parameters, receipts (rules alone are none), undo, overlap."""

from __future__ import annotations

import random

import pytest
from fake_machinery import FakeMachinery

from nemesis.faults import shapes
from nemesis.faults.partition import Partition, draw_shape
from nemesis.machinery import Link

CUT = {"shape": "majority", "cut_clients": False, "links": [["r0", "r3"], ["r3", "r0"]]}


@pytest.fixture
def machinery() -> FakeMachinery:
    return FakeMachinery()


@pytest.fixture
def partition() -> Partition:
    return Partition()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": "half"}, "shape = 'half': choose one of majority, split"),
        ({"shape": None}, "shape = None"),
        ({"shape": ["majority"]}, "choose one of"),
        ({"cut_clients": "yes"}, "cut_clients = 'yes': give true or false"),
        ({"links": None}, "links = None"),
        ({"links": []}, "links = []"),
        ({"links": [["r0"]]}, "link ['r0']"),
        ({"links": [["r0", 1]]}, "link ['r0', 1]"),
        ({"links": ["r0"]}, "link 'r0'"),
        ({"links": [["r0", "r4"]]}, "the hosts are r0 … r3 and clients"),
        ({"links": [["r1", "r1"]]}, "the same"),
        ({"shape": "isolate-primary"}, "leave 'links' out"),
        ({"size": 2}, "unknown parameter 'size'"),
    ],
)
def test_wrong_parameters(partition: Partition, changes: dict[str, object], words: str) -> None:
    assert partition.check(CUT, 4) is None
    problem = partition.check({**CUT, **changes}, 4)
    assert problem is not None
    assert words in problem


@pytest.mark.parametrize("shape", shapes.SHAPES)
@pytest.mark.parametrize(("n", "f"), [(4, 1), (5, 1), (7, 2), (31, 10)])
def test_every_shape_can_be_drawn_by_name(partition: Partition, shape: str, n: int, f: int) -> None:
    params = draw_shape(shape, True, random.Random(5), n, f)
    assert partition.check(params, n) is None
    machinery = FakeMachinery(n)
    partition.start(machinery, "p", params)
    assert machinery.blocked()
    assert len(partition.bad_now(machinery, "p", params)) <= max(partition.victims(params, n, f).count, 1)


def test_dropped_packets_are_the_receipt(partition: Partition, machinery: FakeMachinery) -> None:
    partition.start(machinery, "p", CUT)
    assert machinery.packet("r0", "r1")
    assert partition.observe(machinery, "p", CUT) is None
    assert partition.trouble(machinery, "p", CUT) == "2 rules were in place, but no packet met them"
    assert not machinery.packet("r0", "r3")
    receipt = partition.observe(machinery, "p", CUT)
    assert receipt is not None
    assert receipt.evidence == {"links": 2, "dropped": {"r0>r3": 1, "r3>r0": 0}, "bad": [0]}


def test_missing_rules_are_told(partition: Partition, machinery: FakeMachinery) -> None:
    machinery.broken_firewall = True
    partition.start(machinery, "p", CUT)
    machinery.packet("r0", "r3")
    assert partition.observe(machinery, "p", CUT) is None
    assert partition.trouble(machinery, "p", CUT) == "rules are missing for r0>r3, r3>r0"


def test_the_undo_is_proved_by_rules_that_are_gone(partition: Partition, machinery: FakeMachinery) -> None:
    partition.start(machinery, "p", CUT)
    machinery.packet("r3", "r0")
    stuck = dict(machinery.dropped)
    partition.stop(machinery, "p", CUT)
    gone, machinery.dropped = machinery.dropped, stuck
    assert partition.stopped(machinery, "p", CUT) is None
    assert "still blocked after mending: r0>r3, r3>r0" in partition.trouble(machinery, "p", CUT)
    machinery.dropped = gone
    receipt = partition.stopped(machinery, "p", CUT)
    assert receipt is not None
    assert receipt.evidence["dropped"] == {"r0>r3": 0, "r3>r0": 1}
    assert receipt.evidence["rules_left"] == 0
    assert partition.observe(machinery, "p", CUT) is None, "no receipt after the end"


def test_what_another_partition_dropped_is_not_our_receipt(
    partition: Partition, machinery: FakeMachinery
) -> None:
    partition.start(machinery, "a", CUT)
    machinery.packet("r0", "r3")
    partition.start(machinery, "b", CUT)
    assert partition.observe(machinery, "b", CUT) is None
    machinery.packet("r0", "r3")
    receipt = partition.observe(machinery, "b", CUT)
    assert receipt is not None
    assert receipt.evidence["dropped"] == {"r0>r3": 1, "r3>r0": 0}


def test_links_another_partition_holds_do_not_hinder_the_undo(
    partition: Partition, machinery: FakeMachinery
) -> None:
    partition.start(machinery, "a", CUT)
    partition.start(machinery, "b", {**CUT, "links": [["r0", "r3"]]})
    partition.stop(machinery, "a", CUT)
    assert set(machinery.blocked()) == {Link("r0", "r3")}
    receipt = partition.stopped(machinery, "a", CUT)
    assert receipt is not None
    assert receipt.evidence["held_by_another_partition"] == [["r0", "r3"]]
    partition.stop(machinery, "b", CUT)
    assert machinery.blocked() == {}


@pytest.mark.parametrize(
    ("shape", "n", "bad"),
    [("isolate-primary", 4, {2}), ("next-primaries", 4, {3}), ("next-primaries", 7, {3, 4})],
)
def test_the_primary_is_found_when_it_starts(partition: Partition, shape: str, n: int, bad: set[int]) -> None:
    machinery = FakeMachinery(n)
    params = {"shape": shape, "cut_clients": True}
    assert partition.victims(params, n, machinery.f).any_of == len(bad)
    assert partition.victims(params, n, machinery.f).replicas == frozenset()
    machinery.primary = 2
    partition.start(machinery, "p", params)
    machinery.primary = 0
    assert partition.bad_now(machinery, "p", params) == bad
    victim = f"r{min(bad)}"
    assert not machinery.packet("clients", victim)
    assert not machinery.packet(victim, "r0")
    receipt = partition.observe(machinery, "p", params)
    assert receipt is not None
    assert receipt.evidence["bad"] == sorted(bad)


def test_draw_knows_every_shape() -> None:
    seen = set()
    for seed in range(300):
        seen.add(Partition().draw(random.Random(seed), 7, 2, seed % 2 == 0)["shape"])
    assert seen == set(shapes.SHAPES)
