"""The auditor and the moves against naive versions of themselves; each rule dropped from them is noticed."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from types import ModuleType

import pytest
from brute_force import linearizable, random_history
from brute_objects import OBJECTS
from certificate_trials import random_moves

import checker.audit
import checker.moves
from checker.history import Operation
from checker.models import model_named

AUDIT = {
    "no running maximum": ("if operation.call_ns > latest_call:", "if True:"),
    "touching is too late": ("return_ns < latest_call", "return_ns <= latest_call"),
    "real time ignored": ("return_ns < latest_call", "return_ns < 0"),
    "completed dropped": ('operation.type != "info"', "False"),
    "something left over": ('in the order nor dropped" if left', '" if False'),
    "twice": ('float("-inf"), left.pop', 'float("-inf"), left.get'),
    "fail used": ('for op in ops if op.type != "fail"', "for op in ops"),
    "illegal steps": ("if not legal:", "if False:"),
    "called as it returned": ("op.call_ns <= (last", "op.call_ns < (last"),
    "pending ones never used": ("elif legal and after != state:", "elif False:"),
    "frontier not closed": ('return f"the frontier', 'continue; f"the frontier'),
    "fewer done in a frontier": ("done <= p[0] and ", ""),
    "mutators done in a frontier": ("and p[0] - done <= watching ", ""),
    "pending used in a frontier": (" and p[1] <= used", ""),
}
MOVES = {
    "needed calls left out": ("model.needed(left, kept)", "[]"),
    "cut forgets what is open": ("if op.call_ns <= moment_ns", "if (op.return_ns or 0) <= moment_ns"),
    "cut knows what is open": ('replace(op, type="info", output=None, return_ns=None)', "op"),
    "only the initial state": ("            states = found\n", "            states = [model.initial]\n"),
}
MUTANTS = {
    **{name: (checker.audit, *change) for name, change in AUDIT.items()},
    **{name: (checker.moves, *change) for name, change in MOVES.items()},
}


def mutated(module, old: str, new: str) -> ModuleType:
    """The module with one rule changed."""
    source = Path(module.__file__).read_text()
    assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in {module.__name__}"
    mutant = ModuleType(module.__name__ + "_mutant")
    exec(compile(source.replace(old, new), "mutant", "exec"), mutant.__dict__)
    return mutant


def explains(name, operations, order, dropped) -> bool:
    """Naively: whether `order` explains operations of one key."""
    by_index = {op.index: op for op in operations if op.type != "fail"}
    if sorted([*order, *dropped]) != sorted(by_index) or any(by_index[i].type == "ok" for i in dropped):
        return False
    for early, late in itertools.combinations(order, 2):
        end = by_index[late].return_ns
        if end is not None and end < by_index[early].call_ns:
            return False
    thing = OBJECTS[name]
    state = thing.initial
    for op in (by_index[i] for i in order):
        output, state = thing.apply(state, op.f, op.input)
        if op.type == "ok" and not thing.fits(op.f, op.output, output):
            return False
    return True


def random_order(rng, operations):
    """Mostly nearly right: by the middle of the interval, then sometimes spoilt."""
    happened = [op for op in operations if op.type != "fail" or rng.random() < 0.05]
    order = [op.index for op in sorted(happened, key=lambda op: rng.uniform(op.call_ns, op.return_ns or 9))]
    dropped = [i for i in order if operations[i].type != "ok" and rng.random() < 0.5]
    order = [i for i in order if i not in dropped]
    if order and rng.random() < 0.1:
        dropped.append(rng.choice(order)) if rng.random() < 0.5 else order.append(rng.choice(order))
    if order and rng.random() < 0.1:
        gone = order.pop(rng.randrange(len(order)))
        if rng.random() < 0.5:
            dropped.append(gone)
    return order, dropped


def subsets(of):
    return [frozenset(some) for n in range(len(of) + 1) for some in itertools.combinations(of, n)]


def random_frontier(rng, operations, states):
    """Some of all points there could be."""
    ended = [op.index for op in operations if op.known]
    pending = [op.index for op in operations if not op.known]
    share = rng.choice((0.5, 0.9))
    return {
        (last, json.dumps(state)): [
            (done, used)
            for done in subsets([i for i in ended if i != last])
            for used in subsets(pending)
            if rng.random() < share
        ]
        for last in ended
        for state in states
        if rng.random() < share
    }


def wrong(rng, audit, moves) -> str | None:
    """Something that auditor and moves get wrong about one random history, if there is."""
    name = rng.choice(("register", "register", "append"))
    operations = random_history(rng, name, 5)
    spec = model_named(name)
    for _ in range(4):
        order, dropped = random_order(rng, operations)
        if (audit.audit_order(spec, operations, order, dropped) is None) != explains(
            name, operations, order, dropped
        ):
            return f"order {order}, dropped {dropped} of {operations}"
    happened = [op for op in operations if op.type != "fail"]
    truth = linearizable(name, happened)
    start = (frozenset[int](), frozenset[int](), spec.initial)
    if happened and (audit.audit_refutation(spec, happened, 10**6, None, [start]) is None) == truth:
        return f"every order of {happened}"
    if not truth or not happened:
        return None
    for _ in range(3):
        made = random_moves(rng, spec, happened)
        left = moves.weaker(spec, moves.Left(happened), made)
        if not isinstance(left, str):
            points = moves.starts(spec, left)
            if audit.audit_refutation(spec, left.operations, 10**6, None, points) is None:
                return f"{made} of {happened}"
    if name == "register":
        listed = random_frontier(rng, happened, [None, *sorted({f"v{i}" for i in range(5)})])
        if audit.audit_refutation(spec, happened, 10**6, listed, [start]) is None:
            return f"frontier {listed} of {happened}"
    return None


def first_wrong(audit, moves, histories: int) -> str | None:
    rng = random.Random(12)
    return next((said for _ in range(histories) if (said := wrong(rng, audit, moves))), None)


def test_the_auditor_is_right():
    assert first_wrong(checker.audit, checker.moves, 1_500) is None


@pytest.mark.parametrize("name", MUTANTS)
def test_each_rule_dropped_is_noticed(name):
    module, old, new = MUTANTS[name]
    mutant = mutated(module, old, new)
    audit = mutant if module is checker.audit else checker.audit
    moves = mutant if module is checker.moves else checker.moves
    assert first_wrong(audit, moves, 8_000) is not None


def test_what_was_open_may_be_done():
    """Write a came before write c, though it returned after the moment. Chance hardly finds this."""
    operations = [
        Operation(0, 0, "write", "k", "a", None, "ok", 0, 30),
        Operation(1, 1, "write", "k", "c", None, "ok", 6, 8),
        Operation(2, 2, "read", "k", None, "c", "ok", 11, 12),
        Operation(3, 2, "read", "k", None, "c", "ok", 31, 40),
    ]
    spec = model_named("register")
    mutant = mutated(checker.moves, "for some in done]", "for some in done[:1]]")
    for moves, says in ((checker.moves, "an order explains them"), (mutant, None)):
        left = moves.weaker(spec, moves.Left(operations), [("after", (10,))])
        points = moves.starts(spec, left)
        assert checker.audit.audit_refutation(spec, left.operations, 100, None, points) == says
