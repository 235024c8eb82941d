"""``traitor reproduce RUN --world sim --schedule recorded``: a live run's own order again, in virtual time.

Makes a run folder of world ``sim`` with ``schedule.jsonl`` beside its plan, judged like any other, and tells
how far the record could be followed. Exit code: the new run's.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from harness import one_run, store
from harness.console import say, tell
from harness.errors import HarnessError, UsageError, disk_hint
from harness.plan import Plan, in_world
from harness.plan_file import SCHEDULE
from harness.records import check_all_untouched, differing, hash_records
from harness.reproduce import Asked, Original, read_original
from harness.run import EXIT_INTERRUPTED
from harness.schedule.from_run import schedule_of
from harness.schedule.schedule_file import write_schedule
from harness.scratch import scratch_folder
from harness.spec import LIVE
from harness.violation import shown, violations

SCHEMA = "traitor/reproduce-recorded/1"


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of it."""

    done: one_run.Done
    told: dict[str, object]
    """``schedule`` of its ``run.json``."""
    differs: tuple[str, ...]
    """Replicas' traces that are not byte for byte those of RUN."""


def reproduce_recorded(asked: Asked) -> int:
    """Everything; the exit code."""
    original = read_original(asked.run)
    check_all_untouched(original.folder)
    plan = _plan(original, asked.world)
    one_run.check_possible(plan)
    folder = store.make_run_folder(asked.out, plan.name, plan.seed, store.utc_now())
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_if_empty, folder)
        scratch = stack.enter_context(scratch_folder((Path(tempfile.gettempdir()),)))
        tell(f"{asked.run}: {original.sought}; its recorded order, in world sim\n{folder}")
        scheduled = _with_schedule(plan, original.folder, scratch / SCHEDULE)
        words = one_run.made_again(scheduled, folder, asked.made)
        done = one_run.run_plan(scheduled, folder, *words, quiet=True)
    if done.exit_code == EXIT_INTERRUPTED:
        return EXIT_INTERRUPTED
    followed = _looked(original, done, plan.nodes)
    say(json.dumps(_result(original, followed)) if asked.json else _text(original, followed))
    return done.exit_code


def _plan(original: Original, world: str | None) -> Plan:
    if original.plan.world != LIVE:
        raise UsageError(
            f"--schedule recorded of a run in world {original.plan.world}",
            "Its plan and seed are its order already: leave --schedule out.",
        )
    if world not in (None, "sim"):
        raise UsageError(
            f"--schedule recorded in world {store.printable(world)}",
            "A record is followed event by event, in world sim.",
        )
    return in_world(original.plan, "sim")


def _with_schedule(plan: Plan, run: Path, path: Path) -> Plan:
    schedule = schedule_of(run, plan.nodes)
    try:
        write_schedule(schedule, path)
    except OSError as error:
        raise HarnessError(f"cannot write {path}: {error.strerror}", disk_hint(error)) from None
    assert plan.virtual is not None, "it is a plan for sim"
    return replace(plan, virtual=replace(plan.virtual, schedule=path))


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _looked(original: Original, done: one_run.Done, nodes: int) -> Followed:
    told = store.read_object(done.folder / "run.json").get("schedule")
    names = {name for name in original.records if name.endswith("trace.jsonl")}
    now = {name: digest for name, digest in hash_records(done.folder, nodes).items() if name in names}
    before = {name: digest for name, digest in original.records.items() if name in names}
    return Followed(done, dict(told) if isinstance(told, dict) else {}, differing(before, now))


def _text(original: Original, followed: Followed) -> str:
    done, told, parted = followed.done, followed.told, followed.told.get("parted")
    rows = [("followed", f"{told.get('followed')} of {told.get('items')} turns and arrivals of the record")]
    if isinstance(parted, dict):
        rows.append(("", f"then not: {parted.get('where')}: {parted.get('why')}"))
        rows.append(("", "from there on the plan's own virtual network decided"))
    same = "as in RUN, byte for byte" if not followed.differs else f"differ: {', '.join(followed.differs)}"
    rows.append(("traces", same))
    found = violations(done.verdict)
    seen = [one for one in original.violations if one in found]
    if original.violations:
        rows.append(("again", shown(tuple(seen)) if seen else f"not seen: {original.sought}"))
    rows += [("report", str(done.report or "none")), ("exit code", str(done.exit_code))]
    verdict = "" if done.judgement is None else done.judgement.text.rstrip("\n") + "\n"
    return verdict + "\n".join(f"{name:<16} {text}" for name, text in rows)


def _result(original: Original, followed: Followed) -> dict[str, object]:
    found = violations(followed.done.verdict)
    return {
        "schema": SCHEMA,
        "run": str(original.folder),
        "folder": str(followed.done.folder),
        "exit_code": followed.done.exit_code,
        "verdict": followed.done.verdict,
        "schedule": followed.told,
        "traces_differ": list(followed.differs),
        "again": any(one in original.violations for one in found) if original.violations else None,
    }
