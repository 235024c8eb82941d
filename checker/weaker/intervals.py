"""Histories with other intervals, and whether an order explains them.

Wider intervals only allow more orders. Operations are renumbered, since engines take them in order of call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from checker.audit import audit_order
from checker.engines.answers import Budget
from checker.engines.decide import decide
from checker.history import Operation, operation
from checker.models.base import Model

Keys = Mapping[str, Sequence[Operation]]
NODES = 200_000


def in_order(operations: Iterable[Operation]) -> list[Operation]:
    """By call, renumbered; times moved so that none is below 0."""
    ordered = sorted(operations, key=lambda op: (op.call_ns, op.index))
    least = min(0, ordered[0].call_ns) if ordered else 0
    return [
        spanning(op, op.call_ns - least, None if op.return_ns is None else op.return_ns - least, i)
        for i, op in enumerate(ordered)
    ]


def spanning(op: Operation, call_ns: int, return_ns: int | None, index: int) -> Operation:
    """The operation with another interval and number. (`replace` takes fifteen times as long.)"""
    return operation(
        index, op.process, op.f, op.key, op.input, op.output, op.type, call_ns, return_ns, op.phase,
        op.client, op.timestamp, op.gave_up_ns, op.error, op.view, op.replicas, op.path,
    )  # fmt: skip


def explained(model: Model, keys: Keys, seconds: float) -> bool | None:
    """Whether an order of each key explains it; None if that is not known in time. Every order is audited."""
    if seconds <= 0:
        return None
    result = decide(model, keys, Budget(seconds, NODES))
    if any(key.status == "refuted" for key in result.keys):
        return False
    if result.limit is not None or any(key.status != "explained" for key in result.keys):
        return None
    sound = all(audit_order(model, keys[key.key], key.order, key.dropped) is None for key in result.keys)
    return True if sound else None
