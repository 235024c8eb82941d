"""Mutants: each rule of the search without its condition. Brute force must find them out."""

from __future__ import annotations

import random

import pytest
import search_rows
from brute_force import linearizable, random_history
from hard_histories import op

from checker.engines import breadth, cut, depth, problem, search
from checker.engines.answers import Explained, Refuted
from checker.engines.problem import Problem
from checker.models import model_named
from checker.models.append import AppendStudy
from checker.models.register import RegisterStudy


def _slots_shared(of, sweep=Problem._sweep):
    sweep(of)
    few = max(1, of.slots - 1)
    of.bit = [1 << i % few for i in range(of.completed)] + [0]
    of._candidates = list(zip(range(of.completed), of.bit, of.class_of))


def _half_open(operation):
    return max(operation.return_ns - 0.5, operation.call_ns)


def _last_to_return(of, r, open_level=Problem.open_level):
    open_level(of, r)
    of.mutators[:] = [tuple(reversed(found or ())) for found in of.mutators]


def _superset(self, r, mask, used, state):
    rivals = self.__dict__.setdefault("rivals", {}).setdefault((r, mask, state), [])
    if any(other & used == used for other in rivals):
        return False
    rivals.append(used)
    return True


def _any_rival(self, point):
    r, mask, used, state, _ = point
    return self.__dict__.setdefault("rivals", {}).setdefault((r, mask, state), used) is used


def _lost_by_any(study, before, after):
    required = [(i, call.output) for i, call in enumerate(study._calls) if call.known and call.f == "read"]
    return () if before == after else [i for i, value in required if value == before]


def _all_in_is_lost(of, lost, r, mask):
    return bool(lost) and lost[-1] >= r


def _not_yet_open_is_in(of, lost, r, mask):
    return any(of.enters[i] <= r and not mask & of.bit[i] for i in lost if i >= r)


def _blurred_when_read(study, state):
    return state if study._next.get(state) else study._dead


def _one_state(of, most_states, most_steps):
    return [of.initial]


MUTANTS = {
    "two open operations share a slot": ("register", depth, Problem, "_sweep", _slots_shared),
    "intervals are half open": ("register", depth, problem, "_return_of", _half_open),
    "of one class the last to return is tried": ("register", depth, Problem, "open_level", _last_to_return),
    "more pending operations used is better": ("register", depth, depth.DepthFirst, "_is_new", _superset),
    "whoever used other ones will do": ("register", breadth, breadth.BreadthFirst, "_is_new", _any_rival),
    "a value with two sources is lost": ("register", depth, RegisterStudy, "lost", _lost_by_any),
    "what is lost though it is in counts": ("register", depth, search, "_any_left", _all_in_is_lost),
    "a list that is read is blurred": ("append", depth, AppendStudy, "blurred", _blurred_when_read),
    "a cut knows one state only": ("register", cut, Problem, "universe", _one_state),
    "a cut has nothing open in": ("register", cut, cut, "_masks", lambda of, r: [0]),
}


def _reads(*values):
    """A write of b, then reads of these one at a time, with a write of c after each."""
    found = [op(10, "write", "b", None, 2, 3)]
    for i, value in enumerate(values):
        found.append(op(20 + i, "read", None, value, 4 + 4 * i, 5 + 4 * i))
        found.append(op(30 + i, "write", "c", None, 6 + 4 * i, 7 + 4 * i))
    return found


RARE = [
    # Whichever of two equal writes is used first, the later one has to be left.
    [
        op(0, "write", "a", None, 0, 20),
        op(1, "write", "a", None, 0, 3),
        op(2, "write", "b", None, 4, 6),
        op(3, "read", None, "a", 7, 9),
    ],
    # Both pending writes may be used for a, but the first is needed later. (Of two x none is lost.)
    [
        op(0, "write", "x", None, 0, None),
        op(1, "write", "a", None, 1, None),
        op(2, "write", "x", None, 0, 1),
        *_reads("a", "x"),
    ],
    # Either leads from b to a, but only the write leads there from c.
    [op(0, "write", "a", None, 0, None), op(1, "cas", ("b", "a"), None, 1, None), *_reads("a", "a")],
    [op(0, "cas", ("b", "a"), None, 0, None), op(1, "write", "a", None, 1, None), *_reads("a", "a")],
]
"""What random histories hardly ever hit upon."""
DECIDERS = {depth: search_rows.depth, breadth: search_rows.breadth, cut: search_rows.from_cuts}


def _found_out(model: str, part) -> bool:
    rng = random.Random(3)
    spec, decider = model_named(model), DECIDERS[part]
    rare = RARE if model == "register" else []
    for number in range(3_000):
        history = rare[number] if number < len(rare) else random_history(rng, model)
        history = [o for o in history if o.type != "fail"]
        if isinstance(decider(spec, history), Refuted if linearizable(model, history) else Explained):
            return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS)
def test_brute_force_finds_out_a_rule_without_its_condition(monkeypatch, mutant):
    model, part, owner, name, wrong = MUTANTS[mutant]
    monkeypatch.setattr(owner, name, wrong)
    assert _found_out(model, part), f"nothing notices when {mutant}"


@pytest.mark.parametrize("part", DECIDERS)
def test_what_is_rare_is_decided_rightly(part):
    for history in RARE:
        answer = DECIDERS[part](model_named("register"), history)
        assert not isinstance(answer, Refuted if linearizable("register", history) else Explained)
