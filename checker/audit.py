"""The auditor: believes no engine, and is short enough to be read in one sitting.

An order explains a key iff no operation was called after a later one in the order had returned, the model
accepts every step, every completed operation is in it once, and nothing else is but pending operations.
A refutation of few operations is audited by trying every order.
"""

from __future__ import annotations

from collections.abc import Sequence

from checker.history import Operation
from checker.models.base import Model, State


def audit_order(
    model: Model, operations: Sequence[Operation], order: Sequence[int], dropped: Sequence[int]
) -> str | None:
    """Why `order` does not explain `operations` (one key, no `fail`), or None if it does."""
    by_index = {operation.index: operation for operation in operations}
    if len(set(order)) != len(order) or set(order) & set(dropped):
        return "the order names an operation twice"
    for index in (*order, *dropped):
        if index not in by_index:
            return f"operation {index} is not of this key"
    named = {*order, *dropped}
    for operation in operations:
        if operation.index not in named:
            return f"operation {operation.index} is neither in the order nor dropped"
    for index in dropped:
        if by_index[index].type != "info":
            return f"operation {index} completed, so it cannot be dropped"
    state, latest_call = model.initial, float("-inf")
    for index in order:
        operation = by_index[index]
        latest_call = max(latest_call, operation.call_ns)
        if operation.return_ns is not None and operation.return_ns < latest_call:
            return f"operation {index} returned before one ordered ahead of it was called"
        legal, state = model.step(state, model.call(operation))
        if not legal:
            return f"the model does not accept operation {index} there"
    return None


def audit_refutation(model: Model, operations: Sequence[Operation], max_tries: int) -> bool | None:
    """True: no order explains `operations` (one key). False: one does. None: too many to try."""
    tries = 0
    seen: set[tuple[frozenset[int], State]] = set()
    todo: list[tuple[frozenset[int], State]] = [(frozenset(), model.initial)]
    while todo:
        done, state = todo.pop()
        left = [operation for operation in operations if operation.index not in done]
        returns = [operation.return_ns for operation in left if operation.return_ns is not None]
        if not returns:
            return False
        for operation in left:
            if operation.call_ns > min(returns):
                continue
            tries += 1
            if tries > max_tries:
                return None
            legal, after = model.step(state, model.call(operation))
            point = (done | {operation.index}, after)
            if legal and point not in seen:
                seen.add(point)
                todo.append(point)
    return True
