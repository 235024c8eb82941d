"""Do the harness' own records tell one story? They are trusted, so they must at least agree with each other.

The ledger excuses the cluster, the faults give it credit, the phases say what was done. A ledger that calls
replicas bad when nothing was done to them would excuse anything; one that calls none bad blames the innocent.
"""

from __future__ import annotations

from collections.abc import Iterator

from checker.folder import RunFolder
from checker.history import History
from checker.judges import charges
from checker.numbers import counted
from checker.run_facts import FIRST_CLIENT, Ledger, PlanFacts, RunReport

PHASES = ("set up", "healthy", "load", "undo", "recover", "final reads", "tear down")


def contradictions(folder: RunFolder) -> Iterator[str]:
    """Each in a sentence. Files that are missing are somebody else's trouble."""
    if folder.ledger is not None:
        yield from _ledger_itself(folder.ledger)
    if folder.ledger is not None and folder.faults is not None:
        yield from charges.contradictions(folder.ledger, folder.faults)
    if folder.ledger is not None and folder.run is not None:
        yield from _ledger_and_run(folder.ledger, folder.run)
    if folder.plan is not None:
        yield from _plan_and_rest(folder.plan, folder)
    if folder.run is not None:
        yield from _phases(folder.run)
    if folder.history is not None:
        yield from _history(folder.history)


def _ledger_itself(ledger: Ledger) -> Iterator[str]:
    if ledger.f != (ledger.n - 1) // 3:
        yield f"ledger.json: f is {ledger.f}, but {ledger.n} replicas tolerate {(ledger.n - 1) // 3}"
    if any(replica >= ledger.n for replica in ledger.byzantine):
        yield f"ledger.json: replicas {sorted(ledger.byzantine)} are Byzantine, but there are only {ledger.n}"
    if ledger.safety_demanded != (len(ledger.byzantine) <= ledger.f):
        count = len(ledger.byzantine)
        yield f"ledger.json: {count} Byzantine replicas, but safety_demanded is {ledger.safety_demanded}"
    if not ledger.windows:
        yield "ledger.json has no windows: nothing says who was bad when"
    until_ns = ledger.windows[0].from_ns if ledger.windows else 0
    for window in ledger.windows:
        if window.from_ns != until_ns or window.to_ns <= window.from_ns:
            here = f"from {window.from_ns} to {window.to_ns} ns"
            yield f"ledger.json: after {until_ns} ns comes a window {here}"
        until_ns = window.to_ns
        if any(replica >= ledger.n for replica in window.bad):
            yield f"ledger.json: replicas {list(window.bad)} are bad, but there are only {ledger.n}"
        if window.within_liveness_budget != (len(window.bad) <= ledger.f and not window.asynchronous):
            yield (
                f"ledger.json: {len(window.bad)} bad replicas from {window.from_ns} ns on, f = {ledger.f}, "
                f"but within_liveness_budget is {window.within_liveness_budget}"
            )


def _ledger_and_run(ledger: Ledger, run: RunReport) -> Iterator[str]:
    silent = [replica for replica in range(ledger.n) if str(replica) not in run.answered]
    if run.healthy and silent:
        yield f"run.json: health was reached, but replicas {silent} did not answer"
    if not ledger.windows or not run.phases:
        return
    torn_down_ns = max((p.start_ns for p in run.phases if p.name == PHASES[-1]), default=0)
    for exit_ in run.exits:
        asked = any(w.from_ns <= exit_.time_ns <= w.to_ns and exit_.replica in w.bad for w in ledger.windows)
        if exit_.expected and exit_.time_ns < torn_down_ns and not asked:
            yield (
                f"run.json: the end of replica {exit_.replica} at {exit_.time_ns} ns was expected, but "
                "ledger.json knows of no fault that asked for it"
            )
    begin, end = run.phases[0].start_ns, max(phase.end_ns for phase in run.phases)
    if ledger.windows[0].from_ns > begin or ledger.windows[-1].to_ns < end:
        yield f"ledger.json does not cover the run, which lasted from {begin} to {end} ns"


def _plan_and_rest(plan: PlanFacts, folder: RunFolder) -> Iterator[str]:
    if folder.ledger is not None and plan.nodes != folder.ledger.n:
        yield f"plan.json has {plan.nodes} replicas, ledger.json {folder.ledger.n}"
    if len(set(plan.faults)) != len(plan.faults):
        yield "plan.json has two faults of one id"
    known, told = set(plan.faults), 0
    for step in folder.faults or ():
        if step.fault not in known:
            yield f"faults.jsonl tells of fault {step.fault[:60]}, which plan.json does not have"
        if step.time_ns < told:
            yield "faults.jsonl: time runs backwards"
        told = max(told, step.time_ns)


def _phases(run: RunReport) -> Iterator[str]:
    """All of them, once, in order; a run that was cut short has the first few and its tear down."""
    names = tuple(phase.name for phase in run.phases)
    whole = run.interrupted is None and not run.harness_errors
    if whole and names != PHASES:
        yield f"run.json: the phases were {', '.join(names) or 'none'}, not {', '.join(PHASES)}"
    for phase in run.phases:
        if phase.end_ns < phase.start_ns:
            yield f"run.json: phase {phase.name!r} ended before it began"


def _history(history: History) -> Iterator[str]:
    if history.gaps:
        yield f"history.jsonl lacks {counted(history.gaps, 'event')}: their numbers are missing"
    seen: dict[tuple[int, int], int] = {}
    for op in history.operations:
        if op.client is None or op.timestamp is None:
            continue
        if op.client != op.process + FIRST_CLIENT:
            yield f"history.jsonl: operation {op.index} of process {op.process} is by client {op.client}"
            return
        first = seen.setdefault((op.client, op.timestamp), op.index)
        if first != op.index:
            yield (
                f"history.jsonl: operations {first} and {op.index} are both request {op.timestamp} of client "
                f"{op.client}"
            )
            return
