"""By how much reads lag: the least time t such that some order explains the history once every read may have
happened up to t before its call (Golab, Li, Shah 2011: Delta-atomicity).

More time allows more orders, so t is searched by halving: first its size, then to a hundredth; exactly where
the history is small. The upper bound rests on an audited order, the lower one on an engine's refutation.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from checker.history import Operation
from checker.models.base import Model
from checker.weaker.answers import Guarantee
from checker.weaker.intervals import Keys, explained, in_order, spanning

_EXACT = 2_000
"""Operations up to which the bound is found to the nanosecond."""
_PRECISION = 100


def judge(model: Model, keys: Keys, until: float) -> Guarantee:
    """The bound over all keys. `until` is of time.monotonic."""
    operations = [op for group in keys.values() for op in group]
    if not operations:
        return Guarantee("holds", "there is no operation", {"at_most_ns": 0})
    first = min(op.call_ns for op in operations)
    span = max(op.call_ns for op in operations) - first + 1
    exact = len(operations) <= _EXACT

    took = 0.0

    def works(lag_ns: int) -> bool | None:
        nonlocal took
        began = time.monotonic()
        if began + took > until:
            return None  # the next one would be late
        lagging = {key: lag(model, group, lag_ns) for key, group in keys.items()}
        found = explained(model, lagging, until - time.monotonic())
        took = time.monotonic() - began
        return found

    whole = works(span)
    if whole is None:
        return Guarantee("unknown", "not decided in time")
    if not whole:
        return Guarantee("violated", "no lag of reads, however long, explains the history")
    low, high, certain = -1, span, True
    while high - low > 1 and (exact or low < 0 or (high - low) * _PRECISION > high):
        # Sizes first: the bound is often a small part of the whole.
        middle = (low + high) // 2 if low > 0 and high <= 4 * low else _geometric(low, high)
        found = works(middle)
        if found is None:
            certain = False
            break
        low, high = (low, middle) if found else (middle, high)
    # A history without times has the numbers of its lines for them.
    return _said(low, high, certain, clock=span > 4 * len(operations))


def _geometric(low: int, high: int) -> int:
    """Between the two in size: half the digits."""
    bits = ((low + 1).bit_length() + high.bit_length()) // 2
    return min(max(low + 1, 1 << bits), high - 1)


def lag(model: Model, operations: Sequence[Operation], lag_ns: int) -> list[Operation]:
    """The operations with completed reads called `lag_ns` earlier."""
    return in_order(
        spanning(op, op.call_ns - lag_ns, op.return_ns, op.index)
        if op.type == "ok" and model.is_observer(model.call(op))
        else op
        for op in operations
    )


def _said(low: int, high: int, certain: bool, clock: bool) -> Guarantee:
    why = f"an order explains all if reads may lag by {high} ns"
    details = {"at_most_ns": high}
    if low >= 0:
        why += f", none if by {low} ns at most"
        details["more_than_ns"] = low
    if not clock:
        details["without_clock"] = 1
    return Guarantee("holds", why + ("" if certain else " (not narrowed down in time)"), details)
