"""Append list, and a string that appends make longer: O(everything read + n log n) for unique elements.

The states of an explanation are prefixes of one another, so what was read are prefixes of the longest read,
and that is the order of the elements in it. Their appends happened, pending ones too; completed appends of
other elements came after every read; other pending appends may as well not have happened. So the order is
forced but among reads of one length and among the appends at the end, which go by call. It is verified in a
pass. If x returned before y was called though y is ahead, then x, y and at most one operation refute: the
longest read between two appends, an append of what only x has between two reads.

A string is the list of the tokens appended to it if it can be cut into them in one way only; then every read
must end where a token ends. Elements appended more than once: every assignment of appends to places in the
longest read is tried that fits what is certain of those places, and in which of two appends of one element,
one called and returned no later than the other, that one comes first (exchange them if not).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from math import prod
from typing import cast

from checker.engines.answers import Answer, Explained, Refuted, Undecided
from checker.history import Operation
from checker.models.base import Model

TRIES = 4096
WORK = 4_000_000
"""At most so many assignments, and so many operations looked at in all of them."""
MOST_ALIKE = 64
"""At most so many appends of one element."""
CUTTING = 100_000_000
"""At most so many characters compared to cut a string into tokens."""
_EVER = 1 << 100


@dataclass(slots=True)
class _Lists:
    """One key's operations: appends of each element, completed reads, pending reads."""

    appends: dict[Hashable, Operation] = field(default_factory=dict)
    more: dict[Hashable, list[Operation]] = field(default_factory=dict)
    """Elements appended more than once, all their appends."""
    reads: list[tuple[int, Operation]] = field(default_factory=list)
    """With the number of elements read, the initial ones not counted; shortest first, then by call."""
    longest: Sequence[Hashable] = ()
    """The elements of the longest read, the initial ones not counted."""
    dropped: list[int] = field(default_factory=list)


def decide(model: Model, operations: Sequence[Operation]) -> Answer:
    """Judge one key."""
    functions, lists, reads = model.functions, _Lists(), list[Operation]()
    appends = lists.appends
    for op in operations:
        name = functions[op.f]
        if name == "append":
            known = appends.setdefault(op.input, op)
            if known is not op:
                lists.more.setdefault(op.input, [known]).append(op)
        elif name == "put":
            return Undecided("something was put in the place of a string")
        elif op.return_ns is None:
            lists.dropped.append(op.index)
        else:
            reads.append(op)
    begin = model.show(model.initial)
    found = _read(lists, reads, begin if isinstance(begin, str) else tuple(cast(list[Hashable], begin)))
    return _judge(lists) if found is None else found


def _read(lists: _Lists, reads: list[Operation], begin: tuple[Hashable, ...] | str) -> Answer | None:
    """Fill in what was read; an answer if that is enough for one."""
    if not reads:
        return None
    texts = {id(op): cast("tuple[Hashable, ...] | str", op.output) for op in reads}
    reads.sort(key=lambda op: (len(texts[id(op)]), op.call_ns))
    last = reads[-1]
    longest, shortest = texts[id(last)], texts[id(reads[0])]
    if longest[: len(begin)] != begin or len(shortest) < len(begin):
        return Refuted("initial", (last.index if len(shortest) >= len(begin) else reads[0].index,))
    for op in reads:
        text = texts[id(op)]
        if text != longest[: len(text)]:
            return _incomparable(lists, op, last, len(begin))
    if isinstance(longest, str):
        ends = _cut(longest, len(begin), cast(dict[str, Operation], lists.appends))
        if isinstance(ends, Undecided):
            return ends
        if ends is None:
            return Refuted("unwritten", (last.index,))
        level = {end: number for number, end in enumerate(ends)}
        for op in reads:
            if len(texts[id(op)]) not in level:
                return Refuted("unwritten", (op.index, last.index))
        lists.longest = [longest[i:j] for i, j in pairwise(ends)]
        lists.reads = [(level[len(texts[id(op)])], op) for op in reads]
    else:
        lists.longest = longest[len(begin) :]
        lists.reads = [(len(texts[id(op)]) - len(begin), op) for op in reads]
    return _sources_missing(lists)


def _incomparable(lists: _Lists, one: Operation, other: Operation, begin: int) -> Refuted:
    core = [one, other]
    elements = [_elements(lists, op, begin) for op in core]
    for a, b in zip(*elements, strict=False):
        if a != b:
            for element in (a, b):
                core += lists.more.get(element, [op for op in (lists.appends.get(element),) if op])
            break
    return Refuted("incomparable", _indexes(core))


def _elements(lists: _Lists, read: Operation, begin: int) -> Sequence[Hashable]:
    """What was read after the first `begin` places; nothing if that cannot be told."""
    text = cast("tuple[Hashable, ...] | str", read.output)
    if not isinstance(text, str):
        return text[begin:]
    ends = _cut(text, begin, cast(dict[str, Operation], lists.appends))
    return [text[i:j] for i, j in pairwise(ends)] if isinstance(ends, list) else []


def _indexes(operations: Sequence[Operation]) -> tuple[int, ...]:
    return tuple(sorted({op.index for op in operations}))


def _cut(text: str, begin: int, tokens: dict[str, Operation]) -> list[int] | Undecided | None:
    """Where tokens end in `text` from `begin` (itself the first), None if it cannot be cut into tokens."""
    lengths = sorted({len(token) for token in tokens})
    if lengths and lengths[0] == 0:
        return Undecided("an empty token was appended")
    before: dict[int, int] = {begin: begin}  # an end and where its last token begins; -1 if in two ways
    todo, work = [begin], 0
    while todo:
        at = todo.pop()
        for length in lengths:
            work += length
            if at + length <= len(text) and text[at : at + length] in tokens:
                if at + length not in before:
                    before[at + length] = at
                    todo.append(at + length)
                else:
                    before[at + length] = -1
        if work > CUTTING:
            return Undecided("too much work to cut a string into tokens")
    ends, at = list[int](), len(text)
    if at not in before:
        return None
    while at != begin:
        if before[at] < 0:
            return Undecided("a string can be cut into tokens in more than one way")
        ends.append(at)
        at = before[at]
    return [begin, *reversed(ends)]


def _sources_missing(lists: _Lists) -> Refuted | None:
    """A refutation if the longest read has more of an element than was appended."""
    counts: dict[Hashable, int] = {}
    read = lists.reads[-1][1]
    for element in lists.longest:
        if element not in lists.appends:
            return Refuted("unwritten", (read.index,))
        counts[element] = count = counts.get(element, 0) + 1
        if count > 1:
            sources = lists.more.get(element, [lists.appends[element]])
            if count > len(sources):
                return Refuted("duplicate", _indexes([read, *sources]))
    return None


def _judge(lists: _Lists) -> Answer:
    appends, longest = lists.appends, lists.longest
    places = [appends[element] for element in longest]
    repeated = [element for element in dict.fromkeys(longest) if element in lists.more]
    if not repeated:
        return _verify(lists, places)
    spots, options = _choices(lists, places, repeated)
    ways = prod(TRIES + 1 if several is None else len(several) for several in options)
    if ways > TRIES or ways * (len(places) + len(lists.reads)) > WORK:
        return Undecided("elements are appended more than once, in too many possible ways")
    for chosen in product(*(several or () for several in options)):
        for at, used in zip(spots, chosen, strict=True):
            for spot, op in zip(at, used, strict=True):
                places[spot] = op
        answer = _verify(lists, places)
        if not isinstance(answer, Refuted):
            return answer
    return Refuted("order", ())


def _choices(
    lists: _Lists, places: list[Operation], repeated: list[Hashable]
) -> tuple[list[list[int]], list[list[tuple[Operation, ...]] | None]]:
    """Of each element appended more than once: its places, and all that may stand there."""
    spots: dict[Hashable, list[int]] = {element: [] for element in repeated}
    for place, element in enumerate(lists.longest):
        if element in spots:
            spots[element].append(place)
    after, before = _certain(lists, places, spots)
    options = [_fillings(lists.more[e], [(after[p], before[p]) for p in at]) for e, at in spots.items()]
    return list(spots.values()), options


def _certain(
    lists: _Lists, places: list[Operation], spots: Collection[Hashable]
) -> tuple[list[int], list[int]]:
    """For each place, a moment that it is not before and one that it is not after."""
    count = len(places)
    after, before = [-_EVER] * (count + 1), [_EVER] * (count + 1)
    for length, op in lists.reads:
        assert op.return_ns is not None
        after[length] = max(after[length], op.call_ns)
        if length:
            before[length - 1] = min(before[length - 1], op.return_ns)
    for place, op in enumerate(places):
        if lists.longest[place] not in spots:
            after[place] = max(after[place], op.call_ns)
            before[place] = min(before[place], _EVER if op.return_ns is None else op.return_ns)
    for place in range(1, count + 1):
        after[place] = max(after[place], after[place - 1])
    for place in range(count - 1, -1, -1):
        before[place] = min(before[place], before[place + 1])
    return after, before


def _fillings(
    sources: list[Operation], windows: Sequence[tuple[int, int]]
) -> list[tuple[Operation, ...]] | None:
    """All ways to put some of `sources` into places with these windows; None if they are too many."""
    if len(sources) > MOST_ALIKE:
        return None
    spans = [(op.call_ns, _EVER if op.return_ns is None else op.return_ns, op.index) for op in sources]
    ahead = [[j for j, one in enumerate(spans) if _no_later(one, span)] for span in spans]
    todo: list[tuple[int, ...]] = [()]
    found: list[tuple[Operation, ...]] = []
    for _ in range(TRIES):
        if not todo:
            return found
        chosen = todo.pop()
        if len(chosen) == len(windows):
            found.append(tuple(sources[i] for i in chosen))
            continue
        after, before = windows[len(chosen)]
        for i, (call, end, _) in enumerate(spans):
            if i not in chosen and call <= before and end >= after and all(j in chosen for j in ahead[i]):
                todo.append((*chosen, i))
    return None


def _no_later(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and (one[:2] != other[:2] or one[2] < other[2])


def _verify(lists: _Lists, places: Sequence[Operation]) -> Answer:
    """Whether the one order with these appends in these places keeps to real time."""
    used = {op.index for op in places}
    dropped = lists.dropped.copy()
    end: list[Operation] = []
    for element, first in lists.appends.items():
        for op in lists.more.get(element, (first,)):
            if op.index not in used:
                if op.return_ns is None:
                    dropped.append(op.index)
                else:
                    end.append(op)
    end.sort(key=lambda op: op.call_ns)
    sequence: list[Operation] = []
    place = 0
    for length, op in lists.reads:
        if length > place:
            sequence += places[place:length]
            place = length
        sequence.append(op)
    sequence += end
    latest, ahead = -_EVER, None
    for op in sequence:
        called, returned = op.call_ns, op.return_ns
        if called > latest:
            latest, ahead = called, op
        if returned is not None and returned < latest:
            assert ahead is not None
            return _inversion(lists, places, ahead, op)
    return Explained([op.index for op in sequence], dropped)


def _inversion(lists: _Lists, places: Sequence[Operation], y: Operation, x: Operation) -> Refuted:
    """x returned before y was called, and y has to be ahead of x."""
    lengths = {id(op): length for length, op in lists.reads}
    core = [x, y]
    if id(x) in lengths and id(y) in lengths:
        core.append(places[lengths[id(y)]])
        kind = "shorter-later"
    elif id(x) in lengths:
        kind = "read-early"
    elif id(y) in lengths:
        kind = "missing"
    else:
        core.append(lists.reads[-1][1])
        kind = "reordered"
    return Refuted(kind, _indexes(core))
