"""What a history still satisfies, against brute force on small ones, and said by the judge."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace

import brute_force
import pytest

from checker import weaker
from checker.history import History, Operation
from checker.judges import linearizability
from checker.limits import Limits
from checker.models import model_named
from checker.verdict import Verdict
from checker.weaker import sequential, sessions, staleness


def step(model, state, op):
    """Whether `op` may happen at `state`, and what is then; a register and a list, written again."""
    if op.f in ("read", "get"):
        return op.type != "ok" or op.output == state, state
    return True, (*state, op.input) if model == "append" else op.input


def random_sessions(rng, model, keys=2):
    """A few processes on a slow object: reads may see what was there some time ago."""
    initial = () if model == "append" else None
    past = {key: [initial] for key in range(keys)}
    operations, free = [], [0] * rng.randint(1, 3)
    lag = rng.choice((0, 1, 2))
    for i in range(rng.randint(2, 7)):
        process = rng.randrange(len(free))
        key = rng.randrange(keys)
        call = free[process] + rng.randrange(1, 4)
        end = call + rng.randrange(4)
        free[process] = end + 1
        versions = past[key]
        if rng.random() < 0.5:
            f, given, told = ("append" if model == "append" else "write"), f"v{i}", None
            versions.append((*versions[-1], given) if model == "append" else given)
        else:
            f, given, told = "read", None, versions[max(0, len(versions) - 1 - rng.randint(0, lag))]
        operations.append(Operation(i, process, f, f"k{key}", given, told, "ok", call, end))
    operations.sort(key=lambda op: op.call_ns)
    last = {op.process: i for i, op in enumerate(operations)}
    return [
        replace(op, index=i, type="info", output=None, return_ns=None)
        if last[op.process] == i and rng.random() < 0.2
        else replace(op, index=i)
        for i, op in enumerate(operations)
    ]


def histories(count, seed, model, keys=2):
    rng = random.Random(seed)
    return [random_sessions(rng, model, keys) for _ in range(count)]


def grouped(operations):
    keys = {}
    for op in operations:
        keys.setdefault(op.key, []).append(op)
    return keys


def is_sequential(model, operations):
    done = [op for op in operations if op.type == "ok"]
    pending = [op for op in operations if op.type == "info"]
    return any(
        merges(model, {}, [*done, *chosen])
        for size in range(len(pending) + 1)
        for chosen in itertools.combinations(pending, size)
    )


def merges(model, states, left):
    if not left:
        return True
    for op in left:
        if any(other.process == op.process and other.index < op.index for other in left):
            continue
        legal, after = step(model, states.get(op.key, () if model == "append" else None), op)
        if legal and merges(model, {**states, op.key: after}, [o for o in left if o is not op]):
            return True
    return False


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


@pytest.mark.parametrize("model", ["register", "append"])
def test_the_staleness_is_the_least_that_explains(model):
    told: Counter[str] = Counter()
    for operations in histories(250, 10, model, keys=1):
        spec = model_named(model)
        found = staleness.judge(spec, grouped(operations), 1e18)
        span = operations[-1].call_ns - operations[0].call_ns + 1
        least = next((t for t in range(span + 1) if explained(spec, model, operations, t)), None)
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


def explained(spec, model, operations, lag_ns):
    return brute_force.linearizable(model, staleness.lag(spec, operations, lag_ns))


def has_order(operations, own):
    """Whether the writes of the key have an order, in real time, in which no process reads back."""
    writes = [op for op in operations if op.f == "write"]
    for order in itertools.permutations(writes):
        places = {None: -1, **{op.input: i for i, op in enumerate(order)}}
        if any(
            b.return_ns is not None and b.return_ns < a.call_ns for a, b in itertools.combinations(order, 2)
        ):
            continue
        if keeps(operations, places, own):
            return True
    return False


def keeps(operations, places, own):
    least = {}
    for op in operations:
        if op.type != "ok":
            continue
        if op.f == "read":
            if places[op.output] < least.get(op.process, -1):
                return False
            if not own:
                least[op.process] = places[op.output]
        elif own:
            least[op.process] = max(least.get(op.process, -1), places[op.input])
    return True


def test_session_guarantees_of_registers_agree_with_brute_force():
    told: Counter[tuple[str, str]] = Counter()
    for operations in histories(600, 11, "register", keys=1):
        found = sessions.judge(model_named("register"), grouped(operations))
        for name, own in zip(sessions.NAMES, (True, False)):
            told[name, found[name].status] += 1
            assert (found[name].status == "holds") is has_order(operations, own), (name, operations)
            assert bool(found[name].operations) is (found[name].status == "violated")
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
    assert statuses(read(2, 1, "a", "b"), read(3, 1, "a")) == ["holds", "violated"]
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
