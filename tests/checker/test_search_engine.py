"""The search engine: each order against brute force and against the other, hard histories, limits, and models
that fail. Its rules one by one: `test_search_rules`."""

from __future__ import annotations

import random
import time

import pytest
import search_rows
from fuzz import ENGINES, disagreement
from hard_histories import appends, few_values, op, pending_writes, queue, short_logs, with_stale_read

from checker.audit import audit_order
from checker.engines import breadth, depth, problem
from checker.engines.answers import Budget, Explained, Refuted
from checker.engines.contest import decide, decide_key
from checker.engines.frontier import from_json, frontier
from checker.engines.problem import Problem
from checker.models import model_named
from checker.models.base import Model

ROWS = [f"search {part}" for part in ("breadth", "cuts", "depth", "frontiers", "only steps")]


@pytest.mark.parametrize("name", ROWS)
def test_agrees_with_brute_force(name):
    rng = random.Random(f"test {name}")
    for _ in range(500):
        case = ENGINES[name].case(rng)
        assert disagreement(ENGINES[name], case) is None, case


def test_both_orders_agree_where_brute_force_cannot_follow():
    rng = random.Random(5)
    refuted = 0
    for number in range(40):
        size = rng.randrange(30, 200)
        if number % 3:
            history = few_values(number, operations=size, concurrency=rng.randrange(2, 7), pending=0.05)
            model = model_named("register")
        else:
            history = appends(
                number, operations=size, concurrency=5, doubles=size // 8, spoilt=number % 2 == 1
            )
            model = model_named("append")
        if number % 3 == 1:
            history = with_stale_read(history, rng.random())
        answers = [search_rows.depth(model, history), search_rows.breadth(model, history)]
        assert type(answers[0]) is type(answers[1])
        refuted += answers[0] == Refuted("no order", ())
        for answer in answers:
            if isinstance(answer, Explained):
                assert audit_order(model, history, answer.order, answer.dropped) is None
    assert 10 < refuted < 35


# Hard histories: by nodes, which are the same on every machine.


@pytest.mark.parametrize(("operations", "concurrency", "values"), [(6_000, 10, 5), (600, 12, 5)])
def test_few_values_take_few_nodes_for_each_operation(operations, concurrency, values):
    history = few_values(1, operations=operations, concurrency=concurrency, values=values)
    model = model_named("register")
    result = decide_key(model, history, Budget())
    assert result.status == "explained"
    assert audit_order(model, history, result.order, result.dropped) is None
    assert result.nodes < 3 * concurrency * operations
    stale = decide_key(model, with_stale_read(history, 0.8), Budget())
    assert stale.status == "refuted"
    assert stale.nodes < 3 * concurrency * operations
    assert stale.prefix_end is not None


@pytest.mark.parametrize("number", [20, 80])
@pytest.mark.parametrize(("values", "f"), [(None, "write"), (5, "write"), (5, "cas")])
def test_pending_operations_do_not_explode(number, values, f):
    result = decide_key(model_named("register"), pending_writes(number, values=values, f=f), Budget())
    assert result.status == "refuted"
    assert result.nodes < 5_000


def test_short_logs_need_few_nodes():
    model = model_named("register")
    results = [decide_key(model, history, Budget()) for history in short_logs(60)]
    assert {result.status for result in results} == {"explained", "refuted"}
    nodes = sorted(result.nodes for result in results)
    assert nodes[30] < 100
    assert nodes[-1] < 2_000


@pytest.mark.parametrize(
    ("model", "history"),
    [
        ("queue", queue(1, operations=300, concurrency=10)),
        ("append", appends(2, operations=230, concurrency=20, doubles=10, spoilt=True)),
        ("register", few_values(7, operations=300, concurrency=40, values=20)),
        ("register", with_stale_read(few_values(7, operations=300, concurrency=40, values=20), 0.9)),
    ],
)
def test_what_is_hard_ends_at_its_limit(model, history):
    began = time.process_time()  # at most as long as it takes; a busy machine adds nothing to it
    result = decide_key(model_named(model), history, Budget(seconds=1.0))
    assert time.process_time() - began < 3.0
    if result.status == "undecided":
        assert "time limit of 1 s" in result.why
        assert result.placed > 0
        assert result.frontier > 0


# Limits and models.


def _endless():
    """Overlapping writes that are all read, two of which would have to be the last."""
    writes = [op(i, "write", f"v{i}", None, 0, 1_000) for i in range(26)]
    reads = [op(100 + i, "read", None, f"v{i}", 0, 1_000) for i in range(26)]
    last = [op(300 + i, "read", None, f"v{i}", 1_001, 1_002) for i in (1, 2)]
    return [*writes, *reads, *last]


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (Budget(seconds=0.05), "time limit of 0.05 s"),
        (Budget(nodes=2_000), "limit of 2000 search nodes"),
        (Budget(bytes=1 << 20), "memory limit of 1 MiB"),
    ],
)
def test_a_limit_is_told_with_how_far_it_came(budget, said):
    result = decide(model_named("register"), {"k": _endless()}, budget)
    (key,) = result.keys
    assert said in (result.limit or "")
    assert key.status == "undecided"
    assert said in key.why
    assert 0 < key.placed < key.total
    assert key.frontier > 0
    assert key.stuck_on is not None


def test_keys_that_never_had_their_turn_are_undecided():
    keys = {"a": _endless(), "b": [op(0, "read", None, None, 0, 1)]}
    result = decide(model_named("register"), keys, Budget(seconds=0.0))
    assert [key.status for key in result.keys] == ["undecided", "undecided"]


def test_what_the_search_keeps_is_estimated_in_good_faith():
    tracemalloc = pytest.importorskip("tracemalloc")
    endless = Problem(model_named("register"), _endless())
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for engine in (depth.DepthFirst(endless), breadth.BreadthFirst(endless)):
            engine.run(300, float("inf"))
            now = tracemalloc.get_traced_memory()[0]
            assert 0.5 < engine.bytes() / (now - before) < 2.5, type(engine).__name__
            before = now
    finally:
        tracemalloc.stop()


class Broken(Model):
    """A user's model whose step does as told."""

    def __init__(self, behaviour) -> None:
        super().__init__("broken")
        self._behaviour = behaviour

    def step(self, state, call):
        return self._behaviour(state, call)


def _raises(state, call):
    raise ZeroDivisionError("no such account")


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (_raises, "ZeroDivisionError: no such account"),
        (lambda state, call: None, "it returned None"),
        (lambda state, call: (True, ["a list"]), "unhashable type: 'list'"),
        (lambda state, call: ("yes", state), "instead of (legal: bool, state)"),
        (lambda state, call: Broken(_raises).step(state, call), "ZeroDivisionError"),
    ],
)
def test_a_model_that_fails_is_undecided_with_the_reason(behaviour, said):
    keys = {"k": [op(0, "pay", "a", None, 0, 1)], "other": [op(0, "pay", "a", None, 0, 1)]}
    result = decide(Broken(behaviour), keys, Budget())
    assert [key.status for key in result.keys] == ["undecided", "undecided"]
    assert said in result.keys[0].why
    assert said in (result.limit or "")


def test_a_model_whose_advice_fails_is_undecided():
    class Advice(Broken):
        def is_observer(self, call):
            raise KeyError(call.f)

    key = decide_key(Advice(lambda state, call: (True, state)), [op(0, "pay", "a", None, 0, 1)], Budget())
    assert key.status == "undecided"
    assert "KeyError: 'pay'" in key.why


def test_a_step_that_takes_its_time_does_not_stretch_the_limit():
    steps = []

    def slow(state, call):
        steps.append(call)
        time.sleep(0.002)  # nothing is waited for: it stands for a model that works hard
        return True, (state, call.input)

    history = [op(i, "pay", f"a{i}", None, 0, 100) for i in range(30)]
    history.append(op(99, "pay", "b", None, 101, 102))
    model = Broken(lambda state, call: (call.input != "b", state) if call.input == "b" else slow(state, call))
    assert decide_key(model, history, Budget(seconds=0.3)).status == "undecided"
    assert len(steps) < 1_000, "150 fill the time"


def test_a_frontier_has_a_most_and_reads_nothing_else():
    history = with_stale_read(few_values(3, operations=60, concurrency=5), 0.9)
    model = model_named("register")
    assert frontier(model, history) is not None
    assert frontier(model, history, most=10) is None
    torn = {"kind": "frontier", "levels": [{"r": 1, "configs": [3]}]}
    for value in (None, [], {}, {"kind": "frontier"}, torn):
        assert from_json(value) is None


def test_levels_forgotten_for_want_of_memory_are_listed_again(monkeypatch):
    history = few_values(2, operations=3_000, concurrency=10)
    monkeypatch.setattr(problem, "_MOST_LISTED", 3_000)
    result = decide_key(model_named("register"), history, Budget())
    assert result.status == "explained"
