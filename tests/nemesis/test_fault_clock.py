"""Moved clocks: what is asked of the world, which word of a replica is a receipt, and when it is undone."""

from __future__ import annotations

import pytest
from fake_machinery import FakeMachinery

from nemesis.faults.clock import RIGHT_RATE, Clock
from nemesis.faults.fault import Params

FREEZE: Params = {"replicas": [1, 2], "mode": "freeze"}


@pytest.mark.parametrize(
    ("params", "asked"),
    [
        ({"mode": "offset", "by_ns": -5}, (-5, 0, RIGHT_RATE)),
        ({"mode": "jump", "by_ns": 7}, (7, 7, RIGHT_RATE)),
        ({"mode": "drift", "rate": 0.5}, (0, 0, RIGHT_RATE // 2)),
        ({"mode": "freeze"}, (0, 0, 0)),
    ],
)
def test_what_each_mode_asks_for(params: Params, asked: tuple[int, int, int]) -> None:
    world, kind = FakeMachinery(), Clock()
    kind.start(world, "clock-1", {"replicas": [3], **params})
    assert world.clocks == {3: asked}


def test_the_receipt_is_the_word_of_every_replica() -> None:
    world, kind = FakeMachinery(), Clock()
    kind.start(world, "clock-1", FREEZE)
    assert kind.observe(world, "clock-1", FREEZE) is None
    world.clocks_told.add(1)
    assert kind.observe(world, "clock-1", FREEZE) is None, "one of two is silent"
    assert "[2]" in kind.trouble(world, "clock-1", FREEZE)
    world.clocks_told.add(2)
    receipt = kind.observe(world, "clock-1", FREEZE)
    assert receipt is not None
    assert sorted(receipt.evidence) == ["asked", "own_clock"]


def test_it_is_undone_when_each_says_its_clock_is_right_and_bad_until_then() -> None:
    world, kind = FakeMachinery(), Clock()
    kind.start(world, "clock-1", FREEZE)
    world.settle()
    assert kind.stopped(world, "clock-1", FREEZE) is None, "nobody asked for that"
    kind.stop(world, "clock-1", FREEZE)
    kind.stop(world, "clock-1", FREEZE)
    assert kind.stopped(world, "clock-1", FREEZE) is None
    assert kind.bad_now(world, "clock-1", FREEZE) == {1, 2}
    world.nodes[2].state = "dead"
    world.clocks_told.add(1)
    receipt = kind.stopped(world, "clock-1", FREEZE)
    assert receipt is not None
    assert receipt.evidence["dead_or_held"] == [2]
    assert kind.bad_now(world, "clock-1", FREEZE) == frozenset()


def test_a_clock_that_another_fault_moved_meanwhile_stays_that_ones() -> None:
    world, kind = FakeMachinery(), Clock()
    kind.start(world, "clock-1", FREEZE)
    kind.start(world, "clock-2", {"replicas": [2], "mode": "offset", "by_ns": 9})
    kind.stop(world, "clock-1", FREEZE)
    assert world.clocks[1] == (0, 0, RIGHT_RATE)
    assert world.clocks[2] == (9, 0, RIGHT_RATE)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"mode": "slow"}, "choose one of"),
        ({"mode": ["offset"]}, "choose one of"),
        ({"mode": "offset", "by_ns": 0}, "by_ns = 0"),
        ({"mode": "jump", "by_ns": True}, "by_ns = True"),
        ({"mode": "drift", "rate": 1}, "rate = 1"),
        ({"mode": "drift", "rate": 1e9}, "rate = 1000000000.0"),
        ({"mode": "drift", "rate": float("nan")}, "rate = nan"),
        ({"mode": "freeze", "rate": 2}, "unknown parameter 'rate'"),
        ({"mode": "freeze", "replicas": [9]}, "replica 9 does not exist"),
    ],
)
def test_wrong_parameters_are_refused(params: Params, said: str) -> None:
    problem = Clock().check({"replicas": [1], **params}, 4)
    assert problem is not None
    assert said in problem
