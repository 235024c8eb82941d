"""A first-in-first-out queue: enqueue, dequeue, peek, length, read.

The item of an empty queue is null, which therefore cannot be enqueued. What a pending dequeue took is
unknown: the oldest item there was, or nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar, cast

from checker.history import Operation
from checker.models.base import SCALAR, Action, Blur, Call, Model, State, Study, boxed, is_scalar, unboxed


class Line:
    """The items of a queue: those of a row between two places. Queues that grew from one share the row.

    So a queue that goes on from the latest one costs the same at any length; one that goes on from an earlier
    one copies what it holds. Equal if the items are equal.
    """

    # No __init__: calling one costs as much as all else that a step does.
    __slots__ = ("_items", "_key", "_start", "_stop")
    _items: list[Hashable]
    _key: tuple[Hashable, ...] | None
    _start: int
    _stop: int

    @staticmethod
    def of(items: Sequence[Hashable]) -> Line:
        """A queue with a row of its own; the end of the row is never a queue's, so others copy it."""
        line = Line()
        line._items, line._key, line._start, line._stop = [*items, None], None, 0, len(items)
        return line

    def __len__(self) -> int:
        return self._stop - self._start

    def first(self) -> Hashable:
        """The oldest item; null if there is none."""
        return self._items[self._start] if self._start < self._stop else None

    def then(self, item: Hashable) -> Line:
        """This queue with `item` behind all others."""
        items, start, stop = self._items, self._start, self._stop
        if stop == len(items):
            items.append(item)
        elif items[stop] != item:
            items, start, stop = [*items[start:stop], item], 0, stop - start
        line = Line()
        line._items, line._key, line._start, line._stop = items, None, start, stop + 1
        return line

    def taken(self) -> tuple[Hashable, Line]:
        """The oldest item, and this queue without it; null and this queue if there is none."""
        items, start, stop = self._items, self._start, self._stop
        if start == stop:
            return None, self
        line = Line()
        line._items, line._key, line._start, line._stop = items, None, start + 1, stop
        return items[start], line

    def items(self) -> tuple[Hashable, ...]:
        """All, oldest first."""
        if self._key is None:
            self._key = tuple(self._items[self._start : self._stop])
        return self._key

    def __hash__(self) -> int:
        return hash(self.items())

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Line) and self.items() == other.items())


class Queue(Model):
    """One queue per key."""

    kind: ClassVar[str] = "queue"
    functions: ClassVar[Mapping[str, str]] = {
        "enqueue": "enqueue",
        "dequeue": "dequeue",
        "peek": "peek",
        "length": "length",
        "read": "read",
    }

    def __init__(self, name: str, initial: Hashable = None) -> None:
        items = [boxed(item) for item in cast(tuple[Hashable, ...], initial or ())]
        super().__init__(name, Line.of(items))

    def step(self, state: State, call: Action) -> tuple[bool, State]:
        line: Line = state  # type: ignore[assignment]  # a cast costs as much as the rest
        f = self.functions[call.f]
        if f == "enqueue":
            return True, line.then(call.input)
        if f == "dequeue":
            first, rest = line.taken()
            return not call.known or call.output == first, rest
        if not call.known:
            return True, line
        if f == "peek":
            return call.output == line.first(), line
        return call.output == (len(line) if f == "length" else line.items()), line

    def is_observer(self, call: Call) -> bool:
        """Also a dequeue that found nothing: it is legal only where there is nothing to take."""
        if call.f == "dequeue":
            return call.known and call.output is None
        return call.f != "enqueue"

    def study(self, calls: Sequence[Call]) -> QueueStudy:
        return QueueStudy(cast(Line, self.initial).items(), calls)

    def removable(self, calls: Sequence[Call]) -> frozenset[int]:
        """Observers, and enqueues of items nobody saw, if nobody was told a length.

        Take an explaining order and such an item x. If it left the queue, a pending dequeue took it: leave
        that out, too. The queue is then what it was, less x, at each point. Whoever was told an item was
        told another one than x, so that item is still the first; whoever read it all did so without x
        there; and an empty queue is still empty.
        """
        found = {i for i, call in enumerate(calls) if self.is_observer(call)}
        if not _tells_length(calls):
            seen = _seen(calls)
            found.update(i for i, call in enumerate(calls) if call.f == "enqueue" and call.input not in seen)
        return frozenset(found)

    def needed(self, operations: Sequence[Operation], kept: frozenset[int]) -> list[int]:
        """What puts in or takes out an item that a kept call names or that was there at first; and pending
        dequeues, unless completed ones took as many of each such item as were ever put in.

        The rest goes as in `atoms`: the queue is what it was less the other items. Where a kept call was told
        a length, all that puts in or takes out is needed.
        """
        calls = [self.call(operations[i]) for i in sorted(kept)]
        named = set(cast(Line, self.initial).items()) | _seen(calls)
        named.update(call.input for call in calls if call.f == "enqueue")
        everything = _tells_length(calls)
        balance = Counter(cast(Line, self.initial).items())
        found, pending = list[int](), list[int]()
        for i, op in enumerate(operations):
            f = self.functions[op.f]
            item = op.input if f == "enqueue" else op.output
            if f == "dequeue" and not op.known:
                if i not in kept:
                    pending.append(i)
            elif (f == "enqueue" or (f == "dequeue" and item is not None)) and (everything or item in named):
                balance[item] += 1 if f == "enqueue" else -1
                if i not in kept:
                    found.append(i)
        if everything or any(count > 0 for count in balance.values()):
            found = sorted([*found, *pending])
        return found

    def atoms(self, calls: Sequence[Call]) -> tuple[Hashable, ...]:
        """Items that are not there at first. Without them an explaining order still explains: the queue is
        what it was less those items. A pending dequeue that took one is left out of it, lengths are left
        out."""
        there = set(cast(Line, self.initial).items())
        named: dict[Hashable, None] = {}
        for call in calls:
            if call.f == "enqueue":
                named[call.input] = None
            else:
                named.update(dict.fromkeys(_told(call)))
        return tuple(item for item in named if item not in there)

    def project(self, call: Call, gone: frozenset[Hashable]) -> Call | None:
        if call.f == "enqueue":
            return None if call.input in gone else call
        if call.f == "length":
            return None
        if not call.known:
            return call
        if call.f == "read":
            return call._replace(output=tuple(item for item in _told(call) if item not in gone))
        return None if call.output in gone else call

    def show(self, state: State) -> object:
        return [None if isinstance(item, Blur) else unboxed(item) for item in cast(Line, state).items()]

    @classmethod
    def initial_problem(cls, initial: Hashable) -> str | None:
        return None if _is_line(initial) else _ITEMS

    def input_problem(self, f: str, value: object) -> str | None:
        if self.functions[f] == "enqueue":
            return None if value is not None and is_scalar(value) else f"{SCALAR}, but not null"
        return None if value is None else "null"

    def output_problem(self, f: str, value: object) -> str | None:
        name = self.functions[f]
        if name == "enqueue":
            return None if value is None else "null"
        if name == "length":
            return None if type(value) is int and value >= 0 else "a number from 0 on"
        if name == "read":
            return None if _is_line(value) else _ITEMS
        return None if is_scalar(value) else f"the item, {SCALAR} (null: the queue was empty)"

    def canonical_input(self, f: str, value: Hashable) -> Hashable:
        return boxed(value)

    def canonical_output(self, f: str, value: Hashable) -> Hashable:
        if self.functions[f] == "read":
            return tuple(boxed(item) for item in cast(tuple[Hashable, ...], value))
        return boxed(value)


_ITEMS = "a list of items, oldest first, none of them null"


def _is_line(value: object) -> bool:
    return isinstance(value, tuple) and all(item is not None and is_scalar(item) for item in value)


def _told(call: Call) -> tuple[Hashable, ...]:
    """The items a call was told of."""
    if not call.known or call.output is None or call.f in ("enqueue", "length"):
        return ()
    return cast(tuple[Hashable, ...], call.output) if call.f == "read" else (call.output,)


def _seen(calls: Sequence[Call]) -> set[Hashable]:
    return {item for call in calls for item in _told(call)}


def _tells_length(calls: Sequence[Call]) -> bool:
    return any(call.f == "length" and call.known for call in calls)


class QueueStudy(Study):
    """Advice for one key.

    useless: pending observers; pending enqueues of items nobody saw, if nobody was told a length
    (`Queue.removable` has the argument); pending dequeues if completed ones took as many of every item as
    were ever put in: there was nothing left for these.
    label: items nobody saw are one item: no call is legal because one of them is there and not another.
    lost: an item put in once and taken out is not seen any more.
    """

    def __init__(self, initial: tuple[Hashable, ...], calls: Sequence[Call]) -> None:
        super().__init__(calls)
        self._seen = _seen(calls)
        dropped = {
            i for i, call in enumerate(calls) if not call.known and call.f not in ("enqueue", "dequeue")
        }
        if not _tells_length(calls):
            dropped.update(
                i
                for i, call in enumerate(calls)
                if not call.known and call.f == "enqueue" and call.input not in self._seen
            )
        sources = Counter(initial)
        sources.update(call.input for i, call in enumerate(calls) if call.f == "enqueue" and i not in dropped)
        taken = Counter(call.output for call in calls if call.f == "dequeue" and call.known)
        if all(count <= taken[item] for item, count in sources.items()):
            dropped.update(i for i, call in enumerate(calls) if not call.known and call.f == "dequeue")
        self.useless = frozenset(dropped)
        self._users: dict[Hashable, list[int]] = {}
        for i, call in enumerate(calls):
            for item in _told(call):
                if sources[item] == 1:
                    self._users.setdefault(item, []).append(i)

    def label(self, position: int) -> Call:
        call = self._calls[position]
        if call.f == "enqueue" and call.input not in self._seen:
            return call._replace(input=Blur.UNSEEN)
        return call

    def lost(self, before: State, after: State) -> Sequence[int]:
        line = cast(Line, before)
        return self._users.get(line.first(), ()) if len(cast(Line, after)) < len(line) else ()
