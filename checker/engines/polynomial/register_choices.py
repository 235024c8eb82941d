"""Values made more than once: who needs one has to say whose; every choice makes a history that is unique.

An order explains a history iff it explains the one in which every operation that needs such a value names
the maker it took effect after: so the choices can be tried. Absent is the common such value, made by every
delete. Most choices are none: a maker called after the operation returned is out, and so is one that another
value's block must follow if the operation must follow that block. What is left is tried by repair: a broken
rule names the operations it is broken by (`register_cores`), their choices together are refuted for good (a
*nogood*), and one of them changes. A rule broken by operations that had no choice refutes the history. Where
repair ends and there are few choices, all are tried. Both have a bound, and reaching it is no answer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, product

from checker.engines.polynomial.register_columns import NOTHING, Columns
from checker.engines.polynomial.register_cores import core
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
        barred = _Barriers(columns, make, self._makers)
        found: dict[int, list[int]] = {}
        for i in self._open:
            limit = barred.latest(calls[i])
            value, fitting = columns.need[i], list[int]()
            if limit <= returns[i]:
                for j in reversed(self._makers[value]):
                    if j == INITIAL:
                        if limit == barred.never:
                            fitting.append(value)
                    elif j != i and calls[j] <= returns[i] and returns[j] >= limit:
                        fitting.append(make[j])
                    if len(fitting) > _MOST_CANDIDATES:
                        fitting.pop()
                        self.incomplete = True
                        break
            found[i] = fitting
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
        while self._tries > 0:
            found = self._try()
            if not isinstance(found, frozenset):
                return found
            if not self._repair(found):
                return self._try_all()
        return "too many choices of who made a value that is not unique"

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


class _Barriers:
    """Blocks of unique values, as far as what surely happened tells: who returned before one is out for who
    was called after it."""

    def __init__(self, columns: Columns, make: list[int], ambiguous: dict[int, list[int]]) -> None:
        calls, returns, need = columns.calls, columns.returns, columns.need
        least: dict[int, int] = {}
        greatest: dict[int, int] = {}
        self.never = min(calls, default=0) - 1

        def add(value: int, call: int, end: int) -> None:
            least[value] = min(end, least.get(value, end))
            greatest[value] = max(call, greatest.get(value, call))

        for i in (*columns.writes, *columns.swaps):
            if returns[i] < columns.forever and columns.make[i] not in ambiguous:
                add(make[i], calls[i], returns[i])
        for i in columns.reads:
            if need[i] not in ambiguous:
                add(need[i], calls[i], returns[i])
        if columns.initial in least and columns.initial not in ambiguous:
            least[columns.initial] = self.never
        by_end = sorted(least, key=least.__getitem__)
        self._ends = [least[value] for value in by_end]
        self._latest = list(accumulate((greatest[value] for value in by_end), max, initial=self.never))

    def latest(self, call: int) -> int:
        """A maker for an operation called then must not have returned before this."""
        return self._latest[bisect_left(self._ends, call)]
