"""``traitor run``: request -> plan, and what is printed; ``one_run`` carries the plan out.

The last lines on stdout are always the verdict, the report's path, the command that makes this run again from
nothing (``again``), and the one that runs its plan many times and counts (``reproduce``).
"""

from __future__ import annotations

import json
import os
import random
import shlex
from dataclasses import dataclass
from pathlib import Path

from harness import one_run, store
from harness.command_line import RUNS
from harness.console import say, tell
from harness.errors import UsageError
from harness.plan import Plan, make_plan
from harness.plan_file import read_plan
from harness.request import SECOND_NS, counted
from harness.run import EXIT_INTERRUPTED
from harness.spec import DEFAULTS, LIVE, Spec, as_yaml_data, make_spec
from harness.spec_file import overlay, overlay_settings, read_spec_file
from harness.virtual.asked import in_words, unlike_default
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
    one_run.check_possible(plan)
    folder = store.make_run_folder(asked.out, plan.name, plan.seed, store.utc_now())
    again = _again(asked, request, folder)
    one_run.prepare(plan, folder, request.spec_text, store.Origin(plan.name, plan.seed, asked.command, again))
    tell(_headline(plan, folder))
    cores = len(os.sched_getaffinity(0))
    if plan.world == LIVE and plan.nodes > MOST_PER_CORE * cores:
        tell(f"note: {plan.nodes} replicas on {cores} cores will be slow; timeouts may be the machine's")
    done = one_run.carry_out(plan, folder, asked.json)
    if done.judgement is None:
        check = f"{asked.program} check {shlex.quote(str(folder))}"
        tell(f"traitor: interrupted while judging; what was recorded is on disk: {check}")
        return EXIT_INTERRUPTED
    reproduce = f"{asked.program} reproduce {shlex.quote(str(folder))}"
    say(_as_json(done, plan.seed, again, reproduce) if asked.json else _as_text(done, again, reproduce))
    return done.exit_code


def _as_json(done: one_run.Done, seed: int, again: str, reproduce: str) -> str:
    result = {
        "schema": RESULT_SCHEMA,
        "run": str(done.folder),
        "seed": seed,
        "exit_code": done.exit_code,
        "verdict": done.verdict,
        "report": str(done.report) if done.report else None,
        "again": again,
        "reproduce": reproduce,
    }
    return json.dumps(result)


def _as_text(done: one_run.Done, again: str, reproduce: str) -> str:
    assert done.judgement is not None
    lines = [done.judgement.text_with(done.exit_code, done.exit_code == EXIT_INTERRUPTED)]
    lines += [f"{'report':<16} {done.report or 'none'}", f"{'again':<16} {again}"]
    lines.append(f"{'reproduce':<16} {reproduce}")
    return "\n".join(lines)


def _again(asked: Asked, request: Request, folder: Path) -> str:
    out = "" if asked.out == RUNS else f"--out {shlex.quote(str(asked.out))}"
    if request.reproduce:
        return " ".join(filter(None, (asked.program, request.reproduce, out)))
    file = shlex.quote(str(folder / _FILE[request.again_from]))
    return " ".join(filter(None, (asked.program, "run", request.again_from, file, out)))


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
    overlay(keys, asked.flags)
    overlay_settings(keys, asked.settings)
    try:
        resolved, plan = _planned(keys)
    except UsageError as error:
        if asked.spec_file is not None and _problem(alone) == error.message:
            raise UsageError(f"{asked.spec_file}: {error.message}", error.hint) from None
        raise
    return Request(plan, spec_text(resolved), flags_of(resolved), "")


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
    if spec.operation_timeout_ns != default.operation_timeout_ns:
        return None
    if any(fault.params is not None or fault.start_ns is not None for fault in spec.faults):
        return None
    words = ["run", *([] if spec.world == LIVE else ["--world", spec.world])]
    words += ["--workload", spec.workload, "--nodes", str(spec.nodes), "--clients", str(spec.clients)]
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
    words += ["--budget", spec.budget] if spec.budget != "within" else []
    words += ["--name", spec.name] if spec.name != default.name else []
    plain = settle(WORKLOADS[spec.workload].parameters, {}).values
    changed: dict[str, object] = {
        key: value for key, value in spec.cluster.items() if value != default.cluster[key]
    }
    changed |= {key: value for key, value in spec.workload_settings.items() if value != plain[key]}
    changed |= {} if spec.virtual is None else unlike_default(spec.virtual)
    for key, value in changed.items():
        words += ["--set", f"{key}={_setting(value)}"]
    flags = shlex.join(words)
    return flags if float(f"{spec.rate:g}") == spec.rate else None


def _setting(value: object) -> str:
    """What ``--set`` reads as this value."""
    import yaml

    if isinstance(value, str):
        return value
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1 << 30)
    return text.removesuffix("\n...\n").strip()


def spec_text(spec: Spec) -> str:
    """``spec.yaml``."""
    import yaml

    data = as_yaml_data(spec)
    assert set(data) == set(DEFAULTS)
    return yaml.safe_dump(data, sort_keys=False)


def _network(plan: Plan) -> str:
    """What is not real about it; nothing of a live run."""
    if plan.virtual is None:
        return ""
    latency = in_words(plan.virtual)["latency"]
    settings = {"latency": latency["model"] if isinstance(latency, dict) else latency}
    settings |= {name: value for name, value in unlike_default(plan.virtual).items() if name != "latency"}
    told = ", ".join(f"{name} {value}" for name, value in settings.items())
    own = f", {len(plan.virtual.deliveries)} deliveries decided" if plan.virtual.deliveries else ""
    return f" in {plan.world} ({told}{own})"


def _headline(plan: Plan, folder: Path) -> str:
    faults: dict[str, int] = {}
    for fault in plan.faults:
        faults[fault.kind] = faults.get(fault.kind, 0) + 1
    listed = ", ".join(f"{count} {kind}" for kind, count in faults.items()) or "no faults"
    operations = sum(len(client.operations) for client in plan.clients)
    return (
        f"seed {plan.seed}{_network(plan)}: {plan.workload} on {plan.nodes} replicas for "
        f"{plan.duration_ns / SECOND_NS:g} s, "
        f"{counted(len(plan.clients), 'client')}, at most {counted(operations, 'operation')}, {listed}\n"
        f"{folder}"
    )
