"""The few operations behind a broken rule: enough to break it by themselves.

A core is closed in two ways. What its operations need is made in it, except what the swap that begins a
segment of a chain expects: that swap may be weakened to a write (`Model.weaken`). And a pending operation is
in it only with somebody who completed and needs, perhaps through other pending ones, what it makes: else it
may as well not have happened. Of a chain only the segment between the operations concerned is named, and of
those that would do, the nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from checker.engines.polynomial.register_columns import NOTHING
from checker.engines.polynomial.register_zones import Broken, Zones

Level = list[int]
"""Who makes a value, then its readers."""


def core(zones: Zones, broken: Broken) -> tuple[int, ...]:
    """Positions, in order of call."""
    return tuple(sorted(_Cores(zones).core(broken)))


class _Cores:
    def __init__(self, zones: Zones) -> None:
        self._zones = zones
        self._columns = zones.columns
        self._readers_of: dict[int, list[int]] = {}

    def core(self, broken: Broken) -> set[int]:
        where, first, need = broken.where, self._zones.first, self._columns.need
        if broken.kind == "unwritten":
            found = {self._someone_needing(where[0])}
        elif broken.kind == "double-consume":
            found = set(where) | self._makers([need[where[0]]])
        elif broken.kind == "orphan":
            found = {first[value] for value in where}
        elif broken.kind == "inversion":
            found = self._inversion(*where)
        else:
            found = self._two_cycle(*where)
        return self._justified(found)

    def _someone_needing(self, value: int) -> int:
        readers = self._readers(value)
        return readers[0] if readers else self._zones.user[value]

    def _readers(self, value: int) -> list[int]:
        if value not in self._readers_of:
            self._collect([value])
        return self._readers_of[value]

    def _collect(self, values: list[int]) -> None:
        readers_of, need = self._readers_of, self._columns.need
        readers_of.update((value, []) for value in values)
        wanted = set(values)
        for i in self._columns.reads:
            if need[i] in wanted:
                readers_of[need[i]].append(i)

    def _makers(self, values: Iterable[int]) -> set[int]:
        return {i for i in (self._zones.first[value] for value in values) if i >= 0}

    def _justified(self, found: set[int]) -> set[int]:
        while idle := self._idle(found):
            values = [self._columns.make[i] for i in sorted(idle)]
            readers = [self._readers(value)[0] for value in values if self._readers(value)]
            # In a ring of pending swaps each needs what another makes: only somebody from outside counts.
            users = (self._zones.user[value] for value in values)
            found.add(readers[0] if readers else next(i for i in users if i not in found))
        return found

    def _idle(self, found: set[int]) -> set[int]:
        """Pending operations that nobody who completed needs, not even through others."""
        columns = self._columns
        idle = {i for i in found if columns.returns[i] == columns.forever}
        todo = [columns.need[i] for i in found - idle]
        while todo:
            value = todo.pop()
            maker = self._zones.first[value] if value != NOTHING else NOTHING
            if maker in idle:
                idle.remove(maker)
                todo.append(columns.need[maker])
        return idle

    def _chain(self, root: int) -> list[int]:
        """The values of a block."""
        values = [root]
        while (swap := self._zones.user[values[-1]]) != NOTHING:
            values.append(self._columns.make[swap])
        self._collect(values)
        return values

    def _inversion(self, root: int, value: int) -> set[int]:
        """In a chain something at `value` returned before something ahead of it was called."""
        calls, returns = self._columns.calls, self._columns.returns
        values = self._chain(root)
        at = values.index(value)
        maker = self._zones.first[value]
        ahead = max((calls[i] for v in values[:at] for i in self._level(v)), default=calls[maker] - 1)
        if maker >= 0 and returns[maker] < ahead:
            early = maker
        else:
            early = min(self._readers(value), key=returns.__getitem__)
            if maker >= 0 and calls[maker] > returns[early]:
                return {maker, early}
        for back in range(at - 1, -1, -1):
            late = max(self._level(values[back]), key=calls.__getitem__, default=NOTHING)
            if late != NOTHING and calls[late] > returns[early]:
                return {early, late} | self._makers(values[back : at + 1])
        raise AssertionError("an inversion has an operation that was called too late")

    def _level(self, value: int) -> Level:
        maker = self._zones.first[value]
        return [maker, *self._readers(value)] if maker >= 0 else self._readers(value)

    def _two_cycle(self, one: int, other: int) -> set[int]:
        """Each of two blocks has somebody who returned before somebody of the other was called."""
        calls, returns = self._columns.calls, self._columns.returns
        a, b = self._chain(one), self._chain(other)
        everyone = [i for value in b for i in self._level(value)]
        start, end = max(calls[i] for i in everyone), min(returns[i] for i in everyone)
        # What the register began with was there before everything.
        first = one == self._columns.initial
        if first:
            in_a = self._from_the_start(a, end)
        else:
            in_a = self._nearest(a, lambda i: returns[i] < start, lambda i: calls[i] > end)
        early, late = min(returns[i] for i in in_a), max(calls[i] for i in in_a)
        return in_a | self._nearest(b, lambda i: first or calls[i] > early, lambda i: returns[i] < late)

    def _from_the_start(self, values: list[int], end: int) -> set[int]:
        calls = self._columns.calls
        for at, value in enumerate(values):
            late = max(self._level(value), key=calls.__getitem__, default=NOTHING)
            if late != NOTHING and calls[late] > end:
                return {late} | self._makers(values[: at + 1])
        raise AssertionError("nobody needed the initial value too late")

    def _nearest(
        self, values: list[int], one: Callable[[int], bool], other: Callable[[int], bool]
    ) -> set[int]:
        """Two operations of a block, one of each sort, as few values apart as can be, and who made those."""
        found: dict[bool, tuple[int, int]] = {}
        best: tuple[int, int, int, int] | None = None
        for at, value in enumerate(values):
            level = self._level(value)
            both = [i for i in level if one(i) and other(i)]
            for sort, test in ((True, one), (False, other)):
                fitting = both or [i for i in level if test(i)]
                if fitting:
                    found[sort] = (at, fitting[0])
            if len(found) == 2:
                (here, i), (there, j) = found[True], found[False]
                if best is None or abs(here - there) < best[1] - best[0]:
                    best = (min(here, there), max(here, there), i, j)
        assert best is not None, "both sorts of operations are in the block"
        return {best[2], best[3]} | self._makers(values[best[0] : best[1] + 1])
