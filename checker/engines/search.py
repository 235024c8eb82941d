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

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from checker.engines.problem import ILLEGAL, Problem

MOST_RIVALS = 64
"""Sets of pending operations remembered of points that are else equal: comparing with more costs more."""

Trail = tuple["Trail", int] | None
"""The moves to a point, last first: what two ways have in common is shared, and forgotten with the last."""
Move = tuple[int, int]
"""(operation, state after it)."""


class Status(Enum):
    """What a search knows so far."""

    RUNNING = "running"
    EXPLAINED = "explained"
    REFUTED = "refuted"


class Point(NamedTuple):
    """Where a search stands, and how it came there."""

    r: int
    mask: int
    used: int
    state: int
    trail: Trail


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


def settle(
    problem: Problem, r: int, mask: int, state: int, taken: list[int] | None = None
) -> tuple[int, int]:
    """Take legal observers, and slide the window past what is in. `taken` gets the observers."""
    bit, class_of, table, end = problem.bit, problem.class_of, problem.table, problem.completed
    base = state * problem.classes
    while True:
        while r < end and mask & bit[r]:
            mask ^= bit[r]
            r += 1
        if r == end:
            return r, mask
        observers = problem.observers[r]
        if observers and observers[0] < 0:
            problem.open_level(r)
            observers = problem.observers[r]
        for i in observers:
            if mask & bit[i]:
                continue
            after = table.get(base + class_of[i])
            if after is None:
                after = problem.advance(state, class_of[i])
            if after >= 0:
                mask |= bit[i]
                if taken is not None:
                    taken.append(i)
        if not mask & bit[r]:
            return r, mask


def moves(problem: Problem, r: int, mask: int, state: int) -> list[Move]:
    """The completed mutators worth trying next, the one that returns first at the front."""
    bit, class_of, table, losses = problem.bit, problem.class_of, problem.table, problem.losses
    base = state * problem.classes
    candidates = problem.mutators[r]
    if candidates and candidates[0] < 0:
        problem.open_level(r)
        candidates = problem.mutators[r]
    found: list[Move] = []
    tried: set[int] = set()
    for i in candidates:
        if mask & bit[i]:
            continue
        label = class_of[i]
        if label in tried:
            continue
        tried.add(label)
        after = table.get(base + label)
        if after is None:
            after = problem.advance(state, label)
        if after == ILLEGAL:
            continue
        if losses and (lost := losses.get(base + label)) and _any_left(problem, lost, r, mask | bit[i]):
            continue
        found.append((i, after))
    return found


def pending_moves(problem: Problem, r: int, mask: int, used: int, state: int) -> list[Move]:
    """The pending operations worth trying next, one of each class."""
    table, losses, count = problem.table, problem.losses, problem.completed
    base = state * problem.classes
    free = problem.open_pending[r] & ~used
    found: list[Move] = []
    for label, bits in problem.pending_classes:
        first = bits & free
        if not first:
            continue
        after = table.get(base + label)
        if after is None:
            after = problem.advance(state, label)
        if after in (ILLEGAL, state):
            continue
        if losses and (lost := losses.get(base + label)) and _any_left(problem, lost, r, mask):
            continue
        found.append((count + (first & -first).bit_length() - 1, after))
    return found


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
    r, mask = settle(problem, 0, 0, state, taken)
    for i in reversed(backwards):
        state = problem.table[state * problem.classes + problem.class_of[i]]
        taken.append(i)
        r, mask = settle(problem, r, mask | problem.bit[i] if i < problem.completed else mask, state, taken)
    return tuple(problem.operations[i].index for i in taken)
