"""The judge of transactions against brute force, against linearizability, and against mutants of itself."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace

import brute_force
import pytest
from forged_anomalies import believed
from serial_truth import judge, random_transactions, serial, txn, wrong

from checker.history import Operation
from checker.transactions import audit, direct, explain, graph, observations
from checker.transactions.anomalies import Anomaly, Step
from checker.transactions.cycles import name_of
from checker.transactions.graph import PROCESS, REALTIME, RW, WR, WW


def histories(count, seed, **options):
    rng = random.Random(seed)
    for _ in range(count):
        keys, most = rng.choice((1, 2, 3)), rng.choice((3, 4, 5, 6))
        yield random_transactions(rng, keys=keys, most=most, **options)


def test_agrees_with_brute_force():
    verdicts: Counter[str] = Counter()
    for operations in histories(2_500, 20_261_123):
        assert wrong(operations) is None, (wrong(operations), operations)
        verdicts[judge(operations).line.verdict] += 1
    assert min(verdicts["valid"], verdicts["invalid"]) > 400


def test_elements_that_are_not_unique_accuse_nobody():
    for operations in histories(800, 5, repeats=True):
        assert wrong(operations, complete=False) is None, operations


def test_one_key_and_one_step_is_linearizability_of_append():
    rng = random.Random(77)
    verdicts: Counter[bool] = Counter()
    for _ in range(2_500):
        plain = [op for op in brute_force.random_history(rng, "append", 6) if op.type != "fail"]
        if len({op.input for op in plain if op.f == "append"}) < sum(op.f == "append" for op in plain):
            continue
        if not plain:
            continue
        truth = brute_force.linearizable("append", plain)
        verdicts[truth] += 1
        assert (judge([as_transaction(op) for op in plain]).line.verdict == "valid") is truth, plain
    assert min(verdicts.values()) > 100


def as_transaction(op: Operation) -> Operation:
    step = ("append", "k", op.input) if op.f == "append" else ("r", "k", None)
    done = (step if op.f == "append" else ("r", "k", op.output),) if op.type == "ok" else None
    return replace(op, f="txn", key="", input=(step,), output=done)


def first_wrong(count=1_500, seed=3):
    for operations in histories(count, seed):
        try:
            found = wrong(operations)
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        if found is not None:
            return found
    return None


def _all_edges_but(kind):
    link = graph.Graph._link
    return lambda self, source, target, k: None if k == kind else link(self, source, target, k)


def _without(name):
    return lambda *arguments: iter(())


def _closed_real_time(returns, call):
    return original_bisect(returns, call + 1)


original_bisect = graph.bisect_left
MUTANTS = {
    "no ww edges": (graph.Graph, "_link", _all_edges_but(WW)),
    "no wr edges": (graph.Graph, "_link", _all_edges_but(WR)),
    "no rw edges": (graph.Graph, "_link", _all_edges_but(RW)),
    "no process edges": (graph.Graph, "_link", _all_edges_but(PROCESS)),
    "no real-time edges": (graph.Graph, "_link", _all_edges_but(REALTIME)),
    "touching intervals are apart": (graph, "bisect_left", _closed_real_time),
    "unknown transactions never happened": (
        observations.Observations,
        "_find_committed",
        lambda self: bytearray(op.type == "ok" for op in self.operations),
    ),
    "all reads agree": (observations.Observations, "_compare_reads", None),
    "nobody reads inconsistently": (direct, "_internal", _without("internal")),
    "nobody reads what was aborted": (direct, "_unfounded", _without("G1a")),
    "nobody reads the future": (direct, "_future_reads", _without("future-read")),
    "nobody wrote anything": (
        observations.Key,
        "writer",
        lambda self, element: observations.NOBODY,
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_brute_force_notices_a_rule_that_is_gone(monkeypatch, mutant):
    owner, name, replacement = MUTANTS[mutant]
    if replacement is None:
        compare = observations.Observations._compare_reads

        def replacement(self):
            compare(self)
            for key in self.keys.values():
                key.conflicts, key.agreed = [], len(key.longest)

    monkeypatch.setattr(owner, name, replacement)
    assert first_wrong() is not None, f"nothing notices: {mutant}"


def _later(step: Step) -> Step:
    return replace(step, before=step.after, after=step.before)


def test_the_auditor_refuses_what_does_not_follow():
    operations = [
        txn(0, [("append", "x", 1), ("append", "y", 1)], 0, 9),
        txn(1, [("r", "x", (1,)), ("r", "y", ())], 0, 9),
        txn(2, [("append", "y", 2), ("r", "x", (1,))], 0, 9),
        txn(3, [("r", "y", (1, 2))], 20, 29),
        txn(4, [("append", "y", 3)], 30, None),
    ]
    [cycle] = judge(operations).anomalies
    auditor = audit.Auditor(operations)
    assert cycle.type == "G-single"
    assert auditor.objection(cycle) is None
    wr, rw = sorted(cycle.steps, key=lambda step: step.edge, reverse=True)
    ww = Step(0, 2, "ww", "y", 1, 2, 3)
    good = [wr, rw, ww, Step(2, 3, "realtime"), Step(0, 2, "ww", "y", 1, 2, 3)]
    for step in good:
        source, target = operations[step.source], operations[step.target]
        assert auditor._follows(step, source, target), step
        assert not auditor._follows(step, target, source), step
    bad = [
        replace(wr, before=2), replace(wr, key="y"), replace(wr, edge="ww"), replace(rw, after=2),
        replace(rw, before=1), replace(ww, evidence=1), replace(ww, evidence=None), _later(ww),
        Step(0, 2, "realtime"), Step(0, 2, "process"), Step(0, 2, "because"),
    ]  # fmt: skip
    for step in bad:
        assert not auditor._follows(step, operations[step.source], operations[step.target]), step
    assert not auditor._committed(operations[4])
    for forged in (
        replace(cycle, type="G1c"),
        replace(cycle, steps=cycle.steps[:1]),
        replace(cycle, steps=(cycle.steps[0], cycle.steps[0])),
        replace(cycle, steps=cycle.steps * 2),
    ):
        assert auditor.objection(forged) is not None


@pytest.mark.parametrize("type_", audit._SHAPES)
def test_the_auditor_believes_no_direct_anomaly(type_):
    operations = [
        txn(0, [("append", "x", 1)], 0, 9),
        txn(1, [("r", "x", (1,))], 0, 9),
        txn(2, [("append", "x", 2), ("r", "x", (1, 2))], 0, 9),
    ]
    auditor = audit.Auditor(operations)
    for transactions, elements in audit._SHAPES[type_]:
        for who in itertools.permutations(range(3), transactions):
            for what in itertools.permutations((1, 2, 3), elements):
                lie = Anomaly(type_, who, ("?",), key="x", elements=what)
                assert auditor.objection(lie) is not None


def believed_of(seed, count):
    """What the auditor believes of histories in order; how many were tried."""
    tried = 0
    for operations in histories(400, seed, repeats=seed % 2 == 0):
        if tried < count and len(operations) <= 5 and serial(operations, "real time"):
            tried += 1
            lie = believed(operations)
            if lie is not None:
                return lie, operations
    assert tried == count
    return None


@pytest.mark.parametrize("seed", [1, 2])
def test_the_auditor_accepts_nothing_at_all_of_what_is_in_order(seed):
    assert believed_of(seed, 60) is None


def _first_appender(self, key, element):
    return next(iter(self._appenders.get((key, element), ())), None)


def _touching(self, step, source, target):
    touching = step.edge == "realtime" and source.return_ns == target.call_ns
    return touching or original_follows(self, step, source, target)


original_follows = audit.Auditor._follows
TOO_KIND = {
    "the first who appended it was the one": (
        "_only",
        _first_appender,
        [
            txn(0, [("append", "x", 1), ("append", "y", 1)], 0, None),
            txn(1, [("append", "x", 1)], 0, 9),
            txn(2, [("r", "x", (1,)), ("r", "y", ())], 0, 9),
        ],
    ),
    "what touches is apart": (
        "_follows",
        _touching,
        [txn(0, [("append", "x", 1)], 0, 5), txn(1, [("r", "x", ())], 5, 9)],
    ),
}


@pytest.mark.parametrize("mutant", TOO_KIND)
def test_lies_notice_an_auditor_that_is_too_kind(monkeypatch, mutant):
    name, replacement, operations = TOO_KIND[mutant]
    assert serial(operations, "real time")
    assert believed(operations) is None
    monkeypatch.setattr(audit.Auditor, name, replacement)
    assert believed(operations) is not None, f"nothing notices: {mutant}"


def test_the_auditor_replays_an_order():
    operations = [
        txn(0, [("append", "x", 1)], 0, 5),
        txn(1, [("r", "x", (1,))], 5, 15),
        txn(2, [("append", "x", 2)], 16, None),
    ]
    assert audit.audit_serial_order(operations, [0, 1], [2]) is None
    assert audit.audit_serial_order(operations, [0, 1, 2], []) is None
    for order, dropped in (([1, 0], [2]), ([0, 2, 1], []), ([0, 1], []), ([0], [1, 2]), ([0, 1, 1], [2])):
        assert audit.audit_serial_order(operations, order, dropped) is not None


def test_what_auditor_and_inference_do_not_agree_on_is_unknown(monkeypatch):
    operations = [txn(0, [("append", "x", 1), ("r", "y", (1,))], 0, 9), txn(1, [("append", "y", 1)], 20, 29)]
    assert judge(operations).line.verdict == "invalid"
    monkeypatch.setattr(
        explain, "_step", lambda seen, source, target, kind: Step(source, target, "ww", "x", 1)
    )
    assert judge(operations).line.verdict == "unknown"


def test_cycles_are_named_as_adya_and_elle_do():
    names = {
        "G0": [WW, WW], "G1c": [WW, WR], "G-single": [RW, WR, WW], "G2-item": [RW, RW, WW],
        "G-nonadjacent": [RW, WW, RW, WR], "G0-process": [WW, PROCESS], "G-single-process": [RW, PROCESS],
        "G1c-realtime": [WR, PROCESS, REALTIME], "G2-item-realtime": [RW, REALTIME, RW],
    }  # fmt: skip
    assert {name: name_of(kinds) for name, kinds in names.items()} == {name: name for name in names}
