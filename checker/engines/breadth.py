"""Breadth first: all points of a level (least r first; of a level, fewest pending operations used first).

So the minimal sets of pending operations are met first and dominate the rest, a level's memory is forgotten
when the level is done, and the level that has no points names the first return that cannot be explained.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from checker.engines.problem import Problem
from checker.engines.search import MOST_RIVALS, Point, Status, Walk

_CLOCK_NODES = 256
_STATE_BITS = 40


class BreadthFirst:
    """See `search.Search`. `starts`: begins at these points instead of at the beginning."""

    def __init__(self, problem: Problem, starts: Iterable[Point] | None = None) -> None:
        self._problem = problem
        self._walk = Walk(problem)
        self.nodes = 0
        self._ahead: dict[int, list[Point]] = {}
        """Points of later levels, as they were met."""
        self._level: list[list[Point]] = []
        """Points of this level, by how many pending operations they used; the first ones are done."""
        self._size, self._at = 0, 0
        self._rivals: dict[int, list[int]] = {}
        self._known: set[int] = set()
        """Points met when there were too many rivals."""
        self._held = 0
        self.status = Status.RUNNING
        self.furthest: Point = (0, 0, 0, problem.initial, None)
        for r, mask, used, state, _ in (self.furthest,) if starts is None else starts:
            r, mask = self._walk.settle(r, mask, state)
            self._meet((r, mask, used, state, None))

    def _meet(self, point: Point) -> None:
        """A point of a later level."""
        r = point[0]
        if r >= self.furthest[0]:
            self.furthest = point
            if r == self._problem.completed:
                self.status = Status.EXPLAINED
                return
        if r in self._ahead:
            self._ahead[r].append(point)
        else:
            self._ahead[r] = [point]
        self._held += 1

    def run(self, nodes: int, deadline: float) -> Status:
        stop, clock = self.nodes + nodes, self.nodes + _CLOCK_NODES
        while self.status is Status.RUNNING:
            if not self._level and not self._open_level():
                self.status = Status.REFUTED
                break
            points = self._level[self._size]
            while self._at < len(points):
                point = points[self._at]
                self._at += 1
                if not self._is_new(point):
                    continue
                self.nodes += 1
                self._expand(point)
                if self.status is not Status.RUNNING:
                    return self.status
                if self.nodes >= clock or self.nodes >= stop:
                    if self.nodes >= stop or time.monotonic() >= deadline:
                        return self.status
                    clock = self.nodes + _CLOCK_NODES
            self._size, self._at = self._size + 1, 0
            if self._size == len(self._level):
                self._held -= sum(map(len, self._level))
                self._level = []
        return self.status

    def _open_level(self) -> bool:
        if not self._ahead:
            return False
        points = self._ahead.pop(min(self._ahead))
        self._rivals, self._known = {}, set()
        self._size = self._at = 0
        if not self._problem.pending:
            self._level = [points]
            return True
        sizes = [used.bit_count() for _, _, used, _, _ in points]
        self._level = [[] for _ in range(max(sizes) + 1)]
        for size, point in zip(sizes, points):
            self._level[size].append(point)
        return True

    def _is_new(self, point: Point) -> bool:
        """Whether the point is neither known nor dominated. It is known from now on."""
        _, mask, used, state, _ = point
        key = mask << _STATE_BITS | state
        rivals = self._rivals.get(key)
        if rivals is None:
            self._rivals[key] = [used]
            return True
        for other in rivals:
            if other & used == other:
                return False
        if len(rivals) < MOST_RIVALS:
            rivals.append(used)
            return True
        before = len(self._known)
        self._known.add(key << self._problem.pending | used)
        return len(self._known) > before

    def _expand(self, point: Point) -> None:
        settle, here = self._walk.settle, self._level[self._size]
        r, mask, used, state, trail = point
        for i, own, after in self._walk.moves(r, mask, state):
            to_r, to_mask = settle(r, mask | own, after)
            reached = (to_r, to_mask, used, after, (trail, i))
            if to_r == r:
                here.append(reached)
                self._held += 1
            else:
                self._meet(reached)
        if not self._problem.pending:
            return
        for i, own, after in self._walk.pending_moves(r, mask, used, state):
            to_r, to_mask = settle(r, mask, after)
            reached = (to_r, to_mask, used | own, after, (trail, i))
            if to_r > r:
                self._meet(reached)
                continue
            if self._size + 1 == len(self._level):
                self._level.append([])
            self._level[self._size + 1].append(reached)
            self._held += 1

    def frontier(self) -> int:
        return self._held

    def bytes(self) -> int:
        wide = (self._problem.pending + self._problem.slots) // 8
        return self._held * (300 + 2 * wide) + (len(self._rivals) + len(self._known)) * (200 + 2 * wide)
