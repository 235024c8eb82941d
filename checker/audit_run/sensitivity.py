"""`--mutate N`: copies of this very history are spoilt in memory, to see whether the judge would notice."""

from __future__ import annotations

from checker.audit_run.findings import Finding, Result
from checker.engines.answers import Budget
from checker.executed import executed_order
from checker.folder import RunFolder
from checker.limits import Limits
from checker.mutate import Sensitivity, sensitivity
from checker.verdict import Verdict

NAME = "sensitivity"
SEED = 1
_COPY_SECONDS = 5.0
_MOST_SHOWN = 1000


def check_sensitivity(run: RunFolder, verdict: Verdict, count: int, limits: Limits) -> Finding:
    """Spoil `count` copies. A copy that is not rejected must come with the order that makes it legal."""
    orders = {key.key: key.order for key in verdict.witness}
    if run.history is None or not orders:
        return Finding(NAME, "unchecked", "only a history that an order explains can be spoilt")
    executed = executed_order(run.history, run.correct_traces())
    keys = None if executed.trouble else executed.keys
    budget = Budget(min(limits.seconds, _COPY_SECONDS), limits.nodes)
    found = sensitivity(run.history, orders, count, SEED, budget, keys)
    return _told(found)


def _told(found: Sensitivity) -> Finding:
    counts = found.counts()
    rejected, legal, undecided = (
        sum(count[said] for count in counts.values()) for said in ("rejected", "legal", "undecided")
    )
    made = len(found.outcomes)
    table = ", ".join(
        f"{kind} {count['rejected']} of {sum(count.values())}" for kind, count in counts.items()
    )
    told = (
        f"of {made} spoilt copies {rejected} rejected ({table}), {legal} legal, each with the order that "
        f"explains it, {undecided} undecided"
    )
    if found.short:
        told += f"; too few places for {', '.join(found.short)}"
    legals = [o for o in found.outcomes if o.said == "legal"][:_MOST_SHOWN]
    details = tuple(f"{o.mutation.kind}: {o.mutation.change}: {o.why}" for o in legals)
    result: Result = "unchecked" if undecided or not made else "verified"
    return Finding(NAME, result, told, (f"{rejected} spoilt copies rejected, {legal} shown legal",), details)
