"""One run of a plan, from an empty folder to a judged one: what every command that runs plans goes through.

The folder says from its first moment what it is (plan, spec, a sealed manifest), so that a run that dies can
be made again. Then the world: ``live`` in a sandbox of its own, ``sim`` and ``lockstep`` here, for they need
none. Then the judgement, in a process with limits, the last seal, and the report. However the run ended, the
folder is judged, and nothing but the folder stays.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import stat
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness import sandbox, store
from harness.console import tell
from harness.errors import EXIT_HARNESS, HarnessError, UsageError
from harness.judging import CheckLimits, Judgement, judge, worst
from harness.own_service import check_own_service
from harness.plan import Plan
from harness.plan_file import write_plan
from harness.report_file import render_report
from harness.run import EXIT_INTERRUPTED
from harness.run_record import RunRecord, write_json, write_text
from harness.scene import doubled, intercepts
from harness.spec import VIRTUAL_WORLDS

RunWorld = Callable[[Path, bool], int]
"""Carries out the ``plan.json`` of a folder, quietly or not; the exit code."""


@dataclass(frozen=True, slots=True)
class MadeBy:
    """Which command made a run."""

    command: str
    """With its arguments, as it was called."""
    program: str
    """``traitor``, or a path to it."""


@dataclass(frozen=True, slots=True)
class Done:
    """A run that ended, somehow."""

    folder: Path
    exit_code: int
    """Of run, judgement and report together, as ``traitor run`` ends with it."""
    judgement: Judgement | None
    """None: somebody interrupted it. What was recorded is in the folder."""
    verdict: Mapping[str, object]
    """``verdict.json``."""
    report: Path | None


def check_possible(plan: Plan) -> None:
    """Whether this machine can run it, before anything is there. Raises UsageError or HarnessError."""
    check_own_service(plan.service, run_environment())
    if plan.world in VIRTUAL_WORLDS:
        return
    missing = sandbox.available(intercepts(plan), bool(doubled(plan)))
    if missing:
        raise HarnessError(f"no live run of this plan on this machine: {missing}", "See: traitor doctor")


def run_plan(plan: Plan, folder: Path, spec_text: str, origin: store.Origin, quiet: bool) -> Done:
    """Prepare the folder, which is empty, and carry the plan out."""
    prepare(plan, folder, spec_text, origin)
    return carry_out(plan, folder, quiet)


def made_again(plan: Plan, folder: Path, made: MadeBy) -> tuple[str, store.Origin]:
    """``spec.yaml`` and origin of a run that was made from a plan, and not from a spec."""
    again = f"{made.program} run --plan {shlex.quote(str(folder / 'plan.json'))}"
    spec_text = f"# This run was made from a plan by {made.command!a}: see plan.json.\n"
    return spec_text, store.Origin(plan.name, plan.seed, made.command, again)


def prepare(plan: Plan, folder: Path, spec_text: str, origin: store.Origin) -> None:
    """What a folder holds before its run begins. Leaves no folder behind when that fails."""
    try:
        write_text(folder / "spec.yaml", spec_text)
        write_plan(plan, folder)
        store.seal(folder, origin)  # now: a run that dies says what it was and how to make it again
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def carry_out(plan: Plan, folder: Path, quiet: bool) -> Done:
    """Run, judge, report. Raises HarnessError or UsageError when nothing could be run or judged."""
    if plan.world in VIRTUAL_WORLDS:
        code = run_here(folder, quiet)
    else:
        code = _run_inside(folder, quiet)
    return conclude(folder, code)


def conclude(folder: Path, code: int) -> Done:
    """Judge, seal, draw. ``code`` is how the run ended."""
    try:
        judgement = _judged(folder)
        store.seal_again(folder)
        report, problem = render_report(folder)
    except KeyboardInterrupt:
        return Done(folder, EXIT_INTERRUPTED, None, {}, None)
    final = EXIT_INTERRUPTED if code == EXIT_INTERRUPTED else worst(code, judgement.exit_code, problem)
    return Done(folder, final, judgement, store.read_object(folder / "verdict.json"), report)


def keep(found: Path, out: Path, plan: Plan, made: MadeBy, code: int) -> Done:
    """Make a whole run folder in ``out`` of the folder of a trial: copied, sealed, judged, drawn.

    ``code`` is how its run ended, 0 or 4. Raises UsageError or HarnessError.
    """
    folder = store.make_run_folder(out, plan.name, plan.seed, store.utc_now())
    spec_text, origin = made_again(plan, folder, made)
    try:
        shutil.copytree(found, folder, symlinks=True, ignore=_odd_files, dirs_exist_ok=True)
        write_text(folder / "spec.yaml", spec_text)
        store.seal(folder, origin)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise store.storage_error(f"cannot copy a run into {folder}", error) from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return conclude(folder, code)


def _odd_files(folder: str, names: list[str]) -> list[str]:
    """Sockets and the like, which cannot be copied."""
    modes = {name: os.lstat(os.path.join(folder, name)).st_mode for name in names}
    return [name for name, mode in modes.items() if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))]


# Worlds


def virtual_world() -> RunWorld:
    """``sim`` and ``lockstep``, imported when they are wanted."""
    from harness.virtual.virtual_run import run_virtual

    return run_virtual


def lean_world() -> RunWorld:
    """The same for one of many runs: without the journals, which change nothing else."""
    from harness.virtual.virtual_run import run_virtual

    return partial(run_virtual, journal=False)


def get_ready(plan: Plan) -> None:
    """Before this process is forked for a run, or for many: make what they share. Raises HarnessError."""
    if plan.world == "lockstep":
        from harness.virtual import virtual_run

        virtual_run.get_ready(plan)


def run_here(folder: Path, quiet: bool) -> int:
    """A virtual world, in this process. One that cannot even begin leaves no folder behind."""
    try:
        code = virtual_world()(folder, quiet)
    except UsageError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except HarnessError as error:
        tell(f"traitor: {error}")
        note_crash(folder, error.message)
        return EXIT_HARNESS
    except MemoryError:
        tell("traitor: not enough memory for this run\nGive it more (ulimit -v), or run a smaller plan.")
        note_crash(folder, "not enough memory for this run")
        return EXIT_HARNESS
    except Exception as error:
        tell(f"{traceback.format_exc()}traitor: this is a bug of Traitor, not of the cluster under test")
        note_crash(folder, f"the world failed with {type(error).__name__}: {error}")
        return EXIT_HARNESS
    return _noted(folder, code, "the world")


def _run_inside(folder: Path, quiet: bool) -> int:
    """The live world. A sandbox that cannot be built leaves no folder behind."""
    command = [sys.executable, "-P", "-m", "harness", "inside", str(folder.resolve())]
    try:
        code = sandbox.run_inside([*command, *(["--quiet"] if quiet else [])], run_environment())
    except HarnessError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return _noted(folder, code, "the harness inside the sandbox")


def _noted(folder: Path, code: int, who: str) -> int:
    """The exit code; one that nobody explained is explained in ``run.json``."""
    if code not in (0, EXIT_HARNESS, EXIT_INTERRUPTED):
        note_crash(folder, f"{who} ended with {_ended(code)}")
        return EXIT_HARNESS
    if code == EXIT_HARNESS and not store.read_object(folder / "run.json").get("harness_errors"):
        note_crash(folder, f"{who} failed; it said why on stderr")
    return code


def _ended(code: int) -> str:
    """As the shell has it: 128 and more is a signal."""
    try:
        return f"signal {signal.Signals(code - 128).name}"
    except ValueError:
        return f"exit code {code}"


def run_environment() -> dict[str, str]:
    """Ours, with a way to our packages before any other."""
    root = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": paths}


def note_crash(folder: Path, what: str) -> None:
    """Into ``run.json``, which says nothing of it: the run died before it could."""
    if not folder.is_dir():
        return
    record = dict(store.read_object(folder / "run.json")) or RunRecord(started_utc="").data()
    errors = record.get("harness_errors")
    record["harness_errors"] = [*(errors if isinstance(errors, list) else []), what]
    write_json(folder / "run.json", record)


# Afterwards


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
