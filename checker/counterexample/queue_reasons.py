"""Why no order explains the operations on a queue, where the pattern is a known one.

An item that was put in once is *in* from the end of its enqueue to the beginning of what took it out (of any
dequeue whose answer is not known, if nobody said to have taken it). While it is in, nobody finds the queue
empty, and nobody is told of one behind it first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple, cast

from checker.counterexample import Fact
from checker.counterexample.pattern import Explanation, before, ended, explained, fact, first_of
from checker.counterexample.words import quote, say
from checker.history import Operation
from checker.models.base import Model
from checker.models.queues import Line

_EVER = 1 << 80


def explain(
    model: Model, operations: Sequence[Operation], everything: Sequence[Operation]
) -> Explanation | None:
    """The first known pattern, from the plainest to the subtlest."""
    rules = _Reasons(cast(Line, model.initial).items(), operations, everything)
    return first_of(
        (
            rules.from_nowhere(),
            rules.too_early(),
            rules.twice(),
            rules.seen_again(),
            rules.overtaken(),
            rules.reordered(),
            rules.empty(),
            rules.missing(),
            rules.wrong_length(),
        )
    )


class _In(NamedTuple):
    """An item put in once: after `since_ns` and before `until_ns` it is in."""

    item: Hashable
    since_ns: int
    until_ns: int
    enqueue: Operation | None
    """None: it was there at first."""
    taker: Operation | None


class _Counts(NamedTuple):
    """How many items can have been in, and why."""

    low: int
    high: int
    text: str


class _Reasons:
    def __init__(
        self,
        initial: tuple[Hashable, ...],
        operations: Sequence[Operation],
        everything: Sequence[Operation],
    ) -> None:
        self._initial = initial
        self._ops = operations
        self._everything = everything
        self._sources: dict[Hashable, list[Operation]] = {}
        self._takers: dict[Hashable, list[Operation]] = {}
        unknown = [_EVER]
        for op in everything:
            if op.f == "enqueue" and op.type != "fail":
                self._sources.setdefault(op.input, []).append(op)
            elif op.f == "dequeue" and op.type == "ok" and op.output is not None:
                self._takers.setdefault(op.output, []).append(op)
            elif op.f == "dequeue" and op.type == "info":
                unknown.append(op.call_ns)
        self._first_unknown_ns = min(unknown)
        named = [*initial, *(op.input for op in operations if op.f == "enqueue")]
        found = (self._in(item) for item in dict.fromkeys(named))
        self._ins = {one.item: one for one in found if one is not None}

    def _count(self, item: Hashable) -> int:
        return self._initial.count(item) + len(self._sources.get(item, ()))

    def _in(self, item: Hashable) -> _In | None:
        takers = self._takers.get(item, [])
        if self._count(item) != 1 or len(takers) > 1:
            return None
        enqueue = self._sources[item][0] if item in self._sources else None
        since_ns = -1
        if enqueue is not None:
            since_ns = _EVER if enqueue.return_ns is None else enqueue.return_ns
        taker = takers[0] if takers else None
        return _In(item, since_ns, taker.call_ns if taker else self._first_unknown_ns, enqueue, taker)

    def _told(self) -> Iterator[tuple[Operation, Hashable]]:
        for op in self._ops:
            for item in _items(op):
                yield op, item

    def from_nowhere(self) -> Iterator[Explanation]:
        for op, item in self._told():
            if self._count(item):
                continue
            saw = fact("unwritten", [op], f"{_saw(op, item)}, but nobody ever tried to enqueue that", item)
            for tried in self._everything:
                if tried.f == "enqueue" and tried.input == item and tried.type == "fail":
                    text = f"{_saw(op, item)}, but {say(tried)} was answered as failed: it did not happen"
                    failed = fact("reads-from", [op, tried], text, item)
                    yield explained("effect of a failed operation", failed)
            yield explained("item from nowhere", saw)

    def too_early(self) -> Iterator[Explanation]:
        for op, item in self._told():
            makers = self._sources.get(item, [])
            if item not in self._initial and makers and all(before(op, maker) for maker in makers):
                saw = fact("reads-from", [op, makers[0]], _saw(op, item), item)
                early = "dequeued before it was enqueued" if op.f == "dequeue" else "read from the future"
                yield explained(early, saw, ended(op, makers[0]))

    def twice(self) -> Iterator[Explanation]:
        for item, takers in self._takers.items():
            mine = [op for op in self._ops if op.f == "dequeue" and op.type == "ok" and op.output == item]
            later = [op for op in self._sources.get(item, ()) if all(before(taker, op) for taker in mine)]
            count = self._count(item) - len(later)
            if 0 < count < len(mine) and len(takers) >= len(mine):
                who = " and ".join(say(op) for op in mine[:3])
                text = f"{who} took {quote(item)}, which was {self._times_in(item, count)}"
                text += " by then" if later else ""
                yield explained("item dequeued twice", fact("twice", mine, text, item))
        for op in self._ops:
            for item, count in Counter(_items(op)).items():
                if count > self._count(item):
                    text = f"{say(op)} returned {quote(item)} {count} times, which was "
                    text += self._times_in(item, self._count(item))
                    yield explained("enqueue executed twice", fact("twice", [op], text, item))

    def _times_in(self, item: Hashable, count: int) -> str:
        asked = "only once" if count == 1 else f"only {count} times"
        return f"there at first, {asked}" if item in self._initial else f"enqueued {asked}"

    def seen_again(self) -> Iterator[Explanation]:
        for op, item in self._told():
            there = self._ins.get(item)
            if there is not None and there.taker is not None and before(there.taker, op):
                text = f"{_saw(op, item)}, but {say(there.taker)} had taken that"
                gone = fact("taken", [op, there.taker], text, item)
                yield explained("dequeued item seen again", gone, ended(there.taker, op))

    def _ahead(self, front: _In, item: Hashable) -> Fact | None:
        """That `front` went in before `item`, if that is sure."""
        if front.enqueue is None:
            if item not in self._initial or self._initial.index(front.item) < self._initial.index(item):
                return fact("answered", [], f"{quote(front.item)} was there at first", front.item)
            return None
        back = self._ins.get(item)
        if back is not None and back.enqueue is not None and before(front.enqueue, back.enqueue):
            return ended(front.enqueue, back.enqueue)
        for read in self._ops:
            listed = _items(read) if read.f == "read" else ()
            if front.item in listed and item in listed and listed.index(front.item) < listed.index(item):
                text = f"{_saw(read, item)}, with {quote(front.item)} ahead of {quote(item)}"
                return fact("answered", [read], text, item)
        return None

    def overtaken(self) -> Iterator[Explanation]:
        for op in self._ops:
            first = _items(op)[:1]
            if not first or first[0] not in self._ins:
                continue
            for front in self._ins.values():
                ahead = None
                stays = op.return_ns is not None and front.until_ns > op.return_ns
                if stays and front.item != first[0] and front.item not in _items(op):
                    ahead = self._ahead(front, first[0])
                if ahead is None:
                    continue
                behind = f"although {quote(front.item)} was ahead of it"
                saw = fact("missing", [op], f"{_saw(op, first[0])} {behind}", front.item)
                name = "item lost or overtaken" if front.taker is None else "item overtaken"
                yield explained(name, saw, ahead, self._stays(front, op))

    def _stays(self, one: _In, op: Operation) -> Fact:
        """That nobody took an item before `op` ended."""
        if one.taker is not None:
            return ended(op, one.taker)
        text = f"nobody had taken {quote(one.item)} when {say(op)} ended"
        return fact("nobody-else", [op], text, one.item)

    def reordered(self) -> Iterator[Explanation]:
        for read in self._ops:
            listed = _items(read) if read.f == "read" else ()
            for at, item in enumerate(listed):
                for behind in listed[at + 1 :]:
                    front, back = self._ins.get(behind), self._ins.get(item)
                    ahead = None if front is None or back is None else self._ahead(front, item)
                    if ahead is not None and ahead.operations != (read.index,):
                        text = f"{_saw(read, item)}, with {quote(item)} ahead of {quote(behind)}"
                        yield explained("reordered items", fact("answered", [read], text, item), ahead)

    def empty(self) -> Iterator[Explanation]:
        for op in self._ops:
            if op.type != "ok" or op.f not in ("dequeue", "peek", "read") or _items(op):
                continue
            cover = self._cover(op)
            if not cover:
                counts = self._counts(op)
                if counts.low > 0:
                    text = f"{say(op)} found the queue empty, but {counts.text}"
                    yield explained("false empty", fact("possible", [op], text, (counts.low, counts.high)))
                continue
            one = cover[0]
            steps = [fact("missing", [op], f"{say(op)} found the queue empty")]
            if len(cover) > 1 or one.taker is not None:
                steps += self._covered(op, cover)
                yield explained("false empty", *steps)
            else:
                steps += [*self._went_in(one, op), self._stays(one, op)]
                yield explained("lost item", *steps)

    def _went_in(self, one: _In, op: Operation) -> tuple[Fact, ...]:
        if one.enqueue is not None:
            return (ended(one.enqueue, op),)
        return (fact("answered", [], f"{quote(one.item)} was there at first", one.item),)

    def _cover(self, op: Operation) -> list[_In]:
        """Items of which at every moment of `op` one was in, earliest first; none if there was a moment."""
        assert op.return_ns is not None
        found, moment_ns = list[_In](), op.call_ns
        while moment_ns <= op.return_ns:
            fit = [one for one in self._ins.values() if one.since_ns < moment_ns < one.until_ns]
            if not fit:
                return []
            found.append(max(fit, key=lambda one: one.until_ns))
            moment_ns = found[-1].until_ns
        return found

    def _covered(self, op: Operation, cover: Sequence[_In]) -> Iterator[Fact]:
        for one, after in zip(cover, [*cover[1:], None], strict=True):
            if one is cover[0]:
                yield from self._went_in(one, op)
            if after is None:
                yield self._stays(one, op)
            elif one.taker is not None:
                yield from self._went_in(after, one.taker)

    def missing(self) -> Iterator[Explanation]:
        for read in self._ops:
            if read.f != "read" or read.return_ns is None or read.type != "ok":
                continue
            listed = set(_items(read))
            for one in self._ins.values():
                if one.item in listed or not one.since_ns < read.call_ns or one.until_ns <= read.return_ns:
                    continue
                text = f"{say(read)} returned {quote(read.output)}, which lacks {quote(one.item)}"
                steps = [fact("missing", [read], text, one.item), *self._went_in(one, read)]
                seen = any(one.item in _items(op) for op in self._everything)
                yield explained("stale read" if seen else "lost item", *steps, self._stays(one, read))

    def wrong_length(self) -> Iterator[Explanation]:
        for op in self._ops:
            if op.f == "length" and op.type == "ok":
                counts = self._counts(op)
                if not counts.low <= cast(int, op.output) <= counts.high:
                    text = f"{say(op)} answered {op.output}, but {counts.text}"
                    yield explained("wrong length", fact("possible", [op], text, (counts.low, counts.high)))

    def _counts(self, op: Operation) -> _Counts:
        """How many items can have been in, by how many had gone in and come out."""
        ins = [source for sources in self._sources.values() for source in sources]
        outs = [taker for takers in self._takers.values() for taker in takers]
        unknown = [one for one in self._everything if one.f == "dequeue" and one.type == "info"]
        surely_in = sum(before(one, op) for one in ins) + len(self._initial)
        maybe_in = sum(not before(op, one) for one in ins) + len(self._initial)
        surely_out = sum(before(one, op) for one in outs)
        maybe_out = sum(not before(op, one) for one in (*outs, *unknown))
        low, high = max(0, surely_in - maybe_out), maybe_in - surely_out
        can = f"{low}" if low == high else f"{low} to {high}"
        text = f"only {can} can have been in: {surely_in} had gone in before it began and at most "
        text += f"{maybe_in} before it ended, {surely_out} had come out before it began and at most "
        return _Counts(low, high, f"{text}{maybe_out} before it ended")


def _items(op: Operation) -> tuple[Hashable, ...]:
    """The items an operation was told of, in their order."""
    if op.type != "ok" or op.output is None or op.f in ("enqueue", "length"):
        return ()
    return cast(tuple[Hashable, ...], op.output) if op.f == "read" else (op.output,)


def _saw(op: Operation, item: Hashable) -> str:
    if op.f == "read":
        return f"{say(op)} returned {quote(op.output)}"
    return f"{say(op)} {'took' if op.f == 'dequeue' else 'found'} {quote(item)}"
