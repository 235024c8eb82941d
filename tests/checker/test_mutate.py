"""Spoilt copies of a history: what is wrong is rejected, what is not has an order that makes it legal."""

from __future__ import annotations

import random

import pytest

from checker import mutate
from checker.audit import audit_order
from checker.engines.answers import Budget
from checker.engines.decide import decide
from checker.history import History, Operation, by_key
from checker.models import model_named
from checker.mutate import KINDS, sensitivity

BUDGET = Budget(seconds=5)


def recorded(model, count, concurrency, seed):
    """From a real object: `count` operations at moments 10 apart, up to `concurrency` of them open."""
    rng = random.Random(seed)
    values: dict[str, object] = {}
    operations = []
    for i in range(count):
        key, moment = f"k{rng.randrange(3)}", 10 * i + 10 * concurrency
        before = values.get(key, () if model == "append" else None)
        if rng.random() < 0.5:
            f, given, output = ("append" if model == "append" else "put"), f"v{i}", None
            values[key] = (*before, given) if model == "append" else given
        else:
            f, given, output = ("read" if model == "append" else "get"), None, before
        call = moment - rng.randrange(10 * concurrency)
        end = moment + rng.randrange(10 * concurrency)
        operations.append(Operation(i, i, f, key, given, output, "ok", call, end))
    operations.sort(key=lambda op: op.call_ns)
    return History("test", model, () if model == "append" else None, tuple(operations), (), "0" * 64)


def orders(history):
    model = model_named(history.model, history.initial)
    return {key.key: key.order for key in decide(model, by_key(history.operations), BUDGET).keys}


@pytest.mark.parametrize("model", ["kv", "append"])
@pytest.mark.parametrize("concurrency", [1, 5])
def test_every_copy_is_rejected_or_has_a_witness(model, concurrency):
    history = recorded(model, 120, concurrency, 3)
    found = sensitivity(history, orders(history), 200, 1, BUDGET)
    assert len(found.outcomes) == found.asked == 200
    assert not found.short
    counts = found.counts()
    assert all(sum(count.values()) == 50 for count in counts.values())
    assert all(count["undecided"] == 0 for count in counts.values())
    rejected = sum(count["rejected"] for count in counts.values())
    assert rejected > 120
    legal = [outcome for outcome in found.outcomes if outcome.said == "legal"]
    assert legal or concurrency == 1
    assert all(outcome.why.startswith("legal with ") for outcome in legal)


def test_the_same_seed_draws_the_same():
    history = recorded("kv", 60, 3, 4)
    first, second, other = (sensitivity(history, orders(history), 40, seed, BUDGET) for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_without_overlap_a_stale_read_or_a_lost_write_is_always_noticed():
    history = recorded("kv", 80, 1, 5)
    apart = tuple(
        Operation(op.index, op.process, op.f, op.key, op.input, op.output, "ok", 10 * i, 10 * i + 5)
        for i, op in enumerate(sorted(history.operations, key=lambda op: op.index))
    )
    history = History("test", "kv", None, apart, (), "0" * 64)
    found = sensitivity(history, orders(history), 200, 2, BUDGET)
    assert found.counts()["stale read"]["legal"] == 0
    assert found.counts()["lost write"]["legal"] == 0


def test_what_is_said_to_be_changed_is_and_nothing_else(monkeypatch):
    history = recorded("kv", 100, 4, 6)
    groups, seen = by_key(history.operations), []
    honest = mutate._judged

    def spy(model, mutation, operations, *more):
        seen.append((mutation, operations))
        return honest(model, mutation, operations, *more)

    monkeypatch.setattr(mutate, "_judged", spy)
    sensitivity(history, orders(history), 80, 7, BUDGET)
    assert {mutation.kind for mutation, _ in seen} == set(KINDS)
    for mutation, operations in seen:
        before = {op.index: op for op in groups[mutation.key]}
        changed = [op for op in operations if op != before[op.index]]
        assert len(operations) == len(before)
        assert changed
        if mutation.kind == "stale read":
            assert [op.index for op in changed] == [mutation.operation]
        elif mutation.kind == "swapped value":
            assert sorted(str(op.output) for op in changed) == sorted(
                str(before[op.index].output) for op in changed
            )
        elif mutation.kind == "time shift":
            (op,) = changed
            old = before[op.index]
            assert op.return_ns - op.call_ns == old.return_ns - old.call_ns
            assert (op.input, op.output) == (old.input, old.output)
        else:
            assert all(op.output != before[op.index].output for op in changed)
            assert mutation.operation not in {op.index for op in changed}


def test_a_judge_that_notices_nothing_is_shown_up(monkeypatch):
    """The auditor does not take a lazy engine's word: no copy counts as legal without a witness."""
    history = recorded("kv", 60, 2, 8)
    right = orders(history)
    honest = mutate.decide_key

    def lazy(model, operations, budget):
        from dataclasses import replace

        result = honest(model, operations, budget)
        return replace(result, status="explained", order=right[operations[0].key], dropped=())

    monkeypatch.setattr(mutate, "decide_key", lazy)
    found = sensitivity(history, right, 40, 1, BUDGET)
    assert sum(count["rejected"] for count in found.counts().values()) == 0
    assert sum(count["undecided"] for count in found.counts().values()) > 10


def test_a_history_without_answers_to_spoil_says_so():
    operations = (Operation(0, 0, "put", "k", "a", None, "ok", 0, 5),)
    history = History("test", "kv", None, operations, (), "0" * 64)
    found = sensitivity(history, orders(history), 10, 1, BUDGET)
    assert found.outcomes == ()
    assert set(found.short) == set(KINDS)
    assert sensitivity(History("test", "kv", None, (), (), "0" * 64), {}, 10, 1, BUDGET).outcomes == ()


def test_the_order_of_execution_notices_what_clients_cannot():
    """Two overlapping puts: a get may answer either, for all clients know; the replicas' order says which."""
    operations = (
        Operation(0, 0, "put", "k", "a", None, "ok", 0, 10),
        Operation(1, 1, "put", "k", "b", None, "ok", 0, 10),
        Operation(2, 2, "get", "k", None, "a", "ok", 4, 6),
        Operation(3, 2, "get", "k", None, "b", "ok", 20, 25),
    )
    history = History("test", "kv", None, operations, (), "0" * 64)
    logged = {"k": [0, 2, 1, 3]}
    model = model_named("kv")
    assert audit_order(model, operations, logged["k"], ()) is None
    found = sensitivity(history, {"k": [0, 2, 1, 3]}, 60, 3, BUDGET, logged)
    swapped = [o for o in found.outcomes if o.mutation.kind == "swapped value"]
    assert swapped
    assert all(o.said == "legal" and o.order_of_execution is not None for o in swapped)
