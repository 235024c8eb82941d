"""Moves over a plan, each by itself: what it hands back is a plan, fails, and is small."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cluster_settings import cluster_defaults
from harness.plan import Plan, make_plan
from harness.plan_file import plan_text
from harness.shrink import moves, simpler, timing
from harness.shrink.moves import Move
from harness.shrink.search import MOVES
from harness.shrink.sizes import is_plan, size_of
from harness.spec import make_spec
from nemesis.faults.fault import Fault

SECOND_NS = 1_000_000_000
Fails = Callable[[Plan], bool]


def plan(**asked: object) -> Plan:
    """Ten seconds of two clients and some faults."""
    keys = {"time": 10, "clients": 3, "rate": 6, "workload": {"name": "kv", "keys": 5}}
    return make_plan(make_spec(keys | asked), seed=3)


def ask(fails: Fails) -> moves.FirstPlan:
    """A ``FirstPlan`` over a predicate. As the real one it passes over what is no plan."""

    def first(plans: Iterable[Plan]) -> int | None:
        return next((i for i, one in enumerate(plans) if is_plan(one) and fails(one)), None)

    return first


def kill(start: float, stop: float, replicas: object, name: str = "k") -> Fault:
    return Fault(name, "kill", round(start * SECOND_NS), round(stop * SECOND_NS), {"replicas": replicas})


def cut(start: float, stop: float, links: list[list[str]]) -> Fault:
    params = {"shape": "one-way", "cut_clients": False, "links": links}
    return Fault("p", "partition", round(start * SECOND_NS), round(stop * SECOND_NS), params)


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.name)
def test_where_anything_fails_the_result_is_a_plan_and_not_larger(move: Move) -> None:
    virtual = {
        "loss": 0.1,
        "latency": {"model": "wan"},
        "turn": "1ms",
        "reordering": 0.2,
        "reorder_by": "3ms",
    }
    whole = plan(nodes=7, cluster={"K": 8, "request_timeout": "200ms"}, world="sim", virtual=virtual)
    whole = replace(whole, budget="break")
    if move is MOVES[0]:
        assert whole.virtual is not None
        whole = replace(whole, virtual=replace(whole.virtual, schedule=Path("schedule.jsonl")))
    smaller = move.smaller(whole, ask(lambda _: True))
    assert is_plan(smaller)
    assert plan_text(smaller) != plan_text(whole)
    sizes = zip(size_of(smaller).data().values(), size_of(whole).data().values(), strict=True)
    assert all(new <= old for new, old in sizes)
    assert move.smaller(smaller, ask(lambda _: True)) == smaller


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.name)
def test_where_nothing_fails_the_plan_stays_as_it_is(move: Move) -> None:
    whole = plan(nodes=7, budget="break", cluster={"K": 8})
    assert move.smaller(whole, ask(lambda _: False)) is whole


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.name)
def test_only_what_fails_is_handed_back(move: Move) -> None:
    """Of a plan where a bit of everything is needed."""
    whole = plan(nodes=7)
    fault, operation = whole.faults[2], whole.clients[1].operations[5]

    def fails(one: Plan) -> bool:
        ids = [fault.id for fault in one.faults]
        return fault.id in ids and any(operation in client.operations for client in one.clients)

    assert fails(move.smaller(whole, ask(fails)))


def test_faults_operations_clients_and_keys_that_are_not_needed_go() -> None:
    whole = plan()
    needed = [whole.clients[client].operations[index].operation for client, index in ((0, 3), (2, 7))]
    wanted_faults = {whole.faults[0].id, whole.faults[-1].id}

    def fails(one: Plan) -> bool:
        left = [
            (planned.operation.f, planned.operation.input) for c in one.clients for planned in c.operations
        ]
        there = all((operation.f, operation.input) in left for operation in needed)
        return there and wanted_faults <= {fault.id for fault in one.faults}

    first = ask(fails)
    assert {f.id for f in moves.fewer_faults(whole, first).faults} == wanted_faults
    assert size_of(moves.fewer_operations(whole, first)).operations == len(needed)
    assert size_of(moves.fewer_clients(whole, first)).clients == 1
    assert size_of(moves.fewer_keys(whole, first)).keys == 1


def test_final_reads_of_keys_never_touched_go_with_their_operations() -> None:
    whole = plan()
    kept = moves.keep_operations(whole, lambda client, index, _: (client, index) == (0, 0))
    assert [read.key for read in kept.final_reads] == [whole.clients[0].operations[0].operation.key]


def test_a_client_that_does_not_retransmit_is_joined_with_none_that_does() -> None:
    whole = plan(workload={"name": "kv", "retry": 0.5}, clients=4)
    smaller = moves.fewer_clients(
        whole, ask(lambda one: size_of(one).operations == size_of(whole).operations)
    )
    assert [client.retry for client in smaller.clients] == [True, False]
    assert sum(len(client.operations) for client in smaller.clients) == size_of(whole).operations


def test_the_load_is_cut_off_where_that_still_fails() -> None:
    whole = plan()
    end_ns = whole.faults[1].start_ns
    smaller = timing.cut_short(whole, ask(lambda one: len(one.faults) > 1))
    assert end_ns < smaller.duration_ns <= end_ns * 8 / 7 + 1
    assert all(p.at_ns < smaller.duration_ns for c in smaller.clients for p in c.operations)
    assert all(f.stop_ns <= smaller.duration_ns for f in smaller.faults)


def test_faults_are_undone_sooner_or_begun_later() -> None:
    whole = replace(plan(faults="none"), faults=(kill(2, 6, [1]),))

    def fails(one: Plan) -> bool:
        return one.faults[0].start_ns <= 5 * SECOND_NS <= one.faults[0].stop_ns

    (fault,) = timing.shorter_faults(whole, ask(fails)).faults
    assert fault.start_ns <= 5 * SECOND_NS <= fault.stop_ns
    assert fault.stop_ns - fault.start_ns <= SECOND_NS


def test_everything_comes_earlier_in_the_same_order() -> None:
    whole = moves.keep_operations(plan(faults="none"), lambda client, index, _: index in (2, 9))
    smaller = timing.earlier(whole, ask(lambda one: size_of(one).operations == size_of(whole).operations))
    assert smaller.duration_ns < SECOND_NS

    def order(one: Plan) -> list[tuple[int, int]]:
        return [(c, i) for c, client in enumerate(one.clients) for i, _ in enumerate(client.operations)]

    assert order(smaller) == order(whole)
    for client in smaller.clients:
        times = [planned.at_ns for planned in client.operations]
        assert times == sorted(times)


def test_times_become_round() -> None:
    whole = replace(plan(faults="none"), faults=(kill(1.234567, 3.999, [1]),))
    smaller = timing.rounder(whole, ask(lambda one: one.faults[0].start_ns >= 1.2 * SECOND_NS))
    assert smaller.faults == (kill(1.2, 3.9, [1]),)
    assert all(planned.at_ns % 100_000_000 == 0 for c in smaller.clients for planned in c.operations)


def test_a_smaller_cluster_numbers_its_victims_anew() -> None:
    whole = replace(
        plan(nodes=10, faults="none"),
        faults=(kill(1, 2, [8]), cut(3, 4, [["r8", "r2"], ["clients", "r8"], ["r2", "r8"]])),
    )

    def both_are_hit(one: Plan) -> bool:
        return len(one.faults) == 2 and len(one.faults[-1].params["links"]) == 3  # type: ignore[arg-type]

    smaller = simpler.fewer_replicas(whole, ask(both_are_hit))
    assert smaller.nodes == 4
    assert smaller.faults[0].params == {"replicas": [1]}
    assert smaller.faults[1].params["links"] == [["r1", "r0"], ["clients", "r1"], ["r0", "r1"]]


def test_what_is_done_to_replicas_that_are_gone_is_left_out() -> None:
    params = {
        "shape": "mute",
        "cut_clients": True,
        "links": [["r1", "r9"], ["r1", "clients"]],
        "nested": {"replica": 2},
    }
    here = {0: 0, 1: 1, 2: 2, 3: 3}.get
    assert simpler.renumbered(params, here) == params | {"links": [["r1", "clients"]]}
    assert simpler.renumbered({"replicas": [7, 9]}, here) is None
    assert simpler.renumbered({"replicas": [1, 9]}, here) == {"replicas": [1]}
    assert simpler.renumbered({"replicas": "primary", "share": 7, "what": "r2d2"}, here) == {
        "replicas": "primary",
        "share": 7,
        "what": "r2d2",
    }


def test_a_cluster_that_its_faults_would_break_is_no_candidate() -> None:
    """Two at once is within f = 2 at n = 7, and beyond f = 1 at n = 4."""
    whole = replace(plan(nodes=7, faults="none"), faults=(kill(1, 2, [0, 1]),))
    assert simpler.fewer_replicas(whole, ask(lambda one: one.faults == whole.faults)) is whole


def test_of_several_victims_only_those_needed_stay() -> None:
    links = [["r0", "r1"], ["r1", "r0"], ["r0", "r2"], ["r2", "r0"]]
    whole = replace(plan(nodes=7, faults="none"), faults=(kill(1, 2, [3, 5], "a"), cut(4, 5, links)))

    def fails(one: Plan) -> bool:
        replicas, left = (one.faults[0].params["replicas"], one.faults[1].params["links"])
        return 5 in replicas and ["r2", "r0"] in left  # type: ignore[operator]

    smaller = simpler.fewer_victims(whole, ask(fails))
    assert smaller.faults[0].params["replicas"] == [5]
    assert smaller.faults[1].params["links"] == [["r2", "r0"]]


def test_of_several_lies_only_those_needed_stay() -> None:
    lies = [{"round": one, "types": ["COMMIT"], "set": {"seq": "+1"}} for one in range(5)]
    cuts = [{"types": ["NEW_VIEW"], "apart": [f"r{one}"]} for one in range(3)]
    params = {"replicas": [1], "rounds": 8, "lies": lies, "cuts": cuts}
    whole = replace(plan(faults="none"), faults=(Fault("b", "byzzfuzz", SECOND_NS, 2 * SECOND_NS, params),))

    def fails(one: Plan) -> bool:
        left = one.faults[0].params
        return lies[3] in left["lies"] and cuts[0] in left["cuts"]  # type: ignore[operator]

    smaller = simpler.fewer_victims(whole, ask(fails))
    assert smaller.faults[0].params == {**params, "lies": [lies[3]], "cuts": [cuts[0]]}


def test_parameters_become_usual_but_for_those_needed() -> None:
    whole = plan(cluster={"K": 4, "L": 8, "request_timeout": "200ms", "pipeline": 5})
    smaller = simpler.usual_cluster(whole, ask(lambda one: one.cluster["pipeline"] == 5))
    usual = {name: value for name, value in cluster_defaults().items() if name != "service"}
    assert dict(smaller.cluster) == usual | {"pipeline": 5}


def test_a_budget_that_is_not_broken_is_said_to_be_kept() -> None:
    whole = plan(nodes=4, budget="break", faults="none")
    assert simpler.within_budget(whole, ask(lambda _: True)).budget == "within"
    lie = Fault("l", "equivocate", SECOND_NS, 2 * SECOND_NS, {"replicas": [0, 1], "strategy": "votes"})
    broken = replace(whole, faults=(lie,))
    assert simpler.within_budget(broken, ask(lambda _: True)) is broken
