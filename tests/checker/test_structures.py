"""The polynomial engines of lists, sets, queues and counters: against brute force, the search, and mutants.

A mutant is the engine's source with one rule's condition changed; brute force must notice.
"""

from __future__ import annotations

import inspect
import random
from bisect import bisect_right
from collections import Counter
from dataclasses import replace
from importlib import import_module

import pytest
from fuzz import ENGINES, disagreement
from structure_histories import recorded

from checker.audit import audit_order
from checker.engines.answers import Budget, Explained, Refuted
from checker.engines.contest import decide_key as search
from checker.engines.polynomial import engine_for
from checker.models import model_named

ROWS = ("lists", "texts", "tangled texts", "grow sets", "sets", "queues", "counters")


@pytest.mark.parametrize("name", ROWS)
def test_agrees_with_brute_force(name):
    rng, counts = random.Random(f"{name} 5"), Counter()
    for _ in range(400):
        case = ENGINES[name].case(rng)
        assert disagreement(ENGINES[name], case, counts) is None, case
    refuted = sum(n for word, n in counts.items() if word not in ("decidable", "explained", "undecided"))
    assert min(counts["explained"], refuted) > (20 if name != "tangled texts" else 3)


MUTANTS = {
    "queues": [
        ("returned if end is None or returned < end else end", "_EVER if end is None else end"),
        ("if b[u] < a[w]", "if b[u] <= a[w]"),
        ("if b[u] < a[w]", "if False"),
        ("elif returned < begin", "elif returned <= begin"),
        ("bisect_left(begins, moment) - 1", "bisect_right(begins, moment) - 1"),
        ("if moment > op.return_ns", "if moment >= op.return_ns"),
        ("if b[v] >= end:", "if b[v] > end:"),
        ("while b[v] >= until", "while b[v] > until + 1"),
        ("a[v], b[v], c[v], d[v] = begin, end, _NEVER, _NEVER", "continue"),
        ("todo.append(more)", "pass"),
        ("if number not in used and", "if"),
        ("permutations(puts, len(takes))", "[tuple(puts[: len(takes)])]"),
        ("if len(several) > len(sources)", "if len(several) > 1"),
    ],
    "lists": [
        ("if returned is not None and returned < latest", "if returned is not None and returned <= latest"),
        ("count > len(sources)", "count >= len(sources)"),
        ("sequence += end", "sequence[:0] = end"),
        ("if text != longest[: len(text)]", "if False"),
        ("return one[0] <= other[0] and one[1] <= other[1] and", "return one[0] <= other[0] and"),
        ("return one[0] <= other[0] and one[1] <= other[1] and", "return one[1] <= other[1] and"),
        ("call <= before and end >= after", "call < before and end >= after"),
        ("call <= before and end >= after", "call <= before and end > after"),
        ("or len(shortest) < len(begin)", ""),
        ("longest[: len(begin)] != begin or", ""),
        ("if not repeated", "if True"),
    ],
    "tangled texts": [
        ("before[at + length] = -1", "pass"),
    ],
    "grow sets": [
        ("if about.high < about.low", "if about.high <= about.low"),
        ("if item.high < latest", "if item.high <= latest"),
        ("for op in (*about.adds, *about.found)", "for op in about.adds"),
        ("for op in about.missed:\n        if", "for op in ():\n        if"),
        ("if not last <= content", "if False"),
        ("if content == last and levels", "if content == last"),
        ("about.low = about.high = -_EVER", "about.low = 0"),
        ("min(op.call_ns for op in about.adds)", "max(op.call_ns for op in about.adds)"),
        ("len(levels) if about.level < 0 else about.level", "max(0, about.level)"),
    ],
    "sets": [
        ("element in initial)\n        order", "False)\n        order"),
        ("self._all[by_call[entered]].call_ns <= end", "self._all[by_call[entered]].call_ns < end"),
        ("used < ready[kind]", "False"),
        ("_YES if state.up else _NO", "_YES"),
        ("for kind in (_UP, _DOWN):\n            up", "for kind in (_UP,):\n            up"),
    ],
    "counters": [
        ("if amount > farthest", "if amount >= farthest"),
        ("_EVER if op.return_ns is None else op.return_ns, op.index, op", "0, op.index, op"),
        ("untold[called].call_ns <= high[i]", "untold[called].call_ns < high[i]"),
        ("if end < low[i]", "if end <= low[i]"),
        ("if low[i] > high[i]", "if low[i] >= high[i]"),
        ("op.return_ns) < low[-1]", "op.return_ns) <= low[-1]"),
        ("low[i] = max(low[i], low[i - 1])", "pass"),
        ("high[i] = min(high[i], high[i + 1])", "pass"),
        ("high[i - 1] = min(high[i - 1], op.return_ns)", "pass"),
        ("low[i] = max(low[i], known.call_ns)", "pass"),
        ("high[i] = min(high[i], known.return_ns)", "pass"),
        ("count * amount != gap or", ""),
        ("if isinstance(answer, Explained)", "if True"),
    ],
}
PAIRS = [(row, *pair) for row, pairs in MUTANTS.items() for pair in pairs]
MODULES = {"texts": "lists", "tangled texts": "lists", "grow sets": "grow_sets"}


@pytest.mark.parametrize(("row", "old", "new"), PAIRS)
def test_brute_force_notices_a_rule_without_its_condition(row, old, new):
    real = import_module(f"checker.engines.polynomial.{MODULES.get(row, row)}")
    source = inspect.getsource(real)
    assert source.count(old) == 1, f"{old!r} is there {source.count(old)} times"
    mutant = dict(real.__dict__, bisect_right=bisect_right)
    exec(compile(source.replace(old, new), str(real.__file__), "exec"), mutant)
    mutated = replace(ENGINES[row], decide=mutant["decide"])
    rng = random.Random(3)
    assert any(_noticed(mutated, mutated.case(rng)) for _ in range(20_000)), "nothing notices"


def _noticed(row, case):
    try:
        return disagreement(row, case) is not None
    except (AssertionError, LookupError, TypeError, ValueError):
        return True


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("append", 200),
        ("growing text", 200),
        ("grow-only-set", 200),
        ("flags", 400),
        ("plain queue", 300),
        ("unit counter", 400),
    ],
)
@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_the_search_on_larger_ones(name, operations, seed):
    rng = random.Random(f"{name} {seed}")
    history = recorded(rng, name, operations=operations, clients=5, pending=0.01)
    spec = model_named({"growing text": "kv-append", "flags": "set"}.get(name, name.split()[-1]))
    answer = engine_for(spec)(spec, history)
    assert isinstance(answer, Explained), answer
    assert audit_order(spec, history, answer.order, answer.dropped) is None
    told = [i for i, o in enumerate(history) if o.known and o.output is not None]
    for _ in range(4):
        one, other = rng.choice(told), rng.choice(told)
        if history[one].f != history[other].f:
            continue
        spoilt = list(history)
        spoilt[one] = replace(history[one], output=history[other].output)
        answer = engine_for(spec)(spec, spoilt)
        found = search(spec, spoilt, Budget(seconds=0.2))
        if found.status != "undecided":
            assert (found.status == "refuted") is isinstance(answer, Refuted), (one, other)
