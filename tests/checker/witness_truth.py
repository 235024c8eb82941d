"""The truth about placing reads into an order of execution: every gap for every read, tried one by one."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence

from brute_force import random_history, step
from brute_objects import OBJECTS

from checker.audit import audit_order
from checker.engines.answers import Explained
from checker.engines.witness import propose
from checker.history import Operation
from checker.models import model_named


def wrong_placement(rng: random.Random, name: str, counts: Counter[str] | None = None) -> str | None:
    """A random history, a random order of its mutators: what the witness engine gets wrong about it."""
    thing = OBJECTS[name]
    model = model_named(thing.model)
    operations = [op for op in random_history(rng, name, 6) if op.type != "fail"]
    reads = [op for op in operations if model.is_observer(model.call(op)) and op.type == "ok"]
    if not reads:
        return None
    logged = [op for op in operations if op not in reads and (op.type == "ok" or rng.random() < 0.5)]
    rng.shuffle(logged)
    if rng.random() < 0.8:
        logged.sort(key=lambda op: op.call_ns + rng.randrange(6))
    proposal = propose(model, operations, [op.index for op in logged])
    found = isinstance(proposal, Explained)
    if isinstance(proposal, Explained):
        found = audit_order(model, operations, proposal.order, proposal.dropped) is None
    if counts is not None:
        counts["placed" if found else "rejected"] += 1
    if found is placeable(name, logged, reads):
        return None
    order = [op.index for op in logged]
    return f"{'placed' if found else 'rejected'}: executed {order}, {operations}"


def placeable(name: str, logged: Sequence[Operation], reads: Sequence[Operation]) -> bool:
    """Whether the reads can be interleaved with this order of the others."""
    thing = OBJECTS[name]
    for gaps in itertools.product(range(len(logged) + 1), repeat=len(reads)):
        for tie in itertools.permutations(range(len(reads))):
            order: list[Operation] = []
            state = thing.initial
            for gap in range(len(logged) + 1):
                order += [reads[i] for i in tie if gaps[i] == gap]
                order += logged[gap : gap + 1]
            for at, one in enumerate(order):
                legal, state = step(thing, state, one)
                later = order[at + 1 :]
                if not legal or any(o.return_ns is not None and o.return_ns < one.call_ns for o in later):
                    break
            else:
                return True
    return False
