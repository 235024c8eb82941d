"""Golden bad histories and their good twins; shrinking makes only sound moves; reasons name what happened."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from brute_force import linearizable, random_case, random_history
from named_anomalies import ANOMALIES
from recorded_histories import recorded

from checker.bare import judge_reading
from checker.counterexample import Margin
from checker.counterexample.find import find
from checker.counterexample.patterns import known_pattern
from checker.counterexample.shrink import Shrunk
from checker.counterexample.words import duration, quote
from checker.engines.answers import Budget
from checker.engines.contest import decide_key
from checker.formats.detect import read_bytes, read_history
from checker.formats.reading import Options
from checker.history import Operation
from checker.judge import judge_history
from checker.limits import Limits
from checker.models import model_named
from checker.moves import Left, cut_at

HERE = Path(__file__).parent


def test_every_bad_history_has_its_expectation_and_its_twin():
    bad = {path.stem for path in (HERE / "bad_histories").glob("*.jsonl")}
    good = {path.stem for path in (HERE / "good_histories").glob("*.jsonl")}
    assert bad == good == set(ANOMALIES)


@pytest.mark.parametrize("name", ANOMALIES)
def test_a_bad_history_is_refuted_with_a_reason_that_explains_it(name):
    verdict = judge_history(HERE / "bad_histories" / f"{name}.jsonl")
    anomaly, operations, phrases = ANOMALIES[name]
    found = verdict.counterexample
    assert verdict.exit_code == 1
    assert found is not None
    assert found.anomaly == anomaly
    assert len(found.operations) == operations
    assert found.stuck_on in {op.index for op in found.operations}
    assert verdict.line("linearizability").details["audited"] is True
    for phrase in phrases:
        assert phrase in " ".join(found.reasons), found.reasons
    json.dumps(found.to_json())


@pytest.mark.parametrize("name", ANOMALIES)
def test_its_good_twin_is_valid(name):
    verdict = judge_history(HERE / "good_histories" / f"{name}.jsonl")
    assert verdict.exit_code == 0, verdict.text()
    assert verdict.witness


def test_the_command_says_the_same():
    bad, good = (HERE / folder / "stale_read.jsonl" for folder in ("bad_histories", "good_histories"))
    said = subprocess.run(
        [sys.executable, "-m", "checker", str(bad)],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE.parents[1],
    )
    assert said.returncode == 1
    assert "stale read" in said.stdout
    said = subprocess.run(
        [sys.executable, "-m", "checker", str(good)],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE.parents[1],
    )
    assert said.returncode == 0
    assert said.stderr == ""


@pytest.mark.parametrize("model", ["register", "append"])
def test_every_move_keeps_an_explainable_history_explainable(model):
    rng = random.Random(11)
    tried = 0
    spec = model_named(model)
    while tried < 1_500:
        operations = [o for o in random_history(rng, model, 6) if o.type != "fail"]
        if not operations or not linearizable(model, operations):
            continue
        tried += 1
        calls = [spec.call(o) for o in operations]
        removable = sorted(spec.removable(calls))
        some = {i for i in removable if rng.random() < 0.7}
        assert linearizable(model, [o for i, o in enumerate(operations) if i not in some]), operations
        assert linearizable(model, cut_at(operations, rng.choice(operations).call_ns + rng.randrange(4)))
        kept = frozenset(i for i in range(len(operations)) if rng.random() < 0.5)
        if not spec.needed(operations, kept):
            assert linearizable(model, [operations[i] for i in sorted(kept)]), (operations, kept)
        useless = spec.study(calls).useless
        assert linearizable(model, [o for i, o in enumerate(operations) if i not in useless])


@pytest.mark.parametrize("model", ["register", "append"])
def test_every_refuted_history_gets_a_counterexample_with_reasons(model):
    rng = random.Random(5)
    named = tried = 0
    while tried < 300:
        history = random_history(rng, model)
        operations = [o for o in history if o.type != "fail"]
        spec = model_named(model)
        refuted = decide_key(spec, operations, Budget()) if operations else None
        if refuted is None or refuted.status != "refuted":
            continue
        tried += 1
        found = find(spec, history, refuted, 5.0)
        assert found.objection is None
        assert not linearizable(model, found.counterexample.operations)
        named += found.counterexample.anomaly != "no explanation"
    assert named > 0.8 * tried


def test_a_long_history_shrinks_to_its_core():
    history = recorded(random.Random(3), "kv", operations=1_200, keys=1, clients=8, pending=0.02)
    reads = [o for o in history if o.f == "get" and o.type == "ok" and o.output is not None]
    stale, old = reads[-10], reads[10]
    assert stale.output != old.output
    spoilt = [o if o is not stale else _with_output(o, old.output) for o in history]
    spec = model_named("kv")
    refuted = decide_key(spec, spoilt, Budget())
    assert refuted.status == "refuted"
    found = find(spec, spoilt, refuted, 20.0)
    assert len(found.counterexample.operations) <= 6
    assert found.objection is None


def _with_output(operation, output):
    return replace(operation, output=output)


def test_values_are_quoted_harmlessly():
    assert quote("\x1b[2J<script>\ud800") == '"\\u001b[2J<script>\\ud800"'
    assert len(quote("x" * 1_000)) <= 40
    assert quote((True,)) == "true"
    assert (
        quote({"x": 1, "\x1b": None, "z": [True, ("a",)]})
        == '{"x": 1, "\\u001b": nothing, "z": [true, ["a"]]}'
    )
    assert quote({str(i): i for i in range(10)}).startswith('{(2 more), "2": 2, ')
    assert quote(((False,), None, 1)) == "[false, nothing, 1]"
    assert quote(tuple("abcdefghijkl")) == '[(4 more), "e", "f", "g", "h", "i", "j", "k", "l"]'
    assert [
        duration(ns) for ns in (7, 999, 999_499, 999_999, 1_500, 3_100_000, 2_000_000_000, 1_200_000_000_000)
    ] == [
        "7 ns",
        "999 ns",
        "999 µs",
        "1 ms",
        "1.5 µs",
        "3.1 ms",
        "2 s",
        "1200 s",
    ]


MARGINS_NS = {
    "stale_read": 499_999,
    "read_before_write": 499_999,
    "lost_write": 1_999_999,
    "lost_update": None,
    "lists_diverge": None,
    "value_from_nowhere": None,
}


@pytest.mark.parametrize("name", MARGINS_NS)
def test_how_far_clocks_may_be_off(name):
    verdict = judge_history(HERE / "bad_histories" / f"{name}.jsonl")
    found, line = verdict.counterexample, verdict.line("linearizability")
    assert found.margin is not None
    assert found.margin.ns == MARGINS_NS[name]
    assert line.details["margin_ns"] == MARGINS_NS[name]
    said = "does not matter" if MARGINS_NS[name] is None else "until clocks are off by more than"
    assert said in " ".join(found.reasons)


@pytest.mark.parametrize("model", ["register", "append", "set", "queue", "counter"])
def test_the_margin_is_where_the_verdict_flips(model):
    rng, tried, finite = random.Random(8), 0, 0
    spec = model_named(model)
    while tried < 60:
        operations = [
            replace(o, call_ns=10 * o.call_ns, return_ns=None if o.return_ns is None else 10 * o.return_ns)
            for o in random_history(rng, model, 6)
            if o.type != "fail"
        ]
        refuted = decide_key(spec, operations, Budget()) if operations else None
        if refuted is None or refuted.status != "refuted":
            continue
        tried += 1
        found = find(spec, operations, refuted, 5.0).counterexample.margin
        assert found is not None
        finite += found.ns is not None
        # What was left out could only make the history stand longer.
        assert not linearizable(model, _wider(operations, 1_000 if found.ns is None else found.ns))
    assert finite > 0


def test_the_margin_is_exact():
    write = Operation(0, 0, "write", "k", "a", None, "ok", 0, 100)
    stale = Operation(1, 1, "read", "k", None, None, "ok", 201, 300)
    spec = model_named("register")
    found = find(spec, [write, stale], decide_key(spec, [write, stale], Budget()), 5.0).counterexample
    assert found.margin == Margin(50)
    assert not linearizable("register", _wider([write, stale], 50))
    assert linearizable("register", _wider([write, stale], 51))
    assert "order of the lines" in found.margin.sentence(51)
    assert "order of the lines" not in found.margin.sentence(50)
    assert "no clock" in found.margin.sentence(None)


def test_without_a_clock_the_order_of_the_lines_is_what_counts():
    write = Operation(0, 0, "write", "k", "a", None, "ok", 0, 1)
    stale = Operation(2, 1, "read", "k", None, None, "ok", 2, 3)
    spec = model_named("register")
    found = find(spec, [write, stale], decide_key(spec, [write, stale], Budget()), 5.0).counterexample
    assert "The history has no clock: this rests on the order of its lines." in found.reasons
    assert "ended 1 line before read" in found.reasons[0]
    assert not any(" ns" in said for said in (*found.reasons, *(fact.text for fact in found.facts)))


@pytest.mark.parametrize("name", ANOMALIES)
def test_no_model_speaks_of_times_where_there_are_none(name):
    """The same operations with the numbers of their lines for times: the same name, and lines are counted."""
    history = read_history(HERE / "bad_histories" / f"{name}.jsonl").history
    ends = [op.return_ns for op in history.operations if op.return_ns is not None]
    line = {moment: i for i, moment in enumerate(sorted([*(op.call_ns for op in history.operations), *ends]))}
    everything = [
        replace(op, index=line[op.call_ns], call_ns=line[op.call_ns], return_ns=line.get(op.return_ns))
        for op in history.operations
    ]
    spec = model_named(history.model, history.initial)
    refuted = decide_key(spec, [op for op in everything if op.type != "fail"], Budget())
    found = find(spec, everything, refuted, 5.0).counterexample
    said = " ".join((*found.reasons, *(fact.text for fact in found.facts)))
    assert found.anomaly == ANOMALIES[name][0]
    assert " ns" not in said
    assert " ms" not in said
    assert "line" in said or all(fact.rule != "real-time" for fact in found.facts)
    assert all(fact.margin_ns is None for fact in found.facts)


PATTERNED = ("queue", "measured queue", "set", "grow-only-set", "counter", "signed counter", "bank")
PATTERNED += (
    "kv-append",
    "kv-append of tokens",
    "growing text",
    "multi-register",
    "bare register",
    "register",
    "append",
    "cas-register",
)


@pytest.mark.parametrize("name", PATTERNED)
def test_patterns_are_found_only_where_they_are_proofs(name):
    """None in an explainable history, and most that are not have a name."""
    rng, valid, refuted, named = random.Random(4), 0, 0, 0
    while valid < 400 or refuted < 25:
        case = random_case(rng, name, 5)
        if not case.operations:
            continue
        spec, truth = model_named(case.model, case.initial), linearizable(name, case.operations, case.initial)
        left = Left(list(case.operations))
        if truth and valid < 400:
            valid += 1
            shrunk = Shrunk(left, (), decide_key(spec, case.operations, Budget()))
            assert known_pattern(spec, shrunk, case.operations) is None, case
        elif not truth and refuted < 25:
            refuted += 1
            found = find(spec, case.operations, decide_key(spec, case.operations, Budget()), 5.0)
            assert found.objection is None
            named += found.counterexample.anomaly != "no explanation"
    assert named > (0.3 if name == "kv-append" else 0.7) * refuted


def _wider(operations, by_ns):
    return [
        replace(o, call_ns=o.call_ns - by_ns, return_ns=None if o.return_ns is None else o.return_ns + by_ns)
        for o in operations
    ]


def test_facts_say_what_is_so():
    found = judge_history(HERE / "bad_histories" / "stale_read.jsonl").counterexample
    told = {(fact.rule, fact.operations) for fact in found.facts}
    assert told == {
        ("reads-from", (14, 8)),
        ("overwritten", (8, 10, 14)),
        ("real-time", (8, 10)),
        ("real-time", (10, 14)),
        ("stuck", (8, 10, 14)),
    }
    steps = found.to_json()["steps"]
    assert {"rule", "operations", "value", "margin_ns", "text"} == set(steps[0])
    assert any("3 ms before" in step["text"] for step in steps)
    json.dumps(steps)


def test_a_stale_read_in_a_long_history_of_few_values_shrinks_to_what_is_near():
    """The search refutes it; what happened before a moment is forgotten: every state is tried there."""
    rng, operations, state, now = random.Random(2), [], None, 0
    for i in range(4_000):
        now += rng.randrange(2, 9)
        if rng.random() < 0.5:
            state = f"v{rng.randrange(12)}"
            operations.append(Operation(i, i % 7, "write", "k", state, None, "ok", now, now + 12))
        else:
            operations.append(Operation(i, i % 7, "read", "k", None, state, "ok", now, now + 1))
    stale = next(o for o in operations[3_500:] if o.f == "read")
    near = {o.input for o in operations if abs(o.call_ns - stale.call_ns) < 50}
    wrong = next(value for value in (f"v{i}" for i in range(12)) if value not in near)
    operations[stale.index] = replace(stale, output=wrong)
    spec = model_named("register")
    refuted = decide_key(spec, operations, Budget())
    assert refuted.status == "refuted"
    found = find(spec, operations, refuted, 10.0)
    assert found.objection is None
    assert len(found.counterexample.operations) <= 12
    assert "after" in [name for name, _ in found.counterexample.moves]


def test_without_a_clock_it_is_lines_that_passed():
    """`ended 2 ns before` would be made up."""
    calls = ((0, "write", 1, 1), (1, "write", 2, 2), (2, "read", "nil", 1))
    called, ended = (
        "{{:process {} :type :invoke :f :{} :value {}}}",
        "{{:process {} :type :ok :f :{} :value {}}}",
    )
    text = "\n".join(
        line for p, f, asked, told in calls for line in (called.format(p, f, asked), ended.format(p, f, told))
    )
    found = judge_reading(read_bytes(text.encode(), "h", "auto", Options()), Limits()).counterexample
    assert found is not None
    assert "ended 1 line before read by process 2" in " ".join(found.reasons)
    assert " ns " not in " ".join(found.reasons)


def test_one_operation_that_is_wrong_by_itself_says_what_it_was_told():
    text = "{:process 0 :type :invoke :f :inc}{:process 0 :type :ok :f :inc}"
    text += "{:process 0 :type :invoke :f :read}{:process 0 :type :ok :f :read :value -7}"
    found = judge_reading(read_bytes(text.encode(), "h", "auto", Options()), Limits()).counterexample
    assert found is not None
    assert "read by process 0 (operation 2), which returned -7," in " ".join(found.reasons)
