"""Broken disks: when a log is harmed, which end of a replica is the receipt, who is charged with what."""

from __future__ import annotations

import pytest
from fake_machinery import FakeMachinery

from nemesis.faults.disk import Disk
from nemesis.faults.fault import Params


def asked(mode: str) -> Params:
    return {"replicas": [1], "mode": mode}


def ended(world: FakeMachinery, code: int) -> None:
    world.nodes[1].state = "dead"
    world.nodes[1].detail = {"exit_signal": None, "exit_code": code}


@pytest.mark.parametrize("mode", ["torn", "rollback"])
def test_a_log_is_harmed_when_its_owner_is_dead_and_the_receipt_is_that_it_came_back(mode: str) -> None:
    world, kind, params = FakeMachinery(), Disk(), asked(mode)
    kind.start(world, "disk-1", params)
    assert kind.observe(world, "disk-1", params) is None
    assert world.harmed == [], "it still runs"
    world.settle()
    assert kind.observe(world, "disk-1", params) is None
    assert world.harmed == [(1, mode, 0.5)]
    world.settle()
    receipt = kind.observe(world, "disk-1", params)
    assert receipt is not None
    assert len(world.harmed) == 1
    kind.stop(world, "disk-1", params)
    assert kind.bad_now(world, "disk-1", params) == {1}
    assert kind.stopped(world, "disk-1", params) is not None
    assert kind.bad_now(world, "disk-1", params) == frozenset()
    assert world.expected[1] == frozenset()


def test_bit_rot_must_keep_it_down_and_it_is_brought_back_silent() -> None:
    world, kind, params = FakeMachinery(), Disk(), asked("bit-rot")
    kind.start(world, "disk-1", params)
    world.settle()
    kind.observe(world, "disk-1", params)
    world.settle()
    assert kind.observe(world, "disk-1", params) is None, "it runs on a rotten log"
    assert "replica 1 is running" in kind.trouble(world, "disk-1", params)
    assert world.expected[1] == {3, 4}
    ended(world, 4)
    assert kind.observe(world, "disk-1", params) is None, "it ended for another reason"
    ended(world, 3)
    assert kind.observe(world, "disk-1", params) is not None
    assert world.silent == {1: False}
    kind.stop(world, "disk-1", params)
    assert world.silent == {1: True}
    assert kind.stopped(world, "disk-1", params) is None
    world.settle()
    world.nodes[1].up = False
    assert kind.stopped(world, "disk-1", params) is None, "it has not recovered"
    world.nodes[1].up = True
    assert kind.stopped(world, "disk-1", params) is not None


@pytest.mark.parametrize("mode", ["full", "read-only"])
def test_a_disk_that_takes_nothing_must_stop_it_until_it_is_mended(mode: str) -> None:
    world, kind, params = FakeMachinery(), Disk(), asked(mode)
    kind.start(world, "disk-1", params)
    assert world.broken == {1: mode}
    assert kind.observe(world, "disk-1", params) is None
    world.settle()
    assert kind.observe(world, "disk-1", params) is not None
    kind.stop(world, "disk-1", params)
    kind.stop(world, "disk-1", params)
    assert world.broken == {}
    world.settle()
    assert kind.stopped(world, "disk-1", params) is not None


def test_only_who_forgets_is_byzantine() -> None:
    kind = Disk()
    for mode in ("torn", "bit-rot", "full", "read-only"):
        assert kind.victims(asked(mode), 4, 1).byzantine == frozenset()
    assert kind.victims(asked("rollback"), 4, 1).byzantine == {1}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"replicas": [1], "mode": "slow"}, "choose one of"),
        ({"replicas": [1], "mode": ["torn"]}, "choose one of"),
        ({"replicas": "primary", "mode": "rollback"}, "name the replicas"),
        ({"replicas": [1], "mode": "rollback", "keep": 1}, "keep = 1"),
        ({"replicas": [1], "mode": "rollback", "keep": float("nan")}, "keep = nan"),
        ({"replicas": [1], "mode": "torn", "keep": 0.5}, "unknown parameter 'keep'"),
        ({"replicas": [], "mode": "full"}, "replicas = []"),
    ],
)
def test_wrong_parameters_are_refused(params: Params, said: str) -> None:
    problem = Disk().check(params, 4)
    assert problem is not None
    assert said in problem
