"""Blocks of a register with unique values, their order, and the rule that is broken if there is none.

`registers` has the theory. A value is first made (by a write, a compare-and-set, or the beginning), then
read, then left; what swaps it starts the next value of the same *chain*, and the chain is the block.
Aggregates of a value (least return and greatest call of its readers) are all that the rules need, so that
the work for each operation is a handful of list accesses.
"""

from __future__ import annotations

from dataclasses import dataclass

from checker.engines.polynomial.register_columns import NOTHING, Columns

INITIAL = -2


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that is broken, and the values it is about (positions for "double-consume")."""

    kind: str
    where: tuple[int, ...]


class Zones:
    """`columns` must be unique: no value is made twice, nor made and initial."""

    def __init__(self, columns: Columns) -> None:
        values = columns.values
        self.columns = columns
        self.first = [NOTHING] * values
        """Who makes the value."""
        self.user = [NOTHING] * values
        """Who swaps it for the next one."""
        self.readers = [0] * values
        self._low = [columns.forever] * values
        self._before = min(columns.calls, default=0) - 1
        self._high = [self._before] * values
        self._active = len(columns.swaps)
        self._roots: list[int] = []
        self._least_return: list[int] = []
        self._greatest_call: list[int] = []
        self._in_order: list[int] = []

    def broken(self) -> Broken | None:
        """The rule that is broken, or None: then `order` explains."""
        return self._aggregate() or self._close() or self._walk() or self._sort()

    def _aggregate(self) -> Broken | None:
        columns = self.columns
        need, make, calls, returns = columns.need, columns.make, columns.calls, columns.returns
        first, user, readers, low, high = self.first, self.user, self.readers, self._low, self._high
        for i in columns.reads:
            value = need[i]
            readers[value] += 1
            high[value] = calls[i]
            if returns[i] < low[value]:
                low[value] = returns[i]
        first[columns.initial] = INITIAL
        for i in columns.writes:
            first[make[i]] = i
        for i in columns.maybes:
            first[make[i]] = i
        for i in columns.swaps:
            value = need[i]
            if user[value] != NOTHING:
                return Broken("double-consume", (user[value], i))
            user[value] = i
            first[make[i]] = i
        return None

    def _close(self) -> Broken | None:
        """A pending compare-and-set swapped iff its value is needed; then what it expects is needed."""
        columns = self.columns
        need, make, first, user = columns.need, columns.make, self.first, self.user
        maybe = set(columns.maybes)
        todo = [i for i in reversed(columns.maybes) if self.needed(make[i])]
        while todo:
            i = todo.pop()
            if i not in maybe:
                continue
            maybe.remove(i)
            self._active += 1
            value = need[i]
            if user[value] != NOTHING:
                return Broken("double-consume", (user[value], i))
            user[value] = i
            if first[value] in maybe:
                todo.append(first[value])
        for i in maybe:
            first[make[i]] = NOTHING
        return None

    def needed(self, value: int) -> bool:
        """Whether somebody who happened needs the value."""
        return self.readers[value] > 0 or self.user[value] != NOTHING

    def _walk(self) -> Broken | None:
        """Each block's least return and greatest call; inside it, nothing returns before what is ahead."""
        columns = self.columns
        need, make, calls, returns = columns.need, columns.make, columns.calls, columns.returns
        first, user, low, high = self.first, self.user, self._low, self._high
        forever, walked = columns.forever, 0
        roots, least, greatest = self._roots, self._least_return, self._greatest_call
        for root, maker in enumerate(first):
            if maker >= 0:
                if need[maker] >= 0:
                    continue
                least_return, greatest_call = returns[maker], calls[maker]
                if least_return == forever and not self.needed(root):
                    continue
            elif maker == NOTHING:
                if self.needed(root):
                    return Broken("unwritten", (root,))
                continue
            else:
                least_return = greatest_call = self._before
            value = root
            while True:
                if low[value] < greatest_call:
                    return Broken("inversion", (root, value))
                if low[value] < least_return:
                    least_return = low[value]
                if high[value] > greatest_call:
                    greatest_call = high[value]
                swap = user[value]
                if swap < 0:
                    break
                value = make[swap]
                walked += 1
                if returns[swap] < greatest_call:
                    return Broken("inversion", (root, value))
                if returns[swap] < least_return:
                    least_return = returns[swap]
                if calls[swap] > greatest_call:
                    greatest_call = calls[swap]
            roots.append(root)
            least.append(least_return)
            greatest.append(greatest_call)
        return None if walked == self._active else self._orphan()

    def _orphan(self) -> Broken:
        """Some swap hangs on no beginning, and none lacks a maker: follow makers back into a ring."""
        need, make, first = self.columns.need, self.columns.make, self.first
        reached: set[int] = set()
        for root in self._roots:
            while self.user[root] != NOTHING:
                reached.add(self.user[root])
                root = make[self.user[root]]
        value = next(v for v, i in enumerate(self.user) if i != NOTHING and i not in reached)
        seen: set[int] = set()
        while value not in seen:
            seen.add(value)
            value = need[first[value]]
        ring = [value]
        while need[first[ring[-1]]] != value:
            ring.append(need[first[ring[-1]]])
        return Broken("orphan", tuple(ring))

    def _sort(self) -> Broken | None:
        """By min(f, s), s ahead of f at ties; then nothing may return before what is ahead was called."""
        least, greatest = self._least_return, self._greatest_call
        keys = [2 * s if s <= f else 2 * f + 1 for f, s in zip(least, greatest, strict=True)]
        self._in_order = in_order = sorted(range(len(keys)), key=keys.__getitem__)
        latest, holder = self._before - 1, NOTHING
        for block in in_order:
            if least[block] < latest:
                return Broken("two-cycle", (self._roots[holder], self._roots[block]))
            if greatest[block] > latest:
                latest, holder = greatest[block], block
        return None

    def order(self) -> list[int]:
        """Positions of all that happened, once nothing is broken."""
        columns, roots, first, user, readers = self.columns, self._roots, self.first, self.user, self.readers
        need, make = columns.need, columns.make
        order = [0] * (len(columns.reads) + self._active + len(roots))
        at, free = [0] * columns.values, 0
        for block in self._in_order:
            value = roots[block]
            maker = first[value]
            if maker >= 0:
                order[free] = maker
                free += 1
            while True:
                at[value] = free
                free += readers[value]
                swap = user[value]
                if swap < 0:
                    break
                order[free] = swap
                free += 1
                value = make[swap]
        for i in columns.reads:
            value = need[i]
            order[at[value]] = i
            at[value] += 1
        del order[free:]
        return order
