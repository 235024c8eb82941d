"""A counterexample as a list of facts, as data: what prose and pictures can be made of.

`real-time`: the first operation ended before the second began, with how far clocks may be off for that;
`reads-from`: the first saw what the second left (alone: what was there at first); `unwritten`: it saw what no
operation left; `overwritten`: the second stands between what the third saw and the third; `answered`: what it
said; `stuck`: the order of all but the last can be explained, and the last cannot come next.

Of a known pattern besides: `missing`: the first lacks what the second put there; `taken`: the first saw what
the second had taken away; `twice`: all of them rest on one thing that was there once; `nobody-else`: no
operation of the key that could have changed that was open between; `possible`: all values that can have been
there; `contradiction`: an answer that is wrong whatever was there.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import cast

from checker.counterexample import Fact
from checker.counterexample.longest import Longest
from checker.counterexample.pattern import before, ended
from checker.counterexample.words import gap, quote, say
from checker.history import Operation
from checker.models.append import AppendList
from checker.models.base import Model
from checker.models.register import Register, produced, required

_MOST = 40
"""Operations of which facts are told."""


def facts(model: Model, operations: Sequence[Operation], reached: Longest, whole: bool) -> tuple[Fact, ...]:
    """What there is to say of a few operations. `whole`: nothing before them was forgotten."""
    if len(operations) > _MOST:
        return ()
    found = [*_answers(model, operations, whole), *_real_time(operations)]
    by_index = {op.index: op for op in operations}
    stuck = by_index[reached.stuck_on]
    text = f"{say(stuck)} cannot come next" if reached.order else f"{say(stuck)} cannot come first"
    return (*found, Fact("stuck", (*reached.order, stuck.index), text))


def _real_time(operations: Sequence[Operation]) -> Iterator[Fact]:
    """Who ended before whom, less what follows from others."""

    for one in operations:
        for other in operations:
            between = any(before(one, op) and before(op, other) for op in operations)
            if before(one, other) and not between:
                yield ended(one, other)


def _answers(model: Model, operations: Sequence[Operation], whole: bool) -> Iterator[Fact]:
    if isinstance(model, Register):
        for op in operations:
            for value in required(model.call(op)):
                yield from _seen(model, operations, op, value, whole)
        return
    for op in operations:
        if op.known and op.output is not None:
            yield Fact("answered", (op.index,), f"{say(op)} answered {quote(op.output)}", _plain(op.output))
        if isinstance(model, AppendList) and op.known and model.is_observer(model.call(op)):
            appended = {other.input: other for other in operations if other.input is not None}
            for element in cast(tuple[Hashable, ...], op.output):
                maker = appended.get(element)
                if maker is not None:
                    text = f"{quote(element)} in it is what {say(maker)} appended"
                    yield Fact("reads-from", (op.index, maker.index), text, element)


def _seen(
    model: Model,
    operations: Sequence[Operation],
    op: Operation,
    value: Hashable,
    whole: bool,
) -> Iterator[Fact]:
    """Of a register: where a value that was seen came from, and who replaced it."""
    makers = [other for other in operations if other is not op and value in produced(model.call(other))]
    first = value == model.initial
    saw = f"{say(op)} saw {quote(value)}"
    if not makers and not first:
        text = saw + (", which none of these left" if whole else ", which was there before, if at all")
        yield Fact("unwritten", (op.index,), text, value)
    elif not makers:
        yield Fact("reads-from", (op.index,), f"{saw}, which was there at first", value)
    elif len(makers) == 1 and not first:
        yield Fact("reads-from", (op.index, makers[0].index), f"{saw}, which {say(makers[0])} left", value)
    if len(makers) + first > 1:
        return
    born_ns = makers[0].return_ns if makers else -1
    for other in operations:
        leaves = produced(model.call(other))
        if other in makers or other is op or not leaves or value in leaves or other.return_ns is None:
            continue
        if born_ns is not None and born_ns < other.call_ns and other.return_ns < op.call_ns:
            text = f"{say(other)} had replaced {quote(value)} {gap(other, op)} before {say(op)} began"
            source = makers[0].index if makers else other.index
            yield Fact("overwritten", (source, other.index, op.index), text, value)


def _plain(value: Hashable) -> Hashable:
    return value if value is None or isinstance(value, (str, int, tuple)) else repr(value)
