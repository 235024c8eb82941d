"""The engines against brute force, against hand-made traps, and against mutants of themselves."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from brute_force import linearizable, random_history
from recorded_histories import recorded

from checker.audit import audit_order, audit_refutation
from checker.engines.answers import Budget
from checker.engines.breadth import BreadthFirst
from checker.engines.contest import decide, decide_key
from checker.engines.depth import DepthFirst
from checker.engines.problem import Problem
from checker.engines.search import Status
from checker.history import Operation, by_key
from checker.models import model_named
from checker.models.append import AppendList, AppendStudy
from checker.models.base import Blur, Call
from checker.models.register import Register, RegisterStudy

BUDGET = Budget(seconds=20.0)


def op(index, f, given, output, call, end, *, type_=None, key="k"):
    kind = type_ or ("info" if end is None else "ok")
    return Operation(index, index, f, key, given, output, kind, call, end)


def status(model, operations):
    return decide_key(model_named(model), operations, BUDGET).status


def searched(model, operations, order):
    search = (DepthFirst if order == "depth" else BreadthFirst)(Problem(model, operations))
    while search.run(3, float("inf")) is Status.RUNNING:
        pass
    return search.status is Status.EXPLAINED


@pytest.mark.parametrize("model", ["register", "append"])
def test_agrees_with_brute_force(model):
    rng = random.Random(20_240)
    verdicts: Counter[bool] = Counter()
    for _ in range(4_000):
        operations = [o for o in random_history(rng, model) if o.type != "fail"]
        if not operations:
            continue
        truth = linearizable(model, operations)
        verdicts[truth] += 1
        spec = model_named(model)
        assert searched(spec, operations, "depth") is truth, operations
        assert searched(spec, operations, "breadth") is truth, operations
        result = decide_key(spec, operations, BUDGET)
        assert result.status == ("explained" if truth else "refuted")
        if truth:
            assert audit_order(spec, operations, result.order, result.dropped) is None
        assert (audit_refutation(spec, operations, 1_000_000, None) is None) is not truth
    assert min(verdicts[True], verdicts[False]) > 200


def _all_pending_useless(study, initial, calls):
    _register_init(study, initial, calls)
    study.useless = frozenset(i for i, call in enumerate(calls) if not call.known)


def _lost_though_two_sources(study, before, after):
    required = [
        (i, call.output if call.f == "read" else call.output[1])
        for i, call in enumerate(study._calls)
        if call.known and call.f in ("read", "cas")
    ]
    return () if before == after else [i for i, value in required if value == before]


def _all_values_unseen(study, position):
    call = study._calls[position]
    return Call(call.f, Blur.UNSEEN, call.output, call.known) if call.f == "write" else call


def _prefix_off_by_one(study, before, after):
    return (*_append_lost(study, before, after), *study._reads.get(after, ()))


_register_init = RegisterStudy.__init__
_append_lost = AppendStudy.lost
MUTANTS = {
    "a write is taken for an observer": (
        "register",
        Register,
        "is_observer",
        lambda self, call: call.f != "cas",
    ),
    "no pending operation ever happens": ("register", RegisterStudy, "__init__", _all_pending_useless),
    "a value is lost though it has another source": (
        "register",
        RegisterStudy,
        "lost",
        _lost_though_two_sources,
    ),
    "values that are read are blurred": ("register", RegisterStudy, "label", _all_values_unseen),
    "a read of the shorter list is lost by appending": ("append", AppendStudy, "lost", _prefix_off_by_one),
    "an append is taken for an observer": ("append", AppendList, "is_observer", lambda self, call: True),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_brute_force_catches_a_rule_without_its_condition(monkeypatch, mutant):
    model, owner, name, wrong = MUTANTS[mutant]
    monkeypatch.setattr(owner, name, wrong)
    assert _disagreement(model), f"nothing notices when {mutant}"


@pytest.mark.parametrize("model", ["register", "append"])
@pytest.mark.parametrize("reading", ["half-open intervals", "info as fail", "fail as info"])
def test_brute_force_catches_a_wrong_reading_of_histories(model, reading):
    def misread(o):
        if reading == "info as fail":
            return None if o.type == "info" else o
        if reading == "fail as info":
            return replace(o, type="info") if o.type == "fail" else o
        # Widths doubled less one at the end: what touched no longer overlaps.
        end = None if o.return_ns is None else max(2 * o.call_ns, 2 * o.return_ns - 1)
        return replace(o, call_ns=2 * o.call_ns, return_ns=end)

    assert _disagreement(model, misread)


def _disagreement(model, misread=lambda o: o):
    rng = random.Random(7)
    for _ in range(3_000):
        history = random_history(rng, model)
        seen = [o for o in map(misread, history) if o is not None and o.type != "fail"]
        truth = linearizable(model, [o for o in history if o.type != "fail"])
        if searched(model_named(model), seen, "depth") is not truth:
            return True
    return False


def test_intervals_are_closed():
    touching = [op(0, "write", "a", None, 0, 5), op(1, "read", None, None, 5, 9)]
    assert status("register", touching) == "explained"
    apart = [op(0, "write", "a", None, 0, 5), op(1, "read", None, None, 6, 9)]
    assert status("register", apart) == "refuted"


def test_the_initial_value_counts():
    assert status("register", [op(0, "read", None, None, 0, 1)]) == "explained"
    assert status("register", [op(0, "read", None, "a", 0, 1)]) == "refuted"
    started = model_named("register", "a")
    assert decide_key(started, [op(0, "read", None, "a", 0, 1)], BUDGET).status == "explained"
    assert (
        decide_key(model_named("append", ("x",)), [op(0, "read", None, ("x",), 0, 1)], BUDGET).status
        == "explained"
    )


def test_a_pending_write_may_happen_late_early_or_never():
    pending = op(0, "write", "a", None, 0, None)
    late = [pending, op(1, "read", None, None, 10, 11), op(2, "read", None, "a", 20, 21)]
    never = [pending, op(1, "read", None, None, 10, 11)]
    twice = [*late, op(3, "write", "b", None, 22, 23), op(4, "read", None, "a", 24, 25)]
    assert status("register", late) == "explained"
    assert status("register", never) == "explained"
    assert status("register", twice) == "refuted"


def test_a_pending_operation_cannot_happen_before_its_call():
    early = [op(0, "read", None, "a", 0, 1), op(1, "write", "a", None, 2, None)]
    assert status("register", early) == "refuted"


def test_a_pending_cas_chain_is_followed():
    chain = [
        op(0, "write", "a", None, 0, 1),
        op(1, "cas", ("a", "b"), None, 2, None),
        op(2, "cas", ("b", "c"), None, 2, None),
        op(3, "read", None, "c", 5, 6),
    ]
    assert status("register", chain) == "explained"
    assert status("register", [*chain, op(4, "read", None, "b", 7, 8)]) == "refuted"


def test_equal_operations_are_ordered_by_return():
    same = [
        op(0, "write", "a", None, 0, 20),
        op(1, "write", "a", None, 0, 3),
        op(2, "write", "b", None, 4, 6),
        op(3, "read", None, "a", 7, 9),
    ]
    assert status("register", same) == "explained"


def test_nothing_to_explain_is_explained():
    assert status("register", [op(0, "write", "a", None, 0, None)]) == "explained"


def test_many_unread_pending_writes_do_not_explode():
    pending = [op(i, "write", f"p{i}", None, 0, None) for i in range(60)]
    steps = [op(100 + i, "write", f"w{i}", None, 10 * i + 10, 10 * i + 15) for i in range(40)]
    stale = op(200, "read", None, "w3", 1_000, 1_001)
    assert status("register", [*pending, *steps, stale]) == "refuted"


def test_many_pending_writes_of_few_values_do_not_explode():
    pending = [op(i, "write", f"v{i % 5}", None, i, None) for i in range(40)]
    steps = []
    for i in range(40):
        steps.append(op(100 + 2 * i, "write", f"v{i % 5}", None, 100 + 20 * i, 105 + 20 * i))
        steps.append(op(101 + 2 * i, "read", None, f"v{i % 5}", 110 + 20 * i, 115 + 20 * i))
    impossible = op(500, "read", None, "v9", 2_000, 2_001)
    assert status("register", [*pending, *steps]) == "explained"
    assert status("register", [*pending, *steps, impossible]) == "refuted"


def _hopeless(key, width=26):
    """Overlapping writes that are all read, two of which would have to be the last."""
    writes = [op(i, "write", f"v{i}", None, 0, 1_000, key=key) for i in range(width)]
    reads = [op(100 + i, "read", None, f"v{i}", 0, 1_000, key=key) for i in range(width)]
    last = [
        op(300, "read", None, "v1", 1_001, 1_002, key=key),
        op(301, "read", None, "v2", 1_001, 1_002, key=key),
    ]
    return [*writes, *reads, *last]


def test_running_out_of_time_or_nodes_is_undecided():
    for budget, limit in ((Budget(seconds=0.05), "time"), (Budget(seconds=60, nodes=3_000), "nodes")):
        result = decide(model_named("register"), {"k": _hopeless("k")}, budget)
        assert result.limit is not None
        assert limit in result.limit
        assert result.keys[0].status == "undecided"
        assert result.keys[0].placed < result.keys[0].total


def test_a_hopeless_key_does_not_hide_an_easy_refutation():
    keys = {"hard": _hopeless("hard"), "easy": [op(0, "read", None, "ghost", 0, 1, key="easy")]}
    result = decide(model_named("register"), keys, Budget(seconds=30))
    assert [key.key for key in result.keys if key.status == "refuted"] == ["easy"]


def test_long_lists_are_judged_in_good_time():
    operations, content = [], ()
    for i in range(600):
        content = (*content, f"e{i}")
        operations.append(op(2 * i, "append", f"e{i}", None, 10 * i, 10 * i + 12))
        operations.append(op(2 * i + 1, "read", None, content, 10 * i + 5, 10 * i + 14))
    result = decide_key(model_named("append"), operations, BUDGET)
    assert result.status == "explained"
    assert result.nodes < 2_000


@pytest.mark.parametrize(("model", "operations", "keys"), [("kv", 6_000, 20), ("append", 3_000, 15)])
def test_a_real_run_needs_few_nodes(model, operations, keys):
    """Nodes, not seconds: they say the same on every machine. 6 000 operations take about 0.2 s."""
    history = recorded(random.Random(1), model, operations=operations, keys=keys, clients=10, pending=0.03)
    spec, groups = model_named(model), by_key(history)
    result = decide(spec, groups, BUDGET)
    assert all(key.status == "explained" for key in result.keys)
    assert all(audit_order(spec, groups[key.key], key.order, key.dropped) is None for key in result.keys)
    assert sum(key.nodes for key in result.keys) < operations
