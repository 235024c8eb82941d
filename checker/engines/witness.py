"""The order in which replicas executed a key's operations, proposed as its explanation: no search at all.

PBFT's promise is that this very order is a linearization. What the log does not have is placed into it: a
pending operation that nobody executed is left out; a completed one (a read served without being ordered) must
leave the state as it is. Between the operations of the log there are gaps, each with a state. A read fits
into a gap if it is legal at that state, everything that returned before its call lies before, and nothing
called after its return does. Taken in order of calls, each goes into the first gap that fits, not before
those of reads that returned before it was called: a later gap would only take room from those that follow, so
if this fails, no placement for this order of the others exists.

A proposal is not believed: the auditor walks it. A rejected one says that the log's order is wrong (or that
it was recorded wrongly), not that the clients saw something impossible: then the other engines are asked.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from operator import attrgetter, itemgetter

from checker.engines.answers import Explained, Undecided
from checker.history import Operation
from checker.models.base import Model, State

_NEVER = float("inf")


def propose(model: Model, operations: Sequence[Operation], logged: Sequence[int]) -> Explained | Undecided:
    """An order of one key's operations (no `fail`) around `logged`, indexes in the order of execution."""
    if len(logged) == len(operations):
        return Explained(logged, ())
    in_log = set(logged)
    outside = [op for op in operations if op.index not in in_log]
    dropped = [op.index for op in outside if op.type == "info"]
    completed = [op for op in outside if op.type == "ok"]
    if not completed:
        return Explained(logged, dropped)
    by_index = {op.index: op for op in operations}
    order = [by_index[index] for index in logged]
    states = _states(model, order)
    if isinstance(states, Undecided):
        return states
    placed = _place(model, order, states, sorted(completed, key=attrgetter("call_ns")))
    if isinstance(placed, Undecided):
        return placed
    return Explained(_merged(logged, placed), dropped)


def _states(model: Model, order: Sequence[Operation]) -> list[State] | Undecided:
    """The state of each gap: before the first operation, …, behind the last."""
    state, states = model.initial, [model.initial]
    step = model.step
    for op in order:
        legal, state = step(state, op)
        if not legal:
            return Undecided(f"the model does not accept operation {op.index} ({op.f}) where it was executed")
        states.append(state)
    return states


def _place(
    model: Model, order: Sequence[Operation], states: Sequence[State], reads: Sequence[Operation]
) -> list[tuple[int, int]] | Undecided:
    """(gap, index) of every read, in order of gaps."""
    returns = [_NEVER if op.return_ns is None else op.return_ns for op in order]
    # least[g]: the earliest return behind gap g; latest[g]: the latest call before it. Both grow with g.
    least = [*accumulate(reversed(returns), min, initial=_NEVER)][::-1]
    latest = [*accumulate((op.call_ns for op in order), max, initial=-1)]
    over: list[tuple[int, int]] = []
    """What was placed so far, (return, gap), earliest return first."""
    floor = 0
    placed: list[tuple[int, int]] = []
    step, push, pop = model.step, heapq.heappush, heapq.heappop
    for op in reads:
        call_ns, return_ns = op.call_ns, op.return_ns
        assert return_ns is not None
        while over and over[0][0] < call_ns:
            gap = pop(over)[1]
            if gap > floor:
                floor = gap
        gap = bisect_left(least, call_ns, floor)
        last = bisect_right(latest, return_ns) - 1
        while gap <= last:
            state = states[gap]
            legal, after = step(state, op)
            if legal and after == state:
                break
            gap += 1
        else:
            return Undecided(_nowhere(model, op))
        placed.append((gap, op.index))
        push(over, (return_ns, gap))
    placed.sort(key=itemgetter(0))  # stable: in one gap, by call
    return placed


def _nowhere(model: Model, op: Operation) -> str:
    if model.is_observer(model.call(op)):
        return f"operation {op.index} ({op.f}) fits nowhere into the order of execution"
    return f"operation {op.index} ({op.f}) completed, but no replica executed it"


def _merged(logged: Sequence[int], placed: Sequence[tuple[int, int]]) -> list[int]:
    order: list[int] = []
    done = 0
    for gap, index in placed:
        order.extend(logged[done:gap])
        order.append(index)
        done = gap
    order.extend(logged[done:])
    return order
