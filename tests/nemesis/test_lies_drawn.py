"""What plans draw for lies has something to do: a lie that meets no packet is a wasted run."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from nemesis.faults import KINDS
from nemesis.faults.lies import LYING
from nemesis.faults.lies.pushed import PushedLying
from nemesis.lies.forged_request import ForgedRequest
from nemesis.lies.lie import BACKUP, PRIMARY
from nemesis.packets.registry import problem_of_rule


def drawn(kind: str, liars: list[int], n: int = 4, seeds: int = 100) -> list[Mapping[str, object]]:
    return [KINDS[kind].draw(random.Random(seed), n, (n - 1) // 3, False, liars) for seed in range(seeds)]


@pytest.mark.parametrize(("liars", "role"), [([0, 1], PRIMARY), ([1, 2], BACKUP)])
def test_relays_are_drawn_where_the_primary_does_not_lie(liars: list[int], role: str) -> None:
    strategies = {str(params["strategy"]) for params in drawn("forged-request", liars, 7)}
    wanted = {name for name, one in ForgedRequest.strategies.items() if one.role == role}
    assert strategies == wanted


def test_of_what_is_said_seldom_every_message_is_a_lie() -> None:
    shares: dict[str, set[object]] = {}
    for params in drawn("equivocate", [2]):
        shares.setdefault(str(params["strategy"]), set()).add(params["p"])
    assert shares["replies"] == shares["checkpoints"] == {1}
    assert len(shares["votes"]) > 1
    told: dict[object, set[object]] = {}
    for params in drawn("lie-to-client", [2]):
        told.setdefault(params["clients"], set()).add(params["p"])
    assert told["one"] == {1}
    assert len(told["all"]) > 1
    assert {params["p"] for params in drawn("unfair-order", [0])} == {0.5, 1}


def test_of_many_replicas_fewer_proposals_are_lost_before_a_lie_about_what_was_prepared() -> None:
    lost = {}
    for n in (4, 7):
        rules = KINDS["new-view-lie"].rules(KINDS["new-view-lie"].example, n, (n - 1) // 3)  # type: ignore[attr-defined]
        (lost[n],) = (one["match"]["p"] for one in rules if one["match"].get("types") == ["PRE_PREPARE"])
    assert lost[7] < lost[4]


def test_no_script_is_drawn_that_would_wait_in_vain_for_other_liars() -> None:
    names: dict[int, set[object]] = {liar: set() for liar in (0, 2)}
    for liar, found in names.items():
        for params in drawn("script", [liar], seeds=25):
            script = params["script"]
            assert isinstance(script, dict)
            found.add(script["name"])
    assert "starvation" in names[0]
    assert "starvation" not in names[2]
    assert {"two-certificates", "kill-next-primaries"} <= names[2]


def test_where_all_lie_every_plan_is_refused_beforehand_or_makes_rules() -> None:
    refused, made = set(), 0
    for kind in LYING:
        pushes = ("none", "views", "restless", "lag", "bodies", "stumble")
        for push in pushes if isinstance(kind, PushedLying) else ("",):
            for strategy in kind.lies.strategies:
                params: dict[str, object] = {"replicas": [0, 1, 2, 3], "strategy": strategy}
                params |= {"push": push} if push else {}
                problem = kind.check(params, 4)
                if problem is not None:
                    refused.add((push, problem.partition(":")[0]))
                    continue
                rules = kind.rules(params, 4, 1)
                assert [problem_of_rule(rule, 4) for rule in rules] == [None] * len(rules), params
                made += 1
    assert refused == {("views", "push = views"), *((push, "behind = 0") for push in pushes[3:])}
    assert made > 60


def test_a_push_that_needs_a_correct_replica_is_refused_where_all_lie() -> None:
    kind = KINDS["collude"]
    params = {"replicas": [0, 1, 2], "strategy": "halves", "push": "views"}
    assert kind.check(params, 4) is None
    problem = kind.check({**params, "replicas": [0, 1, 2, 3]}, 4)
    assert problem is not None
    assert "all lie" in problem
