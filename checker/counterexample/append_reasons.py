"""Why no order explains the operations on an append list, in sentences, where the pattern is a known one.

A list shows its own past: every read must be a beginning of every longer one, hold each element as often as
it was appended, hold what was acknowledged before the read began, and keep the order of appends that did not
overlap. Each function below is one of these rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise
from typing import cast

from checker.counterexample.pattern import Explanation
from checker.counterexample.words import ended_before, gap, quote, say
from checker.history import Operation
from checker.numbers import counted

_READS = ("read", "get")


class AppendReasons:
    """Looks for known patterns among `operations`; `everything` is the whole key, failures included.

    `filtered` says that elements were left out of the lists in `operations`.
    """

    def __init__(
        self,
        initial: tuple[Hashable, ...],
        operations: Sequence[Operation],
        everything: Sequence[Operation],
        filtered: bool,
    ) -> None:
        self._filtered = filtered
        self._everything = everything
        self._reads = [op for op in operations if op.f in _READS and op.type == "ok"]
        self._appends: dict[Hashable, list[Operation]] = {}
        self._initial = initial
        for op in operations:
            if op.f == "append":
                self._appends.setdefault(op.input, []).append(op)

    def explain(self) -> Explanation | None:
        """The first known pattern, from the plainest to the subtlest."""
        for rule in (
            self._from_nowhere,
            self._twice,
            self._from_the_future,
            self._forgotten,
            self._lost,
            self._diverged,
            self._reordered,
        ):
            found = next(rule(), None)
            if found is not None:
                return found
        return None

    def _saw(self, read: Operation) -> str:
        less = ", other elements left out," if self._filtered else ""
        return f"{say(read)} returned{less} {quote(read.output)}"

    def _from_nowhere(self) -> Iterator[Explanation]:
        for read in self._reads:
            for element in _list(read)[len(self._initial) :]:
                if element in self._appends:
                    continue
                tried = [op for op in self._everything if op.f == "append" and op.input == element]
                for op in tried:
                    if op.type == "fail":
                        reason = (
                            f"{self._saw(read)}, but {say(op)} was answered as failed: it did not happen."
                        )
                        yield Explanation("effect of a failed operation", (reason,))
                    elif read.return_ns is not None and read.return_ns < op.call_ns:
                        reason = f"{self._saw(read)}; but {ended_before(read, op)}."
                        yield Explanation("read from the future", (reason,))
                reason = f"{self._saw(read)}, but nobody ever tried to append {quote(element)} to this key."
                yield Explanation("value from nowhere", (reason,))

    def _twice(self) -> Iterator[Explanation]:
        for read in self._reads:
            for element, count in Counter(_list(read)).items():
                asked = len(self._appends.get(element, ())) + self._initial.count(element)
                if count > asked:
                    op = self._appends[element][0] if element in self._appends else None
                    who = say(op) if op else f"the append of {quote(element)}"
                    reason = (
                        f"{self._saw(read)}: {quote(element)} is in it {count} times, but {who} was asked "
                    )
                    reason += "for only once." if asked == 1 else f"for only {asked} times."
                    yield Explanation("append executed twice", (reason,))

    def _from_the_future(self) -> Iterator[Explanation]:
        for read in self._reads:
            for element in _list(read):
                ops = () if element in self._initial else self._appends.get(element, ())
                if ops and all(read.return_ns is not None and read.return_ns < op.call_ns for op in ops):
                    reason = f"{self._saw(read)}; but {ended_before(read, ops[0])}."
                    yield Explanation("read from the future", (reason,))

    def _forgotten(self) -> Iterator[Explanation]:
        for read in self._reads:
            if _list(read)[: len(self._initial)] != self._initial:
                reason = (
                    f"{self._saw(read)}, which does not begin with {quote(self._initial)}: that was there at "
                )
                yield Explanation("lost append", (reason + "first, and nothing is ever taken out.",))

    def _lost(self) -> Iterator[Explanation]:
        for read in self._reads:
            there = Counter(_list(read))
            for element, ops in self._appends.items():
                done = [op for op in ops if op.return_ns is not None and op.return_ns < read.call_ns]
                if not done or there[element] >= len(done) + self._initial.count(element):
                    continue
                order = ended_before(done[0], read)
                lacks = f"lacks {quote(element)}"
                if there[element]:
                    asked = len(done) + self._initial.count(element)
                    lacks = f"has {quote(element)} only {counted(there[element], 'time')} of {asked}"
                reasons = [f"{self._saw(read)}, which {lacks}, but {order}."]
                longer = self._continued(read)
                if longer is not None:
                    reasons.append(f"{say(longer)} returned a list that goes on where the other one ends.")
                yield Explanation("stale read" if longer else "lost append", tuple(reasons))

    def _continued(self, read: Operation) -> Operation | None:
        """Another read of the key that returned what `read` did and more, before anything was left out."""
        reads = {op.index: op for op in self._everything if op.f in _READS and op.type == "ok"}
        mine = _list(reads.get(read.index, read))
        for op in reads.values():
            if len(_list(op)) > len(mine) and _list(op)[: len(mine)] == mine:
                return op
        return None

    def _diverged(self) -> Iterator[Explanation]:
        by_length = sorted(self._reads, key=lambda read: len(_list(read)))
        for short, long in pairwise(by_length):
            a, b = _list(short), _list(long)
            if b[: len(a)] != a:
                place = next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
                reason = (
                    f"{self._saw(short)} and {self._saw(long)}: at place {place + 1} one has "
                    f"{quote(a[place])}, the other {quote(b[place])}, but a growing list keeps its beginning."
                )
                lost = a[place] not in b or b[place] not in a
                anomaly = "element lost or overtaken" if lost else "reordered appends"
                yield Explanation(anomaly, (reason,))
            elif len(a) < len(b) and long.return_ns is not None and long.return_ns < short.call_ns:
                reason = (
                    f"{self._saw(short)}, but {self._saw(long)}, and that ended "
                    f"{gap(long, short)} before the shorter one began."
                )
                yield Explanation("stale read", (reason,))

    def _reordered(self) -> Iterator[Explanation]:
        for read in self._reads:
            added = (element for element in _list(read) if element not in self._initial)
            known = [(e, self._appends[e]) for e in added if len(self._appends.get(e, ())) == 1]
            for at, (early, (first,)) in enumerate(known):
                for late, (second,) in known[at + 1 :]:
                    if second.return_ns is not None and second.return_ns < first.call_ns:
                        reason = (
                            f"{self._saw(read)}, with {quote(early)} ahead of {quote(late)}, but "
                            f"{ended_before(second, first)}."
                        )
                        yield Explanation("reordered appends", (reason,))


def _list(read: Operation) -> tuple[Hashable, ...]:
    return cast(tuple[Hashable, ...], read.output)
