"""Depth first: follows one order as far as it goes. Finds an explaining one fast, if there is one."""

from __future__ import annotations

import sys
import time

from checker.engines.problem import Problem
from checker.engines.search import MOST_RIVALS, Move, Point, Status, Walk

_CLOCK_NODES = 256
_STATE_BITS = 40


class DepthFirst:
    """See `search.Search`. A frame of the stack is a point with the moves from it not yet tried."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._walk = Walk(problem)
        self.nodes = 0
        self.progress_at = 0
        """`nodes` when `furthest` was met."""
        self._known: set[int] = set()
        self._rivals: dict[int, tuple[int, ...]] = {}
        """Of points equal but for `used`: the minimal sets used."""
        self._stack: list[tuple[Point, list[Move], bool]] = []
        r, mask = self._walk.settle(0, 0, problem.initial)
        self.furthest: Point = (r, mask, 0, problem.initial, None)
        self.status = Status.EXPLAINED
        if r < problem.completed:
            self.status = Status.RUNNING
            self._stack.append((self.furthest, self._walk.moves(r, mask, problem.initial), False))

    def run(self, nodes: int, deadline: float) -> Status:
        if self.status is not Status.RUNNING:
            return self.status
        stack, is_new, count = self._stack, self._is_new, self._problem.completed
        settle, moves, pending_moves = self._walk.settle, self._walk.moves, self._walk.pending_moves
        no_pending = not self._problem.pending
        visited, furthest = self.nodes, self.furthest[0]
        stop, clock = visited + nodes, visited + min(nodes, _CLOCK_NODES)
        while stack:
            point, left, all_listed = stack[-1]
            r, mask, used, state, trail = point
            if not left:
                stack.pop()
                if not all_listed:
                    stack.append((point, pending_moves(r, mask, used, state), True))
                continue
            i, own, after = left.pop()
            if i < count:
                mask |= own
            else:
                used |= own
            r, mask = settle(r, mask, after)
            if r < count and not is_new(r, mask, used, after):
                continue
            visited += 1
            reached = (r, mask, used, after, (trail, i))
            if r > furthest:
                self.furthest, self.progress_at, furthest = reached, visited, r
                if r == count:
                    self.status, self.nodes = Status.EXPLAINED, visited
                    return self.status
            stack.append((reached, moves(r, mask, after), no_pending))
            if visited >= clock:
                self.nodes = visited
                if visited >= stop or time.monotonic() >= deadline:
                    return self.status
                clock = min(stop, visited + _CLOCK_NODES)
        self.status, self.nodes = Status.REFUTED, visited
        return self.status

    def _is_new(self, r: int, mask: int, used: int, state: int) -> bool:
        """Whether the point is neither known nor dominated. It is known from now on."""
        problem = self._problem
        key = (r << problem.slots | mask) << _STATE_BITS | state
        if problem.pending:
            rivals = self._rivals.get(key)
            if rivals is None:
                self._rivals[key] = (used,)
                return True
            for other in rivals:
                if other & used == other:
                    return False
            if len(rivals) < MOST_RIVALS:
                self._rivals[key] = (*(other for other in rivals if used & other != used), used)
                return True
            key = key << problem.pending | used
        if key in self._known:
            return False
        self._known.add(key)
        return True

    def frontier(self) -> int:
        return len(self._stack)

    def bytes(self) -> int:
        wide = (self._problem.pending + 7) // 8 + 32
        known = sys.getsizeof(self._known) + len(self._known) * (40 + wide)
        rivals = sys.getsizeof(self._rivals) + len(self._rivals) * (100 + 2 * wide)
        return known + rivals + len(self._stack) * (300 + 18 * self._problem.slots)
