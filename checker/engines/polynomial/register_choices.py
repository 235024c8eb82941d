"""Values made more than once: who needs one has to say whose; every choice makes a history that is unique.

An order explains a history iff it explains the one in which every operation that needs such a value names
the maker it took effect after: so the choices can be tried. Absent is the common such value, made by every
delete. Most choices are none: a maker called after the operation returned is out, and so is one that another
value's block must follow if the operation must follow that block. What is left is guessed
(`register_periods`), then tried by repair: a broken rule names the operations it is broken by
(`register_cores`), their choices together are refuted for good (a *nogood*), and one of them changes. A rule
broken by operations that had no choice refutes the history. Where repair ends and there are few choices, all
are tried. Both have a bound, and reaching it is no answer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, product

from checker.engines.polynomial.register_columns import NOTHING, Columns
from checker.engines.polynomial.register_cores import core
from checker.engines.polynomial.register_periods import Barriers, Periods
from checker.engines.polynomial.register_zones import INITIAL, Zones

MOST_ASSIGNMENTS = 4096
_WORK = 400_000
"""Operations looked at in all tries together: about a second."""
_LEAST_TRIES = 4
_MOST_CANDIDATES = 8

Choice = tuple[int, int]
"""An operation and which of its candidates it takes effect after."""


class Choices:
    """`outcome` is what came of it: an order, a refutation, or why there is neither."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._values = columns.values
        self._make = list(columns.make)
        self._makers = self._number_makers()
        needing = (*columns.reads, *columns.swaps, *columns.maybes)
        self._open = sorted(i for i in needing if columns.need[i] in self._makers)
        self.incomplete = False
        self._barriers = Barriers(columns, self._make, self._makers)
        self._candidates = self._find_candidates()
        self._chosen = dict.fromkeys(self._open, 0)
        self._nogoods: dict[Choice, list[frozenset[Choice]]] = {}
        self._tries = max(_LEAST_TRIES, min(MOST_ASSIGNMENTS, _WORK // max(1, len(columns.calls))))

    def _number_makers(self) -> dict[int, list[int]]:
        """Every maker of a value that others make, too, gets a number of its own. Who makes needed ones."""
        columns, make = self._columns, self._make
        needed = _needed(columns)
        makers: dict[int, list[int]] = {}
        for i in sorted((*columns.writes, *columns.swaps, *columns.maybes)):
            makers.setdefault(make[i], []).append(i)
        makers.setdefault(columns.initial, []).insert(0, INITIAL)
        several = {value: group for value, group in makers.items() if len(group) > 1}
        for group in several.values():
            for i in group:
                if i != INITIAL:
                    make[i] = self._values
                    self._values += 1
        return {value: group for value, group in several.items() if value in needed}

    def _find_candidates(self) -> dict[int, list[int]]:
        """For each operation with a choice the numbers that its value may have."""
        columns, make = self._columns, self._make
        calls, returns = columns.calls, columns.returns
        found: dict[int, list[int]] = {}
        fitting = {value: _Fitting(columns, group) for value, group in self._makers.items()}
        for i in self._open:
            limit = self._barriers.latest(calls[i])
            if limit > returns[i]:
                found[i] = []
                continue
            value = columns.need[i]
            choices = fitting[value].makers(i, limit, _MOST_CANDIDATES + 1)
            found[i] = [make[j] for j in choices]
            if limit == self._barriers.never and value == columns.initial:
                found[i].append(value)
            if len(found[i]) > _MOST_CANDIDATES:
                found[i].pop()
                self.incomplete = True
        return found

    def stuck(self) -> int:
        """A completed operation that nobody can have made the value for, or NOTHING."""
        columns = self._columns
        return next(
            (i for i in self._open if not self._candidates[i] and columns.returns[i] < columns.forever),
            NOTHING,
        )

    def solve(self) -> list[int] | tuple[str, tuple[int, ...]] | str:
        """An order of positions, or the kind and core of a refutation, or why neither was found."""
        for i in self._open:
            if not self._candidates[i]:
                # A pending one that nobody can have made the value for did not happen. Nobody makes this.
                self._candidates[i] = [self._values]
                self._values += 1
        self._values += 1
        guessed = self._guess()
        if guessed is not None:
            return guessed
        while self._tries > 0:
            found = self._try()
            if not isinstance(found, frozenset):
                return found
            if not self._repair(found):
                return self._try_all()
        return "too many choices of who made a value that is not unique"

    def _guess(self) -> list[int] | None:
        """The order that comes of periods, for values that are only written and read."""
        columns, makers = self._columns, self._makers
        plain = set(makers) - {columns.need[i] for i in (*columns.swaps, *columns.maybes)}
        plain -= {columns.make[i] for i in (*columns.swaps, *columns.maybes)}
        reads_of: dict[int, list[int]] = {value: [] for value in sorted(plain)}
        for i in columns.reads:
            if columns.need[i] in plain:
                reads_of[columns.need[i]].append(i)
        need, make, merged = list(columns.need), list(self._make), list[int]()
        for value, reads in reads_of.items():
            periods = Periods(columns, makers[value], reads, self._barriers)
            for period in periods.found:
                number = self._number_of(value, period.maker)
                for i in period.reads:
                    need[i] = number
                    if number in self._candidates[i]:
                        self._chosen[i] = self._candidates[i].index(number)
            for i, period in periods.inside.items():
                need[i] = self._number_of(value, period.maker)
                make[i] = NOTHING
                merged.append(i)
        for i in self._open:
            if columns.need[i] not in plain:
                need[i] = self._candidates[i][0]
        left = set(merged)
        zones = Zones(
            replace(
                columns, need=need, make=make, values=self._values,
                reads=sorted((*columns.reads, *merged)), writes=[i for i in columns.writes if i not in left],
            )
        )  # fmt: skip
        return zones.order() if zones.broken() is None else None

    def _number_of(self, value: int, maker: int) -> int:
        """What readers of this maker need; nobody makes NOTHING's."""
        if maker == NOTHING:
            return self._values - 1
        return value if maker == INITIAL else self._make[maker]

    def _try_all(self) -> list[int] | tuple[str, tuple[int, ...]] | str:
        count = 1
        for fitting in self._candidates.values():
            count = min(count * len(fitting), MOST_ASSIGNMENTS + 1)
        if count > MOST_ASSIGNMENTS:
            return "values are not unique"
        for _ in self._assignments():
            if self._tries <= 0:
                return "too many choices of who made a value that is not unique"
            found = self._try()
            if not isinstance(found, frozenset):
                return found
        return "values are not unique" if self.incomplete else ("ambiguous", ())

    def _assignments(self) -> Iterator[None]:
        """Every one that no nogood refutes."""
        chosen = self._chosen
        for numbers in product(*(range(len(self._candidates[i])) for i in self._open)):
            chosen.update(zip(self._open, numbers, strict=True))
            if not any(self._refuted(i) for i in self._open):
                yield

    def _try(self) -> list[int] | tuple[str, tuple[int, ...]] | frozenset[Choice]:
        """An order, a refutation that no choice can help, or the choices that do not go together."""
        self._tries -= 1
        columns = self._columns
        need = list(columns.need)
        for i, number in self._chosen.items():
            need[i] = self._candidates[i][number]
        zones = Zones(replace(columns, need=need, make=self._make, values=self._values))
        broken = zones.broken()
        if broken is None:
            return zones.order()
        positions = core(zones, broken)
        mixed = [i for i in positions if i in self._chosen]
        nogood = frozenset((i, self._chosen[i]) for i in mixed if len(self._candidates[i]) > 1)
        if not nogood:
            made_twice = any(columns.make[i] in self._makers for i in positions)
            return broken.kind, () if mixed or made_twice else positions
        for choice in nogood:
            self._nogoods.setdefault(choice, []).append(nogood)
        return nogood

    def _repair(self, nogood: frozenset[Choice]) -> bool:
        """Change one of these choices, the latest operation's if it has another that is not refuted."""
        for i, was in sorted(nogood, reverse=True):
            for number in range(len(self._candidates[i])):
                self._chosen[i] = number
                if number != was and not self._refuted(i):
                    return True
            self._chosen[i] = was
        return False

    def _refuted(self, i: int) -> bool:
        chosen = self._chosen
        nogoods = self._nogoods.get((i, chosen[i]), ())
        return any(all(chosen[j] == number for j, number in nogood) for nogood in nogoods)


def _needed(columns: Columns) -> set[int]:
    """Values somebody may need: closed under pending compare-and-sets that may have made a needed one."""
    needed = {columns.need[i] for i in (*columns.reads, *columns.swaps)}
    by_made: dict[int, list[int]] = {}
    for i in columns.maybes:
        by_made.setdefault(columns.make[i], []).append(columns.need[i])
    todo = [value for value in by_made if value in needed]
    while todo:
        for value in by_made.get(todo.pop(), ()):
            if value not in needed:
                needed.add(value)
                todo.append(value)
    return needed


class _Fitting:
    """Makers of one value, found by when they were called and had returned."""

    def __init__(self, columns: Columns, makers: list[int]) -> None:
        self._columns = columns
        returns = columns.returns
        self._completed = [i for i in makers if i != INITIAL and returns[i] < columns.forever]
        self._pending = [i for i in makers if i != INITIAL and returns[i] == columns.forever]
        self._latest = list(accumulate((returns[i] for i in self._completed), max))

    def makers(self, i: int, limit: int, most: int) -> list[int]:
        """Of those called before `i` returned, and that returned at `limit` or later, the last called.
        Pending ones come last."""
        calls, returns = self._columns.calls, self._columns.returns
        found: list[int] = []
        for group, latest in ((self._completed, self._latest), (self._pending, None)):
            at = bisect_right(group, returns[i], key=calls.__getitem__) - 1
            while at >= 0 and len(found) < most and (latest is None or latest[at] >= limit):
                if returns[group[at]] >= limit and group[at] != i:
                    found.append(group[at])
                at -= 1
        return found
