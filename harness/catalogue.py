"""The commands beside ``run``: draw again, list, doctor, catalogues made from the code."""

from __future__ import annotations

import json
from pathlib import Path

from harness import run_list, store
from harness.console import say, tell
from harness.errors import EXIT_HARNESS, UsageError
from harness.report_file import render_report


def audit(path: Path, mutate: int, as_json: bool) -> int:
    """``traitor audit RUN``. Nothing is written into the run."""
    from checker.audit_run.program import MOST_COPIES
    from checker.audit_run.program import audit as audit_run
    from checker.limits import Limits

    if mutate > MOST_COPIES:
        raise UsageError(f"--mutate {mutate}", f"Give a number from 0 to {MOST_COPIES}.")
    found = audit_run(store.find_run(path), Limits(), mutate)
    say(json.dumps(found.to_json()) if as_json else "\n".join(found.lines()))
    return found.exit_code


def report(path: Path, as_json: bool) -> int:
    """``traitor report RUN``."""
    written, problem = render_report(store.find_run(path))
    if written is not None:
        say(json.dumps({"report": str(written)}) if as_json else str(written))
    return problem


def list_(out: Path, as_json: bool) -> int:
    """``traitor list``."""
    runs = run_list.list_runs(out)
    if as_json:
        rows = [
            {
                "run": str(run.folder),
                "started": run.started,
                "verdict": run.verdict,
                "exit_code": run.exit_code,
                "operations": run.operations,
                "reason": run.reason,
            }
            for run in runs
        ]
        say(json.dumps({"runs": rows}))
        return 0
    for run in runs:
        folder = store.printable(run.folder)
        say(f"{run.started:<20}  {run.verdict:<10}  {run.operations:<28}  {folder}")
        if run.reason:
            say(f"{'':<20}  {run.reason}")
    if not runs:
        tell(f"no runs in {out}; make one: traitor run")
    return 0


def doctor(as_json: bool) -> int:
    """``traitor doctor``: exit code 4 when live runs do not work here."""
    from harness.doctor import examine, render_json, render_text

    checks = examine()
    if as_json:
        say(json.dumps(render_json(checks)))
    else:
        say(render_text(checks).rstrip("\n"))
    return 0 if all(check.ok for check in checks if check.required) else EXIT_HARNESS


def workloads(as_json: bool) -> int:
    """``traitor workloads``."""
    from workloads.registry import WORKLOADS

    if as_json:
        rows = [
            {
                "name": workload.name,
                "description": workload.description,
                "model": workload.model,
                "service": workload.service,
                "parameters": [
                    {
                        "name": parameter.name,
                        "default": parameter.default,
                        "unit": parameter.unit,
                        "allowed": parameter.allowed(),
                        "meaning": parameter.meaning,
                    }
                    for parameter in workload.parameters
                ],
            }
            for workload in WORKLOADS.values()
        ]
        say(json.dumps({"workloads": rows}))
        return 0
    for workload in WORKLOADS.values():
        say(f"{workload.name}  (model {workload.model}, service {workload.service})")
        say(f"    {workload.description}")
        for parameter in workload.parameters:
            setting = f"{parameter.name}={parameter.default}"
            say(f"    {setting:<22} {parameter.meaning}; {parameter.allowed()}")
    return 0
