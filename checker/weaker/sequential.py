"""Sequential consistency (Lamport 1979): one order of all operations that keeps the order of each process.

NP-hard, so ways that are sound, the cheap ones first. Lists of unique elements: `checker.transactions` knows.
A `holds`: the time between two operations of a process is given to one of them; intervals that then have an
order of each key have one of all (linearizability is local), and it keeps each process' order. A `violated`:
no order explains one key even where all its operations are simultaneous. Small histories: all orders,
remembered by how far each process is and the state of each key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import ge

from checker.history import History, Operation
from checker.models.base import Model, State
from checker.weaker.answers import Guarantee
from checker.weaker.intervals import Keys, explained, in_order, spanning

_POINTS = 20_000
"""Points of the search over all orders."""
_CELLS = 10_000_000
"""Numbers in all of these points together: each has one for every process and key."""
_SOME_ORDER = "an order explains all that keeps each process' own"
Point = tuple[tuple[int, ...], tuple[State, ...]]
"""How far each process is, and the state of each key."""


def judge(model: Model, keys: Keys, until: float) -> Guarantee:
    """Of all keys together. `until` is of time.monotonic."""
    operations = sorted((op for group in keys.values() for op in group), key=lambda op: op.index)
    if model.kind == "append" and model.show(model.initial) == []:
        decided = _lists(operations)
        if decided is not None:
            return decided
    began, took = time.monotonic(), 0.0
    for share, shows, intervals in _WAYS:
        start, end = time.monotonic(), began + (until - began) * share
        if start + took > end:
            continue  # it would be late if it took as long as the one before: the clock is looked at seldom
        wide = intervals(operations)
        found = None if wide is None else explained(model, wide, end - time.monotonic())
        took = time.monotonic() - start
        if found and shows == "holds":
            return Guarantee("holds", _SOME_ORDER)
        if found is False and shows == "violated":
            return Guarantee("violated", "not even with the order of processes forgotten is there an order")
    found = _search(model, operations, until)
    if found is None:
        return Guarantee("unknown", "there are too many orders to try")
    if found:
        return Guarantee("holds", _SOME_ORDER)
    return Guarantee("violated", "all orders that keep each process' own were tried")


def _loose(operations: Sequence[Operation]) -> dict[str, list[Operation]]:
    """By key: all operations at once."""
    by_key: dict[str, list[Operation]] = {}
    for op in operations:
        ended = None if op.return_ns is None else 1
        by_key.setdefault(op.key, []).append(spanning(op, 0, ended, op.index))
    return {key: in_order(group) for key, group in by_key.items()}


def _stretch(operations: Sequence[Operation], back: bool) -> dict[str, list[Operation]] | None:
    """By key: every interval from the end of the process' operation before, or to the next one's call.

    None if two operations of a process do not follow each other in time.
    """
    last: dict[int, int] = {}
    wide: list[Operation] = []
    end = 1 + max((max(op.call_ns, op.return_ns or 0) for op in operations), default=0)
    for op in operations:
        before = last.get(op.process)
        last[op.process] = len(wide)
        begin = -1
        if before is not None:
            ended = wide[before].return_ns if back else operations[before].return_ns
            if ended is None or ended >= op.call_ns:
                return None
            begin = ended + 1
            if not back:
                wide[before] = spanning(
                    wide[before], wide[before].call_ns, op.call_ns - 1, wide[before].index
                )
        if back:
            wide.append(spanning(op, begin, op.return_ns, op.index))
        else:
            ended = None if op.return_ns is None else end
            wide.append(spanning(op, op.call_ns, ended, op.index))
    by_key: dict[str, list[Operation]] = {}
    for op in wide:
        by_key.setdefault(op.key, []).append(op)
    return {key: in_order(group) for key, group in by_key.items()}


def _lists(operations: Sequence[Operation]) -> Guarantee | None:
    """As transactions of one step each: a serial order, or a cycle without real time."""
    from checker import transactions

    steps = [_as_transaction(op) for op in operations]
    history = History("", "list-append", None, tuple(steps), (), "")
    found = transactions.without_real_time(history)
    if found is None:
        return None
    if not found:
        return Guarantee("holds", _SOME_ORDER)
    worst = found[0]
    return Guarantee("violated", f"{worst.type}: {worst.sentences[0]}", operations=worst.transactions)


def _as_transaction(op: Operation) -> Operation:
    f = "append" if op.f == "append" else "r"
    asked = (f, op.key, op.input if f == "append" else None)
    told = asked if f == "append" else (f, op.key, op.output)
    return replace(op, f="txn", key="", input=(asked,), output=(told,) if op.type == "ok" else None)


_WAYS: Sequence[tuple[float, str, Callable[[Sequence[Operation]], Keys | None]]] = (
    (0.5, "holds", partial(_stretch, back=True)),
    (0.7, "violated", _loose),
    (0.9, "holds", partial(_stretch, back=False)),
)
"""The share of the time that is gone when each is left at the latest, what it shows, and its intervals."""


def _search(model: Model, operations: Sequence[Operation], until: float) -> bool | None:
    """All orders, depth first; None if there are too many points, or no time is left."""
    observers = {op.index for op in operations if model.is_observer(model.call(op))}
    lines: dict[int, list[Operation]] = {}
    for op in operations:
        if op.type == "ok" or op.index not in observers:  # whether a pending one happened nobody can tell
            lines.setdefault(op.process, []).append(op)
    todo_of = list(lines.values())
    # How far each process must come: what is behind its last completed operation need not have happened.
    done = tuple(max((i + 1 for i, op in enumerate(line) if op.type == "ok"), default=0) for line in todo_of)
    where = {key: i for i, key in enumerate(dict.fromkeys(op.key for op in operations))}
    most = min(_POINTS, _CELLS // (len(todo_of) + len(where) + 1))
    start: Point = ((0,) * len(todo_of), (model.initial,) * len(where))
    seen, stack = {start}, [start]
    while stack:
        places, states = stack.pop()
        if all(map(ge, places, done)):
            return True
        for point in _next(model, todo_of, where, observers, (places, states)):
            if time.monotonic() > until or len(seen) >= most:
                return None
            if point is not None and point not in seen:
                seen.add(point)
                stack.append(point)
    return False


def _next(
    model: Model,
    todo_of: Sequence[Sequence[Operation]],
    where: Mapping[str, int],
    observers: Container[int],
    point: Point,
) -> Iterator[Point | None]:
    """The points after one; None for an operation that cannot be next, so that the clock is looked at.

    A completed observer that is legal goes first, alone: in any order from here it may as well be now.
    """
    places, states = point
    behind: list[tuple[int, Operation]] = []
    for i, place in enumerate(places):
        if place == len(todo_of[i]):
            continue
        op = todo_of[i][place]
        if op.type != "ok" or op.index not in observers:
            behind.append((i, op))
        elif model.step(states[where[op.key]], op)[0]:
            yield (*places[:i], place + 1, *places[i + 1 :]), states
            return
        else:
            yield None
    for i, op in behind:
        at = where[op.key]
        legal, after = model.step(states[at], op)
        moved = (*places[:i], places[i] + 1, *places[i + 1 :])
        yield (moved, (*states[:at], after, *states[at + 1 :])) if legal else None
        if op.type != "ok":
            yield moved, states  # it may never have happened
