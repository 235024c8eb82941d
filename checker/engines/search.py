"""Wing and Gong's search with Lowe's memory, on the window key of `problem`: what both orders share.

A point is (r, mask, used, state): see `problem`. From a point, every open mutator is tried next; what
follows is why it is enough to try fewer:

- observers that are legal now are taken at once: they change nothing, and every operation that must come
  before them is in, so any explaining order from here can be rearranged to have them now;
- of open completed mutators of one class only the one that returns first is tried, of pending ones the one
  called first: exchange the two in any order that has the other first;
- a pending operation that would change nothing is not tried: it may as well not have happened;
- a point from which a completed operation is *lost* for ever (`Study.lost`) leads nowhere;
- a point that differs from a known one only by more pending operations used has fewer options: dropped.

`depth` finds an order fast if there is one; `breadth` meets the minimal sets of pending operations first and
so refutes fast. Both visit the same graph, both are complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

from checker.engines.problem import Problem

MOST_RIVALS = 64
"""Sets of pending operations remembered of points that are else equal: comparing with more costs more."""

Trail = tuple["Trail", int] | None
"""The moves to a point, last first: what two ways have in common is shared, and forgotten with the last."""
Move = tuple[int, int, int]
"""(operation, its bit, state after it)."""
Point = tuple[int, int, int, int, Trail]
"""(r, mask, used, state, trail): where a search stands, and how it came there."""


class Status(Enum):
    """What a search knows so far."""

    RUNNING = "running"
    EXPLAINED = "explained"
    REFUTED = "refuted"


class Search(Protocol):
    """A search that is run a slice at a time."""

    status: Status
    nodes: int
    furthest: Point
    """The first point it met of those with the largest r."""

    def run(self, nodes: int, deadline: float) -> Status:
        """Visit up to about `nodes` more points, or stop at the deadline (of the monotonic clock)."""

    def frontier(self) -> int:
        """Points known but not yet expanded."""

    def bytes(self) -> int:
        """About what it keeps."""


class Walk:
    """The steps of one problem, as functions that have all they need at hand: they are called most."""

    def __init__(self, problem: Problem) -> None:
        self.settle = _settler(problem)
        self.moves = _mover(problem)
        self.pending_moves = _pending_mover(problem)


def _settler(problem: Problem) -> Callable[..., tuple[int, int]]:
    bit, table, observers, end = problem.bit, problem.table, problem.observers, problem.completed
    advance, open_level = problem.advance, problem.open_level

    def settle(r: int, mask: int, state: int, taken: list[int] | None = None) -> tuple[int, int]:
        """Take legal observers, and slide the window past what is in. `taken` gets the observers."""
        known = table[state]
        while True:
            while mask & bit[r]:
                mask ^= bit[r]
                r += 1
            if r == end:
                return r, mask
            candidates = observers[r]
            if candidates is None:
                open_level(r)
                candidates = observers[r] or ()
            for i, own, label in candidates:
                if mask & own:
                    continue
                after = known.get(label)
                if after is None:
                    after = advance(state, label)
                if after >= 0:
                    mask |= own
                    if taken is not None:
                        taken.append(i)
            if not mask & bit[r]:
                return r, mask

    return settle


def _mover(problem: Problem) -> Callable[[int, int, int], list[Move]]:
    table, losses, mutators, class_of = problem.table, problem.losses, problem.mutators, problem.class_of
    advance, open_level = problem.advance, problem.open_level

    def moves(r: int, mask: int, state: int) -> list[Move]:
        """The completed mutators worth trying next, the most promising at the end.

        What has to come next is operation r. So those after which it can come are tried first; of these, and
        of the rest, the one that returns first.
        """
        known = table[state]
        candidates = mutators[r]
        if candidates is None:
            open_level(r)
            candidates = mutators[r] or ()
        found: list[Move] = []
        tried: set[int] = set()
        for i, own, label in candidates:
            if mask & own or label in tried:
                continue
            tried.add(label)
            after = known.get(label)
            if after is None:
                after = advance(state, label)
            if after < 0:
                continue
            if losses and (lost := losses.get((state, label))) and _any_left(problem, lost, r, mask | own):
                continue
            found.append((i, own, after))
        found.reverse()
        if len(found) > 1 and found[-1][0] != r:
            urgent = class_of[r]
            helpful = [move for move in found if table[move[2]].get(urgent, -1) >= 0]
            if helpful:
                found = [move for move in found if move not in helpful]
                found += helpful
        return found

    return moves


def _pending_mover(problem: Problem) -> Callable[[int, int, int, int], list[Move]]:
    table, losses, classes = problem.table, problem.losses, problem.pending_classes
    advance, called, count = problem.advance, problem.open_pending, problem.completed

    def pending_moves(r: int, mask: int, used: int, state: int) -> list[Move]:
        """The pending operations worth trying next, one of each class. Their bits are those of `used`."""
        known = table[state]
        free = called[r] & ~used
        found: list[Move] = []
        for label, bits in classes:
            own = bits & free
            if not own:
                continue
            after = known.get(label)
            if after is None:
                after = advance(state, label)
            if after == state or after < 0:
                continue
            if losses and (lost := losses.get((state, label))) and _any_left(problem, lost, r, mask):
                continue
            own &= -own
            found.append((count + own.bit_length() - 1, own, after))
        found.reverse()
        return found

    return pending_moves


def _any_left(problem: Problem, lost: Sequence[int], r: int, mask: int) -> bool:
    """Whether any of these completed operations is not in."""
    for i in reversed(lost):
        if i < r:
            return False
        # A bit of the mask is of this operation only once it is open.
        if problem.enters[i] > r or not mask & problem.bit[i]:
            problem.lost_until = max(problem.lost_until, i)
            return True
    return False


def order_of(problem: Problem, trail: Trail) -> tuple[int, ...]:
    """Invocation indexes of all that is in after these moves from the start."""
    backwards: list[int] = []
    while trail is not None:
        trail, i = trail
        backwards.append(i)
    taken: list[int] = []
    state = problem.initial
    settle = Walk(problem).settle
    r, mask = settle(0, 0, state, taken)
    for i in reversed(backwards):
        state = problem.table[state][problem.class_of[i]]
        taken.append(i)
        r, mask = settle(r, mask | problem.bit[i] if i < problem.completed else mask, state, taken)
    return tuple(problem.operations[i].index for i in taken)
