"""Each piece of advice of a model, held against brute force: what it says may be done is done, and the truth
must not change. For `test_models` and `fuzz`.
"""

from __future__ import annotations

import random
from dataclasses import replace

from brute_force import Case, linearizable

from checker.engines.breadth import BreadthFirst
from checker.engines.depth import DepthFirst
from checker.engines.problem import Problem
from checker.engines.search import Status
from checker.models import model_named
from checker.models.base import Blur, Call, Model


def wrong_advice(rng: random.Random, case: Case) -> str | None:
    """What the model of `case` says that is not so, or None."""
    model = model_named(case.model, case.initial)
    calls = [model.call(op) for op in case.operations]
    truth = linearizable(case.model, case.operations, case.initial)
    useless = model.study(calls).useless
    if any(calls[i].known for i in useless):
        return "a completed call is useless"
    kept = [op for i, op in enumerate(case.operations) if i not in useless]
    if linearizable(case.model, kept, case.initial) is not truth:
        return f"useless {sorted(useless)}: without them it is {not truth}"
    wrong = _wrong_observer(model, calls) or _wrong_search(model, case, truth)
    # The other advice may turn an unexplainable history into an explainable one, but not back.
    return wrong or (_wrong_removal(rng, model, case, calls) if truth else None)


def _wrong_observer(model: Model, calls: list[Call]) -> str | None:
    states, todo = {model.initial}, [model.initial]
    while todo and len(states) < 30:
        state = todo.pop()
        for call in calls:
            legal, after = model.step(state, call)
            if legal and after != state and model.is_observer(call):
                return f"{call} is no observer: from {model.show(state)} to {model.show(after)}"
            if legal and after not in states:
                states.add(after)
                todo.append(after)
    return None


def _wrong_search(model: Model, case: Case, truth: bool) -> str | None:
    for order in (DepthFirst, BreadthFirst):
        search = order(Problem(model, case.operations))
        while search.run(100, float("inf")) is Status.RUNNING:
            pass
        if (search.status is Status.EXPLAINED) is not truth:
            return f"{order.__name__} says {search.status.value}, which is not so"
    return None


def _wrong_removal(rng: random.Random, model: Model, case: Case, calls: list[Call]) -> str | None:
    """Of an explainable case."""

    def explained(operations) -> bool:
        return linearizable(case.model, operations, case.initial)

    ops = case.operations
    some = {i for i in model.removable(calls) if rng.random() < 0.7}
    if not explained([op for i, op in enumerate(ops) if i not in some]):
        return f"removable {sorted(some)}: without them nothing explains it"
    kept = {i for i in range(len(ops)) if rng.random() < 0.4}
    while needed := model.needed(ops, frozenset(kept)):
        kept.update(needed)
    if not explained([op for i, op in enumerate(ops) if i in kept]):
        return f"needed by none: kept {sorted(kept)}, nothing explains them"
    weak = [model.weaken(call) if rng.random() < 0.7 else None for call in calls]
    if not explained([_as(call, op) if call else op for call, op in zip(weak, ops, strict=True)]):
        return f"weakened to {weak}, nothing explains it"
    gone = frozenset(atom for atom in model.atoms(calls) if rng.random() < 0.5)
    seen = [(model.project(call, gone), op) for call, op in zip(calls, ops, strict=True)]
    if not explained([_as(call, op) for call, op in seen if call]):
        return f"without {sorted(map(str, gone))} nothing explains it"
    return None


def _as(call, op):
    assert Blur.UNSEEN not in (call.input, call.output)
    return replace(op, f=call.f, input=call.input, output=call.output)
