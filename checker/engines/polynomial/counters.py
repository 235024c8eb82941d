"""Counter that only rises (or only falls), by amounts that leave no choice: O(n log n).

Decided are histories in which all amounts added have one sign and those *untold*, i.e. of adds that are
pending or do not answer with the new value, are all equal, but for those so large that they must come after
every value that anybody was told. All else is a matter of which amounts sum up to what: undecided, unless it
can be explained without the pending adds.

Then the values from the first to the farthest told form a row of steps: of an add that told its value the
place is known, the gaps are filled by untold ones, one amount each. Step i happens at a moment T(i), no
earlier than step i - 1. Reads of the value before it (after it) only ask that T(i) is at or after the last of
their calls (at or before the first of their returns), and so does an add whose place is known. Taken over all
earlier (later) steps that is a window for each T(i), and windows rise with i. An untold add can be step i if
it meets the window, so it can be any of a range of steps, and what is called and returns later has a later
range. Then filling the steps in order, each with the add that returns first of those that can still be it,
fills them if it can be done (Glover 1967), and never puts an add before one that returned before it was
called. Pending adds return last, so they are used only where no other is left. Completed adds not used come
after all that was told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import cast

from checker.engines.answers import Answer, Explained, Refuted, Undecided
from checker.history import Operation
from checker.models.base import Model

_EVER = 1 << 100


@dataclass(slots=True)
class _Counter:
    """One key's operations by what they are. Values count from the initial one, upwards."""

    told: list[tuple[int, int, Operation]] = field(default_factory=list)
    """Adds that told the new value: the value before, after."""
    untold: list[tuple[int, Operation]] = field(default_factory=list)
    reads: list[tuple[int, Operation]] = field(default_factory=list)
    idle: list[Operation] = field(default_factory=list)
    """Completed adds of nothing that told nothing."""
    dropped: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Steps:
    """The values in order, and of step i, from value i to value i + 1, the add whose place is known."""

    values: list[int]
    known: list[Operation | None]


def decide(model: Model, operations: Sequence[Operation]) -> Answer:
    """Judge one key."""
    adds = [cast(int, op.input) for op in operations if model.functions[op.f] == "add"]
    sign = -1 if any(amount < 0 for amount in adds) else 1
    if any(sign * amount < 0 for amount in adds):
        return Undecided("numbers above and below zero are added")
    counter = _sort_out(model, operations, sign)
    needs = [*(value for value, _ in counter.reads), *(before for before, _, _ in counter.told)]
    if any(value < 0 for value in needs):
        return Refuted("unreached", ())
    farthest = max([0, *(value for value, _ in counter.reads), *(after for _, after, _ in counter.told)])
    late = [op for amount, op in counter.untold if amount > farthest]
    small = [(amount, op) for amount, op in counter.untold if amount <= farthest]
    if len({amount for amount, _ in small}) <= 1:
        return _judge(counter, farthest, small, late)
    completed = [(amount, op) for amount, op in small if op.return_ns is not None]
    if len({amount for amount, _ in completed}) <= 1:
        counter.dropped += [op.index for _, op in small if op.return_ns is None]
        answer = _judge(counter, farthest, completed, late)
        if isinstance(answer, Explained):
            return answer
    return Undecided("different numbers are added by operations that did not answer with the value")


def _judge(
    counter: _Counter, farthest: int, small: list[tuple[int, Operation]], late: list[Operation]
) -> Answer:
    steps = _steps(counter, farthest, small[0][0] if small else 0, len(small))
    return steps if isinstance(steps, Refuted) else _fill(counter, steps, [op for _, op in small], late)


def _sort_out(model: Model, operations: Sequence[Operation], sign: int) -> _Counter:
    counter, start = _Counter(), cast(int, model.initial)
    for op in operations:
        adds = model.functions[op.f] == "add"
        amount = sign * cast(int, op.input) if adds else 0
        if op.return_ns is None:
            if amount:
                counter.untold.append((amount, op))
            else:
                counter.dropped.append(op.index)
        elif op.output is None:
            if amount:
                counter.untold.append((amount, op))
            else:
                counter.idle.append(op)
        else:
            value = sign * (cast(int, op.output) - start)
            if amount:
                counter.told.append((value - amount, value, op))
            else:
                counter.reads.append((value, op))
    return counter


def _steps(counter: _Counter, farthest: int, amount: int, untold: int) -> _Steps | Refuted:
    """The row of values up to the farthest told."""
    steps = _Steps([0], [])
    spare = untold
    last: Operation | None = None
    known = sorted(counter.told, key=lambda add: (add[0], add[1], add[2].index))
    for before, after, op in [*known, (farthest, farthest, None)]:
        gap = before - steps.values[-1]
        if gap < 0:
            core = () if last is None or op is None else tuple(sorted((last.index, op.index)))
            return Refuted("duplicate" if core else "unreached", core)
        count = gap // amount if amount else 0
        if count * amount != gap or count > spare:
            return Refuted("unreached", ())
        spare -= count
        steps.values += range(steps.values[-1] + amount, before + 1, amount) if count else ()
        steps.known += [None] * count
        if op is not None:
            steps.values.append(after)
            steps.known.append(op)
            last = op
    return steps


def _fill(counter: _Counter, steps: _Steps, untold: list[Operation], late: list[Operation]) -> Answer:
    """Who makes each step, and when."""
    place = {value: i for i, value in enumerate(steps.values)}
    reads: list[list[Operation]] = [[] for _ in steps.values]
    for value, op in counter.reads:
        if value not in place:
            return Refuted("unreached", ())
        reads[place[value]].append(op)
    low, high = _windows(steps, reads, late)
    order: list[Operation] = []
    waiting: list[tuple[int, int, Operation]] = []
    untold.sort(key=lambda op: op.call_ns)
    called = 0
    for i, known in enumerate([*steps.known, None]):
        order += sorted(reads[i], key=lambda op: op.call_ns)
        if low[i] > high[i]:
            return Refuted("inversion" if i < len(steps.known) else "uncounted", ())
        if i == len(steps.known):
            break
        if known is not None:
            order.append(known)
            continue
        while called < len(untold) and untold[called].call_ns <= high[i]:
            op = untold[called]
            heappush(waiting, (_EVER if op.return_ns is None else op.return_ns, op.index, op))
            called += 1
        if not waiting:
            return Refuted("unreached", ())
        end, _, op = heappop(waiting)
        if end < low[i]:
            return Refuted("uncounted", ())
        order.append(op)
    rest = [*(op for _, _, op in waiting), *untold[called:], *late]
    last = [op for op in rest if op.return_ns is not None]
    if any(cast(int, op.return_ns) < low[-1] for op in last):
        return Refuted("uncounted", ())
    order += sorted(last, key=lambda op: op.call_ns)
    dropped = counter.dropped + [op.index for op in rest if op.return_ns is None]
    return Explained(_with_idle(order, counter.idle), dropped)


def _windows(
    steps: _Steps, reads: list[list[Operation]], late: list[Operation]
) -> tuple[list[int], list[int]]:
    """The earliest and the latest moment of each step; and of whatever comes after all steps."""
    count = len(steps.known)
    low, high = [-_EVER] * (count + 1), [_EVER] * (count + 1)
    high[count] = min([_EVER, *(op.return_ns for op in late if op.return_ns is not None)])
    for i, several in enumerate(reads):
        for op in several:
            low[i] = max(low[i], op.call_ns)
            if i and op.return_ns is not None:
                high[i - 1] = min(high[i - 1], op.return_ns)
    for i, known in enumerate(steps.known):
        if known is not None and known.return_ns is not None:
            low[i] = max(low[i], known.call_ns)
            high[i] = min(high[i], known.return_ns)
    for i in range(1, count + 1):
        low[i] = max(low[i], low[i - 1])
    for i in range(count - 1, -1, -1):
        high[i] = min(high[i], high[i + 1])
    return low, high


def _with_idle(order: Sequence[Operation], idle: list[Operation]) -> list[int]:
    """Indexes in order, with what changes nothing at its own call."""
    out: list[int] = []
    idle = sorted(idle, key=lambda op: op.call_ns)
    at = 0
    for op in order:
        while at < len(idle) and idle[at].call_ns < op.call_ns:
            out.append(idle[at].index)
            at += 1
        out.append(op.index)
    return out + [op.index for op in idle[at:]]
