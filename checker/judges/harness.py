"""The harness itself: did it keep up, write every file, finish its phases, tell one story? Else the run is
void."""

from __future__ import annotations

from checker.folder import RunFolder
from checker.judges.consistency import contradictions
from checker.limits import SECOND_NS, Limits
from checker.verdict import Line, invalid, valid

NAME = "harness"
_OWN_PHASES = ("set up", "healthy", "load", "tear down")
"""Phases that say nothing about the cluster under faults: if one fails, harness or machine is at fault."""


def judge(folder: RunFolder, limits: Limits) -> Line:
    """Every trouble found, the first few in words."""
    troubles = list(folder.problems)
    run = folder.run
    if run is not None:
        if run.phases and run.phases[-1].name != "tear down":
            died = f"the run died in phase {run.phases[-1].name!r:.40}: killed, or the machine went down"
            troubles.insert(0, died)
        troubles += [f"the harness reported: {error:.300}" for error in run.harness_errors]
        troubles += [
            f"phase {phase.name!r} failed: {_in_a_line(phase.detail):.300}"
            for phase in run.phases
            if not phase.ok and phase.name in _OWN_PHASES and run.interrupted is None
        ]
        if run.lag_max_ns > limits.lag_ns:
            late, most = run.lag_max_ns / SECOND_NS, limits.lag_ns / SECOND_NS
            troubles.append(f"it was once {late:.2f} s late, more than {most:g} s")
    troubles += contradictions(folder)
    for trace in folder.correct_traces():
        if not trace.lives:
            troubles.append(f"trace.jsonl of replica {trace.replica} shows no life of it")
        if trace.flaws:
            flaw = trace.flaws[0]
            troubles.append(f"trace.jsonl of replica {trace.replica}, line {flaw.line}: {flaw.reason}")
    if troubles:
        more = f"; and {len(troubles) - 3} more" if len(troubles) > 3 else ""
        return invalid(NAME, "; ".join(troubles[:3]) + more, kind="void run", troubles=troubles[:50])
    assert run is not None
    lag_ms = run.lag_max_ns / 1_000_000
    return valid(NAME, f"all files there, at most {lag_ms:.1f} ms late", lag_max_ns=run.lag_max_ns)


def _in_a_line(text: str) -> str:
    """What an error advises is a line of its own."""
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())
