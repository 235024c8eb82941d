"""Sequential consistency (Lamport 1979): one order of all operations that keeps the order of each process.

NP-hard, so three ways that are sound, the cheap ones first. A `holds`: the time between two operations of a
process is given to one of them; intervals that then have an order of each key have one of all (locality of
linearizability), and it keeps each process' order. Lists of unique elements: `checker.transactions` decides.
Small histories: all orders, remembered by how far each process is and the state of each key.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from checker.history import History, Operation
from checker.models.base import Model, State
from checker.weaker.answers import Guarantee
from checker.weaker.intervals import Keys, explained, in_order

_POINTS = 20_000
"""Points of the search over all orders."""


def judge(model: Model, keys: Keys, until: float) -> Guarantee:
    """Of all keys together. `until` is of time.monotonic."""
    operations = sorted((op for group in keys.values() for op in group), key=lambda op: op.index)
    if model.kind == "append" and model.show(model.initial) == []:
        decided = _lists(operations)
        if decided is not None:
            return decided
    for back in (True, False):
        stretched = _stretch(operations, back)
        if stretched is not None and explained(model, stretched, until - time.monotonic()):
            return Guarantee("holds", "an order explains all that keeps each process' own")
    found = _search(model, operations, until)
    if found is None:
        return Guarantee("unknown", "there are too many orders to try")
    if found:
        return Guarantee("holds", "an order explains all that keeps each process' own")
    return Guarantee("violated", "all orders that keep each process' own were tried")


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
                wide[before] = replace(wide[before], return_ns=op.call_ns - 1)
        if back:
            wide.append(replace(op, call_ns=begin))
        else:
            wide.append(op if op.return_ns is None else replace(op, return_ns=end))
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
        return Guarantee("holds", "an order explains all that keeps each process' own")
    worst = found[0]
    return Guarantee("violated", f"{worst.type}: {worst.sentences[0]}", operations=worst.transactions)


def _as_transaction(op: Operation) -> Operation:
    f = "append" if op.f == "append" else "r"
    asked = (f, op.key, op.input if f == "append" else None)
    told = asked if f == "append" else (f, op.key, op.output)
    return replace(op, f="txn", key="", input=(asked,), output=(told,) if op.type == "ok" else None)


def _search(model: Model, operations: Sequence[Operation], until: float) -> bool | None:
    """All orders, depth first; None if there are too many points."""
    lines: dict[int, list[Operation]] = {}
    for op in operations:
        lines.setdefault(op.process, []).append(op)
    todo_of = list(lines.values())
    where = {key: i for i, key in enumerate(dict.fromkeys(op.key for op in operations))}
    start: tuple[tuple[int, ...], tuple[State, ...]] = (
        (0,) * len(todo_of),
        tuple(model.initial for _ in where),
    )
    seen, stack = {start}, [start]
    while stack:
        if len(seen) % 64 == 0 and time.monotonic() > until:
            return None
        places, states = stack.pop()
        left = [
            (i, line[place])
            for i, (line, place) in enumerate(zip(todo_of, places, strict=True))
            if place < len(line)
        ]
        if all(op.type != "ok" for _, op in left):
            return True
        for i, op in left:
            at = where[op.key]
            legal, after = model.step(states[at], op)
            moved = (*places[:i], places[i] + 1, *places[i + 1 :])
            points = [(moved, (*states[:at], after, *states[at + 1 :]))] if legal else []
            if op.type != "ok":
                points.append((moved, states))  # it may never have happened
            for point in points:
                if point not in seen:
                    if len(seen) >= _POINTS:
                        return None
                    seen.add(point)
                    stack.append(point)
    return False
