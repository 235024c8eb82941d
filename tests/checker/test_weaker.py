"""What a history still satisfies, against brute force on small ones, and said by the judge."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from weaker_truth import explains, grouped, has_order, histories, is_sequential, keeps_lists, mangled

from checker import weaker
from checker.__main__ import main
from checker.history import History, Operation
from checker.judges import linearizability
from checker.limits import Limits
from checker.models import model_named
from checker.verdict import Verdict, unknown
from checker.weaker import sequential, sessions, staleness
from checker.weaker.answers import Guarantee


@pytest.mark.parametrize("model", ["register", "append"])
def test_sequential_agrees_with_brute_force(model):
    told: Counter[str] = Counter()
    for operations in histories(500, 8, model):
        found = sequential.judge(model_named(model), grouped(operations), 1e18)
        told[found.status] += 1
        assert found.status == ("holds" if is_sequential(model, operations) else "violated"), operations
    assert min(told["holds"], told["violated"]) > 40


def test_what_cannot_be_searched_is_unknown_or_proved(monkeypatch):
    monkeypatch.setattr(sequential, "_POINTS", 3)
    told: Counter[str] = Counter()
    for operations in histories(300, 9, "register"):
        found = sequential.judge(model_named("register"), grouped(operations), 1e18)
        told[found.status] += 1
        if found.status != "unknown":
            assert (found.status == "holds") is is_sequential("register", operations), operations
    assert told["holds"] > 20
    assert told["unknown"] > 20


def many_processes(count):
    """Each operation is a process of its own; few values; nobody wrote what the last one read."""
    return [
        Operation(i, i, "read", "k", None, f"v{i // 2 % 6}", "ok", 10 * i, 10 * i + 5)
        if i % 2
        else Operation(i, i, "write", "k", f"v{i // 2 % 6}", None, "ok", 10 * i, 10 * i + 5)
        for i in range(count - 1)
    ] + [Operation(count - 1, count - 1, "read", "k", None, "never", "ok", 10 * count, 10 * count + 5)]


def test_the_search_looks_at_the_clock_with_every_step(monkeypatch):
    ticks = iter(range(1_000_000))
    monkeypatch.setattr(sequential, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    model, steps = model_named("register"), []
    step = model.step
    monkeypatch.setattr(model, "step", lambda state, call: steps.append(1) or step(state, call))
    assert sequential._search(model, many_processes(2_000), 700) is None
    assert len(steps) <= 702


def test_the_search_bounds_the_numbers_it_holds(monkeypatch):
    monkeypatch.setattr(sequential, "_CELLS", 50_000)
    model, steps = model_named("register"), []
    step = model.step
    monkeypatch.setattr(model, "step", lambda state, call: steps.append(1) or step(state, call))
    assert sequential._search(model, many_processes(1_000), 1e18) is None
    assert len(steps) < 60_000  # a thousand for each of the 49 points it may hold, and for the first one


def test_a_way_that_would_be_late_is_left_out(monkeypatch):
    # The clock of a machine on which each look at intervals takes two of the ten seconds there are.
    clock = [0.0]

    def slow(*arguments):
        clock[0] += 4.0

    monkeypatch.setattr(sequential, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(sequential, "explained", slow)
    asked = sequential.judge(model_named("register"), grouped(STALE), 10.0)
    assert (clock[0], asked.status) == (8.0, "holds")  # the third one would end at 12
    monkeypatch.setattr(staleness, "time", sequential.time)
    monkeypatch.setattr(staleness, "explained", lambda *arguments: slow() or True)
    asked = staleness.judge(model_named("register"), grouped(STALE), clock[0] + 9.0)
    assert (clock[0], asked.status) == (16.0, "holds")
    assert "not narrowed down in time" in asked.why


def test_what_no_order_of_processes_would_explain_is_violated(monkeypatch):
    monkeypatch.setattr(sequential, "_POINTS", 0)
    lost = [*many_processes(40)[:-1], replace(STALE[2], index=40, call_ns=500, return_ns=505, output="never")]
    assert sequential.judge(model_named("register"), grouped(lost), 1e18).status == "violated"


@pytest.mark.parametrize("model", ["register", "append"])
def test_the_staleness_is_the_least_that_explains(model):
    told: Counter[str] = Counter()
    for operations in histories(250, 10, model, keys=1):
        spec = model_named(model)
        found = staleness.judge(spec, grouped(operations), 1e18)
        span = operations[-1].call_ns - operations[0].call_ns + 1
        least = next(
            (t for t in range(span + 1) if explains(model, staleness.lag(spec, operations, t))), None
        )
        told[found.status] += 1
        assert found.status == ("violated" if least is None else "holds"), operations
        if least is not None:
            told["stale"] += least > 0
            assert found.details["at_most_ns"] == least
            assert found.details.get("more_than_ns", -1) == least - 1
    assert min(told["stale"], told["violated"]) > 5


def test_lines_are_not_called_nanoseconds():
    lines = tuple(replace(op, call_ns=2 * i, return_ns=2 * i + 1) for i, op in enumerate(STALE))
    found = weaker.guarantees(History("", "register", None, lines, (), ""), 5.0)
    assert "no read was staler than 1 line of the history" in weaker.sentence(found)


def test_session_guarantees_of_registers_agree_with_brute_force():
    told: Counter[tuple[str, str]] = Counter()
    for operations in histories(600, 11, "register", keys=1, swaps=0.2):
        found = sessions.judge(model_named("register"), grouped(operations))
        for name, own in zip(sessions.NAMES, (True, False)):
            told[name, found[name].status] += 1
            assert (found[name].status == "holds") is has_order(operations, own), (name, operations)
            assert bool(found[name].operations) is (found[name].status == "violated")
    assert min(told[name, status] for name in sessions.NAMES for status in ("holds", "violated")) > 10


def test_session_guarantees_of_lists_agree_with_brute_force():
    told: Counter[tuple[str, str]] = Counter()
    rng = random.Random(12)
    for operations in histories(600, 12, "append"):
        spoilt = mangled(rng, operations)
        found = sessions.judge(model_named("append"), grouped(spoilt))
        for name, own in zip(sessions.NAMES, (True, False)):
            told[name, found[name].status] += 1
            assert (found[name].status == "holds") is keeps_lists(spoilt, own), (name, spoilt)
    assert min(told[name, status] for name in sessions.NAMES for status in ("holds", "violated")) > 10


def test_session_guarantees_of_lists():
    def read(index, process, *elements):
        return Operation(index, process, "read", "k", None, elements, "ok", 10 * index, 10 * index + 5)

    append = Operation(0, 0, "append", "k", "a", None, "ok", 0, 5)
    other = Operation(1, 1, "append", "k", "b", None, "ok", 10, 15)
    model = model_named("append")

    def statuses(*reads):
        found = sessions.judge(model, {"k": [append, other, *reads]})
        return [found[name].status for name in sessions.NAMES]

    assert statuses(read(2, 0, "a"), read(3, 0, "a", "b")) == ["holds", "holds"]
    assert statuses(read(2, 0, "b")) == ["violated", "holds"]
    assert statuses(read(2, 0, "a", "b"), read(3, 0, "b")) == ["violated", "violated"]
    assert statuses(read(2, 1, "a", "b"), read(3, 1, "a")) == ["violated", "violated"]
    assert statuses(read(2, 1, "a", "b"), read(3, 0, "a")) == ["holds", "holds"]


def test_values_written_twice_are_unknown():
    writes = [Operation(i, i, "write", "k", "v", None, "ok", i, i) for i in range(2)]
    found = sessions.judge(model_named("register"), {"k": writes})
    assert {guarantee.status for guarantee in found.values()} == {"unknown"}
    assert sessions.judge(model_named("counter"), {})[sessions.NAMES[0]].status == "unknown"


STALE = [
    Operation(0, 0, "write", "k", "v1", None, "ok", 0, 1_000_000),
    Operation(1, 0, "write", "k", "v2", None, "ok", 2_000_000, 3_000_000),
    Operation(2, 1, "read", "k", None, "v1", "ok", 44_000_000, 45_000_000),
]


def test_the_judge_says_what_is_left():
    history = History("", "register", None, tuple(STALE), (), "")
    line = weaker.told(linearizability.judge(history, Limits()).line, history, Limits())
    details = line.details
    assert details["guarantees"]["stale-reads"]["at_most_ns"] == 41_000_000
    assert details["guarantees"]["sequential"]["status"] == "holds"
    sentence = (
        "still sequentially consistent: yes; no read was staler than 41 ms; read-your-writes holds; "
        "monotonic-reads holds"
    )
    assert sentence in Verdict((line,), {}).text()
    unasked = linearizability.judge(history, Limits()).line
    assert weaker.told(unasked, history, Limits(guarantee_seconds=0)) is unasked


def test_no_time_is_unknown_and_a_failure_does_not_hide_the_verdict(monkeypatch):
    history = History("", "register", None, tuple(STALE), (), "")
    found = weaker.guarantees(history, 1e-9)
    assert found["stale-reads"].status == "unknown"
    assert "staleness of reads unknown" in weaker.sentence(found)
    monkeypatch.setattr(weaker, "guarantees", lambda *arguments: 1 // 0)
    line = weaker.told(linearizability.judge(history, Limits()).line, history, Limits())
    assert line.verdict == "invalid"
    assert "ZeroDivisionError" in line.details["guarantees"]


@pytest.mark.parametrize("model", ["register", "append"])
def test_guarantees_of_a_linearizable_history_hold_by_their_own_rules(model):
    asked = 0
    for operations in histories(300, 14, model):
        keys = grouped(operations)
        if not all(explains(model, group) for group in keys.values()):
            continue
        asked += 1
        found = weaker.guarantees(History("", model, None, tuple(operations), (), ""), 1e18)
        assert {guarantee.status for guarantee in found.values()} == {"holds"}, operations
        assert found["stale-reads"].details["at_most_ns"] == 0
    assert asked > 100


FRESH = (*STALE[:2], replace(STALE[2], output="v2"))


def test_guarantees_are_told_of_a_valid_history_if_asked():
    history, all_asked = History("", "register", None, FRESH, (), ""), Limits(every_guarantee=True)
    plain = linearizability.judge(history, Limits()).line
    assert weaker.told(plain, history, Limits()) is plain
    line = weaker.told(plain, history, all_asked)
    assert line.verdict == "valid"
    assert {each["status"] for each in line.details["guarantees"].values()} == {"holds"}
    sentence = (
        "hence sequentially consistent: yes; no read was stale; read-your-writes holds; monotonic-reads holds"
    )
    assert sentence in Verdict((line,), {}).text()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Guarantee("unknown", "too many"), "every linearizable history has it"),
        (Guarantee("violated", "so I say"), "wrongly: so I say"),
    ],
)
def test_what_linearizability_implies_is_not_told_otherwise(monkeypatch, wrong, says):
    history, all_asked = History("", "register", None, FRESH, (), ""), Limits(every_guarantee=True)
    names = ("sequential", "stale-reads", *sessions.NAMES)
    monkeypatch.setattr(weaker, "guarantees", lambda *arguments: dict.fromkeys(names, wrong))
    line = weaker.told(linearizability.judge(history, Limits()).line, history, all_asked)
    assert all(
        each["status"] == "holds" and says in each["why"] for each in line.details["guarantees"].values()
    )
    assert "no read was stale" in line.details["still"]
    undecided = weaker.told(unknown("linearizability", "no time"), history, all_asked)
    assert undecided.details["guarantees"]["sequential"]["status"] == wrong.status


def test_guarantees_can_be_asked_for_on_the_command_line(capsys):
    good = str(Path(__file__).parent / "good_histories" / "stale_read.jsonl")
    assert main([good]) == 0
    assert "sequentially" not in capsys.readouterr().out
    assert main([good, "--guarantees"]) == 0
    assert "hence sequentially consistent: yes; no read was stale" in capsys.readouterr().out
