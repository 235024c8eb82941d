"""One seed of a sweep: its plan, a lean run of it, and for a failure the same run again in full.

What fails is run a second time as ``traitor run`` would, which keeps a whole run folder, and proves on the
way that the seed reproduces: history, faults, ledger and traces must be the same bytes. Where they are not,
the world is not deterministic, and that is a defect of the harness, said loudly and with exit code 4.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness import one_run, store
from harness.coverage import rows_of
from harness.errors import TraitorError, UsageError
from harness.forked import ChildLimits, Report, in_child
from harness.plan import Plan, make_plan
from harness.run_command import flags_of, spec_text
from harness.spec import Spec
from harness.sweep.outcome import Outcome, judged_lines, verdict_of
from harness.sweep.source import Source, in_brief
from harness.trial import Trial, TrialLimits, trial

LIMITS = TrialLimits(stage_s=120.0, search_s=20.0)
_AGAIN_STAGES = 4
"""A full run does as much in one stage as a lean one in two, and draws a report."""
_RECORDED = ("history.jsonl", "faults.jsonl", "ledger.json", "replicas/*/trace.jsonl")
"""What the seed decides to the last byte; other files hold times of day and paths."""
NOT_REPRODUCED = "the same plan gave another run, which is a defect of Traitor"


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is the same for every seed."""

    source: Source
    out: Path
    """Where failures are kept."""
    made: one_run.MadeBy
    limits: TrialLimits = LIMITS


def run_seed(sweep: Sweep, scratch: Path, seed: int, keep: bool) -> Outcome:
    """Everything about that seed. A failure is kept as a run folder if ``keep``."""
    began_s = time.monotonic()
    try:
        spec = sweep.source.spec_of(seed)
        plan = make_plan(spec, seed)
    except UsageError as error:
        return Outcome(seed, "uncovered", f"no plan: {error.message}")
    kept: list[Outcome] = []

    def look(folder: Path, result: Trial) -> None:
        outcome = _outcome(sweep, spec, plan, result)
        if keep and outcome.verdict not in ("valid", "uncovered"):
            outcome = _kept(sweep, spec, plan, folder, outcome)
        kept.append(outcome)

    result = trial(plan, scratch, look, sweep.limits)
    outcome = kept[0] if kept else _outcome(sweep, spec, plan, result)
    return replace(outcome, real_s=round(time.monotonic() - began_s, 3))


def _outcome(sweep: Sweep, spec: Spec, plan: Plan, result: Trial) -> Outcome:
    lines = judged_lines(result.verdict)
    faults: dict[str, list[int]] = {}
    for fault in plan.faults:
        faults.setdefault(fault.kind, [0, 0])[0] += 1
    for tried in result.faults:
        faults.setdefault(tried.kind, [0, 0])[1] += tried.took_effect
    verdict = verdict_of(result.exit_code, lines)
    flags = None if verdict == "valid" else flags_of(spec)
    return Outcome(
        seed=plan.seed,
        verdict=verdict,
        reason="; ".join(filter(None, (", ".join(map(str, result.violations)), result.reason()))),
        operations=dict(result.operations),
        faults=faults,
        lines=lines,
        cells=rows_of(result.cells),
        view=result.view,
        virtual_ns=result.virtual_ns,
        run_cpu_s=round(result.run_cpu_s, 3),
        cpu_s=round(result.cpu_s, 3),
        plan=in_brief(spec),
        reproduce=f"{sweep.made.program} {flags}" if flags else None,
    )


def _kept(sweep: Sweep, spec: Spec, plan: Plan, found: Path, outcome: Outcome) -> Outcome:
    """The outcome with its folder; another outcome when the run did not come out the same."""
    try:
        folder = store.make_run_folder(sweep.out, plan.name, plan.seed, store.utc_now())
    except TraitorError as error:
        return replace(outcome, reason=f"{outcome.reason}; not kept: {error.message}")
    again = outcome.reproduce or f"{sweep.made.program} run {shlex.quote(str(folder / 'spec.yaml'))}"
    origin = store.Origin(plan.name, plan.seed, sweep.made.command, again)

    def work(report: Report) -> None:
        done = one_run.run_plan(plan, folder, spec_text(spec), origin, quiet=True)
        report({"lines": judged_lines(done.verdict), "exit_code": done.exit_code})

    stage_s = _AGAIN_STAGES * sweep.limits.stage_s
    limits = ChildLimits(stage_s=stage_s, memory_bytes=sweep.limits.memory_bytes)
    heard = in_child(work, limits, found.parent / "again")
    outcome = replace(outcome, folder=str(folder), reproduce=again)
    if heard.died is not None:  # where, the first one did not: that need not be Traitor's doing (a full disk)
        return replace(outcome, reason=f"{outcome.reason}; the run that was to keep it died: {heard.died}")
    if outcome.verdict == "harness":
        return outcome  # the first run died: there is nothing to compare with
    differing = _differing(found, folder)
    if not differing and not _confirms(heard.reports[0]["lines"], outcome.lines):
        differing = "the verdict"
    return _not_reproduced(outcome, f"they differ in {differing}") if differing else outcome


def _confirms(kept: object, first: Mapping[str, str]) -> bool:
    """Every line that was judged without journals is what it was; the kept run has more of them."""
    return isinstance(kept, dict) and all(kept.get(name) == verdict for name, verdict in first.items())


def _differing(one: Path, other: Path) -> str:
    """The first recorded files that differ."""
    hashes, others = _hashes(one), _hashes(other)
    names = sorted({*hashes, *others})
    differing = [name for name in names if hashes.get(name) != others.get(name)]
    return ", ".join(differing[:3])


def _hashes(folder: Path) -> dict[str, str]:
    return store.hash_files(folder, [path for pattern in _RECORDED for path in folder.glob(pattern)])


def _not_reproduced(outcome: Outcome, how: str) -> Outcome:
    reason = f"NOT REPRODUCED: {NOT_REPRODUCED}: {how} (first: {outcome.reason})"
    return replace(outcome, verdict="harness", reason=reason)
