"""``traitor run``, from outside the sandbox: request -> plan -> run folder -> run -> verdict -> report.

The last lines on stdout are always the verdict, the report's path and the command that runs it again.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from harness import sandbox, store
from harness.console import say, tell
from harness.errors import EXIT_HARNESS, HarnessError, UsageError
from harness.judging import CheckLimits, Judgement, judge, worst
from harness.own_service import check_own_service
from harness.plan import Plan, make_plan
from harness.plan_file import plan_text, read_plan
from harness.request import SECOND_NS, counted
from harness.run import EXIT_INTERRUPTED
from harness.run_record import RunRecord, write_json, write_text
from harness.spec import DEFAULTS, Spec, as_yaml_data, make_spec
from harness.spec_file import overlay_settings, read_spec_file
from workloads.parameters import settle
from workloads.registry import WORKLOADS

MOST_PER_CORE = 8
"""Replicas; with more of them it must be expected that they wait for one another."""
RESULT_SCHEMA = "traitor/run-result/1"


@dataclass(frozen=True, slots=True)
class Asked:
    """The flags of ``traitor run``. None: not given."""

    spec_file: Path | None
    plan_file: Path | None
    flags: dict[str, object]
    """Keys of the spec."""
    settings: tuple[str, ...]
    """``--set``."""
    out: Path
    json: bool
    command: str
    """How it was called."""
    program: str
    """How to call it again: ``traitor``, or a path to it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A plan, and what to say about where it came from."""

    plan: Plan
    spec_text: str
    reproduce: str | None
    """Flags alone that make this plan again; None: a file of the run folder is needed."""
    again_from: str
    """That file."""


def run_command(asked: Asked) -> int:
    """Everything; the exit code."""
    request = _request(asked)
    plan = request.plan
    check_own_service(plan.service, sandbox_environment())
    missing = sandbox.available()
    if missing:
        raise HarnessError(f"no live run on this machine: {missing}", "See: traitor doctor")
    folder = store.make_run_folder(asked.out, plan.name, plan.seed, store.utc_now())
    origin = store.Origin(plan.name, plan.seed, asked.command, _reproduce(asked.program, request, folder))
    try:
        write_text(folder / "spec.yaml", request.spec_text)
        write_text(folder / "plan.json", plan_text(plan))
        store.seal(folder, origin)  # now: a run that dies says what it was and how to make it again
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    tell(_headline(plan, folder))
    cores = len(os.sched_getaffinity(0))
    if plan.nodes > MOST_PER_CORE * cores:
        tell(f"note: {plan.nodes} replicas on {cores} cores will be slow; timeouts may be the machine's")
    code = _run_inside(folder, asked.json)
    try:
        return _conclude(folder, origin, code, asked.json)
    except KeyboardInterrupt:
        again = f"{asked.program} check {shlex.quote(str(folder))}"
        tell(f"traitor: interrupted while judging; what was recorded is on disk: {again}")
        return EXIT_INTERRUPTED


def _reproduce(program: str, request: Request, folder: Path) -> str:
    if request.reproduce:
        return f"{program} {request.reproduce}"
    file = shlex.quote(str(folder / _FILE[request.again_from]))
    return " ".join(filter(None, (program, "run", request.again_from, file)))


_FILE = {"": "spec.yaml", "--plan": "plan.json"}


def _request(asked: Asked) -> Request:
    if asked.plan_file is not None:
        given = [f"--{'fault' if name == 'faults' else name}" for name in asked.flags]
        given += ["--set"] * bool(asked.settings)
        if asked.spec_file is not None or given:
            also = given[0] if given else str(asked.spec_file)
            raise UsageError(
                f"--plan together with {also}", "A plan has all of it: edit the plan, or leave --plan out."
            )
        plan = read_plan(asked.plan_file)
        text = f"# This run was made from a plan, {asked.plan_file.name!a}: see plan.json.\n"
        return Request(plan, text, None, "--plan")
    keys = {} if asked.spec_file is None else read_spec_file(asked.spec_file)
    alone = dict(keys)
    workload = asked.flags.get("workload")
    given_workload = keys.get("workload")
    if isinstance(given_workload, dict) and given_workload.get("name") == workload:
        keys |= {key: value for key, value in asked.flags.items() if key != "workload"}
    else:
        keys |= asked.flags
    overlay_settings(keys, asked.settings)
    try:
        resolved, plan = _planned(keys)
    except UsageError as error:
        if asked.spec_file is not None and _problem(alone) == error.message:
            raise UsageError(f"{asked.spec_file}: {error.message}", error.hint) from None
        raise
    return Request(plan, _yaml(resolved), flags_of(resolved), "")


def _planned(keys: dict[str, object]) -> tuple[Spec, Plan]:
    """The spec of these keys, with a seed, and its plan. Raises UsageError."""
    spec = make_spec(keys)
    # The only draw outside the plan: which plan. It is printed, and in the reproduce command.
    seed = spec.seed if spec.seed is not None else random.SystemRandom().randrange(2**31)
    resolved = make_spec(as_yaml_data(spec) | {"seed": seed})
    return resolved, make_plan(resolved, seed)


def _problem(keys: dict[str, object]) -> str | None:
    """What is wrong with them; of a spec file alone, to know whether it is to blame."""
    try:
        _planned(keys)
    except UsageError as error:
        return error.message
    return None


def flags_of(spec: Spec) -> str | None:
    """``run`` and the flags that give this spec, or None when flags cannot say it."""
    default = make_spec({"workload": spec.workload})
    if spec.operation_timeout_ns != default.operation_timeout_ns or spec.name != default.name:
        return None
    if any(fault.params is not None or fault.start_ns is not None for fault in spec.faults):
        return None
    words = ["run", "--workload", spec.workload, "--nodes", str(spec.nodes), "--clients", str(spec.clients)]
    words += [
        "--rate",
        f"{spec.rate:g}",
        "--time",
        f"{spec.duration_ns / SECOND_NS:g}",
        "--seed",
        str(spec.seed),
    ]
    for fault in spec.faults:
        words += ["--fault", fault.kind]
    words += [] if spec.faults else ["--fault", "none"]
    words += ["--budget", "break"] if spec.budget == "break" else []
    plain = settle(WORKLOADS[spec.workload].parameters, {}).values
    changed: dict[str, object] = {
        key: value for key, value in spec.cluster.items() if value != default.cluster[key]
    }
    changed |= {key: value for key, value in spec.workload_settings.items() if value != plain[key]}
    for key, value in changed.items():
        words += ["--set", f"{key}={value}"]
    flags = shlex.join(words)
    return flags if float(f"{spec.rate:g}") == spec.rate else None


def _yaml(spec: Spec) -> str:
    import yaml

    data = as_yaml_data(spec)
    assert set(data) == set(DEFAULTS)
    return yaml.safe_dump(data, sort_keys=False)


def _headline(plan: Plan, folder: Path) -> str:
    faults: dict[str, int] = {}
    for fault in plan.faults:
        faults[fault.kind] = faults.get(fault.kind, 0) + 1
    listed = ", ".join(f"{count} {kind}" for kind, count in faults.items()) or "no faults"
    operations = sum(len(client.operations) for client in plan.clients)
    return (
        f"seed {plan.seed}: {plan.workload} on {plan.nodes} replicas for {plan.duration_ns / SECOND_NS:g} s, "
        f"{counted(len(plan.clients), 'client')}, at most {counted(operations, 'operation')}, {listed}\n"
        f"{folder}"
    )


def _run_inside(folder: Path, quiet: bool) -> int:
    """The run itself. A sandbox that cannot be built leaves no folder behind."""
    command = [sys.executable, "-P", "-m", "harness", "inside", str(folder.resolve())]
    try:
        code = sandbox.run_inside([*command, *(["--quiet"] if quiet else [])], sandbox_environment())
    except HarnessError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if code not in (0, EXIT_HARNESS, EXIT_INTERRUPTED):
        _note_crash(folder, f"the harness inside the sandbox ended with {_ended(code)}")
        return EXIT_HARNESS
    if code == EXIT_HARNESS and not store.read_object(folder / "run.json").get("harness_errors"):
        _note_crash(folder, "the harness inside the sandbox failed; it said why on stderr")
    return code


def _ended(code: int) -> str:
    """As the shell has it: 128 and more is a signal."""
    try:
        return f"signal {signal.Signals(code - 128).name}"
    except ValueError:
        return f"exit code {code}"


def sandbox_environment() -> dict[str, str]:
    """Ours, with a way to our packages before any other."""
    root = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": paths}


def _note_crash(folder: Path, what: str) -> None:
    """Into ``run.json``, which says nothing of it: the run died before it could."""
    if not folder.is_dir():
        return
    record = dict(store.read_object(folder / "run.json")) or RunRecord(started_utc="").data()
    errors = record.get("harness_errors")
    record["harness_errors"] = [*(errors if isinstance(errors, list) else []), what]
    write_json(folder / "run.json", record)


def _conclude(folder: Path, origin: store.Origin, code: int, as_json: bool) -> int:
    judgement = _judged(folder)
    store.seal_again(folder)
    report, problem = render_report(folder)
    final = EXIT_INTERRUPTED if code == EXIT_INTERRUPTED else worst(code, judgement.exit_code, problem)
    if as_json:
        result = {
            "schema": RESULT_SCHEMA,
            "run": str(folder),
            "seed": origin.seed,
            "exit_code": final,
            "verdict": store.read_object(folder / "verdict.json"),
            "report": str(report) if report else None,
            "reproduce": origin.reproduce,
        }
        say(json.dumps(result))
        return final
    lines = [judgement.text.rstrip("\n")]
    if final != judgement.exit_code:
        lines.append(f"{'exit code':<16} {final}" + (" (interrupted)" if final == EXIT_INTERRUPTED else ""))
    lines += [f"{'report':<16} {report or 'none'}", f"{'reproduce':<16} {origin.reproduce}"]
    say("\n".join(lines))
    return final


def _judged(folder: Path) -> Judgement:
    tell("judging")
    if not folder.is_dir():
        raise HarnessError(
            f"{folder} was removed while the run went on", "There is nothing left to judge: run it again."
        )
    try:
        return judge(folder, CheckLimits())
    except UsageError as error:  # a history of our own that its reader refuses is our own fault
        raise HarnessError(f"the run cannot be judged: {error.message}", error.hint) from None


def render_report(folder: Path) -> tuple[Path | None, int]:
    """Path of the report, or None and exit code 4 with the reason on stderr. It hides no verdict."""
    import reports

    try:
        return reports.render(folder), 0
    except OSError as error:
        tell(f"traitor: cannot write the report: {error.filename or folder}: {error.strerror}")
    except Exception as error:
        tell(f"traitor: the report failed with {type(error).__name__}: {error}")
    return None, EXIT_HARNESS
