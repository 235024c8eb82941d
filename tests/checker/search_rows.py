"""The parts of the search engine as engines by themselves, for fuzzing: each order, cuts, frontiers.

The histories are of every model that brute force knows, and of a model with nothing but `step`.
"""

from __future__ import annotations

import random

from brute_force import random_case
from brute_objects import OBJECTS
from register_histories import Case

from checker.audit import audit_refutation
from checker.engines.answers import Answer, Explained, Refuted, Undecided
from checker.engines.breadth import BreadthFirst
from checker.engines.cut import cut
from checker.engines.depth import DepthFirst
from checker.engines.frontier import from_json, frontier, to_json
from checker.engines.problem import Problem
from checker.engines.search import Search, Status, order_of
from checker.models.base import Model

FOREVER = float("inf")


def any_case(rng: random.Random) -> Case:
    """A small history of any model."""
    return random_case(rng, rng.choice(list(OBJECTS)))


class OnlySteps(Model):
    """Another model without its advice."""

    def __init__(self, model: Model) -> None:
        super().__init__(model.name, model.initial)
        self.functions = model.functions  # type: ignore[misc]
        self._model = model

    def step(self, state, call):
        return self._model.step(state, call)


def run(problem: Problem, search: Search, slice_nodes: int = 3) -> Answer:
    """Until it has decided."""
    while search.run(slice_nodes, FOREVER) is Status.RUNNING:
        pass
    if search.status is Status.REFUTED:
        return Refuted("no order", ())
    order = order_of(problem, search.furthest[4])
    pending = [op.index for op in problem.operations[problem.completed :] if op.index not in order]
    return Explained(order, (*problem.dropped, *pending))


def depth(model, operations) -> Answer:
    problem = Problem(model, operations)
    return run(problem, DepthFirst(problem))


def breadth(model, operations) -> Answer:
    problem = Problem(model, operations)
    return run(problem, BreadthFirst(problem))


def only_steps(model, operations) -> Answer:
    return (depth if len(operations) % 2 else breadth)(OnlySteps(model), operations)


def from_cuts(model, operations) -> Answer:
    """Explained unless a cut refutes it: then nothing may explain it."""
    problem = Problem(model, operations)
    for r in range(1, problem.completed):
        points = cut(problem, r)
        if points is not None and run(problem, BreadthFirst(problem, points)) == Refuted("no order", ()):
            return Refuted("cut", ())
    return Undecided("every cut can be passed")


def frontiers(model, operations) -> Answer:
    """Refuted with a frontier that the auditor takes, in few steps; that there is none means nothing."""
    found = frontier(model, operations)
    if found is None:
        return Undecided("no frontier")
    read = from_json(to_json(found))
    assert read == found
    objection = audit_refutation(model, operations, 10_000, read)
    assert objection is None, f"the auditor objects to the frontier: {objection}"
    return Refuted("frontier", ())
