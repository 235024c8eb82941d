"""Where a search may begin in the middle: every point that any way from the beginning could have led to.

If even from all of those nothing gets past some return, no order explains the history. How long the history
was before does not matter then, which is what makes a stale read in a long one cheap to refute. That
something gets past means nothing: not every such point need be reachable.

All operations below r are in. Of those open when r - 1 returned, any may be in:

- every observer is: to have one behind oneself is never worse;
- of mutators of one class those that return first: they can stand for others of the class;
- no pending operation was used: to have it left is never worse;

and the state is any that some calls in some order lead to, if those are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

from checker.engines.problem import Problem
from checker.engines.search import Point

_MOST_STATES = 64
_MOST_STEPS = 20_000
_MOST_STARTS = 20_000
_NEIGHBOURS = 24
"""Levels before the one asked for among which the one with the fewest points is taken."""


def cut(problem: Problem, r: int) -> list[Point] | None:
    """All points at level r or at one a little before; None if they are too many."""
    states = problem.universe(_MOST_STATES, _MOST_STEPS)
    if states is None:
        return None
    levels = range(max(1, r - _NEIGHBOURS + 1), r + 1)
    best = min(levels, key=lambda level: (_count(problem, level), -level))
    if _count(problem, best) * len(states) > _MOST_STARTS:
        return None
    masks = list(_masks(problem, best))
    return [(best, mask, 0, state, None) for state in states for mask in masks]


def _classes(problem: Problem, r: int) -> list[list[int]]:
    """Bits of the mutators that were open when r - 1 returned, and return later, by class."""
    if problem.mutators[r - 1] is None:
        problem.open_level(r - 1)
    classes: dict[int, list[int]] = {}
    for i, own, label in problem.mutators[r - 1] or ():
        if i >= r:
            classes.setdefault(label, []).append(own)
    return list(classes.values())


def _count(problem: Problem, r: int) -> int:
    return prod(len(bits) + 1 for bits in _classes(problem, r))


def _masks(problem: Problem, r: int) -> Iterator[int]:
    classes = _classes(problem, r)
    watched = sum(own for i, own, _ in problem.observers[r - 1] or () if i >= r)
    for numbers in product(*(range(len(bits) + 1) for bits in classes)):
        yield watched + sum(sum(bits[:number]) for number, bits in zip(numbers, classes))
