"""Whose value is read, where a value is written again and again: periods, and a maker for each.

Reads of the value form a *period* as long as no other block has to come between them; reads in order of
return, each in the latest period if it fits. A maker can begin a period iff it was called before anything of
it returned and need not be left before it ends; a period ends before nobody could have begun it. As periods
follow each other, that is a matching of intervals with runs of periods: of the makers that fit, the one that
returns first is taken. A maker left over that must
be inside a period is as good as a read there: writing what is there changes nothing.

A guess, but a good one: for absent it nearly always is right. What it gives is checked like any other choice.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate

from checker.engines.polynomial.register_columns import NOTHING, Columns
from checker.engines.polynomial.register_zones import INITIAL


class Barriers:
    """Blocks of unique values, as far as what surely happened tells: who returned before one was begun is out
    for who was called after it had ended."""

    def __init__(self, columns: Columns, make: list[int], ambiguous: dict[int, list[int]]) -> None:
        calls, returns, need = columns.calls, columns.returns, columns.need
        least: dict[int, int] = {}
        greatest: dict[int, int] = {}
        block = _blocks(columns, make, ambiguous)
        self.never = min(calls, default=0) - 1

        def add(value: int, i: int) -> None:
            value = block.get(value, value)
            least[value] = min(returns[i], least.get(value, columns.forever))
            greatest[value] = max(calls[i], greatest.get(value, self.never))

        for i in (*columns.writes, *columns.swaps):
            if returns[i] < columns.forever and columns.make[i] not in ambiguous:
                add(make[i], i)
        for i in columns.reads:
            if need[i] not in ambiguous:
                add(need[i], i)
        beginning = block.get(columns.initial, columns.initial)
        if beginning in least and columns.initial not in ambiguous:
            least[beginning] = self.never
        by_end = sorted(least, key=least.__getitem__)
        self._ends = [least[value] for value in by_end]
        self._latest = list(accumulate((greatest[value] for value in by_end), max, initial=self.never))

    def latest(self, call: int) -> int:
        """A maker for an operation called then must not have returned before this."""
        return self._latest[bisect_left(self._ends, call)]


def _blocks(columns: Columns, make: list[int], ambiguous: dict[int, list[int]]) -> dict[int, int]:
    """Of values in chains: the first of the chain that is unique. A ring has no first and is left out."""
    before = {make[i]: columns.need[i] for i in columns.swaps if columns.need[i] not in ambiguous}
    after = {value: later for later, value in before.items()}
    first: dict[int, int] = {}
    for value in after:
        if value not in before:
            root = value
            while value in after:
                value = after[value]
                first[value] = root
    return first


@dataclass(slots=True)
class Period:
    """Its reads, the first return and the last call of all in it, and the maker."""

    end: int
    start: int
    reads: list[int]
    maker: int = NOTHING


class Periods:
    """`found` have their makers if anybody fits, `inside` says of other makers which period they are in."""

    def __init__(
        self, columns: Columns, makers: Sequence[int], reads: Sequence[int], barriers: Barriers
    ) -> None:
        self._columns = columns
        self._barriers = barriers
        self._coming = [i for i in reversed(makers) if i != INITIAL]
        self._waiting = [(barriers.never, INITIAL)] if INITIAL in makers else []
        self._pending: list[int] = []
        self._left: list[int] = []
        self.found: list[Period] = []
        for i in sorted(reads, key=columns.returns.__getitem__):
            self._add(i)
        self._close()
        self.inside = self._place()

    def _add(self, i: int) -> None:
        call, end = self._columns.calls[i], self._columns.returns[i]
        if self.found:
            last = self.found[-1]
            start = max(last.start, call)
            limit = self._barriers.latest(start)
            # No other block between, and no period so long that nobody can have begun it.
            if limit <= last.end and (self._fits(limit) or not self._fits(self._barriers.latest(last.start))):
                last.start = start
                last.reads.append(i)
                return
            self._close()
        self.found.append(Period(end, call, [i]))
        calls, returns = self._columns.calls, self._columns.returns
        while self._coming and calls[self._coming[-1]] <= end:
            maker = self._coming.pop()
            if returns[maker] < self._columns.forever:
                heappush(self._waiting, (returns[maker], maker))
            else:
                self._pending.append(maker)

    def _fits(self, limit: int) -> bool:
        return any(returned >= limit for returned, _ in self._waiting)

    def _close(self) -> None:
        """Give the last period its maker, if there is one: a pending one only if there is no other."""
        if not self.found:
            return
        period = self.found[-1]
        limit = self._barriers.latest(period.start)
        while self._waiting and self._waiting[0][0] < limit:
            self._left.append(heappop(self._waiting)[1])
        if self._waiting:
            returned, period.maker = heappop(self._waiting)
            period.end = min(period.end, returned)
        elif self._pending:
            period.maker = self._pending.pop()

    def _place(self) -> dict[int, Period]:
        """Makers that returned in a period that began before they were called."""
        calls, returns = self._columns.calls, self._columns.returns
        found = sorted((p for p in self.found if p.maker != NOTHING), key=lambda period: period.end)
        ends = [period.end for period in found]
        inside: dict[int, Period] = {}
        for i in (*self._left, *self._coming, *(i for _, i in self._waiting)):
            at = bisect_left(ends, calls[i]) - 1 if i != INITIAL else -1
            if at >= 0 and returns[i] < found[at].start:
                inside[i] = found[at]
        return inside
