"""kill -9 and restart: what counts as a receipt and what does not."""

from __future__ import annotations

import pytest
from fake_machinery import FakeMachinery

from nemesis.faults.kill import Kill

P = {"replicas": [1, 2]}


@pytest.fixture
def machinery() -> FakeMachinery:
    return FakeMachinery()


@pytest.fixture
def kill() -> Kill:
    return Kill()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "replicas = None"),
        ({"replicas": []}, "give a list"),
        ({"replicas": 2}, "give a list"),
        ({"replicas": "backup"}, "give a list"),
        ({"replicas": [4]}, "replica 4 does not exist: the replicas are 0 … 3"),
        ({"replicas": [-1]}, "does not exist"),
        ({"replicas": [True]}, "replica True does not exist"),
        ({"replicas": [1.0]}, "does not exist"),
        ({"replicas": [1, 1]}, "named twice"),
        ({"replicas": [1], "replica": 1}, "unknown parameter 'replica'"),
    ],
)
def test_wrong_parameters(kill: Kill, params: dict[str, object], words: str) -> None:
    problem = kill.check(params, 4)
    assert problem is not None
    assert words in problem


def test_all_victims_must_have_died_by_signal_9(kill: Kill, machinery: FakeMachinery) -> None:
    kill.start(machinery, "k", P)
    machinery.settle()
    machinery.nodes[2].detail = {"exit_signal": None, "exit_code": 1}
    assert kill.observe(machinery, "k", P) is None
    assert "ended otherwise" in kill.trouble(machinery, "k", P)
    machinery.nodes[2].detail = {"exit_signal": 9}
    receipt = kill.observe(machinery, "k", P)
    assert receipt is not None
    assert receipt.evidence == {
        "killed": {
            "1": {"pid": 1001, "incarnation": 1, "exit_signal": 9},
            "2": {"pid": 1002, "incarnation": 1, "exit_signal": 9},
        }
    }


def test_who_was_dead_already_was_not_killed(kill: Kill, machinery: FakeMachinery) -> None:
    machinery.crash(1)
    kill.start(machinery, "k", P)
    machinery.settle()
    assert kill.observe(machinery, "k", P) is None
    assert "dead already" in kill.trouble(machinery, "k", P)


def test_another_process_of_the_same_replica_is_no_receipt(kill: Kill, machinery: FakeMachinery) -> None:
    kill.start(machinery, "k", P)
    machinery.settle()
    machinery.nodes[1].incarnation = 2
    assert kill.observe(machinery, "k", P) is None


def test_it_is_undone_when_a_later_incarnation_runs(kill: Kill, machinery: FakeMachinery) -> None:
    kill.start(machinery, "k", P)
    machinery.settle()
    kill.stop(machinery, "k", P)
    assert kill.stopped(machinery, "k", P) is None
    assert "dead in incarnation 1" in kill.trouble(machinery, "k", P)
    assert kill.bad_now(machinery, "k", P) == {1, 2}
    machinery.settle()
    receipt = kill.stopped(machinery, "k", P)
    assert receipt is not None
    assert receipt.evidence == {
        "running": {"1": {"pid": 2001, "incarnation": 2}, "2": {"pid": 2002, "incarnation": 2}}
    }


def test_it_is_not_undone_before_the_new_life_works(kill: Kill, machinery: FakeMachinery) -> None:
    kill.start(machinery, "k", P)
    machinery.settle()
    kill.stop(machinery, "k", P)
    machinery.settle()
    machinery.nodes[1].up, machinery.nodes[2].up = True, False
    assert kill.stopped(machinery, "k", P) is None
    assert kill.bad_now(machinery, "k", P) == {1, 2}
    assert "replica 2 is running in incarnation 2, and did not come up" in kill.trouble(machinery, "k", P)
    machinery.nodes[2].up = True
    receipt = kill.stopped(machinery, "k", P)
    assert receipt is not None
    assert receipt.evidence["running"] == {
        "1": {"pid": 2001, "incarnation": 2, "up": True},
        "2": {"pid": 2002, "incarnation": 2, "up": True},
    }


def test_who_dies_again_after_the_restart_is_left_dead_to_be_seen(
    kill: Kill, machinery: FakeMachinery
) -> None:
    kill.start(machinery, "k", P)
    machinery.settle()
    kill.stop(machinery, "k", P)
    machinery.settle()
    machinery.crash(1)
    kill.stop(machinery, "k", P)
    machinery.settle()
    assert kill.stopped(machinery, "k", P) is None
    assert machinery.process(1).state == "dead"


def test_a_replica_two_faults_killed_comes_back_with_the_last(kill: Kill, machinery: FakeMachinery) -> None:
    one, other = {"replicas": [1]}, {"replicas": [1, 3]}
    kill.start(machinery, "a", one)
    machinery.settle()
    kill.start(machinery, "b", other)
    machinery.settle()
    kill.stop(machinery, "a", one)
    machinery.settle()
    assert machinery.process(1).state == "dead"
    held = kill.stopped(machinery, "a", one)
    assert held is not None
    assert held.evidence == {"running": {"1": {"held_by_another_kill": True}}}
    kill.stop(machinery, "b", other)
    machinery.settle()
    assert kill.stopped(machinery, "b", other) is not None
    assert [machinery.process(i).state for i in (1, 3)] == ["running", "running"]


def test_the_primary_is_found_when_it_starts(kill: Kill, machinery: FakeMachinery) -> None:
    params = {"replicas": "primary"}
    assert (kill.victims(params, 4, 1).replicas, kill.victims(params, 4, 1).any_of) == (frozenset(), 1)
    machinery.primary = 2
    kill.start(machinery, "k", params)
    machinery.primary = 3
    machinery.settle()
    assert kill.bad_now(machinery, "k", params) == {2}
    assert kill.observe(machinery, "k", params) is not None
