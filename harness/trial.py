"""One lean run of a plan in a virtual world, for commands that make hundreds: sweep, shrink, reproduce.

Run and judgement happen in one forked child with limits, in a scratch folder that is removed afterwards: no
manifest, no report, nothing told. Whatever goes wrong in a trial is its result and not an exception, so that
one bad plan ends no sweep: a run that died is exit code 4, a judge that died leaves every line ``unknown``
(3), never a pass.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from checker.folder import RunFolder, read_folder
from checker.history import HistoryError
from checker.judge import judge_folder
from checker.limits import Limits
from checker.trace import NewView
from checker.verdict import Verdict
from harness import one_run, store
from harness.coverage import Cells, cells_from, read_cells, rows_of
from harness.errors import EXIT_HARNESS, TraitorError
from harness.forked import ChildLimits, Report, cpu_s, in_child
from harness.judging import CheckLimits, dead_verdict, worst
from harness.plan import Plan
from harness.plan_file import write_plan
from harness.run import EXIT_INTERRUPTED
from harness.scratch import room_bytes
from harness.violation import Violation, shown, violations
from harness.virtual import nursery

_SHARE_OF_ROOM = 8
"""No file of a trial may take more than this part of the room there is."""


@dataclass(frozen=True, slots=True)
class TrialLimits:
    """Of one trial's run, and of its judgement, each."""

    stage_s: float = 300.0
    memory_bytes: int = 4 << 30
    search_s: float = CheckLimits().search_s


@dataclass(frozen=True, slots=True)
class TriedFault:
    """A fault of the plan, and whether it is proved that it took effect."""

    id: str
    kind: str
    took_effect: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """What came out. ``verdict`` is a ``verdict.json``."""

    exit_code: int
    """As of ``traitor run``: 0 valid, 1 a violation, 3 unknown, 4 the harness."""
    verdict: Mapping[str, object]
    error: str | None = None
    """What went wrong with the harness, in one line."""
    violations: tuple[Violation, ...] = ()
    operations: Mapping[str, int] = field(default_factory=dict)
    """``ok``, ``fail`` and ``info``: how many."""
    faults: tuple[TriedFault, ...] = ()
    cells: Cells = field(default_factory=Counter)
    """What packet faults did."""
    view: int = 0
    """The highest that any replica entered."""
    virtual_ns: int = 0
    """From the first phase to the end of the last, by the world's clock."""
    run_cpu_s: float = 0.0
    judge_cpu_s: float = 0.0
    cpu_s: float = 0.0
    """Of everything: these two, and what the trial costs around them."""

    def summary(self) -> str:
        """One line: what was found, or what kept it from being found."""
        if self.violations:
            return f"invalid: {shown(self.violations)}"
        return f"unknown: {self.reason()}" if self.exit_code else "valid"

    def reason(self) -> str:
        """Why it is not valid; empty when it is."""
        if self.error:
            return self.error
        lines = self.verdict.get("lines")
        for line in lines if isinstance(lines, list) else []:
            if line["judged"] and line["verdict"] != "valid":
                return store.printable(f"{line['name']}: {line['reason']}")
        return ""


Look = Callable[[Path, Trial], None]


def trial(
    plan: Plan,
    scratch: Path,
    look: Look | None = None,
    limits: TrialLimits | None = None,
    world: one_run.RunWorld | None = None,
) -> Trial:
    """Run and judge it in a new folder inside ``scratch``, which is gone when this returns or raises.

    ``look`` is shown the folder and the result before that: it may hash files, or keep the run
    (``one_run.keep``). Only KeyboardInterrupt and what ``look`` raises leave this function.
    """
    limits = limits or TrialLimits()
    began_s = cpu_s()
    place: Path | None = None
    try:
        try:
            place = Path(tempfile.mkdtemp(prefix="trial-", dir=scratch))
            (place / "run").mkdir()
            result = _tried(plan, place, limits, world or one_run.lean_world(), began_s)
        except (TraitorError, OSError) as error:
            result = _failed(error.message if isinstance(error, TraitorError) else f"{error}")
        if look is not None and place is not None:
            look(place / "run", result)
        return result
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)


def _tried(plan: Plan, place: Path, limits: TrialLimits, world: one_run.RunWorld, began_s: float) -> Trial:
    folder = place / "run"
    write_plan(plan, folder)
    spent_s = nursery.spent_s()

    def work(report: Report) -> None:
        try:
            code = world(folder, True)
        except TraitorError as error:
            report({"error": error.message})
            return
        report({"code": code, "cpu_s": cpu_s(), "replicas_s": nursery.spent_s() - spent_s})
        report(_examined(folder, limits.search_s))
        report({"cpu_s": cpu_s()})

    one_run.get_ready(plan)
    child = ChildLimits(limits.stage_s, limits.memory_bytes, room_bytes(folder) // _SHARE_OF_ROOM)
    heard = in_child(work, child, place / "stderr")
    if not heard.reports:
        return _failed(f"the run died: {heard.died}")
    ran, *judged = heard.reports
    if "error" in ran:
        return _failed(str(ran["error"]))
    code, run_cpu_s = cast(int, ran["code"]), cast(float, ran["cpu_s"])
    if code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    found = judged[0] if judged else {"verdict": dead_verdict(str(heard.died)).to_json()}
    if "malformed" in found:
        return _failed(f"the run cannot be judged: {found['malformed']}")
    judge_cpu_s = cast(float, judged[1]["cpu_s"]) - run_cpu_s if len(judged) > 1 else 0.0
    replicas_s = cast(float, ran["replicas_s"])
    cpu = (run_cpu_s + replicas_s, judge_cpu_s, cpu_s() - began_s + replicas_s)
    return _trial(folder, code, found, cpu)


def _trial(folder: Path, code: int, found: Mapping[str, object], cpu: tuple[float, float, float]) -> Trial:
    verdict = cast(Mapping[str, object], found["verdict"])
    operations = cast(Mapping[str, int], verdict["operations"])
    return Trial(
        exit_code=worst(code if code in (0, EXIT_HARNESS) else EXIT_HARNESS, cast(int, verdict["exit_code"])),
        verdict=verdict,
        error=_run_error(folder) if code else None,
        violations=violations(verdict),
        operations={outcome: operations[outcome] for outcome in ("ok", "fail", "info")},
        faults=tuple(
            TriedFault(*fault) for fault in cast(list[tuple[str, str, bool]], found.get("faults", []))
        ),
        cells=cells_from(found.get("cells", [])),
        view=cast(int, found.get("view", 0)),
        virtual_ns=cast(int, found.get("virtual_ns", 0)),
        run_cpu_s=cpu[0],
        judge_cpu_s=cpu[1],
        cpu_s=cpu[2],
    )


def _examined(folder: Path, search_s: float) -> Mapping[str, object]:
    """In the child: the verdict, and what else is worth a line."""
    try:
        run = read_folder(folder)
    except HistoryError as error:
        return {"malformed": str(error)}
    verdict = judge_folder(run, Limits(seconds=search_s, guarantee_seconds=0))
    views = (r.view for trace in run.traces.values() for r in trace.records() if isinstance(r, NewView))
    phases = run.run.phases if run.run else ()
    return {
        "verdict": verdict.to_json(),
        "faults": _faults(run),
        "cells": rows_of(read_cells(folder / "faults.jsonl")),
        "view": max(views, default=0),
        "virtual_ns": max((phase.end_ns for phase in phases), default=0)
        - min((phase.start_ns for phase in phases), default=0),
    }


def _faults(run: RunFolder) -> list[tuple[str, str, bool]]:
    kinds: dict[str, str] = {}
    proved: dict[str, bool] = {}
    for step in run.faults or ():
        kinds.setdefault(step.fault, step.kind)
        proved[step.fault] = proved.get(step.fault, False) or (step.step == "took-effect" and step.receipt)
    return [(fault, kind, proved[fault]) for fault, kind in kinds.items()]


def _run_error(folder: Path) -> str:
    errors = store.read_object(folder / "run.json").get("harness_errors")
    if isinstance(errors, list) and errors:
        return store.printable(str(errors[0]).split("\n")[0])
    return "the run failed and did not say why"


def _failed(why: str) -> Trial:
    """Nothing was run, or nothing of it is known: the harness' fault."""
    line = {"name": "harness", "verdict": "invalid", "judged": True, "reason": why, "details": {}}
    verdict = Verdict((), {}).to_json() | {"exit_code": EXIT_HARNESS, "lines": [line]}
    return Trial(EXIT_HARNESS, verdict, error=store.printable(why.split("\n")[0]))
