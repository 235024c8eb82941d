"""View churn: how often views changed, and for how long there was none in which a quorum agreed.

A view is *stable* at a moment when as many correct replicas as a quorum takes (less the Byzantine, which
leave no evidence) are in it by their own traces. Both numbers are counted over the load and what follows, and
again over the *calm* part of it: no fault in force, nobody bad, and not for as long as settling takes
(`checker.patience`). Faults change views, so a violation is only
- in the calm: more than `Limits.churn_views`, and one in less than `Limits.churn_ns` on average. There a view
  ends only when its primary was too slow, which in most runs never happens;
- in all of it, under faults of the kinds in `_CLEAN`: more than that, and f+2 for each time that who is bad
  changed. (Of 117 random runs none had more than one and a half for each fault.)
- while liars are the only ones that are bad, at most f, and have been for as long as settling takes: more
  than the first, counting only views of correct primaries that were left again. To leave one takes f+1 that
  ask for it, so a correct one that waited in vain. A liar's own view may end as soon as it likes. Not asked
  with `client_auth: mac`, where one client can force a view change with each request.
Harness or machine too slow for the cluster's timers, and a slow network (`slowness`) excuse it. That nothing
completes while no view is stable is for liveness to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from checker.folder import RunFolder
from checker.judges.slowness import void_if_slow
from checker.limits import SECOND_NS, Limits
from checker.numbers import counted
from checker.patience import Patience, patience
from checker.run_facts import FaultStep, Ledger, PlanFacts, RunReport
from checker.trace import AskedView, NewView, ReplicaTrace, Silent
from checker.verdict import Line, invalid, unknown, valid

NAME = "view-churn"
_CLEAN = frozenset({"kill", "pause", "partition"})
"""What they do to views is bounded: a slow or lossy network may change them as long as it lasts."""
Stretch = tuple[int, int]
"""From, to (ns)."""


def judge(folder: RunFolder, limits: Limits) -> Line:
    """Count, and compare the calm with the limits."""
    if folder.ledger is None or folder.plan is None or folder.run is None or folder.faults is None:
        return unknown(NAME, "the ledger, the plan, run.json or faults.jsonl is missing")
    ledger, traces = folder.ledger, folder.correct_traces()
    if len(traces) < len(ledger.correct()) or any(trace.flaws for trace in traces):
        return unknown(NAME, "a correct replica's trace is missing or has lines that cannot be read")
    load = [phase for phase in folder.run.phases if phase.name == "load"]
    if not load or not traces:
        return unknown(NAME, "there was no load phase, or no correct replica")
    whole = (load[0].start_ns, max(phase.end_ns for phase in folder.run.phases))
    bounds = patience(folder.plan.timers, ledger.f, folder.run.lag_max_ns, limits)
    calm = list(_calm(whole, ledger, folder.faults, bounds))
    entered, unstable = _entered(traces), list(_unstable(traces, ledger, whole[1]))
    views, calm_views = _within(entered, [whole]), _within(entered, calm)
    calm_ns = sum(end - start for start, end in calm)
    lies = list(_under_lies(whole, ledger, bounds))
    lies_ns = sum(end - start for start, end in lies)
    left = _within(_left(traces, ledger), lies)
    numbers = {
        "under_lies_ns": lies_ns,
        "views_of_correct_primaries_left_under_lies": left,
        "views": views,
        "views_per_minute": round(60 * SECOND_NS * views / max(1, whole[1] - whole[0]), 1),
        "longest_unstable_ns": _longest(unstable, [whole]),
        "calm_ns": calm_ns,
        "calm_views": calm_views,
        "calm_longest_unstable_ns": _longest(unstable, calm),
    }
    told = (
        f"{counted(views, 'view')} entered in {(whole[1] - whole[0]) / SECOND_NS:.1f} s, at most "
        f"{_longest(unstable, [whole]) / SECOND_NS:.1f} s without one that a quorum was in; "
        f"{calm_views} of them in the {calm_ns / SECOND_NS:.1f} s in which nothing was wrong"
    )
    if ledger.byzantine:
        told += (
            f"; {left} of correct primaries left in {lies_ns / SECOND_NS:.1f} s in which only liars were bad"
        )
    excuse = _excuse(folder.run, folder.plan)
    if excuse is not None:
        return valid(NAME, f"{told}; that proves nothing here: {excuse}", **numbers)
    found = None
    if calm_views > limits.churn_views and calm_views * limits.churn_ns > calm_ns:
        reason = f"{told}: a cluster in peace stays in its view"
        found = invalid(NAME, reason, kind="views change in the calm", **numbers)
    elif views > (most := _most(ledger, folder.faults, whole, limits)):
        reason = f"{told}: with {counted(len(ledger.windows), 'window')} of the ledger {most} are enough"
        found = invalid(NAME, reason, kind="more views than faults explain", **numbers)
    elif folder.plan.client_auth != "mac" and left > limits.churn_views and left * limits.churn_ns > lies_ns:
        reason = f"{told}: at most f liars cannot make correct replicas leave those"
        found = invalid(NAME, reason, kind="correct primaries do not last under lies", **numbers)
    return (
        valid(NAME, told, **numbers)
        if found is None
        else void_if_slow(found, folder.run, folder.plan, limits)
    )


def _excuse(run: RunReport, plan: PlanFacts) -> str | None:
    """What is milder than what voids a line, and makes timers fire all the same."""
    timers = plan.timers
    if timers is not None and 2 * run.lag_max_ns > timers.request_timeout_ns:
        return f"the harness was {run.lag_max_ns / 1e6:.0f} ms late, and request timers are short"
    ran, waited = run.processor
    return "replicas waited for a processor half of the time" if waited > ran else None


def _most(ledger: Ledger, faults: Sequence[FaultStep], whole: Stretch, limits: Limits) -> float:
    """Views that the faults of a run explain."""
    if ledger.byzantine or not {step.kind for step in faults} <= _CLEAN:
        return float("inf")
    calm = (whole[1] - whole[0]) // limits.churn_ns
    return limits.churn_views + calm + (ledger.f + 2) * len(ledger.windows)


def _calm(whole: Stretch, ledger: Ledger, faults: Sequence[FaultStep], bounds: Patience) -> Iterator[Stretch]:
    """Parts of the run in which nothing was wrong, and had not been for long enough."""
    if ledger.byzantine:
        return
    troubles = [*_troubles(ledger), *((start, end, False) for start, end in _in_force(faults, whole[1]))]
    since, settle_ns = whole[0], 0
    end, outage_ns = whole[0], 0
    for start, stop, outage in sorted(troubles):
        if start > end:  # a gap
            if start > since + settle_ns:
                yield since + settle_ns, min(start, whole[1])
            outage_ns = 0
        outage_ns += stop - start if outage else 0
        end = max(end, stop)
        since, settle_ns = max(end, whole[0]), bounds.settle_ns(outage_ns)
    if whole[1] > since + settle_ns:
        yield since + settle_ns, whole[1]


def _under_lies(whole: Stretch, ledger: Ledger, bounds: Patience) -> Iterator[Stretch]:
    """Stretches in which liars were bad, nobody else was, and that had been so for long enough."""
    if len(ledger.byzantine) > ledger.f:
        return
    since: int | None = None
    end = 0
    for window in ledger.windows:
        only = window.within_liveness_budget and bool(window.bad) and ledger.byzantine.issuperset(window.bad)
        if not only:
            if since is not None and end > since:
                yield since, end
            since = None
            continue
        if since is None:
            since = max(window.from_ns, whole[0]) + bounds.settle_ns()
        end = min(window.to_ns, whole[1])
    if since is not None and end > since:
        yield since, end


def _left(traces: Iterable[ReplicaTrace], ledger: Ledger) -> list[int]:
    """When views of correct primaries were followed by others."""
    first: dict[int, int] = {0: 0}
    for trace in traces:
        for record in trace.records():
            if isinstance(record, NewView):
                first[record.view] = min(record.t_ns, first.get(record.view, record.t_ns))
    views = sorted(first)
    return [first[after] for view, after in pairwise(views) if view % ledger.n not in ledger.byzantine]


def _troubles(ledger: Ledger) -> Iterator[tuple[int, int, bool]]:
    """Windows in which somebody was bad; whether there was no quorum."""
    for window in ledger.windows:
        if window.bad or not window.within_liveness_budget:
            yield window.from_ns, window.to_ns, not window.within_liveness_budget


def _in_force(faults: Sequence[FaultStep], until_ns: int) -> Iterator[Stretch]:
    """From when a fault was asked for until it was proved undone, also of kinds that make nobody bad."""
    since: dict[str, int] = {}
    for step in faults:
        if step.step == "undone":
            if step.fault in since:
                yield since.pop(step.fault), step.time_ns
        else:
            since.setdefault(step.fault, step.time_ns)
    for start in since.values():
        yield start, max(start, until_ns)


def _entered(traces: Iterable[ReplicaTrace]) -> list[int]:
    """When each view was entered first."""
    first: dict[int, int] = {}
    for trace in traces:
        for record in trace.records():
            if isinstance(record, NewView):
                first[record.view] = min(record.t_ns, first.get(record.view, record.t_ns))
    return sorted(first.values())


def _unstable(traces: Sequence[ReplicaTrace], ledger: Ledger, until_ns: int) -> Iterator[Stretch]:
    """Stretches in which no view has a quorum in it."""
    need = (ledger.n + ledger.f) // 2 + 1 - len(ledger.byzantine)
    inside: Counter[int] = Counter()
    where: dict[int, int | None] = {}
    since: int | None = 0
    for t_ns, replica, view in sorted(_moves(traces), key=lambda move: move[:2]):
        before = where.get(replica)
        if before is not None:
            inside[before] -= 1
            if not inside[before]:
                del inside[before]
        where[replica] = view
        if view is not None:
            inside[view] += 1
        stable = any(count >= need for count in inside.values())
        if stable and since is not None:
            if t_ns > since:
                yield since, t_ns
            since = None
        elif not stable and since is None:
            since = t_ns
    if since is not None and until_ns > since:
        yield since, until_ns


def _moves(traces: Iterable[ReplicaTrace]) -> Iterator[tuple[int, int, int | None]]:
    """When which replica began to be in which view; None: in none, or silent."""
    for trace in traces:
        for life in trace.lives:
            silent = False
            yield life.t_ns, trace.replica, (life.view or 0) if life.active else None
            for record in life.records:
                match record:
                    case Silent(over=over):
                        silent = not over
                        yield record.t_ns, trace.replica, None if silent else record.view
                    case AskedView():
                        yield record.t_ns, trace.replica, None
                    case NewView(view=view) if not silent:
                        yield record.t_ns, trace.replica, view


def _within(moments: Iterable[int], stretches: Sequence[Stretch]) -> int:
    return sum(any(start <= t <= end for start, end in stretches) for t in moments)


def _longest(unstable: Sequence[Stretch], stretches: Sequence[Stretch]) -> int:
    """Of the unstable stretches, cut to these."""
    parts = (min(end, b) - max(start, a) for start, end in unstable for a, b in stretches)
    return max((part for part in parts if part > 0), default=0)
