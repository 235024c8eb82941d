"""Depth first: follows one order as far as it goes. Finds an explaining one fast, if there is one."""

from __future__ import annotations

import sys
import time

from checker.engines.problem import Problem
from checker.engines.search import MOST_RIVALS, Move, Point, Status, moves, pending_moves, settle

_CLOCK_NODES = 256
_STATE_BITS = 40


class DepthFirst:
    """See `search.Search`. A frame of the stack is a point with the moves from it not yet tried."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.nodes = 0
        self.progress_at = 0
        """`nodes` when `furthest` was met."""
        self._known: set[int] = set()
        self._rivals: dict[int, tuple[int, ...]] = {}
        """Of points equal but for `used`: the minimal sets used."""
        self._stack: list[tuple[Point, list[Move], bool]] = []
        r, mask = settle(problem, 0, 0, problem.initial)
        self.furthest = Point(r, mask, 0, problem.initial, None)
        self.status = Status.EXPLAINED
        if r < problem.completed:
            self.status = Status.RUNNING
            self._push(self.furthest)

    def _push(self, point: Point) -> None:
        found = moves(self._problem, point.r, point.mask, point.state)
        found.reverse()
        self._stack.append((point, found, not self._problem.pending))

    def run(self, nodes: int, deadline: float) -> Status:
        if self.status is not Status.RUNNING:
            return self.status
        problem, stack = self._problem, self._stack
        bit, count = problem.bit, problem.completed
        stop, clock = self.nodes + nodes, self.nodes + _CLOCK_NODES
        while stack:
            point, left, all_listed = stack[-1]
            r, mask, used, state, trail = point
            if not left:
                stack.pop()
                if not all_listed:
                    found = pending_moves(problem, r, mask, used, state)
                    found.reverse()
                    stack.append((point, found, True))
                continue
            i, after = left.pop()
            if i < count:
                mask |= bit[i]
            else:
                used |= 1 << (i - count)
            r, mask = settle(problem, r, mask, after)
            if r < count and not self._is_new(r, mask, used, after):
                continue
            self.nodes += 1
            reached = Point(r, mask, used, after, (trail, i))
            if r > self.furthest.r:
                self.furthest = reached
                self.progress_at = self.nodes
                if r == count:
                    self.status = Status.EXPLAINED
                    return self.status
            self._push(reached)
            if self.nodes >= clock:
                if self.nodes >= stop or time.monotonic() >= deadline:
                    return self.status
                clock = self.nodes + _CLOCK_NODES
            elif self.nodes >= stop:
                return self.status
        self.status = Status.REFUTED
        return self.status

    def _is_new(self, r: int, mask: int, used: int, state: int) -> bool:
        """Whether the point is neither known nor dominated. It is known from now on."""
        problem = self._problem
        key = (r << problem.slots | mask) << _STATE_BITS | state
        if not problem.pending:
            before = len(self._known)
            self._known.add(key)
            return len(self._known) > before
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
        before = len(self._known)
        self._known.add(key)
        return len(self._known) > before

    def frontier(self) -> int:
        return len(self._stack)

    def bytes(self) -> int:
        wide = (self._problem.pending + 7) // 8 + 32
        known = sys.getsizeof(self._known) + len(self._known) * (40 + wide)
        rivals = sys.getsizeof(self._rivals) + len(self._rivals) * (100 + 2 * wide)
        return known + rivals + len(self._stack) * 400
