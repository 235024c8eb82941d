"""What a verdict must not depend on, and what can only make it better, on histories too big for brute force.

The same history in other words has the same verdict. What asks for less (wider intervals, less of the end,
an answer nobody heard) never makes a valid history invalid.
"""

from __future__ import annotations

import functools
import json
import random
import zlib
from collections import Counter
from dataclasses import replace

import pytest
from brute_objects import OBJECTS, Register
from medium_histories import Renamed, medium_history, real_operations

from checker.formats.detect import read_bytes
from checker.formats.export import WRITERS
from checker.formats.reading import Options
from checker.history import History
from checker.judges import linearizability
from checker.limits import Limits
from checker.models import model_named

NAMES = (
    "register", "kv", "cas-register", "append", "set", "flags", "grow-only-set", "queue", "plain queue",
    "counter", "unit counter", "bank", "kv-append of tokens",
)  # fmt: skip
LIMITS = Limits(seconds=60.0, nodes=20_000, shrink_seconds=10.0)  # nodes, not seconds, decide what is unknown
EACH = {"valid": 3, "invalid": 2}


def verdict(history: History) -> str:
    """valid, invalid, or unknown: of a history nobody could decide, or show to be refuted, in the time."""
    return linearizability.judge(history, LIMITS).line.verdict


@functools.cache
def judged(name: str) -> tuple[tuple[History, str], ...]:
    """Histories that are decided, with their verdicts."""
    rng = random.Random(zlib.crc32(name.encode()))
    most = 200 if name in EASY else 60
    kept: list[tuple[History, str]] = []
    left = Counter(EACH)
    for _ in range(100):
        if not left.total():
            break
        history = medium_history(rng, name, most)
        found = verdict(history)
        if left[found]:
            left[found] -= 1
            kept.append((history, found))
    assert not left.total(), left
    return tuple(kept)


EASY = ("register", "kv", "append", "flags", "grow-only-set", "unit counter")


def other_values(rng, history):
    return Renamed(rng, history).history(history)


def other_processes(rng, history):
    numbers = sorted({op.process for op in history.operations})
    others = dict(zip(numbers, rng.sample(range(1_000), len(numbers)), strict=True))
    return _each(history, lambda op: {"process": others[op.process]})


def other_keys(rng, history):
    names = dict(zip(("k0", "k1"), rng.sample(("z", "a", "\N{SNOWMAN}"), 2), strict=True))
    return _each(history, lambda op: {"key": names[op.key]})


def among_others(rng, history):
    """With a key between that is valid."""
    others = real_operations(rng, history.source, history.initial, 40, 1, 2_000)
    merged = [*history.operations, *(replace(op, key="another") for op in others)]
    ordered = sorted(merged, key=lambda op: (op.call_ns, op.process >= 2_000, op.index))
    return replace(history, operations=tuple(replace(op, index=i) for i, op in enumerate(ordered)))


def another_time(rng, history):
    factor, on = rng.choice((1, 3, 1_000_000)), rng.randrange(1_000)
    return _each(
        history,
        lambda op: {
            "call_ns": factor * op.call_ns + on,
            "return_ns": None if op.return_ns is None else factor * op.return_ns + on,
        },
    )


def in_another_format(rng, history):
    format_ = rng.choice(("edn", "jsonl"))
    return _read(b"".join(WRITERS[format_](history)), format_, history)


def lines_exchanged(rng, history):
    """Lines of one moment, of different keys and processes, in another order."""
    header, *lines = b"".join(WRITERS["jsonl"](history)).splitlines(keepends=True)
    events = [json.loads(line) for line in lines]
    for _ in range(len(events)):
        at = rng.randrange(len(events) - 1)
        a, b = events[at : at + 2]
        if a["time_ns"] == b["time_ns"] and a["key"] != b["key"] and a["process"] != b["process"]:
            events[at : at + 2] = b, a
    numbered = [json.dumps({**event, "index": i}).encode() + b"\n" for i, event in enumerate(events)]
    return _read(header + b"".join(numbered), "jsonl", history)


SAME = (
    other_values, other_processes, other_keys, among_others, another_time, in_another_format, lines_exchanged,
)  # fmt: skip


def _each(history, change):
    return replace(history, operations=tuple(replace(op, **change(op)) for op in history.operations))


def _read(content, source, history):
    return read_bytes(content, source, "auto", Options()).history


@pytest.mark.parametrize("name", NAMES)
def test_other_words_for_the_same_have_the_same_verdict(name):
    rng, found = random.Random(name), Counter()
    for history, before in judged(name):
        for change in SAME:
            after = verdict(change(rng, history))
            found[before, after] += 1
            assert after in (before, "unknown"), (change.__name__, history)
    assert found["valid", "valid"] > 0
    assert found["invalid", "invalid"] > 0
    assert found["valid", "unknown"] + found["invalid", "unknown"] == 0


def wider(rng, history):
    """Calls earlier, returns later."""
    moved = _each(
        history,
        lambda op: {
            "call_ns": max(0, op.call_ns - rng.choice((0, 0, 5, 50))),
            "return_ns": None if op.return_ns is None else op.return_ns + rng.choice((0, 0, 5, 50)),
        },
    )
    ordered = sorted(moved.operations, key=lambda op: (op.call_ns, op.index))
    return replace(moved, operations=tuple(replace(op, index=i) for i, op in enumerate(ordered)))


def cut(rng, history):
    """Nobody looked after some moment."""
    end = rng.choice(history.operations).call_ns
    kept = [op for op in history.operations if op.call_ns <= end]
    return replace(history, operations=tuple(_unheard(op) if _after(op, end) else op for op in kept))


def _after(op, end):
    return op.return_ns is not None and op.return_ns > end


def _unheard(op):
    return replace(op, type="info", output=None, return_ns=None)


def reads_unheard(rng, history):
    """Some answers to what changes nothing were never heard."""
    model = model_named(history.model, history.initial)
    lost = {
        op.index
        for op in history.operations
        if op.type == "ok" and model.is_observer(model.call(op)) and rng.random() < 0.3
    }
    return _without(history, lost)


def answer_unheard(rng, history):
    """One answer was never heard."""
    return _without(history, {rng.choice([op.index for op in history.operations if op.type == "ok"])})


def _without(history, lost):
    operations = tuple(_unheard(op) if op.index in lost else op for op in history.operations)
    return replace(history, operations=operations)


WEAKER = (wider, cut, reads_unheard, answer_unheard)


@pytest.mark.parametrize("name", NAMES)
def test_what_asks_for_less_is_valid_still(name):
    rng, found = random.Random(name), Counter()
    for history, before in judged(name):
        for change in WEAKER if before == "valid" else ():
            after = verdict(change(rng, history))
            found[after] += 1
            assert after != "invalid", (change.__name__, history)
    assert found["valid"] > 9 * found["unknown"]  # pending dequeues of what was enqueued twice are hard


class NeverEmpty(Register):
    """A register without nulls. What a compare-and-set found is not always told."""

    bare = 0.2
    values = ("v0", "v1", "v2", "v3")

    def first(self, rng):
        return rng.choice(self.values)

    def ask(self, rng, number):
        f, given = super().ask(rng, number)
        return (f, given) if f != "delete" else ("read", None)


def test_a_register_without_nulls_is_a_cas_register(monkeypatch):
    monkeypatch.setitem(OBJECTS, "never empty", NeverEmpty())
    rng, found = random.Random(7), Counter()
    for _ in range(20):
        history = medium_history(rng, "never empty", 100)
        before = verdict(history)
        assert verdict(replace(history, model="cas-register")) == before, history
        found[before] += 1
    assert min(found["valid"], found["invalid"]) > 1
