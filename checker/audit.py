"""The auditor: believes no engine, imports none, and is short enough to be read in one sitting.

An order explains a key iff no operation was called after a later one in the order had returned, the model
accepts every step, every completed operation is in it once, and nothing else is but pending operations.
A refutation is moves that only make a history weaker (`checker.moves`) and a look at every order of what they
leave: none is accepted. A frontier lists the points such a look has to pass, where it would be too long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps

from checker.history import Operation
from checker.models.base import Model
from checker.moves import Point

Operations = Sequence[Operation]
Frontier = Mapping[tuple[int, str], Sequence[tuple[frozenset[int], frozenset[int]]]]
"""Who returns next and the state as JSON -> completed operations done beyond it, and pending ones used."""


def audit_order(model: Model, ops: Operations, order: Sequence[int], dropped: Sequence[int]) -> str | None:
    """Why `order` does not explain `ops` (one key), or None if it does."""
    left = {op.index: op for op in ops if op.type != "fail"}
    state, latest_call, take, step = model.initial, float("-inf"), left.pop, model.step
    for index in order:
        operation = take(index, None)
        if operation is None:
            return f"operation {index} is in the order twice, or did not happen to this key"
        if operation.call_ns > latest_call:
            latest_call = operation.call_ns
        if operation.return_ns is not None and operation.return_ns < latest_call:
            return f"operation {index} returned before one ordered ahead of it was called"
        legal, state = step(state, operation)
        if not legal:
            return f"the model does not accept operation {index} there"
    for index in dropped:
        operation = take(index, None)
        if operation is None or operation.type != "info":
            return f"operation {index} is dropped, but it completed, or is in the order, or of another key"
    return f"operation {next(iter(left))} is neither in the order nor dropped" if left else None


def audit_refutation(
    model: Model, left: Operations, most: int, frontier: Frontier | None, points: Sequence[Point] = ()
) -> str | None:
    """Why it is not shown in `most` steps that no order leads from `points` to an end, or None if it is."""
    opened = sorted(left, key=lambda op: (not op.known, op.return_ns or 0, op.call_ns, op.index))
    watching = {op.index for op in left if op.known and model.is_observer(model.call(op))}
    points, steps = list(points) or [(frozenset(), frozenset(), model.initial)], 0
    for last in [op for op in opened if op.known]:
        todo, points, seen = points, [], set()
        now = [op for op in opened if op.call_ns <= (last.return_ns or 0)]
        opened.remove(last)
        for done, used, state in todo:  # grows
            if frontier is not None and last.index not in done:
                listed = frontier.get((last.index, dumps(model.show(state))), ())
                fit = [p for p in listed if done <= p[0] and p[0] - done <= watching and p[1] <= used]
                if not fit:
                    return f"the frontier is not closed where operation {last.index} returns"
                done, used = fit[0]  # having watched, and not having used what is pending, loses nothing
            if last.index in done:
                points.append((done - {last.index}, used, state))
                continue
            if (done, used, state) in seen:
                continue
            seen.add((done, used, state))
            free = [op for op in reversed(now) if op.index not in done and op.index not in used]
            # Of equal operations the first to return will do, of pending ones the first called.
            for op in {(op.f, op.input, op.output, op.known): op for op in free}.values():
                steps += 1
                if steps > most:
                    return f"more than {most} steps are needed to try every order"
                legal, after = model.step(state, op)
                if legal and op.known:
                    todo.append((done | {op.index}, used, after))
                elif legal and after != state:
                    todo.append((done, used | {op.index}, after))
    return "an order explains them" if points else None
