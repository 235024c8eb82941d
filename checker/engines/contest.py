"""Which key is searched next, in which way, and when to give up.

Keys take turns, a slice each, so that a key nobody can decide does not keep an easy one from being refuted.
A key starts depth first; past a budget that grows with its size it alternates with breadth first, both kept.
The first refuted key ends the contest: the verdict is known. Running out of time or nodes (which stand for
memory) is `unknown`, with how far each undecided key came, never `valid`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from checker.engines.problem import Problem
from checker.engines.search import Search, Status
from checker.history import Operation
from checker.models.base import Model

SLICE_NODES = 1_000


@dataclass(frozen=True, slots=True)
class Budget:
    """How much work the engines may do. A node costs about 0.5 kB while its key is undecided."""

    seconds: float = 60.0
    nodes: int = 3_000_000


@dataclass(frozen=True, slots=True)
class KeyResult:
    """What the engines say of one key.

    `order` is an explaining order (explained), or the order that got furthest (refuted, undecided).
    `stuck_on` is then the operation that returned first of those the order could not place.
    """

    key: str
    status: Literal["explained", "refuted", "undecided"]
    order: tuple[int, ...]
    dropped: tuple[int, ...]
    stuck_on: int | None
    placed: int
    total: int
    nodes: int
    engine: str = "search"
    kind: str = ""
    """Of a refutation: which rule of the engine was broken."""
    core: tuple[int, ...] = ()
    """Operations that refute by themselves (`answers.Refuted`), where the engine can name them."""


@dataclass(frozen=True, slots=True)
class ContestResult:
    """All keys. `limit` names the limit that was hit, if any; skipped keys were left when one was refuted."""

    keys: tuple[KeyResult, ...]
    limit: str | None


class _Contestant:
    """One key with its searches."""

    def __init__(self, key: str, model: Model, operations: Sequence[Operation]) -> None:
        self.key = key
        self.problem = Problem(model, operations)
        self._depth = Search(self.problem, "depth")
        self._breadth: Search | None = None
        self._depth_budget = 20_000 + 50 * len(self.problem.operations)
        self._last = self._depth

    @property
    def nodes(self) -> int:
        return self._depth.nodes + (self._breadth.nodes if self._breadth else 0)

    def run(self, nodes: int) -> Status:
        """One slice."""
        if self._depth.nodes < self._depth_budget or self._last is self._breadth:
            self._last = self._depth
        else:
            self._breadth = self._breadth or Search(self.problem, "breadth")
            self._last = self._breadth
        return self._last.run(nodes)

    def result(self) -> KeyResult:
        search, problem = self._last, self.problem
        order = search.order() if search.status is Status.EXPLAINED else search.longest()
        placed = search.furthest.r
        stuck = problem.operations[placed].index if placed < problem.completed else None
        status: Literal["explained", "refuted", "undecided"] = "undecided"
        if search.status is not Status.RUNNING:
            status = "explained" if search.status is Status.EXPLAINED else "refuted"
        unused = {op.index for op in problem.operations if op.type == "info"} - set(order)
        dropped = tuple(sorted({*problem.dropped, *unused}))
        return KeyResult(self.key, status, order, dropped, stuck, placed, problem.completed, self.nodes)


def decide(
    model: Model, keys: Mapping[str, Sequence[Operation]], budget: Budget, began: float | None = None
) -> ContestResult:
    """Judge every key (operations that certainly did not happen already left out).

    `began`: when the budget's seconds began to count, by the monotonic clock; now, if not given.
    """
    deadline = (time.monotonic() if began is None else began) + budget.seconds
    running = [_Contestant(key, model, operations) for key, operations in keys.items()]
    results: list[KeyResult] = []
    kept_nodes = 0
    while running:
        still: list[_Contestant] = []
        for contestant in running:
            before = contestant.nodes
            status = contestant.run(SLICE_NODES)
            kept_nodes += contestant.nodes - before
            if status is Status.RUNNING:
                still.append(contestant)
            else:
                results.append(contestant.result())
                kept_nodes -= contestant.nodes
            if status is Status.REFUTED:
                return ContestResult(tuple(results), None)
            limit = _limit_hit(deadline, kept_nodes, budget)
            if limit is not None and (still or contestant is not running[-1]):
                done = {result.key for result in results}
                results.extend(c.result() for c in running if c.key not in done)
                return ContestResult(tuple(results), limit)
        running = still
    return ContestResult(tuple(results), None)


def decide_key(model: Model, operations: Sequence[Operation], budget: Budget) -> KeyResult:
    """Judge operations that all belong to one key."""
    return decide(model, {operations[0].key if operations else "": operations}, budget).keys[0]


def _limit_hit(deadline: float, nodes: int, budget: Budget) -> str | None:
    if time.monotonic() >= deadline:
        return f"time limit of {budget.seconds:g} s"
    if nodes >= budget.nodes:
        return f"memory limit of {budget.nodes} search nodes"
    return None
