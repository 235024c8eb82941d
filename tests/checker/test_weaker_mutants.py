"""Each side condition of the weaker guarantees, dropped or bent: brute force notices.

A mutant is the source of a module with one expression changed. Of sequential consistency each way is tried by
itself, and the search by itself, so that none hides behind another.
"""

from __future__ import annotations

import random
from functools import cache, partial
from types import ModuleType

import pytest
import weaker_truth

from checker.history import Operation
from checker.models import model_named
from checker.weaker import intervals, sequential, sessions, staleness

SEQUENTIAL = {
    "loose is an explanation": ('(0.7, "violated", _loose)', '(0.7, "holds", _loose)'),
    "stretched refutes": (
        '(0.5, "holds", partial(_stretch, back=True))', '(0.5, "violated", partial(_stretch, back=True))'),
    "loose keeps intervals": ("spanning(op, 0, ended, op.index)", "op"),
    "what follows may begin as early as what it follows": ("begin = ended + 1", "begin = -1"),
    "what is followed may end with what follows": ("op.call_ns - 1, wide", "op.call_ns, wide"),
    "what is followed may end last": ("op.call_ns - 1, wide", "end, wide"),
    "observers that are not legal go first": (
        "elif model.step(states[where[op.key]], op)[0]:", "elif True:"),
    "all go first": ("op.index not in observers:\n            behind", "False:\n            behind"),
    "what is not legal may be next": (" if legal else None", ""),
    "a pending operation happens": (
        'if op.type != "ok":\n            yield moved', "if False:\n            yield moved"),
    "a completed operation may not have happened": (
        'if op.type != "ok":\n            yield moved', "if True:\n            yield moved"),
    "it is over when one process is done": ("if all(map(ge", "if any(map(ge"),
    "pending operations need not be tried": (
        'if op.type == "ok" or op.index', 'if op.type == "ok" and op.index'),
    "keys share a state": ("{key: i for i, key in", "{key: 0 for i, key in"),
    "a dead end is no way back": ("                seen.add(point)", "                stack.clear()"),
}  # fmt: skip
STALENESS = {
    "pending reads lag": ('op.type == "ok" and model', 'op.type == "ok" or model'),
    "writes lag": ('if op.type == "ok" and model.is_observer(model.call(op))', 'if op.type == "ok"'),
    "nothing lags": ('if op.type == "ok" and model.is_observer(model.call(op))', "if False"),
    "two is near enough": ("while high - low > 1 and", "while high - low > 2 and"),
    "the halves are exchanged": ("(low, middle) if found else", "(low, middle) if not found else"),
    "half of the time is all": ("works(span)", "works(span // 2)"),
    "it starts at nought": ("low, high, certain = -1,", "low, high, certain = 0,"),
}
REGISTERS = {
    "real time is nothing": ("            out[base + n - 1].append(node[i])", "            pass"),
    "touching writes are ordered": ("(ends[n][0] or 0) < operations", "(ends[n][0] or 0) <= operations"),
    "the beginning is like any write": ("out[0] = [node[i] for i in writes]", "pass"),
    "writes end in no order": ("out[base + n].append(base + n + 1)", "pass"),
    "reads order nothing": ("out[node[before]].append(node[after])", "pass"),
    "a session is everybody": (
        "before = latest.get(op.process)\n            if before is not None and before != maker",
        "before = max(latest.values(), default=None)\n            if before is not None and before != maker",
    ),
    "a pending write was its own": ('if own and op.type == "ok" and _left', "if own and _left"),
    "own writes do not count": ('if own and op.type == "ok" and _left', "if False and _left"),
    "what was read counts as written": (
        "        if not own:\n                latest",
        "        if True:\n                latest",
    ),
    "what was read does not count": (
        "        if not own:\n                latest",
        "        if False:\n                latest",
    ),
    "a failed swap wrote": ('(op.type != "ok" or swapped(op))', "True"),
    "a swap read nothing": ("return (op.output[1],)", "return ()"),
    "a cycle is anything": ("if inside.get(node[before], -1) == inside.get(node[after], -2):", "if True:"),
}
LISTS = {
    "own appends count once": (" if extends else 0 :]", " :]"),
    "what was asked for is forgotten": ("len(own)\n", "len(own) + 1\n"),
    "others' appends are its own": ("appended.setdefault(op.process", "appended.setdefault(0"),
    "others' reads are its own": (
        "latest.get(op.process)\n            seen",
        "latest.get(0)\n            seen",
    ),
    "a longer read extends": (
        "seen[: len(_elements(before))] == before.output",
        "len(seen) >= len(_elements(before))",
    ),
    "a pending append counts": (
        'if op.type != "ok":\n                continue\n            own',
        'if op.type == "no":\n                continue\n            own',
    ),
    "one append of several is enough": (
        "if op.input not in elements",
        "if op.input not in elements and len(own) < 2",
    ),
}


def mutated(module: ModuleType, old: str, new: str) -> dict[str, object]:
    """The names of `module` with one expression changed."""
    assert module.__file__ is not None
    with open(module.__file__, encoding="utf-8") as source:
        text = source.read()
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {module.__name__}"
    names: dict[str, object] = {"__name__": module.__name__}
    exec(compile(text.replace(old, new), old, "exec"), names)
    return names


@cache
def orders():
    """Histories, and what is true of their sequential consistency."""
    some = weaker_truth.with_more_pending(weaker_truth.histories(400, 8, "register", swaps=0.3))
    return [(each, "holds" if weaker_truth.is_sequential("register", each) else "violated") for each in some]


def wrong_order(names) -> bool:
    """Whether some way to sequential consistency says what is not so, or the search does not decide."""
    model, all_ways = model_named("register"), names["_WAYS"]
    for operations, truth in orders():
        for way in (None, *all_ways):
            names["_WAYS"] = () if way is None else (way,)
            names["_POINTS"] = 20_000 if way is None else 0
            found = names["judge"](model, weaker_truth.grouped(operations), 1e18).status
            if found not in ((truth,) if way is None else (truth, "unknown")):
                return True
    return False


@cache
def lags():
    """Histories with the least lag that explains them, or None."""
    cases = []
    for operations in weaker_truth.histories(150, 10, "register", keys=1):
        span = operations[-1].call_ns - operations[0].call_ns + 1
        lagging = (staleness.lag(model_named("register"), operations, t) for t in range(span + 1))
        least = next((t for t, each in enumerate(lagging) if weaker_truth.explains("register", each)), None)
        cases.append((operations, least))
    return cases


def wrong_lag(names) -> bool:
    """Whether the staleness of some history is not the least that explains it."""
    for operations, least in lags():
        found = names["judge"](model_named("register"), weaker_truth.grouped(operations), 1e18)
        said = (found.status, found.details.get("at_most_ns"), found.details.get("more_than_ns", -1))
        if said != (("violated", None, -1) if least is None else ("holds", least, least - 1)):
            return True
    return False


@cache
def sessions_of(model):
    """Histories, and whether each guarantee holds."""
    if model == "register":
        some = weaker_truth.histories(800, 11, "register", keys=1, swaps=0.2)
        cases, truth = [_far_apart(), *some, *weaker_truth.with_more_pending(some)], weaker_truth.has_order
    else:
        rng = random.Random(12)
        some = weaker_truth.histories(1_500, 12, "append")
        cases, truth = [weaker_truth.mangled(rng, each) for each in some], weaker_truth.keeps_lists
    return [(each, [truth(each, own) for own in (True, False)]) for each in cases]


def wrong_sessions(names, model) -> bool:
    """Whether a session guarantee of some history is said wrongly."""
    for operations, truth in sessions_of(model):
        found = names["judge"](model_named(model), weaker_truth.grouped(operations))
        if [found[name].status == "holds" for name in sessions.NAMES] != truth:
            return True
    return False


def _far_apart() -> list[Operation]:
    """Reads of the last of three writes, then of the first; one of the second, which overlaps the first."""
    spans = enumerate(((0, 5), (0, 15), (20, 25)))
    writes = [Operation(i, i, "write", "k", f"v{i}", None, "ok", *span) for i, span in spans]
    seen = enumerate(((3, "v2"), (3, "v0"), (4, None), (4, "v1")), 3)
    reads = [Operation(i, p, "read", "k", None, value, "ok", 30 + i, 30 + i) for i, (p, value) in seen]
    return [*writes, *reads]


RULES = {
    "sequential": (sequential, SEQUENTIAL, wrong_order),
    "staleness": (staleness, STALENESS, wrong_lag),
    "registers": (sessions, REGISTERS, partial(wrong_sessions, model="register")),
    "lists": (sessions, LISTS, partial(wrong_sessions, model="append")),
}


@pytest.mark.parametrize(
    ("rule", "mutant"), [(rule, mutant) for rule, (_, mutants, _) in RULES.items() for mutant in mutants]
)
def test_brute_force_catches(rule, mutant):
    module, mutants, wrong = RULES[rule]
    try:
        caught = wrong(mutated(module, *mutants[mutant]))
    except (AssertionError, IndexError, KeyError, TypeError, ValueError):
        caught = True
    assert caught, f"nothing notices that {mutant}"


@pytest.mark.parametrize("rule", RULES)
def test_brute_force_agrees_with_what_is_not_changed(rule):
    module, _, wrong = RULES[rule]
    assert not wrong(mutated(module, "annotations\n", "annotations\n\n"))


def test_an_order_that_the_auditor_refuses_is_no_explanation(monkeypatch):
    operations = weaker_truth.histories(1, 8, "register")[0][:1]
    model, keys = model_named("register"), weaker_truth.grouped(operations)
    assert intervals.explained(model, keys, 1.0) is True
    monkeypatch.setattr(intervals, "audit_order", lambda *arguments: "no")
    assert intervals.explained(model, keys, 1.0) is None
