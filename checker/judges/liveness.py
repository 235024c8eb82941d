"""Liveness: while at most f replicas were bad, operations completed; once all was healed, final reads did.

PBFT promises progress only some time after conditions stop changing. How long that may be follows from the
cluster's own timers (`checker.patience`). Windows of the ledger make *spells*: a spell begins when a replica
newly goes bad, or when a quorum is there again, and lasts until the next of these; a replica that comes back
ends none. Judged are, of clients that retransmit,
- operations: one that was under way for longer than the spells it saw allow (`Spells.breach`);
- droughts: no operation completing for that long, with some open all along, however short each was;
- final reads: every key, within budget, however often it was asked for;
- primaries: not one of several windows long enough to go on without the primary was used (`view_changes`).
A harness that lagged, a machine too small for the replicas, or a virtual network too slow for their timers,
cannot tell slow from stuck: then an invalid becomes unknown (`slowness`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from checker.folder import RunFolder
from checker.history import Operation
from checker.judges.latency import under_attack
from checker.judges.slowness import void_if_slow
from checker.judges.spells import Breach, Spells
from checker.judges.view_changes import never_replaced
from checker.limits import SECOND_NS, Limits
from checker.patience import patience
from checker.run_facts import Ledger, PlanFacts
from checker.verdict import Line, invalid, unknown, valid

NAME = "liveness"
_TOUCHING_NS = SECOND_NS // 10


@dataclass(frozen=True, slots=True)
class _Case:
    """What the rules need, with nothing missing."""

    operations: tuple[Operation, ...]
    plan: PlanFacts
    ledger: Ledger
    spells: Spells
    recorded_until_ns: int
    """The last moment the history speaks of. What was open then is not known to have been stuck later."""

    def ended_ns(self, op: Operation) -> int:
        """When the operation completed, was given up, or was heard of last."""
        ended = op.return_ns if op.type == "ok" else op.gave_up_ns
        return self.recorded_until_ns if ended is None else ended


def judge(folder: RunFolder, limits: Limits) -> Line:
    """Apply the rules."""
    if folder.history is None or folder.ledger is None or folder.plan is None or folder.run is None:
        return unknown(NAME, "the history, the ledger, the plan or run.json is missing")
    bounds = patience(folder.plan.timers, folder.ledger.f, folder.run.lag_max_ns, limits)
    spells = Spells(folder.ledger.windows, bounds)
    operations = folder.history.operations
    until_ns = max((_last_moment(op) for op in operations), default=0)
    case = _Case(operations, folder.plan, folder.ledger, spells, until_ns)
    unread = _unread(case)
    found = _unreadable(case, unread) or _stuck(case) or _drought(case)
    found = found or never_replaced(
        operations, folder.ledger, folder.correct_traces(), bounds, limits, folder.run
    )
    if found is not None:
        return void_if_slow(found, folder.run, folder.plan, limits)
    if unread:
        return unknown(NAME, f"{len(unread)} of {len(case.plan.final_reads)} final reads did not complete")
    if not any(op.type == "ok" for op in operations):
        reason = "no operation completed, and no window within budget was long enough to demand it"
        return unknown(NAME, reason)
    within = sum(w.to_ns - w.from_ns for w in case.ledger.windows if w.within_liveness_budget) / SECOND_NS
    settle, serve = bounds.settle_ns() / SECOND_NS, bounds.serve_ns() / SECOND_NS
    reason = (
        f"{within:.1f} s within budget: no operation took longer than it may (bounds {settle:.1f} s after a "
        f"change, {serve:.1f} s once settled), all {len(case.plan.final_reads)} final reads completed"
    )
    slow = under_attack(operations, case.ledger)
    reason += slow.sentence()
    return valid(
        NAME, reason, settle_ns=bounds.settle_ns(), serve_ns=bounds.serve_ns(), latency=slow.to_json()
    )


def _last_moment(op: Operation) -> int:
    return max(op.call_ns, op.return_ns or 0, op.gave_up_ns or 0)


def _unread(case: _Case) -> list[str]:
    """Keys whose final read was planned, and that no final read returned."""
    read = {op.key for op in case.operations if op.phase == "final" and op.type == "ok"}
    return [key for key in case.plan.final_reads if key not in read]


def _unreadable(case: _Case, unread: list[str]) -> Line | None:
    """A key asked for, within budget, for as long as serving may take, and never read."""
    attempts: dict[str, list[Operation]] = {key: [] for key in unread}
    for op in case.operations:
        if op.phase == "final" and op.key in attempts:
            attempts[op.key].append(op)
    for key, tries in attempts.items():
        if not tries:
            continue
        begin, end = tries[0].call_ns, max(case.ended_ns(op) for op in tries)
        breach = case.spells.breach(begin, end)
        tried_ns = sum(case.ended_ns(op) - op.call_ns for op in tries)
        if breach is not None and tried_ns >= breach.allowed_ns:
            last = tries[-1]
            reason = (
                f"the final {last.f} of key {key!a:.60} (operation {last.index}) did not complete in "
                f"{len(tries)} tries, {tried_ns / SECOND_NS:.1f} s: {last.error or last.type:.80}"
            )
            return invalid(NAME, reason, kind="key that cannot be read", operation=last.index)
    return None


def _stuck(case: _Case) -> Line | None:
    for op in case.operations:
        end = case.ended_ns(op)
        breach = case.spells.breach(op.call_ns, end) if case.plan.retry(op) else None
        if breach is None:
            continue
        done = "completed only after" if op.type == "ok" else "did not complete in"
        reason = (
            f"operation {op.index} ({op.f}) {done} {(end - op.call_ns) / SECOND_NS:.1f} s although "
            f"{breach.circumstances}: {_enough(breach)}"
        )
        return invalid(NAME, reason, kind="stuck operation", operation=op.index, allowed_ns=breach.allowed_ns)
    return None


def _enough(breach: Breach) -> str:
    lasted, allowed = (breach.to_ns - breach.from_ns) / SECOND_NS, breach.allowed_ns / SECOND_NS
    return f"{lasted:.1f} s of these count, {allowed:.1f} s are enough"


def _drought(case: _Case) -> Line | None:
    completions = sorted(op.return_ns for op in case.operations if op.return_ns is not None)
    for start_ns, end_ns in case.spells.stretches():
        inside = [t for t in completions if start_ns <= t <= end_ns]
        for low, high in zip([start_ns, *inside], [*inside, end_ns], strict=True):
            for begin, stop in _busy(case, low, high):
                breach = case.spells.breach(begin, stop)
                if breach is not None:
                    return _dry(begin, stop, breach)
    return None


def _dry(begin_ns: int, end_ns: int, breach: Breach) -> Line:
    reason = (
        f"no operation completed for {(end_ns - begin_ns) / SECOND_NS:.1f} s (from {begin_ns} ns on) "
        f"although operations were open all along and {breach.circumstances}: {_enough(breach)}"
    )
    return invalid(NAME, reason, kind="drought", from_ns=begin_ns, to_ns=end_ns, allowed_ns=breach.allowed_ns)


def _busy(case: _Case, low: int, high: int) -> Iterator[tuple[int, int]]:
    """Parts of [low, high] in which a client that retransmits had an operation open at every moment.

    Operations follow each other closely (a client invokes the next when one is given up), so parts that
    touch within a tenth of a second are one.
    """
    if high - low <= _TOUCHING_NS:
        return
    start: int | None = None
    end = low
    for op in case.operations:
        begin, stop = max(op.call_ns, low), min(case.ended_ns(op), high)
        if stop <= low or begin >= high or not case.plan.retry(op):
            continue
        if start is not None and begin > end + _TOUCHING_NS:
            yield start, end
            start = None
        start = begin if start is None else start
        end = max(end, stop)
    if start is not None:
        yield start, end
