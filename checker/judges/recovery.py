"""Recovery: every fault was proved undone, every replica is healthy again, and none died by itself.

A run that was cut short (interrupted, or the harness failed or died) never waited for its faults to be
undone: a proof that is missing then accuses nobody.
"""

from __future__ import annotations

from dataclasses import replace

from checker.folder import RunFolder
from checker.judges.slowness import void_if_slow
from checker.limits import Limits
from checker.numbers import counted
from checker.run_facts import FaultStep, RunReport
from checker.verdict import Line, invalid, unknown, valid

NAME = "recovery"


def judge(folder: RunFolder, limits: Limits) -> Line:
    """Exits first: a replica that died by itself explains the rest."""
    if folder.run is None or folder.faults is None:
        return unknown(NAME, "run.json or faults.jsonl is missing")
    found = _unasked_exit(folder.run)
    if found is not None:
        return found
    found = _not_undone(folder.faults)
    if found is not None:
        return found if _waited(folder.run) else _cut_short(found, folder.run)
    if folder.run.healthy is None:
        failed = next(iter(folder.run.harness_errors), "no health probe was made")
        why = folder.run.interrupted or f"{failed:.120}"
        return unknown(NAME, f"nobody knows whether the cluster is healthy again: {why}")
    if not folder.run.healthy:
        if folder.run.interrupted is not None:
            return unknown(
                NAME, f"interrupted ({folder.run.interrupted}) before the cluster was healthy again"
            )
        ill = invalid(
            NAME, "not every replica answered its health probe before the deadline", kind="not healthy again"
        )
        return void_if_slow(ill, folder.run, folder.plan, limits)
    undone = len({step.fault for step in folder.faults if step.step == "undone"})
    return valid(
        NAME, f"{counted(undone, 'fault')} proved undone, every replica healthy again", undone=undone
    )


def _unasked_exit(run: RunReport) -> Line | None:
    for exit_ in run.exits:
        if not exit_.expected:
            last = " | ".join(exit_.last_lines[-3:])
            said = f"; its last words: {last:.400}" if last else "; it said nothing"
            reason = f"replica {exit_.replica} ended {exit_.how} and nobody had asked it to{said}"
            details = {"replica": exit_.replica, "last_lines": list(exit_.last_lines)}
            return invalid(NAME, reason, kind="replica ended by itself", **details)
    return None


def _waited(run: RunReport) -> bool:
    """Whether the harness went through undoing, in its own time, to the end."""
    whole = run.interrupted is None and not run.harness_errors
    return whole and {"undo", "tear down"} <= {phase.name for phase in run.phases}


def _cut_short(found: Line, run: RunReport) -> Line:
    last = run.phases[-1].name if run.phases else "none"
    if run.interrupted:
        how = f"interrupted ({run.interrupted})"
    elif run.harness_errors:
        how = f"the harness failed ({run.harness_errors[0]:.120})"
    else:
        how = f"the run died in phase {last!r:.40}"
    return replace(found, verdict="unknown", reason=f"{how} before it could be proved: {found.reason}")


def _not_undone(steps: tuple[FaultStep, ...]) -> Line | None:
    """A fault is in force from when it was asked for, receipt or not, until a later receipt of its undo."""
    in_force: dict[str, FaultStep] = {}
    failed: dict[str, FaultStep] = {}
    for step in steps:
        match step.step:
            case "asked" | "took-effect":
                in_force[step.fault] = step
            case "undone" if step.receipt:
                in_force.pop(step.fault, None)
                failed.pop(step.fault, None)
            case "undo-failed":
                failed[step.fault] = step
    for name, step in failed.items():
        why = step.reason or "no reason given"
        reason = f"fault {name} ({step.kind}) could not be undone: {why:.200}"
        return invalid(NAME, reason, kind="undo failed", fault=name)
    for name, step in in_force.items():
        reason = f"fault {name} ({step.kind}) was asked for and has no receipt of its undoing"
        return invalid(NAME, reason, kind="not proved undone", fault=name)
    return None
