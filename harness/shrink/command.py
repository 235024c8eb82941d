"""``traitor shrink RUN``: from a run that shows a violation to a run of the smallest plan that shows it.

Exit code 1 when the smallest plan fails (that is what it is for), 2 when RUN shows no violation, 4 when it
does not fail again in a world where it could be shrunk, 130 when interrupted; then the best so far is kept.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness import one_run, store
from harness.console import say, tell
from harness.errors import EXIT_HARNESS, HarnessError, UsageError
from harness.plan import Plan
from harness.reproduce import Original, read_original
from harness.request import duration
from harness.run import EXIT_INTERRUPTED
from harness.scratch import scratch_folder
from harness.shrink.attempts import recorded_fates
from harness.shrink.bases import Base, Wanted, find_base
from harness.shrink.calmer import FewerDeliveries
from harness.shrink.moves import Move
from harness.shrink.record import Record, write_record
from harness.shrink.search import MOVES, Progress, Search
from harness.shrink.sizes import size_of
from harness.shrink.stopping import Interrupted, Stop
from harness.shrink.telling import Bar
from harness.shrink.trials import OutOfBudget
from harness.spec import LIVE, VIRTUAL_WORLDS
from harness.violation import Violation, violations
from harness.virtual.settings import ED25519, KEYED_HASH

RESULT_SCHEMA = "traitor/shrink-result/1"
MOST_JOBS = 256
MOST_TRIES = 1000
BUDGET_S = (1.0, 7 * 24 * 3600.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """The flags of ``traitor shrink``."""

    run: Path
    world: str | None
    """None: the quickest where it fails again."""
    tries: int
    budget: str
    jobs: int | None
    line: str | None
    """Of the verdict: which violation to keep; None: the first."""
    out: Path
    json: bool
    made: one_run.MadeBy


def shrink(asked: Asked) -> int:
    """Everything; the exit code."""
    budget_s, jobs = _settled(asked)
    original = read_original(asked.run)
    failure = which(original, asked.line)
    one_run.check_possible(original.plan if asked.world == LIVE else replace(original.plan, world="sim"))
    tell(f"{asked.run}: {failure}; {size_of(original.plan).text()}")
    began = time.monotonic()
    with scratch_folder() as scratch:
        bar = Bar(asked.json)
        try:
            with Stop(budget_s) as stop:
                try:
                    wanted = Wanted(original.folder, original.plan, failure, asked.world, asked.tries, jobs)
                    base = find_base(wanted, scratch, stop)
                except OutOfBudget:
                    raise HarnessError(
                        f"RUN did not fail again within {budget_s:g} s", "Give it more: --budget 30m"
                    ) from None
                except Interrupted:
                    raise KeyboardInterrupt from None
                search, ended = searched(base, failure, stop, bar, scratch)
        finally:
            bar.end()
        smallest = _with_real_signer(search, base)
        record = Record(original, failure, base, search.progress, ended, jobs, time.monotonic() - began)
        return _written(smallest, record, asked)  # the recorded order is in the scratch folder


def which(original: Original, line: str | None) -> Violation:
    """The violation to keep. Raises UsageError (exit code 2) when there is none."""
    if not original.violations:
        raise UsageError(
            f"{original.folder} shows no violation: its verdict is {original.verdict}",
            "There is nothing to shrink. Runs with a violation: traitor list",
        )
    for one in original.violations:
        if line is None or one.line == line:
            return one
    lines = ", ".join(dict.fromkeys(one.line for one in original.violations))
    raise UsageError(f"--line {line!a:.60}: {original.folder} has no violation there", f"It has: {lines}.")


def searched(base: Base, failure: Violation, stop: Stop, bar: Bar, scratch: Path) -> tuple[Search, str]:
    """The search at its end, and what ended it."""

    def told(progress: Progress) -> None:
        bar.show(progress, len(MOVES))

    search = Search(base.plan, (failure.line, failure.property), base.trials, told)

    def tick() -> None:
        told(search.progress)
        stop.check()

    base.trials.tick = tick
    try:
        if base.plan.world in VIRTUAL_WORLDS:
            search.go_on((Move("a cheap signer", _cheap_signer),), most_rounds=1)
        search.go_on()
        if base.plan.world in VIRTUAL_WORLDS:
            fewer = Move("fewer deliveries", FewerDeliveries(lambda plan: recorded_fates(plan, scratch)))
            before = search.progress.best
            if search.go_on((fewer,), most_rounds=1) != before:
                search.go_on((*MOVES, fewer))
        return search, "nothing more helps"
    except OutOfBudget:
        return search, f"the budget of {stop.budget_s:g} s is used up"
    except Interrupted as interruption:
        tell(f"{interruption}: the best so far is kept (once more, and nothing is)")
        return search, str(interruption)


def _cheap_signer(plan: Plan, first: Callable[[list[Plan]], int | None]) -> Plan:
    """For the time of the search: trials are quicker. A recorded order would end at the first signature."""
    if plan.virtual is not None and plan.virtual.schedule is not None:
        return plan
    cheap = with_signer(plan, KEYED_HASH)
    return cheap if cheap != plan and first([cheap]) is not None else plan


def with_signer(plan: Plan, signer: str) -> Plan:
    """The same plan with other signatures; a live plan has real ones anyway."""
    return plan if plan.virtual is None else replace(plan, virtual=replace(plan.virtual, signer=signer))


def _with_real_signer(search: Search, base: Base) -> Plan:
    """What is published is signed for real, if it fails so."""
    best = search.progress.best
    real = with_signer(best, ED25519)
    if real == best:
        return best
    base.trials.tick = lambda: None  # whatever ended the search: this one is needed
    if search.wanted(base.trials.outcome(real)):
        return real
    tell("note: with real signatures the smallest plan does not fail: it keeps the cheap ones")
    return best


def _settled(asked: Asked) -> tuple[float, int]:
    """Budget in s, and jobs. Raises UsageError."""
    budget_ns = duration(_number(asked.budget), 10**9)
    if budget_ns is None or not BUDGET_S[0] <= budget_ns / 1e9 <= BUDGET_S[1]:
        raise UsageError(
            f"--budget {asked.budget!a:.40}", "It must be a time: 90 (seconds), 2m, 1h; 1 s to 7 days."
        )
    jobs = len(os.sched_getaffinity(0)) if asked.jobs is None else asked.jobs
    for name, value, most in (("jobs", jobs, MOST_JOBS), ("tries", asked.tries, MOST_TRIES)):
        if not 1 <= value <= most:
            raise UsageError(f"--{name} {value}", f"It must be a whole number from 1 to {most}.")
    return budget_ns / 1e9, jobs


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _written(plan: Plan, record: Record, asked: Asked) -> int:
    """The new run folder, and what is told of it."""
    done = _run(plan, record.failure, asked)
    folder = done.folder
    write_record(folder, plan, record, done.verdict)
    store.seal_again(folder)
    failed = record.failure in violations(done.verdict)
    code = 1 if failed else EXIT_HARNESS
    if record.interrupted or done.exit_code == EXIT_INTERRUPTED:
        code = EXIT_INTERRUPTED
    elif not failed:
        tell(
            f"traitor: {record.failure} was seen in a trial of the smallest plan, not in its run {folder}: "
            + ("the race is rare" if plan.world == LIVE else "this is a bug of Traitor")
        )
    if asked.json:
        say(json.dumps(_result(record, plan, done, code, asked.made)))
        return code
    interrupted = code == EXIT_INTERRUPTED
    if done.judgement is not None:
        lines = [done.judgement.text_with(code, interrupted)]
    else:
        lines = [f"{'exit code':<16} {code}" + (" (interrupted)" if interrupted else "")]
    steps = f"{record.progress.tried} tried, {record.progress.accepted} accepted"
    lines += [
        f"{'before':<16} {size_of(record.original.plan).text()}",
        f"{'after':<16} {size_of(plan).text()}",
        f"{'steps':<16} {steps} in {record.seconds:.0f} s; {record.ended}",
        f"{'kept':<16} {record.failure}",
        f"{'report':<16} {done.report or 'none'}",
        f"{'again':<16} {_again(folder, asked.made)}",
        f"{'reproduce':<16} {_reproduce(folder, asked.made)}",
    ]
    say("\n".join(lines))
    return code


def _run(plan: Plan, failure: Violation, asked: Asked) -> one_run.Done:
    """In a new folder. A live one has as many tries as its candidates had; only the last is kept."""
    for left in reversed(range(asked.tries if plan.world == LIVE else 1)):
        folder = store.make_run_folder(asked.out, plan.name, plan.seed, store.utc_now())
        done = one_run.run_plan(plan, folder, *one_run.made_again(plan, folder, asked.made), quiet=True)
        if not left or done.exit_code == EXIT_INTERRUPTED or failure in violations(done.verdict):
            break
        shutil.rmtree(folder, ignore_errors=True)
    return done


def _again(folder: Path, made: one_run.MadeBy) -> str:
    return f"{made.program} run --plan {shlex.quote(str(folder / 'plan.json'))}"


def _reproduce(folder: Path, made: one_run.MadeBy) -> str:
    return f"{made.program} reproduce {shlex.quote(str(folder))}"


def _result(
    record: Record, plan: Plan, done: one_run.Done, code: int, made: one_run.MadeBy
) -> dict[str, object]:
    return {
        "schema": RESULT_SCHEMA,
        "run": str(done.folder),
        "of": str(record.original.folder),
        "exit_code": code,
        "kept": {"line": record.failure.line, "property": record.failure.property},
        "world": plan.world,
        "before": size_of(record.original.plan).data(),
        "after": size_of(plan).data(),
        "tried": record.progress.tried,
        "accepted": record.progress.accepted,
        "seconds": round(record.seconds, 3),
        "ended": record.ended,
        "verdict": done.verdict,
        "report": str(done.report) if done.report else None,
        "again": _again(done.folder, made),
        "reproduce": _reproduce(done.folder, made),
    }
