"""The polynomial engines of lists, sets, queues and counters: against brute force, and against mutants."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from brute_force import linearizable
from structure_histories import Case, small

from checker.audit import audit_order
from checker.engines.answers import Explained, Refuted, Undecided
from checker.engines.polynomial import engine_for
from checker.models import model_named

CASES = {
    "lists": small("append"),
    "texts": small("growing text"),
    "grow sets": small("grow-only-set"),
    "sets": small("flags"),
    "queues": small("plain queue"),
    "counters": small("unit counter", "counter", "falling counter"),
}


def disagreement(case: Case) -> str | None:
    """What the engine gets wrong."""
    model = model_named(case.model, case.initial)
    answer = engine_for(model)(model, case.operations)
    truth = linearizable(case.model, case.operations, case.initial)
    if isinstance(answer, Explained):
        if not truth:
            return "explained, but brute force finds no order"
        return audit_order(model, case.operations, answer.order, answer.dropped)
    if isinstance(answer, Refuted):
        return f"refuted ({answer.kind}), but explainable" if truth else None
    return None


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_brute_force(name):
    rng = random.Random(f"{name} 5")
    answers: Counter[str] = Counter()
    for _ in range(600):
        case = CASES[name](rng)
        assert disagreement(case) is None, case
        model = model_named(case.model)
        answer = engine_for(model)(model, case.operations)
        answers[type(answer).__name__] += 1
        if name != "counters":
            assert not isinstance(answer, Undecided), case
    assert min(answers["Explained"], answers["Refuted"]) > 50
