"""What faults do in detail gets plainer, whatever their kind, and only as far as they still fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from harness.plan import Plan, make_plan
from harness.shrink import moves, simpler
from harness.shrink.parameters import simpler_faults, simpler_params
from harness.shrink.sizes import is_plan
from harness.spec import make_spec
from nemesis.faults import KINDS
from nemesis.faults.fault import Fault, Params
from nemesis.scripts.library import library

SECOND_NS = 1_000_000_000
NAME = "two-certificates"


def plan(kind: str, params: Params, **asked: object) -> Plan:
    """With that one fault."""
    keys: dict[str, object] = {"time": 4, "clients": 1, "rate": 2, "faults": "none"}
    fault = Fault("it", kind, SECOND_NS, 2 * SECOND_NS, params)
    whole = replace(make_plan(make_spec(keys | asked), seed=3), faults=(fault,))
    assert is_plan(whole)
    return whole


def ask(fails: Callable[[Params], bool]) -> moves.FirstPlan:
    """As the real one it passes over what is no plan."""

    def first(plans: Iterable[Plan]) -> int | None:
        return next((i for i, one in enumerate(plans) if is_plan(one) and fails(one.faults[0].params)), None)

    return first


def smallest(kind: str, params: Params, fails: Callable[[Params], bool], **asked: object) -> Params:
    whole = plan(kind, params, **asked)
    first = ask(fails)
    return simpler_faults(simpler.fewer_victims(whole, first), first).faults[0].params


LIE = {"replicas": [1, 3], "strategy": "votes", "split": "half", "coherent": True, "to": ["r0", "r2"], "p": 1}


def test_a_lie_has_fewer_liars_no_options_and_the_first_strategy() -> None:
    left = smallest("equivocate", LIE, lambda params: 3 in params["replicas"], budget="break")  # type: ignore[operator]
    assert left == {"replicas": [3], "strategy": "proposals", "to": ["r0"]}


def test_what_a_failure_needs_stays() -> None:
    left = smallest("equivocate", LIE, lambda params: params == LIE, budget="break")
    assert left == LIE


def test_a_match_gets_narrower_but_for_chance_and_numbers() -> None:
    match = {"from": ["r1", "r2"], "types": ["PREPARE", "COMMIT"], "seq": [3, 90], "p": 0.5, "copy": [0, 4]}
    left = smallest("drop", {"match": match}, lambda params: "PREPARE" in params["match"]["types"])  # type: ignore[index]
    assert left == {"match": {"from": ["r1"], "types": ["PREPARE"]}}


def test_numbers_come_nearer_to_the_example() -> None:
    params = {"match": {}, "copies": 9, "apart_ns": 40_000_000}
    left = smallest("duplicate", params, lambda left: left.get("apart_ns", 0) >= 9_000_000)  # type: ignore[operator]
    assert left.get("copies", 2) == 2
    assert 9_000_000 <= left["apart_ns"] < 16_000_000  # type: ignore[operator]


def test_of_lies_and_cuts_all_of_one_sort_may_go_with_who_lies() -> None:
    example = KINDS["byzzfuzz"].example
    left = smallest("byzzfuzz", example, lambda params: "cuts" in params)
    assert left == {"rounds": 8, "cuts": [{"types": ["PREPARE"], "apart": ["r2"]}]}
    left = smallest("byzzfuzz", example, lambda params: "lies" in params)
    assert "cuts" not in left
    assert left["replicas"] == [1]


def test_a_script_loses_stages_and_what_is_said_about_it() -> None:
    script = library()[NAME]

    def fails(params: Params) -> bool:
        stages = params["script"]["stages"]  # type: ignore[index]
        return any(stage.get("name") == "prepared at one replica" for stage in stages)

    left = smallest("script", {"script": script, "liars": []}, fails, budget="break")["script"]
    assert "about" not in left  # type: ignore[operator]
    assert len(left["stages"]) < len(script["stages"])  # type: ignore[index, arg-type]
    assert "else" not in str(left)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_where_anything_fails_it_ends_and_where_nothing_does_nothing_changes(name: str) -> None:
    """And no candidate of any kind makes ``check`` raise."""
    example = KINDS[name].example
    for candidate in simpler_params(example, example):
        assert candidate != example
        KINDS[name].check(candidate, 4)
    whole = plan(name, example, budget="break")
    assert simpler_faults(whole, ask(lambda _: False)) is whole
    least = simpler_faults(whole, ask(lambda _: True))
    assert is_plan(least)
    assert simpler_faults(least, ask(lambda _: True)) is least


def test_liars_and_who_lags_are_numbered_anew() -> None:
    here = {5: 1, 2: 0}.get
    assert simpler.renumbered({"script": NAME, "liars": [5, 6]}, here) == {"script": NAME, "liars": [1]}
    assert simpler.renumbered({"replicas": [2], "peers": [5, 6]}, here) == {"replicas": [0], "peers": [1]}
    assert simpler.renumbered({"push": "lag", "behind": 2}, here) == {"push": "lag", "behind": 0}
    assert simpler.renumbered({"match": {}, "behind": 3}, here) == {"match": {}, "behind": 3}


def test_no_more_than_f_liars_are_said_to_be_so() -> None:
    """More may be down than liveness survives: that is the budget of safety."""
    whole = plan("equivocate", {"replicas": [0], "strategy": "proposals"}, budget="break")
    kill = Fault("k", "kill", SECOND_NS, 2 * SECOND_NS, {"replicas": [1, 2]})
    both = replace(whole, faults=(*whole.faults, kill))
    assert simpler.within_budget(both, ask(lambda _: True)).budget == "safety"
    assert simpler.within_budget(whole, ask(lambda _: True)).budget == "within"
