"""Failed compare-and-sets that do not tell what was there, placed into an order of everything else.

Such an operation only says that the value was *not* the one it expected: an observer. With the order of the
others given, the gaps it fits by time are a run of neighbours; the earliest of them at which the value is
another one is the best choice, for later observers, too. Another order of the others might have had room:
so this finds orders, and refutes nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate

from checker.engines.polynomial.register_columns import NOTHING, Columns


def place(columns: Columns, order: list[int]) -> list[int] | None:
    """`order` with the observers in it, or None if it has no room for one."""
    calls, returns = columns.calls, columns.returns
    latest_call = list(accumulate((calls[i] for i in order), max, initial=min(calls) - 1))
    least_return = list(accumulate((returns[i] for i in reversed(order)), min, initial=columns.forever))
    least_return.reverse()
    state, until = _stretches(columns, order)
    gaps: dict[int, int] = {}
    by_return = sorted((returns[i], i) for i, _ in columns.avoids)
    lower = past = 0
    for i, avoided in columns.avoids:
        while by_return[past][0] < calls[i]:
            lower = max(lower, gaps[by_return[past][1]])
            past += 1
        gap = max(lower, bisect_left(least_return, calls[i]))
        last = bisect_right(latest_call, returns[i]) - 1
        while gap <= last and avoided != NOTHING and state[gap] == avoided:
            gap = until[gap]
        if gap > last:
            return None
        gaps[i] = gap
    return _woven(order, [(gaps[i], i) for i, _ in columns.avoids])


def _stretches(columns: Columns, order: list[int]) -> tuple[list[int], list[int]]:
    """The value in each gap (gap g is before the g-th operation), and the next gap with another."""
    make = columns.make
    state, until = [columns.initial], [0] * (len(order) + 1)
    for i in order:
        state.append(make[i] if make[i] != NOTHING else state[-1])
    following = len(order) + 1
    for gap in range(len(order), -1, -1):
        until[gap] = following
        if gap and make[order[gap - 1]] != NOTHING:
            following = gap
    return state, until


def _woven(order: list[int], placed: list[tuple[int, int]]) -> list[int]:
    """Observers of one gap are in order of call."""
    placed.sort()
    woven: list[int] = []
    start = 0
    for gap, i in placed:
        woven.extend(order[start:gap])
        woven.append(i)
        start = gap
    woven.extend(order[start:])
    return woven
