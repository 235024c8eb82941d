"""Set that only grows, with reads of all of it and of single elements: O(everything read + n log n).

An element e comes in at one moment T(e), by whichever of its adds is first: T(e) is at or after the first
call and at or before the first return of its adds, and any such moment is within the add called first; the
others change nothing after it. So adds of one element need not be unique. A completed `contains` asks for no
more than T(e) <= its return if it found e, T(e) >= its call if not. An element of which all adds are pending
came in iff somebody saw it.

All that was read must form a chain of sets. With its levels everything is in order: the elements first seen
in the smallest read, that read, those first seen in the next, …, those in no read. In a level elements go by
the earliest possible T, reads of one set by call. Each gets the earliest moment that keeps the order; that is
too late for some x only if some y must be ahead of it that cannot be by then: both, and a read that has the
element of y but not that of x, or the adds of what only the read x has and the read y has not, refute.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from checker.engines.answers import Answer, Explained, Refuted
from checker.history import Operation
from checker.models.base import Model
from checker.models.sets import Members

_EVER = 1 << 100


@dataclass(slots=True)
class _Element:
    """Operations on one element, and the moments between which it came in."""

    adds: list[Operation] = field(default_factory=list)
    found: list[Operation] = field(default_factory=list)
    missed: list[Operation] = field(default_factory=list)
    low: int = _EVER
    high: int = _EVER
    not_before: Operation | None = None
    """The `contains` that says so, if it is not the first add."""
    not_after: Operation | None = None
    level: int = -1
    moment: int = _EVER
    rank: int = -1


@dataclass(slots=True)
class _Item:
    """An element coming in, or a read: between which moments, and how many smaller reads there are."""

    level: int
    low: int
    high: int
    element: Hashable
    read: Operation | None


def decide(model: Model, operations: Sequence[Operation]) -> Answer:
    """Judge one key of a set of which nothing is ever removed."""
    functions = model.functions
    elements: dict[Hashable, _Element] = {}
    reads: list[Operation] = []
    dropped: list[int] = []
    for op in operations:
        name = functions[op.f]
        if name == "add":
            elements.setdefault(op.input, _Element()).adds.append(op)
        elif op.return_ns is None:
            dropped.append(op.index)
        elif name == "read":
            reads.append(op)
        elif op.output:
            elements.setdefault(op.input, _Element()).found.append(op)
        else:
            elements.setdefault(op.input, _Element()).missed.append(op)
    initial = cast(Members, model.initial).frozen()
    for element, about in elements.items():
        refuted = _bound(about, element in initial)
        if refuted is not None:
            return refuted
    levels = _levels(reads, elements, initial)
    if isinstance(levels, Refuted):
        return levels
    for about in elements.values():
        if about.high == _EVER and about.level < 0:
            dropped += [op.index for op in about.adds]
            about.adds = []
    items = _items(levels, elements, initial)
    return _place(items, elements) or Explained(_in_order(items, elements, dropped), dropped)


def _bound(about: _Element, initial: bool) -> Refuted | None:
    """Fill in between which moments the element came in; a refutation if there is none."""
    if initial:
        about.low = about.high = -_EVER
    elif about.adds:
        about.low = min(op.call_ns for op in about.adds)
    elif about.found:
        return Refuted("unwritten", (about.found[0].index,))
    for op in (*about.adds, *about.found):
        if op.return_ns is not None and op.return_ns < about.high:
            about.high, about.not_after = op.return_ns, op
    for op in about.missed:
        if op.call_ns > about.low:
            about.low, about.not_before = op.call_ns, op
    if about.high < about.low and (about.adds or initial):
        core = [*about.adds, *(op for op in (about.not_before, about.not_after) if op)]
        return Refuted("missing" if about.not_before else "seen-early", _indexes(core))
    return None


def _indexes(operations: Iterable[Operation]) -> tuple[int, ...]:
    return tuple(sorted({op.index for op in operations}))


def _levels(
    reads: list[Operation], elements: dict[Hashable, _Element], initial: frozenset[Hashable]
) -> list[list[Operation]] | Refuted:
    """Reads of one set by call, the smallest set first; elements get their level."""
    contents = {id(op): frozenset(cast(Iterable[Hashable], op.output)) for op in reads}
    reads = sorted(reads, key=lambda op: (len(contents[id(op)]), op.call_ns))
    levels: list[list[Operation]] = []
    last, at = initial, None
    for op in reads:
        content = contents[id(op)]
        if len(content) != len(cast(Sequence[Hashable], op.output)):
            return Refuted("repeated", _indexes([op, *_adds_of_the_repeated(op, elements)]))
        if content == last and levels:
            levels[-1].append(op)
            continue
        if not last <= content:
            if at is None:
                return Refuted("initial", (op.index,))
            return _incomparable(at, op, elements, contents)
        for element in content - last:
            about = elements.get(element)
            if about is None or not about.adds:
                return Refuted("unwritten", (op.index,))
            about.level = len(levels)
        levels.append([op])
        last, at = content, op
    return levels


def _incomparable(
    one: Operation,
    other: Operation,
    elements: dict[Hashable, _Element],
    contents: dict[int, frozenset[Hashable]],
) -> Refuted:
    core = [one, other]
    for x, y in ((one, other), (other, one)):
        core += _adds_of_the_difference(x, y, elements, contents)
    return Refuted("incomparable", _indexes(core))


def _adds_of_the_difference(
    more: Operation,
    less: Operation,
    elements: dict[Hashable, _Element],
    contents: dict[int, frozenset[Hashable]],
) -> list[Operation]:
    """Adds of one element that only `more` has, the one added first."""
    only = [elements[e] for e in contents[id(more)] - contents[id(less)] if e in elements]
    found = [about.adds for about in only if about.adds]
    return min(found, key=lambda adds: adds[0].index) if found else []


def _adds_of_the_repeated(read: Operation, elements: dict[Hashable, _Element]) -> list[Operation]:
    """Adds of an element that is in `read` twice."""
    seen: set[Hashable] = set()
    for element in cast(Sequence[Hashable], read.output):
        if element in seen:
            return elements[element].adds if element in elements else []
        seen.add(element)
    return []


def _items(
    levels: list[list[Operation]], elements: dict[Hashable, _Element], initial: frozenset[Hashable]
) -> list[_Item]:
    """What comes in and the reads, in order."""
    items: list[_Item] = []
    for element, about in elements.items():
        if about.adds and element not in initial:
            level = len(levels) if about.level < 0 else about.level
            items.append(_Item(level, about.low, about.high, element, None))
    for level, several in enumerate(levels):
        for op in several:
            assert op.return_ns is not None
            items.append(_Item(level, op.call_ns, op.return_ns, None, op))
    items.sort(key=lambda item: (item.level, item.read is not None, item.low))
    return items


def _place(items: list[_Item], elements: dict[Hashable, _Element]) -> Refuted | None:
    """Give every item its earliest moment; a refutation if it is too late for one."""
    latest, ahead = -_EVER, None
    for item in items:
        if item.low > latest:
            latest, ahead = item.low, item
        if item.high < latest:
            assert ahead is not None
            return _inversion(ahead, item, items, elements)
        item.low = latest
    for rank, item in enumerate(items):
        if item.read is None:
            elements[item.element].moment = item.low
            elements[item.element].rank = rank
    return None


def _inversion(y: _Item, x: _Item, items: list[_Item], elements: dict[Hashable, _Element]) -> Refuted:
    """x cannot be as late as y, and y has to be ahead of it."""
    core: list[Operation | None] = []
    for item in (y, x):
        if item.read is not None:
            core.append(item.read)
        else:
            about = elements[item.element]
            core += [*about.adds, about.not_before if item is y else about.not_after]
    if y.read is None and x.read is None:
        core.append(next(item.read for item in items if item.read is not None and item.level == y.level))
    if y.read is not None and x.read is not None:
        contents = {id(op): frozenset(cast(Iterable[Hashable], op.output)) for op in (y.read, x.read)}
        core += _adds_of_the_difference(x.read, y.read, elements, contents)
    kind = "missing" if y.read is not None else "seen-early" if x.read is not None else "reordered"
    return Refuted(kind, _indexes(op for op in core if op is not None))


def _in_order(items: list[_Item], elements: dict[Hashable, _Element], dropped: list[int]) -> list[int]:
    """Indexes of all operations by moment; at one moment by rank, and by whether the element is in before."""
    placed = [
        (item.low, rank, 1, item.read.index) for rank, item in enumerate(items) if item.read is not None
    ]
    for about in elements.values():
        rank = about.rank
        moment = -_EVER if about.high == -_EVER else about.moment
        first = min(about.adds, key=lambda op: op.call_ns) if rank >= 0 else None
        if first is not None:
            placed.append((moment, rank, 1, first.index))
        for op in about.adds:
            if op is first:
                continue
            if op.return_ns is None:
                dropped.append(op.index)
            else:
                placed.append((max(moment, op.call_ns), rank, 2, op.index))
        placed += [(max(moment, op.call_ns), rank, 2, op.index) for op in about.found]
        placed += [(op.call_ns, rank, 0, op.index) for op in about.missed]
    placed.sort()
    return [index for _, _, _, index in placed]
