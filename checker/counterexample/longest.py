"""The longest order the model accepts, for the picture of a counterexample: how far one gets, what is stuck.

Engines prune what leads nowhere, so what they came furthest with is not the longest. Counterexamples are
small: here every order is tried, up to a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from checker.history import Operation
from checker.models.base import Model, State
from checker.moves import Point

_MOST_OPERATIONS = 60
_MOST_POINTS = 20_000


@dataclass(frozen=True, slots=True)
class Longest:
    """Invocation indexes in an accepted order, the state after it, and who returned first of the others."""

    order: tuple[int, ...]
    state: State
    stuck_on: int


def longest(
    model: Model, operations: Sequence[Operation], starts: Sequence[Point], fallback: Longest
) -> Longest:
    """The accepted order that places most completed operations; `fallback` if there are too many to try."""
    if len(operations) > _MOST_OPERATIONS:
        return fallback
    best, most = fallback, -1
    completed = sum(op.type == "ok" for op in operations)
    seen: set[tuple[frozenset[int], State]] = set()
    todo: list[tuple[frozenset[int], tuple[int, ...], State]] = [
        (done, (), state) for done, _, state in reversed(starts)
    ]
    while todo:
        done, order, state = todo.pop()
        left = [op for op in operations if op.index not in done]
        waiting = [op for op in left if op.return_ns is not None]
        placed = completed - len(waiting)
        if placed > most and waiting:
            first = min(waiting, key=_return_of)
            most, best = placed, Longest(order, state, first.index)
        until = min((_return_of(op) for op in waiting), default=-1)
        for op in reversed(left):
            legal, after = model.step(state, op)
            now = done | {op.index}
            if op.call_ns <= until and legal and (now, after) not in seen:
                seen.add((now, after))
                todo.append((now, (*order, op.index), after))
        if len(seen) > _MOST_POINTS:
            return fallback
    return best


def _return_of(operation: Operation) -> int:
    assert operation.return_ns is not None
    return operation.return_ns
