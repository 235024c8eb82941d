"""Why no order explains the operations on a counter, where the pattern is a known one.

An operation that was told a value leaves nothing open: from one such to another, or from the beginning, only
the adds between can have changed the counter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from checker.counterexample import Fact
from checker.counterexample.pattern import Explanation, before, ended, explained, fact, first_of
from checker.counterexample.sums import Change, Sums, any_of, between
from checker.counterexample.words import say
from checker.history import Operation
from checker.models.base import Model
from checker.models.counters import required

_MOST_PAIRS = 60
"""Operations of which any two are compared."""
_MOST = 400
"""Operations of which each is compared with the beginning."""
_MOST_SHOWN = 3


def explain(
    model: Model, operations: Sequence[Operation], everything: Sequence[Operation]
) -> Explanation | None:
    """The first known pattern, from the plainest to the subtlest."""
    rules = _Reasons(model, operations, everything)
    return first_of((rules.lost_update(), rules.went_back(), rules.unreachable()))


class _Reasons:
    def __init__(
        self, model: Model, operations: Sequence[Operation], everything: Sequence[Operation]
    ) -> None:
        self._model = model
        self._start = cast(int, model.initial)
        self._everything = everything
        self._adds = [Change(op, cast(int, op.input), op.type == "ok") for op in operations if op.f == "add"]
        amounts = [add.amount for add in self._adds]
        self._up = all(amount >= 0 for amount in amounts)
        self._one_way = self._up or all(amount <= 0 for amount in amounts)
        needs = [(op, required(model.call(op))) for op in operations]
        self._told = [(op, need) for op, need in needs if need is not None]

    def lost_update(self) -> Iterator[Explanation]:
        """Of a counter that only goes one way, two adds that both say that they made it the same."""
        made: dict[tuple[str, int], Operation] = {}
        for add in self._adds:
            op = add.op
            if not self._one_way or not add.amount or op.type != "ok" or op.output is None:
                continue
            value, way = cast(int, op.output), "rises" if self._up else "falls"
            other = made.setdefault(("after", value), op)
            also = made.setdefault(("before", value - add.amount), op)
            if other is not op:
                text = f"{say(other)} and {say(op)} both answered that they made it {value}"
            elif also is not op:
                other = also
                text = f"{say(other)}, which answered {other.output}, and {say(op)}, which answered {value}, "
                text += f"both added to {value - add.amount}"
            else:
                continue
            text += f", but a counter that only {way} is there for one of them: the other one's is lost"
            yield explained("lost update", fact("twice", [other, op], text, value))

    def went_back(self) -> Iterator[Explanation]:
        """Less (of one that only falls, more) than somebody was told before."""
        sign = 1 if self._up else -1
        returns = sorted((op.return_ns or 0, op.index, op) for op, _ in self._told)
        place, farthest = 0, None
        for op, need in sorted(self._told, key=lambda told: told[0].call_ns) if self._one_way else ():
            while place < len(returns) and before(returns[place][2], op):
                other = returns[place][2]
                if farthest is None or sign * _told(other) > sign * _told(farthest):
                    farthest = other
                place += 1
            if farthest is not None and sign * need < sign * _told(farthest):
                steps = (self._needs(op, need), self._answer(farthest), ended(farthest, op))
                yield explained("stale read" if op.f == "read" else "lost update", *steps)

    def unreachable(self) -> Iterator[Explanation]:
        """A value that the adds that can have come before do not add up to."""
        told = self._told if len(self._told) <= _MOST else []
        for first in (None, *(op for op, _ in told[:_MOST_PAIRS])):
            start = self._start if first is None else cast(int, first.output)
            for op, need in told:
                if first is not None and not before(first, op):
                    continue
                sums, surely = between(self._adds, first, op)
                if sums.has(need - start):
                    continue
                steps = [self._needs(op, need)]
                if first is not None:
                    steps += [self._answer(first), ended(first, op)]
                steps.append(self._possible(op, sums, start))
                steps += [ended(change.op, op) for change in surely[:_MOST_SHOWN]]
                if not any_of(self._adds, op).has(need - self._start):
                    yield explained("value nobody could reach", *steps)
                seen = self._seen_elsewhere(op, need)
                yield explained("stale read" if seen else "lost increment", *steps, *seen)

    def _seen_elsewhere(self, op: Operation, need: int) -> list[Fact]:
        """Somebody else who was told of more, so that it was not lost."""
        for other in self._everything if self._one_way and op.f == "read" else ():
            if other.index != op.index and other.type == "ok" and other.output is not None:
                value = cast(int, other.output)
                if value > need if self._up else value < need:
                    return [self._answer(other)]
        return []

    def _needs(self, op: Operation, need: int) -> Fact:
        text = f"{say(op)} returned {op.output}"
        if op.f == "add":
            text = f"{say(op)} answered {op.output}, so the counter was {need} before it"
        return fact("answered", [op], text, op.output)

    def _answer(self, op: Operation) -> Fact:
        return fact("answered", [op], f"{say(op)} {'returned' if op.f == 'read' else 'made it'} {op.output}")

    def _possible(self, op: Operation, sums: Sums, start: int) -> Fact:
        text = f"whatever the order, the adds shown make it {sums.shown(start)} when {say(op)} comes"
        return fact("possible", [op], text, (start + sums.low, start + sums.high))


def _told(op: Operation) -> int:
    return cast(int, op.output)
