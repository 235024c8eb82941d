"""Why no order explains operations on several registers at once, where the pattern is a known one.

Values written once tie what found them to what wrote them. `sees(R, W)`: R found a value that W left, so it
came after. `precedes(R, W)`: R found a value that was there before W replaced it, so it came before. Whoever
must come both after and before another one is a pattern; names are those of the literature on isolation.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple, cast

from checker.counterexample import Fact
from checker.counterexample.pattern import Explanation, before, ended, explained, fact, first_of
from checker.counterexample.words import quote, say
from checker.history import Operation
from checker.models.base import Model
from checker.models.multi_registers import Effect, Item, MultiRegister, effect

_MOST = 60


def explain(
    model: Model, operations: Sequence[Operation], everything: Sequence[Operation]
) -> Explanation | None:
    """The first known pattern, from the plainest to the subtlest."""
    if len(operations) > _MOST:
        return None
    rules = _Reasons(cast(MultiRegister, model), operations, everything)
    return first_of(
        (
            rules.contradicts_itself(),
            rules.from_nowhere(),
            rules.too_early(),
            rules.fractured(),
            rules.crossed(),
            rules.stale(),
            rules.fork(),
        )
    )


class _Txn(NamedTuple):
    op: Operation
    effect: Effect


class _Tie(NamedTuple):
    """`reader` comes after `writer` (it found what that left), or before it (it found what that replaced)."""

    reader: _Txn
    writer: _Txn
    item: Item


class _Reasons:
    def __init__(
        self,
        model: MultiRegister,
        operations: Sequence[Operation],
        everything: Sequence[Operation],
    ) -> None:
        self._everything = everything
        self._first = model.contents(model.initial)
        self._txns = [_Txn(op, effect(op.f, model.call(op))) for op in operations]
        self._writers: dict[Item, list[_Txn]] = {}
        for op in everything:
            if op.type != "fail":
                txn = _Txn(op, effect(op.f, model.call(op)))
                for item in txn.effect.writes.items():
                    self._writers.setdefault(item, []).append(txn)
        self._sees = list(self._seen())
        self._precedes = list(self._preceding())

    def _reads(self) -> Iterator[tuple[_Txn, Item]]:
        for txn in self._txns:
            for item in txn.effect.reads:
                yield txn, item

    def _at_first(self, item: Item) -> bool:
        return self._first.get(item[0]) == item[1]

    def _seen(self) -> Iterator[_Tie]:
        for reader, item in self._reads():
            writers = self._writers.get(item, [])
            if len(writers) == 1 and not self._at_first(item) and writers[0].op.index != reader.op.index:
                yield _Tie(reader, writers[0], item)

    def _preceding(self) -> Iterator[_Tie]:
        for reader, item in self._reads():
            name, value = item
            sources = self._writers.get(item, [])
            if len(sources) + self._at_first(item) != 1:
                continue
            for writer in self._txns:
                new = writer.effect.writes.get(name, value)
                if new == value or writer.op.index == reader.op.index:
                    continue
                found = item in writer.effect.reads
                if not sources or found or before(sources[0].op, writer.op):
                    # What was found came before what this one wrote: who found it came before this one.
                    yield _Tie(reader, writer, item)

    def contradicts_itself(self) -> Iterator[Explanation]:
        for op, found in self._txns:
            if not found.consistent or len(dict(found.reads)) < len(set(found.reads)):
                text = f"{say(op)} answered {quote(op.output)}, which no registers whatever can give"
                yield explained("transaction that contradicts itself", fact("contradiction", [op], text))

    def from_nowhere(self) -> Iterator[Explanation]:
        for reader, item in self._reads():
            if item in self._writers or self._at_first(item):
                continue
            saw = f"{_saw(reader.op, item)}, but"
            for op in self._everything:
                if op.index == reader.op.index or item not in _tried(op):
                    continue
                if op.type == "fail":
                    text = f"{saw} {say(op)} was answered as failed: it did not happen"
                    name = "effect of a failed operation"
                else:
                    text, name = f"{saw} {say(op)} wrote another value over that itself", "intermediate read"
                yield explained(name, fact("reads-from", [reader.op, op], text, item[1]))
            text = f"{saw} nobody ever tried to write that"
            yield explained("value from nowhere", fact("unwritten", [reader.op], text, item[1]))

    def too_early(self) -> Iterator[Explanation]:
        for reader, item in self._reads():
            writers = self._writers.get(item, [])
            if self._at_first(item) or not writers:
                continue
            if all(writer.op.index == reader.op.index for writer in writers):
                text = f"{_saw(reader.op, item)}, which only it itself wrote, and later"
                yield explained("read from the future", fact("reads-from", [reader.op], text, item[1]))
            if not all(before(reader.op, writer.op) for writer in writers):
                continue
            saw = fact("reads-from", [reader.op, writers[0].op], _saw(reader.op, item), item[1])
            yield explained("read from the future", saw, ended(reader.op, writers[0].op))

    def fractured(self) -> Iterator[Explanation]:
        """One that found some of what another one wrote, and what that replaced elsewhere."""
        for new in self._sees:
            for old in self._precedes:
                if new.reader.op.index == old.reader.op.index and new.writer.op.index == old.writer.op.index:
                    yield explained("fractured read", self._after(new), self._before(old))

    def crossed(self) -> Iterator[Explanation]:
        """Two that each found what the other one replaced."""
        for one in self._precedes:
            for other in self._precedes:
                if (one.reader.op.index, one.writer.op.index) == (
                    other.writer.op.index,
                    other.reader.op.index,
                ):
                    name = "lost update" if one.item == other.item else "write skew"
                    yield explained(name, self._before(one), self._before(other))

    def stale(self) -> Iterator[Explanation]:
        """One that found what had been replaced before it began, or before what it comes after."""
        for old in self._precedes:
            if before(old.writer.op, old.reader.op):
                order = ended(old.writer.op, old.reader.op)
                yield explained("stale read", self._before(old), order)
            for new in self._sees:
                if new.writer.op.index == old.writer.op.index and before(new.reader.op, old.reader.op):
                    order = ended(new.reader.op, old.reader.op)
                    yield explained("stale read", self._before(old), self._after(new), order)

    def fork(self) -> Iterator[Explanation]:
        """Two writes, each seen by somebody who did not see the other one."""
        sides = [
            (new, old)
            for new in self._sees
            for old in self._precedes
            if new.reader.op.index == old.reader.op.index or before(new.reader.op, old.reader.op)
        ]
        for new, old in sides:
            for other_new, other_old in sides:
                crossed = (
                    new.writer.op.index == other_old.writer.op.index
                    and old.writer.op.index == other_new.writer.op.index
                )
                if crossed:
                    ties = (self._after(new), self._before(old))
                    others = (self._after(other_new), self._before(other_old))
                    yield explained("long fork", *ties, *others)

    def _after(self, tie: _Tie) -> Fact:
        text = f"{_saw(tie.reader.op, tie.item)}, which {say(tie.writer.op)} left"
        return fact("reads-from", [tie.reader.op, tie.writer.op], text, tie.item[1])

    def _before(self, tie: _Tie) -> Fact:
        name = tie.item[0]
        text = f"{_saw(tie.reader.op, tie.item)}, which {say(tie.writer.op)} replaced by "
        text += quote(tie.writer.effect.writes[name])
        return fact("missing", [tie.reader.op, tie.writer.op], text, tie.item[1])


def _saw(op: Operation, item: Item) -> str:
    return f"{say(op)} found {quote(item[1])} in register {quote(item[0])}"


def _tried(op: Operation) -> Sequence[Item]:
    """All that an operation tried to write, what it wrote over itself included."""
    given = cast(tuple[tuple[Hashable, ...], ...], op.input)
    if op.f == "write":
        return [(name, value) for name, value in given]
    return [(s[1], s[2]) for s in given if s[0] == "write"] if op.f == "txn" else []
