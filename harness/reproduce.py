"""``traitor reproduce RUN``: its plan again, many times, and in how many the same happened.

"The same" is one of RUN's violations (``violation``); of a run without one, its verdict. In a virtual world
the plan fixes every byte, so there a run that differs from RUN, made by the same code, is a defect of Traitor
and exit code 4. Else the exit code is the worst of the runs': 1 when a violation was seen, RUN's or another.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness import one_run, store
from harness.console import say, tell
from harness.errors import EXIT_HARNESS, TraitorError, UsageError
from harness.interval import in_words, wilson
from harness.judging import worst
from harness.plan import Plan, in_world
from harness.plan_file import read_plan
from harness.records import check_untouched, differing, hash_records, other_code
from harness.request import counted
from harness.run import EXIT_INTERRUPTED
from harness.scratch import scratch_folder
from harness.spec import VIRTUAL_WORLDS, WORLDS
from harness.trial import Trial, trial
from harness.violation import Violation, shown, violations
from nemesis.faults import KINDS

SCHEMA = "traitor/reproduce/1"
MOST_TIMES = 100_000
MOST_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Asked:
    """The flags of ``traitor reproduce``."""

    run: Path
    times: int
    world: str | None
    """None: RUN's own."""
    out: Path
    keep: int
    """Run folders of runs that showed it, at most."""
    json: bool
    made: one_run.MadeBy


@dataclass(frozen=True, slots=True)
class Original:
    """RUN."""

    folder: Path
    plan: Plan
    verdict: str
    violations: tuple[Violation, ...]
    records: Mapping[str, str]
    whole: bool
    """It went to its end: nobody interrupted it."""
    other_code: str | None
    """Which code made it, when it is not this one."""

    @property
    def sought(self) -> str:
        """What is to be seen again."""
        return shown(self.violations) or f"verdict {self.verdict}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One of the runs."""

    exit_code: int
    verdict: str
    violations: tuple[Violation, ...]
    operations: Mapping[str, int]
    summary: str
    differs: tuple[str, ...] = ()
    """Files that should be as in RUN (or the first run), and are not."""
    folder: Path | None = None
    """Where it was kept."""


@dataclass(slots=True)
class Seen:
    """All runs so far."""

    original: Original
    keep: int
    compared_with: str = ""
    """``RUN`` or ``the first run``; empty where a plan does not fix the bytes."""
    reference: Mapping[str, str] | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    trouble: TraitorError | None = None
    interrupted: bool = False

    def again(self, outcome: Outcome) -> bool:
        """RUN's violation, or its verdict when it has none."""
        if self.original.violations:
            return any(one in self.original.violations for one in outcome.violations)
        return outcome.verdict == self.original.verdict

    def defect(self, outcome: Outcome) -> str | None:
        """Why this run should not have been possible."""
        if outcome.differs:
            others = f" and {counted(len(outcome.differs) - 1, 'file')} more" if outcome.differs[1:] else ""
            return f"other bytes than in {self.compared_with}: {outcome.differs[0]}{others}"
        decided = outcome.verdict != "unknown"
        if self.compared_with == "RUN" and decided and not self.again(outcome):
            return f"the same bytes as RUN, but not its verdict: {outcome.summary}"
        return None

    def worth_keeping(self, outcome: Outcome) -> bool:
        """It showed what was sought, or what should not be."""
        if sum(one.folder is not None for one in self.outcomes) >= self.keep:
            return False
        sought = self.again(outcome) or not self.original.violations
        return self.defect(outcome) is not None or (bool(outcome.violations) and sought)

    @property
    def exit_code(self) -> int:
        """As in the module's docstring."""
        if any(self.defect(outcome) for outcome in self.outcomes):
            return EXIT_HARNESS
        if self.interrupted:
            return EXIT_INTERRUPTED
        codes = [outcome.exit_code for outcome in self.outcomes]
        return worst(*codes, *([self.trouble.exit_code] if self.trouble else []))


def reproduce(asked: Asked) -> int:
    """Everything; the exit code."""
    _check(asked)
    original = read_original(asked.run)
    plan = _plan_in(original.plan, asked.world or original.plan.world)
    one_run.check_possible(plan)
    seen = _seeking(original, plan, asked.keep)
    tell(f"{asked.run}: {original.sought}; {asked.times} times in world {plan.world}")
    runs = _virtual_runs(plan, seen, asked) if plan.world in VIRTUAL_WORLDS else _live_runs(plan, seen, asked)
    with contextlib.closing(runs):
        try:
            for outcome in runs:
                seen.outcomes.append(outcome)
                if not asked.json:
                    say(_line(seen, outcome, asked.times))
        except KeyboardInterrupt:
            seen.interrupted = True
        except TraitorError as error:  # what was seen until then is not lost
            seen.trouble = error
            tell(f"traitor: {error}")
    say(json.dumps(_result(seen, plan, asked)) if asked.json else _summary(seen, plan))
    return seen.exit_code


def _check(asked: Asked) -> None:
    for name, value, low, high in (("times", asked.times, 1, MOST_TIMES), ("keep", asked.keep, 0, MOST_KEPT)):
        if not low <= value <= high:
            raise UsageError(f"--{name} {value}", f"It must be a whole number from {low} to {high}.")


def read_original(path: Path) -> Original:
    """Everything of RUN that counts. Raises UsageError."""
    folder = store.find_run(path)
    if not (folder / "plan.json").exists():
        raise UsageError(f"{folder} has no plan.json", "A history alone cannot be run again.")
    plan = read_plan(folder / "plan.json")
    verdict = store.read_object(folder / "verdict.json")
    word = verdict.get("verdict")
    if not isinstance(word, str):
        raise UsageError(f"{folder} was not judged", f"Judge it first: traitor check {folder}")
    manifest, run = store.read_object(folder / "manifest.json"), store.read_object(folder / "run.json")
    records = hash_records(folder, plan.nodes)
    check_untouched(folder, manifest, store.hash_files(folder, [folder / "plan.json"]) | records)
    whole = bool(run) and run.get("interrupted") is None
    return Original(
        folder, plan, store.printable(word), violations(verdict), records, whole, other_code(manifest)
    )


def _plan_in(plan: Plan, world: str) -> Plan:
    """The same plan in that world. Raises UsageError when it cannot be."""
    if world not in WORLDS:
        raise UsageError(f"--world {store.printable(world)}", f"Choose one of {', '.join(WORLDS)}.")
    for fault in plan.faults:
        if world not in KINDS[fault.kind].worlds:
            able = ", ".join(KINDS[fault.kind].worlds)
            raise UsageError(f"{fault.id}: there is no {fault.kind} in world {world}", f"Choose of {able}.")
    return plan if world == plan.world else in_world(plan, world)


def _seeking(original: Original, plan: Plan, keep: int) -> Seen:
    """What the runs are compared with. The same plan and seed give the same bytes in both virtual worlds."""
    seen = Seen(original, keep)
    if plan.world not in VIRTUAL_WORLDS:
        return seen
    if original.plan.world in VIRTUAL_WORLDS and original.whole and original.other_code is None:
        seen.compared_with, seen.reference = "RUN", original.records
        return seen
    seen.compared_with = "the first run"
    if original.plan.world in VIRTUAL_WORLDS:
        why = "was cut short" if not original.whole else f"was made by {original.other_code}"
        tell(f"note: RUN {why}: runs are compared byte for byte with each other, not with it")
    return seen


def _virtual_runs(plan: Plan, seen: Seen, asked: Asked) -> Generator[Outcome, None, None]:
    with scratch_folder() as scratch:
        for _ in range(asked.times):
            found: list[Outcome] = []

            def look(folder: Path, result: Trial, found: list[Outcome] = found) -> None:
                found.append(_looked(folder, result, plan, seen, asked))

            result = trial(plan, scratch, look)
            yield found[0] if found else _outcome_of(result)


def _looked(folder: Path, result: Trial, plan: Plan, seen: Seen, asked: Asked) -> Outcome:
    """While the folder of the trial is there."""
    outcome = _outcome_of(result)
    if result.error is None and seen.compared_with:
        records = hash_records(folder, plan.nodes)
        seen.reference = records if seen.reference is None else seen.reference
        outcome = dataclasses.replace(outcome, differs=differing(seen.reference, records))
    if seen.worth_keeping(outcome):
        kept = one_run.keep(folder, asked.out, plan, asked.made, EXIT_HARNESS if result.error else 0)
        if kept.judgement is None:
            raise KeyboardInterrupt
        outcome = dataclasses.replace(outcome, folder=kept.folder)
    return outcome


def _outcome_of(result: Trial) -> Outcome:
    verdict = str(result.verdict["verdict"])
    return Outcome(result.exit_code, verdict, result.violations, result.operations, result.summary())


def _live_runs(plan: Plan, seen: Seen, asked: Asked) -> Generator[Outcome, None, None]:
    for _ in range(asked.times):
        folder = store.make_run_folder(asked.out, plan.name, plan.seed, store.utc_now())
        outcome = None
        try:
            done = one_run.run_plan(
                plan, folder, *one_run.made_again(plan, folder, asked.made), quiet=asked.json
            )
            if done.exit_code == EXIT_INTERRUPTED:
                raise KeyboardInterrupt
            outcome = _outcome_of_run(done)
            if seen.worth_keeping(outcome):
                outcome = dataclasses.replace(outcome, folder=folder)
        finally:
            if outcome is None or outcome.folder is None:
                shutil.rmtree(folder, ignore_errors=True)
        yield outcome


def _outcome_of_run(done: one_run.Done) -> Outcome:
    counts = done.verdict.get("operations")
    operations = counts if isinstance(counts, dict) else {}
    found, word = violations(done.verdict), str(done.verdict.get("verdict"))
    return Outcome(
        exit_code=done.exit_code,
        verdict=word,
        violations=found,
        operations={name: int(operations.get(name, 0)) for name in ("ok", "fail", "info")},
        summary=f"invalid: {shown(found)}" if found else word,
    )


# Telling


def _line(seen: Seen, outcome: Outcome, times: int) -> str:
    number = f"{len(seen.outcomes):>{len(str(times))}} of {times}"
    counts = ", ".join(f"{count} {name}" for name, count in outcome.operations.items() if count)
    again = "again" if seen.again(outcome) else "not so"
    defect = seen.defect(outcome)
    told = f"{number:<16} {again:<8} {outcome.summary:<40}  {counts}".rstrip()
    return f"{told}  DEFECT: {defect}" if defect else told


def _summary(seen: Seen, plan: Plan) -> str:
    count = len(seen.outcomes)
    again = sum(map(seen.again, seen.outcomes))
    rows = [("reproduced", f"{in_words(again, count)}: {seen.original.sought}")]
    if len(seen.original.violations) > 1:
        for one in seen.original.violations:
            rows.append(("", f"{in_words(_with(seen, one), count)}: {one}"))
    others = dict.fromkeys(v for outcome in seen.outcomes for v in outcome.violations)
    rows += [
        ("also seen", f"{in_words(_with(seen, one), count)}: {one}")
        for one in others
        if one not in seen.original.violations
    ]
    defects = [defect for outcome in seen.outcomes if (defect := seen.defect(outcome))]
    if seen.compared_with == "the first run" and count == 1 and not defects:
        rows.append(("bytes", "not compared: this was the only run (--times 2 compares two)"))
    elif seen.compared_with and count and not defects:
        rows.append(("bytes", f"history and traces as in {seen.compared_with}, {count} of {count}"))
    rows += [("kept", str(outcome.folder)) for outcome in seen.outcomes if outcome.folder]
    if defects:
        rows.append(("defect", f"{len(defects)} of {count}: {defects[0]}"))
        rows.append(("", f"The same plan gives the same bytes in world {plan.world}: unless code on the"))
        rows.append(("", "PYTHONPATH or uncommitted changes differ, this is a defect of Traitor."))
    rows.append(("exit code", f"{seen.exit_code}" + (" (interrupted)" if seen.interrupted else "")))
    return "\n".join(f"{name:<16} {text}" for name, text in rows)


def _with(seen: Seen, one: Violation) -> int:
    return sum(one in outcome.violations for outcome in seen.outcomes)


def _result(seen: Seen, plan: Plan, asked: Asked) -> Mapping[str, object]:
    again = sum(map(seen.again, seen.outcomes))
    return {
        "schema": SCHEMA,
        "run": str(seen.original.folder),
        "world": plan.world,
        "times": asked.times,
        "runs": [
            {
                "exit_code": outcome.exit_code,
                "verdict": outcome.verdict,
                "violations": [dataclasses.asdict(one) for one in outcome.violations],
                "operations": dict(outcome.operations),
                "again": seen.again(outcome),
                "defect": seen.defect(outcome),
                "folder": str(outcome.folder) if outcome.folder else None,
            }
            for outcome in seen.outcomes
        ],
        "sought": [dataclasses.asdict(one) for one in seen.original.violations],
        "again": again,
        "interval": {"name": "wilson", "level": 0.95, "share": wilson(again, len(seen.outcomes))},
        "compared_with": seen.compared_with or None,
        "interrupted": seen.interrupted,
        "exit_code": seen.exit_code,
    }
