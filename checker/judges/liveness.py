"""Liveness: while at most f replicas were bad, operations completed; once all was healed, final reads did.

PBFT promises progress only some time after conditions stop changing, so time is given: the grace is
`Limits.liveness_grace_ns` plus one operation timeout. Judged are
- droughts: inside a stretch of windows within budget, longer than the grace, with operations open all along
  and none completing;
- stuck operations: invoked a grace after the start of one window (the same replicas bad), by a client that
  retransmits, and given up for time although the window lasted;
- final reads made within budget that did not complete.
A harness that lagged cannot tell slow from stuck: then an invalid becomes unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from checker.folder import Ledger, PlanFacts, RunFolder, Window
from checker.history import History, Operation
from checker.limits import SECOND_NS, Limits
from checker.verdict import Line, invalid, unknown, valid

NAME = "liveness"


@dataclass(frozen=True, slots=True)
class _Case:
    """What the rules need, with nothing missing."""

    history: History
    ledger: Ledger
    plan: PlanFacts
    grace_ns: int
    recorded_until_ns: int
    """The last moment the history speaks of. What was open then is not known to have been stuck later."""


def judge(folder: RunFolder, limits: Limits) -> Line:
    """Apply the three rules."""
    if folder.history is None or folder.ledger is None or folder.plan is None:
        return unknown(NAME, "the history, the ledger or the plan is missing")
    grace_ns = limits.liveness_grace_ns + folder.plan.operation_timeout_ns
    until_ns = max((_last_moment(op) for op in folder.history.operations), default=0)
    case = _Case(folder.history, folder.ledger, folder.plan, grace_ns, until_ns)
    found = _final_reads(case) or _stuck(case) or _drought(case)
    if found is not None:
        return _void_if_lagged(found, folder, limits)
    final = [op for op in case.history.operations if op.phase == "final"]
    if len(final) < case.plan.final_reads:
        return unknown(NAME, f"{len(final)} of {case.plan.final_reads} final reads were made")
    if not any(op.type == "ok" for op in case.history.operations):
        return unknown(
            NAME, "no operation completed, and no window within budget was long enough to demand it"
        )
    within = sum(w.to_ns - w.from_ns for w in case.ledger.windows if w.within_liveness_budget) / SECOND_NS
    reason = f"{within:.1f} s within budget without a drought; all {len(final)} final reads completed"
    return valid(NAME, reason, final_reads=len(final), grace_ns=grace_ns)


def _last_moment(op: Operation) -> int:
    return max(op.call_ns, op.return_ns or 0, op.gave_up_ns or 0)


def _void_if_lagged(line: Line, folder: RunFolder, limits: Limits) -> Line:
    lag_ns = folder.run.lag_max_ns if folder.run else None
    if lag_ns is not None and lag_ns <= limits.lag_ns:
        return line
    said = "nobody knows how far" if lag_ns is None else f"{lag_ns / SECOND_NS:.1f} s"
    reason = f"void, because the harness lagged ({said}): {line.reason}"
    return replace(line, verdict="unknown", reason=reason)


def _final_reads(case: _Case) -> Line | None:
    for op in case.history.operations:
        if op.phase != "final" or op.type == "ok":
            continue
        window = _window_at(case.ledger, op.call_ns)
        if window is not None and window.within_liveness_budget:
            name = f"the final {op.f} of key {op.key!a:.60} (operation {op.index})"
            reason = f"{name} did not complete: {op.error or op.type:.80}"
            return invalid(NAME, reason, operation=op.index)
    return None


def _window_at(ledger: Ledger, moment_ns: int) -> Window | None:
    for window in ledger.windows:
        if window.from_ns <= moment_ns < window.to_ns:
            return window
    return None


def _stuck(case: _Case) -> Line | None:
    timeout_ns = case.plan.operation_timeout_ns
    for op in case.history.operations:
        if op.type != "info" or not case.plan.retry(op.process):
            continue
        # Given up sooner: the run went on, or ended, without it.
        given_up_ns = case.recorded_until_ns if op.gave_up_ns is None else op.gave_up_ns
        if given_up_ns - op.call_ns < timeout_ns:
            continue
        window = _window_at(case.ledger, op.call_ns)
        if window is None or not window.within_liveness_budget:
            continue
        if op.call_ns >= window.from_ns + case.grace_ns and op.call_ns + timeout_ns <= window.to_ns:
            since = (op.call_ns - window.from_ns) / SECOND_NS
            bad = f"replicas {list(window.bad)} were bad" if window.bad else "nothing was wrong"
            reason = (
                f"operation {op.index} ({op.f}) did not complete in {timeout_ns / SECOND_NS:g} s although "
                f"{bad} and had been for {since:.1f} s"
            )
            return invalid(NAME, reason, operation=op.index)
    return None


def _drought(case: _Case) -> Line | None:
    completions = sorted(op.return_ns for op in case.history.operations if op.return_ns is not None)
    for start_ns, end_ns in _stretches(case.ledger):
        inside = [t for t in completions if start_ns <= t <= end_ns]
        for low, high in zip([start_ns, *inside], [*inside, end_ns], strict=True):
            if high - low <= case.grace_ns:
                continue
            for begin, stop in _busy(case, low, high):
                if stop - begin > case.grace_ns:
                    return _dry(begin, stop)
    return None


def _dry(begin_ns: int, end_ns: int) -> Line:
    seconds = (end_ns - begin_ns) / SECOND_NS
    reason = (
        f"no operation completed for {seconds:.1f} s (from {begin_ns} ns on) although operations were open "
        "all along and no more replicas were bad than the protocol survives"
    )
    return invalid(NAME, reason, from_ns=begin_ns, to_ns=end_ns)


def _stretches(ledger: Ledger) -> Iterator[tuple[int, int]]:
    """Windows within budget, neighbours joined."""
    start: int | None = None
    end = 0
    for window in ledger.windows:
        if window.within_liveness_budget:
            start = window.from_ns if start is None else start
            end = window.to_ns
        elif start is not None:
            yield start, end
            start = None
    if start is not None:
        yield start, end


def _busy(case: _Case, low: int, high: int) -> Iterator[tuple[int, int]]:
    """Parts of [low, high] in which some operation was open at every moment. None may complete inside.

    Operations follow each other closely (a client invokes the next when one is given up), so parts that
    touch within a tenth of a second are one.
    """
    start: int | None = None
    end = low
    for op in case.history.operations:
        until = op.gave_up_ns if op.type != "ok" else op.return_ns
        begin, stop = max(op.call_ns, low), min(case.recorded_until_ns if until is None else until, high)
        if stop <= low or begin >= high:
            continue
        if start is not None and begin > end + SECOND_NS // 10:
            yield start, end
            start = None
        start = begin if start is None else start
        end = max(end, stop)
    if start is not None:
        yield start, end
