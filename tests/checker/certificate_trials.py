"""Certificates tried on one small history: none may refute what some order explains, and what no order
explains must get one that the auditor accepts."""

from __future__ import annotations

import random
from collections.abc import Sequence

from brute_force import linearizable
from register_histories import Case

from checker.audit import audit_refutation
from checker.counterexample.find import find
from checker.engines.answers import Budget
from checker.engines.decide import decide_key
from checker.history import Operation
from checker.models import model_named
from checker.models.base import Model
from checker.moves import Left, Move, starts, weaker


def wrong_certificate(rng: random.Random, case: Case) -> str | None:
    """What is wrong with certificates about this history, or None."""
    model = model_named(case.model, case.initial)
    operations = [op for op in case.operations if op.type != "fail"]
    if not operations:
        return None
    truth = linearizable(case.model, operations, case.initial)
    for _ in range(6):
        moves = random_moves(rng, model, operations)
        left = weaker(model, Left(operations), moves)
        if isinstance(left, str) or not truth:
            continue
        if audit_refutation(model, left.operations, 1_000_000, None, starts(model, left)) is None:
            return f"the auditor accepts {moves}, but brute force explains the history"
    return None if truth else _refuted(model, operations)


def _refuted(model: Model, operations: Sequence[Operation]) -> str | None:
    refuted = decide_key(model, operations, Budget(seconds=20.0))
    if refuted.status != "refuted":
        return f"the engines say {refuted.status}, but brute force refutes it"
    found = find(model, operations, refuted, 5.0)
    if found.objection is not None:
        return f"no certificate: {found.objection} ({found.counterexample.moves})"
    return None


def random_moves(rng: random.Random, model: Model, operations: Sequence[Operation]) -> list[Move]:
    """Some that may be made and some that may not."""
    times = sorted({t for op in operations for t in (op.call_ns, op.return_ns) if t is not None})
    indexes = [op.index for op in operations]
    moves: list[Move] = []
    for name in rng.choices(
        ("cut", "after", "project", "weaken", "keep"), (2, 3, 2, 2, 5), k=rng.randint(1, 4)
    ):
        if name in ("cut", "after"):
            moves.append((name, (rng.choice(times) + rng.randrange(-1, 2),)))
        elif name == "project":
            atoms = model.atoms([model.call(op) for op in operations])
            moves.append((name, tuple(atom for atom in atoms if rng.random() < 0.5)))
        else:
            share = rng.random()
            moves.append((name, tuple(index for index in indexes if rng.random() < share)))
    return moves
