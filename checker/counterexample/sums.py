"""What a number can be that operations add to: some have surely happened by then, others may have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from checker.counterexample.pattern import before
from checker.history import Operation

_MOST = 4_096


class Change(NamedTuple):
    """An operation that adds `amount`; `sure`: it does, if it happened before."""

    op: Operation
    amount: int
    sure: bool


class Sums(NamedTuple):
    """What changes can add up to: from `low` to `high`, of these only `values` if they are not too many."""

    low: int
    high: int
    values: frozenset[int] | None

    def has(self, amount: int) -> bool:
        """Whether they can add up to that, as far as is known."""
        return self.low <= amount <= self.high and (self.values is None or amount in self.values)

    def shown(self, start: int) -> str:
        """The numbers that can be there, begun at `start`."""
        if self.low == self.high:
            return f"{start + self.low}"
        if self.values is not None and len(self.values) <= 4:
            *others, last = (str(start + value) for value in sorted(self.values))
            return f"{', '.join(others)} or {last}"
        return f"{start + self.low} to {start + self.high}"


def between(changes: Iterable[Change], first: Operation | None, last: Operation) -> tuple[Sums, list[Change]]:
    """What can have been added after `first` (None: since the beginning) and before `last`, which are apart;
    and the changes that must have been."""
    ends = {last.index} if first is None else {first.index, last.index}
    surely, maybe = list[Change](), list[int]()
    for change in changes:
        op = change.op
        outside = before(last, op) or (first is not None and before(op, first))
        if op.index in ends or outside:
            continue
        if change.sure and before(op, last) and (first is None or before(first, op)):
            surely.append(change)
        else:
            maybe.append(change.amount)
    return _sums(sum(change.amount for change in surely), maybe), surely


def any_of(changes: Iterable[Change], last: Operation) -> Sums:
    """What some of the changes that began before `last` ended add up to, whatever must have been."""
    return _sums(0, [c.amount for c in changes if c.op.index != last.index and not before(last, c.op)])


def _sums(start: int, maybe: Sequence[int]) -> Sums:
    values: set[int] | None = {start}
    for amount in maybe:
        if values is not None:
            values |= {value + amount for value in values}
            values = values if len(values) <= _MOST else None
    low, high = sum(min(0, amount) for amount in maybe), sum(max(0, amount) for amount in maybe)
    return Sums(start + low, start + high, None if values is None else frozenset(values))
