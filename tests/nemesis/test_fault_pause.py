"""SIGSTOP: state T of the same process, nothing less."""

from __future__ import annotations

import pytest
from fake_machinery import FakeMachinery

from nemesis.faults.pause import Pause

P = {"replicas": [1]}


@pytest.fixture
def machinery() -> FakeMachinery:
    return FakeMachinery()


@pytest.fixture
def pause() -> Pause:
    return Pause()


def test_wrong_parameters(pause: Pause) -> None:
    assert pause.check({"replicas": [9]}, 4) == "replica 9 does not exist: the replicas are 0 … 3"


def test_state_t_is_the_receipt(pause: Pause, machinery: FakeMachinery) -> None:
    pause.start(machinery, "p", P)
    assert pause.observe(machinery, "p", P) is None
    assert pause.trouble(machinery, "p", P) == "asked to stop, but replica 1 is running"
    machinery.settle()
    receipt = pause.observe(machinery, "p", P)
    assert receipt is not None
    assert receipt.evidence == {"stopped": {"1": {"pid": 1001, "state_letter": "T"}}}


def test_a_new_process_that_is_stopped_is_not_the_one_we_paused(
    pause: Pause, machinery: FakeMachinery
) -> None:
    pause.start(machinery, "p", P)
    machinery.settle()
    machinery.nodes[1].incarnation = 2
    assert pause.observe(machinery, "p", P) is None


def test_a_replica_that_stays_stopped_is_not_undone(pause: Pause, machinery: FakeMachinery) -> None:
    pause.start(machinery, "p", P)
    machinery.settle()
    pause.stop(machinery, "p", P)
    assert pause.stopped(machinery, "p", P) is None
    assert pause.trouble(machinery, "p", P) == "resumed, but replica 1 is stopped"
    assert pause.bad_now(machinery, "p", P) == {1}
    machinery.settle()
    receipt = pause.stopped(machinery, "p", P)
    assert receipt is not None
    assert receipt.evidence == {"resumed": {"1": {"pid": 1001, "process": "running", "state_letter": "S"}}}


def test_one_killed_meanwhile_is_nobodys_to_resume(pause: Pause, machinery: FakeMachinery) -> None:
    pause.start(machinery, "p", P)
    machinery.settle()
    machinery.kill(1)
    machinery.settle()
    assert pause.observe(machinery, "p", P) is None
    pause.stop(machinery, "p", P)
    machinery.settle()
    receipt = pause.stopped(machinery, "p", P)
    assert receipt is not None
    assert "'process': 'dead'" in str(receipt.evidence)


def test_a_replica_two_faults_paused_runs_again_after_the_last(
    pause: Pause, machinery: FakeMachinery
) -> None:
    pause.start(machinery, "a", P)
    pause.start(machinery, "b", P)
    machinery.settle()
    pause.stop(machinery, "a", P)
    machinery.settle()
    assert machinery.process(1).state == "stopped"
    held = pause.stopped(machinery, "a", P)
    assert held is not None
    assert "held_by_another_pause" in str(held.evidence)
    pause.stop(machinery, "a", P)
    pause.stop(machinery, "b", P)
    machinery.settle()
    assert machinery.process(1).state == "running"
    assert pause.stopped(machinery, "b", P) is not None
    pause.stop(machinery, "b", P)
    assert not machinery.nodes[1].asked, "what is undone is left alone"
