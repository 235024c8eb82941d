"""Whether slowness accuses the cluster. Not when the harness failed or lagged, nor when the machine was too
small, nor when the plan's virtual network is slower than the protocol's timers allow (`virtual_pace`).

Then an invalid that rests on time alone becomes unknown.
"""

from __future__ import annotations

from dataclasses import replace

from checker.limits import SECOND_NS, Limits
from checker.run_facts import PlanFacts, RunReport
from checker.verdict import Line


def void_if_slow(line: Line, run: RunReport | None, plan: PlanFacts | None, limits: Limits) -> Line:
    """The line as it is, or unknown with the reason why time proves nothing here."""
    why = "nobody knows how far the harness lagged" if run is None else _why(run, limits)
    why = why or (None if plan is None else plan.network_excuse)
    return line if why is None else replace(line, verdict="unknown", reason=f"void, {why}: {line.reason}")


def _why(run: RunReport, limits: Limits) -> str | None:
    if run.harness_errors:
        return f"because the harness failed ({run.harness_errors[0]:.120})"
    if run.lag_max_ns > limits.lag_ns:
        return f"because the harness lagged ({run.lag_max_ns / SECOND_NS:.1f} s)"
    ran, waited = run.processor
    if waited and waited >= limits.starved_share * (ran + waited):
        share = 100 * waited / (ran + waited)
        return (
            f"because the machine was too small (replicas waited for a processor {share:.0f} % of the time)"
        )
    return None
