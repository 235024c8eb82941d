"""Liveness over many short windows: does this cluster ever go on without its primary?

Faults that last little longer than a view change prove nothing one by one, since a busy machine is slow.
But several windows, each long enough, in each of which everything stood still to its end, and not one in the
whole run in which a view was entered and work went on: that is a cluster that does not change views.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from checker.history import Operation
from checker.limits import SECOND_NS, Limits
from checker.patience import Patience
from checker.run_facts import Ledger, RunReport, Window
from checker.trace import NewView, ReplicaTrace
from checker.verdict import Line, invalid

LEAST_WINDOWS = 4
_IN_FLIGHT_NS = SECOND_NS // 10
"""What completes this soon after a window's start was under way before."""
_CALM_LAG_NS = SECOND_NS // 4
"""On a machine that made the harness later than this, short windows prove nothing at all."""


def never_replaced(
    operations: Sequence[Operation],
    ledger: Ledger,
    traces: Sequence[ReplicaTrace],
    patience: Patience,
    limits: Limits,
    run: RunReport,
) -> Line | None:
    """The violation, if there were enough windows and none was used."""
    if run.lag_max_ns > min(_CALM_LAG_NS, limits.lag_ns):
        return None
    completions = sorted(op.return_ns for op in operations if op.return_ns is not None)
    entered = sorted(r.t_ns for trace in traces for r in trace.records() if isinstance(r, NewView))
    calls = sorted(op.call_ns for op in operations)
    still: list[Window] = []
    for window in ledger.windows:
        if not window.bad or not window.within_liveness_budget or not calls:
            continue
        if ledger.byzantine.intersection(window.bad):  # a primary that lies may last longer than a dead one
            continue
        if window.from_ns < calls[0] or window.to_ns > calls[-1]:
            continue
        long_enough = window.to_ns - window.from_ns >= patience.replace_primary_ns()
        went_on = _any(completions, window.from_ns + _IN_FLIGHT_NS, window.to_ns)
        if _any(entered, window.from_ns, window.to_ns) and went_on:
            return None
        if long_enough and not went_on:
            still.append(window)
    if len(still) < LEAST_WINDOWS:
        return None
    shortest = min(window.to_ns - window.from_ns for window in still) / SECOND_NS
    reason = (
        f"in {len(still)} windows of at least {shortest:.1f} s, with no more replicas bad than the protocol "
        "survives, everything stood still to the end, and never was a view entered and work went on before "
        f"the bad replicas were back: {patience.replace_primary_ns() / SECOND_NS:.1f} s are enough"
    )
    windows = [[window.from_ns, window.to_ns] for window in still]
    return invalid("liveness", reason, kind="primary never replaced", windows=windows)


def _any(moments: Sequence[int], low: int, high: int) -> bool:
    return bisect_left(moments, low) < bisect_right(moments, high)
