"""How far the clocks may be off before a refutation falls.

All intervals are made wider, earlier at their call and later at their return, each by the same amount, until
some order explains them. What came before what then matters less and less, never more: so there is one amount
up to which the refutation stands. A cut rests on times, so what it took away is put back first, where that is
needed; what is judged are few operations, exactly.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from checker.counterexample import Margin
from checker.counterexample.shrink import Shrunk
from checker.engines.answers import Budget
from checker.engines.decide import decide_key
from checker.history import Operation
from checker.models.base import Model
from checker.moves import Left, Move, weaker

_MOST = 250
"""Operations that are made wider."""
_CLOSINGS = 4
_CHECK = Budget(seconds=1.0, nodes=100_000)


def margin(model: Model, operations: Sequence[Operation], shrunk: Shrunk, seconds: float) -> Margin | None:
    """Of a counterexample of `operations` (one key); None if that is not found out in time."""
    deadline = time.monotonic() + seconds
    some = _uncut(model, operations, shrunk)
    if some is None or not _refuted(model, some, 0):
        return None
    returns = {op.return_ns for op in some if op.return_ns is not None}
    gaps = {op.call_ns - end for op in some for end in returns if end < op.call_ns}
    if _refuted(model, some, max(gaps, default=0)):
        return Margin(None)
    # Between these amounts nothing changes: a gap is closed by half of it at either end.
    amounts = sorted({(gap - 1) // 2 for gap in gaps})
    low, high = 0, len(amounts) - 1
    while low < high and time.monotonic() < deadline:
        middle = (low + high + 1) // 2
        if _refuted(model, some, amounts[middle]):
            low = middle
        else:
            high = middle - 1
    return Margin(amounts[low]) if low == high else None


def _uncut(model: Model, operations: Sequence[Operation], shrunk: Shrunk) -> list[Operation] | None:
    """The operations shown with their true ends, and what they need of those that were cut away."""
    if all(name not in ("cut", "after") for name, _ in shrunk.moves):
        return shrunk.left.operations
    timeless: list[Move] = [move for move in shrunk.moves if move[0] in ("project", "weaken")]
    left = weaker(model, Left([op for op in operations if op.type != "fail"]), timeless)
    if isinstance(left, str):
        return None
    chosen = {op.index for op in shrunk.left.operations}
    for _ in range(_CLOSINGS if shrunk.left.moment_ns is None else 0):
        kept = frozenset(i for i, op in enumerate(left.operations) if op.index in chosen)
        needed = model.needed(left.operations, kept)
        if not needed and len(kept) <= _MOST:
            return [left.operations[i] for i in sorted(kept)]
        chosen |= {left.operations[i].index for i in needed}
        if len(chosen) > _MOST:
            break
    return left.operations if len(left.operations) <= _MOST else None


def _refuted(model: Model, operations: Sequence[Operation], by_ns: int) -> bool:
    wider = [
        replace(
            op, call_ns=op.call_ns - by_ns, return_ns=None if op.return_ns is None else op.return_ns + by_ns
        )
        for op in operations
    ]
    return decide_key(model, wider, _CHECK).status == "refuted"
