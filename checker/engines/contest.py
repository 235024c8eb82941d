"""Which key is searched next, in which way, and when to give up.

Keys take turns, a slice each, so that a key nobody can decide does not keep an easy one from being refuted.
A key is searched depth first for as long as that gets on. When it does not, breadth first takes turns with
it, both kept: from a cut a little before the place where depth first is stuck (see `cut`), then from ever
earlier ones, at last from the beginning. The first refuted key ends the contest: the verdict is known.
Running out of time, nodes or memory is `undecided`, with how far each such key came, never explained; so is a
model whose code fails.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from checker.engines.answers import Budget, KeyResult
from checker.engines.breadth import BreadthFirst
from checker.engines.cut import cut
from checker.engines.depth import DepthFirst
from checker.engines.problem import ModelFault, Problem
from checker.engines.search import Search, Status, order_of
from checker.history import Operation
from checker.models.base import Model

SLICE_NODES = 1_000
_PATIENCE = 40
"""Nodes without getting further after which depth first is stuck for now."""
_SHORT = 200
"""Completed operations that are not worth a cut."""
_FIRST_CUT = 24
"""How many returns before the place where depth first is stuck the first cut is."""
_CUT_FACTOR = 4
_CUT_NODES = 100_000


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
        self._depth = DepthFirst(self.problem)
        self._whole: BreadthFirst | None = None
        self._cut: BreadthFirst | None = None
        self._cut_distance = _FIRST_CUT
        self._stuck_at = -1
        self._cut_nodes = 0
        self._refuter: Search = self._depth
        self.status = self._depth.status

    @property
    def nodes(self) -> int:
        return self._depth.nodes + self._breadth_nodes()

    def _breadth_nodes(self) -> int:
        return self._cut_nodes + (self._whole.nodes if self._whole else 0)

    def run(self, nodes: int, deadline: float) -> Status:
        """One slice."""
        stop = self.nodes + nodes
        while self.status is Status.RUNNING and self.nodes < stop:
            idle = self._depth.nodes - self._depth.progress_at
            if idle < _PATIENCE or self._depth.nodes < self._breadth_nodes():
                self.status = self._depth.run(max(1, min(stop - self.nodes, _PATIENCE)), deadline)
            else:
                self._breadth(stop - self.nodes, deadline)
            if time.monotonic() >= deadline:
                break
        return self.status

    def _breadth(self, nodes: int, deadline: float) -> None:
        """A slice breadth first: from a cut, while there is hope in cuts, else from the beginning."""
        if self._stuck_at != self._depth.furthest[0]:
            self._stuck_at = self._depth.furthest[0]
            self._cut, self._cut_distance = None, _FIRST_CUT
        if self._cut is None and self.problem.completed > _SHORT:
            self._next_cut()
        if self._cut is None:
            self._whole = self._whole or BreadthFirst(self.problem)
            self.status = self._whole.run(nodes, deadline)
            self._refuter = self._whole
            return
        before = self._cut.nodes
        status = self._cut.run(min(nodes, _CUT_NODES), deadline)
        self._cut_nodes += self._cut.nodes - before + 1
        if status is Status.REFUTED:
            self.status, self._refuter = status, self._cut
        elif self._cut.furthest[0] > self._stuck_at or self._cut.nodes >= _CUT_NODES:
            self._cut = None
            self._cut_distance *= _CUT_FACTOR

    def _next_cut(self) -> None:
        if self._cut_distance < self._stuck_at:
            found = cut(self.problem, self._stuck_at - self._cut_distance)
            if found is not None:
                self._cut = BreadthFirst(self.problem, found)

    def bytes(self) -> int:
        searches = (self._depth, self._whole, self._cut)
        return self.problem.bytes() + sum(search.bytes() for search in searches if search is not None)

    def result(self, why: str = "") -> KeyResult:
        problem, operations, best = self.problem, self.problem.operations, self._depth.furthest
        if self._whole is not None and (
            self._whole.furthest[0] > best[0] or self._whole.status is Status.EXPLAINED
        ):
            best = self._whole.furthest
        order = order_of(problem, best[4])
        stuck = operations[best[0]].index if best[0] < problem.completed else None
        prefix_end, frontier = None, 0
        status: Literal["explained", "refuted", "undecided"] = "undecided"
        if self.status is Status.EXPLAINED:
            status = "explained"
        elif self.status is Status.REFUTED:
            status = "refuted"
            prefix_end = operations[max(self._refuter.furthest[0], problem.lost_until)].index
        else:
            frontier = (self._whole or self._depth).frontier()
        used = set(order)
        unused = (op.index for op in operations[problem.completed :] if op.index not in used)
        dropped = tuple(sorted((*problem.dropped, *unused)))
        return KeyResult(
            self.key,
            status,
            order,
            dropped,
            stuck,
            best[0],
            problem.completed,
            self.nodes,
            kind="no order" if status == "refuted" else "",
            frontier=frontier,
            why=why if status == "undecided" else "",
            prefix_end=prefix_end,
        )


def decide(
    model: Model, keys: Mapping[str, Sequence[Operation]], budget: Budget, began: float | None = None
) -> ContestResult:
    """Judge every key (operations that certainly did not happen already left out).

    `began`: when the budget's seconds began to count, by the monotonic clock; now, if not given.
    """
    return _Contest(model, budget, began).run(keys)


def decide_key(model: Model, operations: Sequence[Operation], budget: Budget) -> KeyResult:
    """Judge operations that all belong to one key."""
    return decide(model, {operations[0].key if operations else "": operations}, budget).keys[0]


class _Contest:
    """The keys that are not decided yet take turns."""

    def __init__(self, model: Model, budget: Budget, began: float | None) -> None:
        self._model = model
        self._budget = budget
        self._deadline = (time.monotonic() if began is None else began) + budget.seconds
        self._results: list[KeyResult] = []
        self._faults: list[str] = []
        self._kept: dict[str, tuple[int, int]] = {}
        """Of each undecided key: nodes and bytes."""
        self._resident: int | None = None

    def run(self, keys: Mapping[str, Sequence[Operation]]) -> ContestResult:
        waiting = iter(keys.items())
        running: list[_Contestant] = []
        for contestant in self._entering(waiting):
            if not self._turn(contestant):
                running.append(contestant)
            if contestant.status is Status.REFUTED:
                return ContestResult(tuple(self._results), None)
            if limit := self._limit(bool(running)):
                return self._stopped(limit, running, waiting)
        while running:
            still = []
            for position, contestant in enumerate(running):
                if not self._turn(contestant):
                    still.append(contestant)
                if contestant.status is Status.REFUTED:
                    return ContestResult(tuple(self._results), None)
                others = running[position + 1 :]
                if limit := self._limit(bool(still or others)):
                    return self._stopped(limit, still + others, waiting)
            running = still
        return ContestResult(tuple(self._results), self._faults[0] if self._faults else None)

    def _entering(self, waiting: Iterator[tuple[str, Sequence[Operation]]]) -> Iterator[_Contestant]:
        for key, operations in waiting:
            try:
                contestant = _Contestant(key, self._model, operations)
            except ModelFault as fault:
                self._faults.append(str(fault))
                self._results.append(_untouched(key, operations, str(fault)))
            else:
                yield contestant

    def _turn(self, contestant: _Contestant) -> bool:
        """A slice; whether the key is done with, one way or the other."""
        try:
            status = contestant.run(SLICE_NODES, self._deadline)
        except ModelFault as fault:
            self._faults.append(str(fault))
            self._results.append(contestant.result(str(fault)))
        else:
            if status is Status.RUNNING:
                self._kept[contestant.key] = contestant.nodes, contestant.bytes()
                return False
            self._results.append(contestant.result())
        self._kept.pop(contestant.key, None)
        return True

    def _limit(self, anything_left: bool) -> str | None:
        if not anything_left:
            return None
        budget = self._budget
        if time.monotonic() >= self._deadline:
            return f"time limit of {budget.seconds:g} s"
        if sum(nodes for nodes, _ in self._kept.values()) >= budget.nodes:
            return f"limit of {budget.nodes} search nodes"
        now = _resident_bytes()
        if self._resident is None:
            self._resident = now
        grown = now - self._resident
        if max(grown, sum(held for _, held in self._kept.values())) >= budget.bytes:
            return f"memory limit of {budget.bytes / 2**20:g} MiB for the search"
        return None

    def _stopped(
        self,
        limit: str,
        running: Sequence[_Contestant],
        waiting: Iterator[tuple[str, Sequence[Operation]]],
    ) -> ContestResult:
        results = [*self._results, *(contestant.result(limit) for contestant in running)]
        results.extend(_untouched(key, operations, limit) for key, operations in waiting)
        return ContestResult(tuple(results), limit)


def _untouched(key: str, operations: Sequence[Operation], why: str) -> KeyResult:
    total = sum(op.type == "ok" for op in operations)
    return KeyResult(key, "undecided", (), (), None, 0, total, 0, why=why)


def _resident_bytes() -> int:
    """What this process has in memory now; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


_PAGE = mmap.PAGESIZE
