"""Witness: does the order in which the replicas executed explain what the clients saw?

PBFT promises that one order for all, that of execution, is a linearization. Clients can be explainable
although this order is not the explanation: then replicas answered by another order than they executed.
"""

from __future__ import annotations

from checker.counterexample.words import quote
from checker.executed import ExecutedOrder
from checker.judges.linearizability import Finding
from checker.numbers import counted
from checker.verdict import Line, invalid, not_judged, valid

NAME = "witness"


def judge(order: ExecutedOrder, found: Finding) -> Line:
    """After linearizability was judged with `order`."""
    if order.trouble is not None:
        return not_judged(NAME, f"there is no order of execution to compare with: {order.trouble}")
    witnessed = found.witnessed
    if not witnessed.accepted and not witnessed.rejected:
        return not_judged(NAME, f"no key was held against the order of execution: {found.line.reason}")
    if not witnessed.rejected:
        explained = counted(len(witnessed.accepted), "key")
        return valid(NAME, f"the order the replicas executed explains all {explained}")
    key, why = next(iter(witnessed.rejected.items()))
    if found.line.verdict != "valid":
        return not_judged(NAME, f"nothing explains what clients saw, nor does the order of execution: {why}")
    reason = (
        f"clients are explainable, the order of execution is not their explanation: key {quote(key)}: {why}"
    )
    rejected = dict(list(witnessed.rejected.items())[:100])
    return invalid(NAME, reason, kind="answered by another order than executed", rejected=rejected)
