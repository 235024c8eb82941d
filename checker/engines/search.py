"""Wing and Gong's search with Lowe's memory, on the window key of `problem`, without recursion.

A point is (r, window mask, pending mask, state). From a point, every open mutator is tried next; what
follows is why it is enough to try fewer:

- observers that are legal now are taken at once: they change nothing, and every operation that must come
  before them is in, so any explaining order from here can be rearranged to have them now;
- of open completed mutators with equal labels only the one that returns first is tried, of pending ones the
  one called first: exchange the two in any order that has the other first;
- a pending operation that would change nothing is not tried: it may as well not have happened;
- a point from which a completed operation is *lost* for ever (`Study.lost`) leads nowhere;
- a point that differs from a known one only by more pending operations used has fewer options: dropped.

Depth first finds an order fast if there is one; breadth first (least r, then fewest pending used) meets the
minimal sets of pending operations first and so refutes fast. Both visit the same graph, both are complete.
"""

from __future__ import annotations

import heapq
from enum import Enum
from typing import Literal, NamedTuple

from checker.engines.problem import ILLEGAL, Problem

_ANTICHAIN_LIMIT = 64


class Status(Enum):
    """What a search knows so far."""

    RUNNING = "running"
    EXPLAINED = "explained"
    REFUTED = "refuted"


class Point(NamedTuple):
    """Where a search stands: see the module's text."""

    r: int
    mask: int
    pending: int
    state: int


class Search:
    """A search that can be run a slice at a time."""

    def __init__(self, problem: Problem, order: Literal["depth", "breadth"]) -> None:
        self._problem = problem
        self._depth_first = order == "depth"
        self._stack: list[Point] = []
        self._heap: list[tuple[int, int, int, Point]] = []
        self._known: dict[tuple[int, int, int], list[int]] = {}
        self._came_from: dict[Point, tuple[Point | None, tuple[int, ...]]] = {}
        self._goal: Point | None = None
        self.nodes = 0
        self.furthest = Point(0, 0, 0, problem.initial)
        self._visit(None, 0, 0, 0, problem.initial, ())

    @property
    def status(self) -> Status:
        """RUNNING while there is something left to try."""
        if self._goal is not None:
            return Status.EXPLAINED
        return Status.RUNNING if self._stack or self._heap else Status.REFUTED

    def run(self, nodes: int) -> Status:
        """Expand up to `nodes` more points."""
        stop = self.nodes + nodes
        while self.nodes < stop and self.status is Status.RUNNING:
            point = self._stack.pop() if self._depth_first else heapq.heappop(self._heap)[3]
            self.nodes += 1
            found = self._successors(point)
            for successor in reversed(found) if self._depth_first else found:
                self._visit(point, *successor)
        return self.status

    def order(self) -> tuple[int, ...]:
        """Invocation indexes of an explaining order, once EXPLAINED."""
        assert self._goal is not None
        return self._path(self._goal)

    def longest(self) -> tuple[int, ...]:
        """Invocation indexes of the order that got furthest."""
        return self._path(self.furthest)

    def _path(self, point: Point) -> tuple[int, ...]:
        backwards: list[int] = []
        at: Point | None = point
        while at is not None:
            at, taken = self._came_from[at]
            backwards.extend(reversed(taken))
        return tuple(self._problem.operations[i].index for i in reversed(backwards))

    def _successors(self, point: Point) -> list[tuple[int, int, int, int, tuple[int, ...]]]:
        """(r, mask, pending, state, operations taken) for every mutator worth trying, best first."""
        problem = self._problem
        r, mask, pending, state = point
        found: list[tuple[int, int, int, int, tuple[int, ...]]] = []
        tried: set[int] = set()
        for i in problem.mutators[r]:
            label = problem.label[i]
            if mask >> (i - r) & 1 or label in tried:
                continue
            tried.add(label)
            after, lost = problem.advance(state, label)
            with_i = mask | 1 << (i - r)
            if after != ILLEGAL and not (lost and lost >> r & ~with_i):
                found.append((r, with_i, pending, after, (i,)))
        tried.clear()
        for j in range(problem.open_pending[r]):
            label = problem.label[problem.completed + j]
            if pending >> j & 1 or label in tried:
                continue
            tried.add(label)
            after, lost = problem.advance(state, label)
            if after not in (ILLEGAL, state) and not (lost and lost >> r & ~mask):
                found.append((r, mask, pending | 1 << j, after, (problem.completed + j,)))
        return found

    def _visit(
        self, parent: Point | None, r: int, mask: int, pending: int, state: int, taken: tuple[int, ...]
    ) -> None:
        """Take legal observers, slide the window, and note the point unless it is known or dominated."""
        problem = self._problem
        end, observers = problem.completed, list(taken)
        while True:
            while mask & 1:
                mask >>= 1
                r += 1
            if r == end:
                break
            before = mask
            for i in problem.observers[r]:
                if not mask >> (i - r) & 1 and problem.advance(state, problem.label[i])[0] != ILLEGAL:
                    mask |= 1 << (i - r)
                    observers.append(i)
            if mask == before or not mask & 1:
                break
        point = Point(r, mask, pending, state)
        if self._dominated(point):
            return
        self._came_from[point] = (parent, tuple(observers))
        if (r, mask.bit_count()) > (self.furthest.r, self.furthest.mask.bit_count()) or parent is None:
            self.furthest = point
        if r == end:
            self._goal = point
        elif self._depth_first:
            self._stack.append(point)
        else:
            heapq.heappush(self._heap, (r, pending.bit_count(), len(self._came_from), point))

    def _dominated(self, point: Point) -> bool:
        if point in self._came_from:
            return True
        if not self._problem.pending:
            return False
        chain = self._known.setdefault((point.r, point.mask, point.state), [])
        if any(used & point.pending == used for used in chain):
            return True
        if len(chain) < _ANTICHAIN_LIMIT:
            chain.append(point.pending)
        return False
