"""Twins: what is no proof that two processes said two things, who is charged, which partitions are none."""

from __future__ import annotations

import random

import pytest
from fake_machinery import FakeMachinery

from nemesis.faults.fault import Params
from nemesis.faults.twins import Twins

ASKED: Params = {"replicas": [0], "peers": [2, 3], "clients": "even", "log": "genesis"}


def test_the_receipt_is_that_both_were_heard_and_said_two_things() -> None:
    world, kind = FakeMachinery(), Twins()
    kind.start(world, "twins-1", ASKED)
    assert world.partitions == {0: (frozenset({2, 3}), "even", "genesis")}
    for first, twin, differs, state in (
        ("r1", "r2", False, "running"),
        ("r1", "r1", True, "running"),
        ("r1", "clients", True, "running"),
        ("r1", "r2", True, "dead"),
    ):
        world.twin_says(0, first, twin, differs, state)
        assert kind.observe(world, "twins-1", ASKED) is None
        assert state in kind.trouble(world, "twins-1", ASKED)
    world.twin_says(0, "r1", "r2", True)
    world.nodes[0].state = "dead"
    assert kind.observe(world, "twins-1", ASKED) is None, "the first one is dead"
    world.nodes[0].state = "running"
    receipt = kind.observe(world, "twins-1", ASKED)
    assert receipt is not None
    assert "'seq': 7" in str(receipt.evidence)


def test_one_that_could_not_fetch_the_state_begins_with_a_log() -> None:
    drawn = [Twins().draw(random.Random(seed), 4, 1, False, (0,)) for seed in range(60)]
    peers = [len(list(params["peers"])) for params in drawn]  # type: ignore[call-overload]
    logs = {(one, params["log"]) for one, params in zip(peers, drawn, strict=True)}
    assert logs == {(1, "copy"), (2, "copy"), (2, "genesis")}


def test_every_twin_has_to_run() -> None:
    world, kind = FakeMachinery(), Twins()
    params = {**ASKED, "replicas": [0, 1]}
    kind.start(world, "twins-1", params)
    world.twin_says(0, "r2", "r3", True)
    assert kind.observe(world, "twins-1", params) is None, "the other one is not up"
    world.twin_says(1, "r2", "r3", False)
    assert kind.observe(world, "twins-1", params) is not None
    assert kind.bad_now(world, "twins-1", params) == {0, 1}


def test_who_has_a_twin_gets_no_second_one_and_keeps_the_one_it_has() -> None:
    world, kind = FakeMachinery(), Twins()
    kind.start(world, "twins-1", ASKED)
    kind.start(world, "twins-2", ASKED)
    world.settle()
    assert kind.observe(world, "twins-2", ASKED) is None
    assert "another fault" in kind.trouble(world, "twins-2", ASKED)
    kind.stop(world, "twins-2", ASKED)
    assert world.twin(0) is not None
    assert kind.stopped(world, "twins-1", ASKED) is None
    kind.stop(world, "twins-1", ASKED)
    assert world.twin(0) is None
    assert kind.stopped(world, "twins-1", ASKED) is not None


def test_an_identity_with_two_processes_is_byzantine() -> None:
    assert Twins().victims(ASKED, 4, 1).byzantine == {0}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"replicas": "primary", "peers": [2]}, "name the replicas"),
        ({"replicas": [4], "peers": [2]}, "does not exist"),
        ({"replicas": [0]}, "peers"),
        ({"replicas": [0], "peers": "primary"}, "peers: give a list"),
        ({"replicas": [0], "peers": [0, 1]}, "has a twin itself"),
        ({"replicas": [0], "peers": [1, 2, 3]}, "at least one"),
        ({"replicas": [0], "peers": [2], "clients": ["odd"]}, "clients = ['odd']"),
        ({"replicas": [0], "peers": [2], "log": "none"}, "log = 'none'"),
        ({"replicas": [0], "peers": [2], "shape": 1}, "unknown parameter 'shape'"),
        ({"replicas": [0], "peers": [2], "views": 1}, "views = 1"),
    ],
)
def test_wrong_parameters_are_refused(params: Params, said: str) -> None:
    problem = Twins().check(params, 4)
    assert problem is not None
    assert said in problem


PUSHED: Params = {**ASKED, "views": True}


def test_who_does_not_lead_is_doubled_when_its_turn_has_come() -> None:
    world, kind = FakeMachinery(), Twins()
    world.primary = 1
    kind.start(world, "twins-1", PUSHED)
    assert kind.observe(world, "twins-1", PUSHED) is None
    assert not world.partitions, "another one leads"
    (rule,) = world.rules["twins-1"]
    assert rule == {"action": "drop", "match": {"types": ["PRE_PREPARE"], "from": ["r1", "r2", "r3"]}}
    assert "1 leads" in kind.trouble(world, "twins-1", PUSHED)
    world.primary = 0
    assert kind.observe(world, "twins-1", PUSHED) is None, "its twin is not up"
    assert list(world.partitions) == [0]
    assert not world.rules["twins-1"], "nothing is lost any more"
    world.settle()
    assert kind.observe(world, "twins-1", PUSHED) is not None
    world.primary = 1
    kind.stop(world, "twins-1", PUSHED)
    assert kind.stopped(world, "twins-1", PUSHED) is not None
    assert world.twin(0) is None


def test_who_leads_is_doubled_at_once_and_nothing_is_lost() -> None:
    world, kind = FakeMachinery(), Twins()
    kind.start(world, "twins-1", PUSHED)
    assert list(world.partitions) == [0]
    assert not world.rules


def test_whose_turn_never_comes_leaves_nothing_behind() -> None:
    world, kind = FakeMachinery(), Twins()
    world.primary, world.held = 1, 1
    kind.start(world, "twins-1", PUSHED)
    kind.stop(world, "twins-1", PUSHED)
    assert not world.rules["twins-1"]
    world.primary = 0
    assert kind.observe(world, "twins-1", PUSHED) is None
    assert not world.partitions, "it is over"
    assert kind.stopped(world, "twins-1", PUSHED) is None, "a packet is held"
    world.held = 0
    assert kind.stopped(world, "twins-1", PUSHED) is not None


def test_nobody_owes_liveness_while_proposals_are_lost() -> None:
    assert Twins().victims(PUSHED, 4, 1).network
    assert not Twins().victims(ASKED, 4, 1).network
