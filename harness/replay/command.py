"""``traitor replay RUN``: every replica's journal again, then the judge again; or one replica at one moment.

Exit codes: the verdict's when every hash is equal; 4 when one is not, a journal is damaged or missing, or the
recorded trace is another than the replayed one (a violation that shows all the same is still 1).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import store
from harness.console import say, tell
from harness.errors import EXIT_HARNESS, HarnessError, UsageError
from harness.judging import CheckLimits, worst
from harness.one_run import run_environment
from harness.own_service import check_own_service
from harness.replay import judge_again, show
from harness.replay.moment import Moment, parse_moment, parse_range
from harness.replay.of_replica import (
    JOURNAL,
    Kind,
    Outcome,
    Subject,
    kind_of,
    open_subject,
    outcome_line,
    outcome_notes,
    replay_replica,
)
from harness.replay.workers import in_parallel
from harness.request import counted
from harness.scratch import scratch_folder

SCHEMA = "traitor/replay/1"


@dataclass(frozen=True, slots=True)
class Asked:
    """The flags of ``traitor replay``. None: not given."""

    run: Path
    replica: int | None
    until: str | None
    events: str | None
    pdb: bool
    jobs: int | None
    json: bool


def replay_command(asked: Asked) -> int:
    """The exit code."""
    run = store.find_run(asked.run)
    replicas = journalled(run)
    if asked.replica is not None and asked.replica not in replicas:
        there = ", ".join(map(str, replicas))
        raise UsageError(f"replica {asked.replica} has no journal in {run}", f"There is one of: {there}.")
    if asked.until is not None or asked.events is not None or asked.pdb:
        return _one(run, asked)
    kind = kind_of(run)
    _check_services(run, replicas, kind)
    return _all(run, replicas if asked.replica is None else [asked.replica], asked, kind)


def journalled(run: Path) -> list[int]:
    """Replicas with a journal. Raises UsageError when there is none."""
    try:
        names = os.listdir(run / "replicas")
    except OSError:
        names = []
    numbers = sorted(int(name) for name in names if name.isascii() and name.isdecimal() and len(name) < 4)
    there = [number for number in numbers if (run / "replicas" / str(number) / JOURNAL).exists()]
    if not there:
        raise UsageError(
            f"{run} has no journals: nothing can be replayed",
            "Runs have them since this version, but for trials of a sweep or a shrink. Run its plan again: "
            "traitor run --plan",
        )
    return there


def _check_services(run: Path, replicas: list[int], kind: Kind) -> None:
    """A class of the user's is imported as for a run: tried in a process of its own first."""
    for replica in replicas:
        with contextlib.suppress(HarnessError):  # told when it is its turn
            check_own_service(open_subject(run, replica, kind).config.cluster.service, run_environment())
            return


def _all(run: Path, replicas: list[int], asked: Asked, kind: Kind) -> int:
    jobs = asked.jobs or len(os.sched_getaffinity(0))
    with scratch_folder((Path(tempfile.gettempdir()),)) as scratch:
        traces = {replica: scratch / f"trace-{replica}" for replica in replicas}
        tasks: list[Callable[[], object]] = [
            functools.partial(_task, run, replica, traces[replica], kind) for replica in replicas
        ]
        outcomes = [
            done if isinstance(done, str) else Outcome(**done)  # type: ignore[arg-type]
            for done in in_parallel(tasks, jobs)
        ]
        if not asked.json:
            for outcome in outcomes:
                _say_outcome(outcome)
        good = all(isinstance(outcome, Outcome) and outcome.good for outcome in outcomes)
        again = None
        if all(isinstance(outcome, Outcome) and outcome.mismatch is None for outcome in outcomes):
            again = _judge_again(run, traces, scratch / "again", asked)
    code = 0 if good else EXIT_HARNESS
    if again is not None:
        code = worst(code, again.judgement.exit_code)
    _conclude(run, outcomes, again, code, asked.json)
    return code


def _task(run: Path, replica: int, trace: Path, kind: Kind) -> object:
    """In a process of its own; a string is why it could not be replayed."""
    try:
        return asdict(replay_replica(run, replica, trace, kind))
    except HarnessError as error:
        return str(error)


def _say_outcome(outcome: Outcome | str) -> None:
    if isinstance(outcome, str):
        say(store.printable(outcome))
        return
    say(outcome_line(outcome))
    for note in outcome_notes(outcome):
        say(f"{'':<16} {store.printable(note)}")


def _judge_again(run: Path, traces: dict[int, Path], scratch: Path, asked: Asked) -> judge_again.Again | None:
    if asked.replica is not None:
        return None
    tell("judging the replayed traces")
    scratch.mkdir()
    try:
        return judge_again.judge_again(run, traces, scratch, CheckLimits())
    except UsageError as error:  # a history that the judge refuses
        raise HarnessError(f"the replayed run cannot be judged: {error.message}", error.hint) from None


def _conclude(
    run: Path, outcomes: list[Outcome | str], again: judge_again.Again | None, code: int, as_json: bool
) -> None:
    done = [outcome for outcome in outcomes if isinstance(outcome, Outcome)]
    equal, events = sum(outcome.equal for outcome in done), sum(outcome.events for outcome in done)
    seconds = sum(outcome.seconds for outcome in done)
    if as_json:
        result = {
            "schema": SCHEMA,
            "run": str(run),
            "exit_code": code,
            "events": events,
            "equal": equal,
            "processor_s": seconds,
            "replicas": [outcome if isinstance(outcome, str) else asdict(outcome) for outcome in outcomes],
            "judged_again": None if again is None else judge_again.as_json(again),
        }
        say(json.dumps(result))
        return
    rate = f"{equal / seconds:.0f} events a second of processor time" if seconds else "no time"
    whole = equal == events and len(done) == len(outcomes)
    said = "every output hash equal" if whole else f"{events - equal} events not replayed"
    say(f"{'replay':<16} {equal} of {events} events of {counted(len(outcomes), 'replica')}, {said}; {rate}")
    if again is not None:
        say(judge_again.text(again))
    elif not whole:
        say(f"{'judged again':<16} no: the replayed traces are not those of this run")


def _one(run: Path, asked: Asked) -> int:
    if asked.replica is None:
        raise UsageError("--until, --events and --pdb need a replica", "Name one: --replica 2")
    if asked.pdb and asked.until is None:
        raise UsageError("--pdb needs an event", "Name one: --until 57")
    if asked.events is not None and asked.until is not None:
        raise UsageError("--events together with --until", "Ask for one of them.")
    subject = open_subject(run, asked.replica, kind_of(run))
    zero_ns = load_start_ns(run, subject)
    if asked.events is not None:
        return _list(subject, asked.events, zero_ns, asked.json)
    check_own_service(subject.config.cluster.service, run_environment())
    moment = parse_moment(asked.until or "")
    return _stop(subject, moment, zero_ns, asked)


def _list(subject: Subject, text: str, zero_ns: int, as_json: bool) -> int:
    first, last = parse_range(text)
    lines = show.events(subject, first, last)
    total = sum(life.events for life in subject.contents.lives)
    if as_json:
        say(json.dumps({"schema": SCHEMA, "total": total, "events": [asdict(line) for line in lines]}))
        return 0
    for line in lines:
        say(line.text(zero_ns))
    if last < total:
        say(f"… of {total} events; go on with --events {last + 1}")
    return 0


def _stop(subject: Subject, moment: Moment, zero_ns: int, asked: Asked) -> int:
    text, data, reached = show.until(subject, moment, zero_ns)
    if asked.pdb and reached:
        number = data["event"]
        assert isinstance(number, int)
        return 0 if show.debug(subject, number, zero_ns) else EXIT_HARNESS
    say(json.dumps({"schema": SCHEMA, **data}) if asked.json else "\n".join(text))
    return 0 if reached else EXIT_HARNESS


def load_start_ns(run: Path, subject: Subject) -> int:
    """Zero of the times shown: when the load began, else when this replica did."""
    phases = store.read_object(run / "run.json").get("phases")
    for phase in phases if isinstance(phases, list) else []:
        if isinstance(phase, dict) and phase.get("name") == "load" and type(phase.get("start_ns")) is int:
            return int(phase["start_ns"])
    for life in subject.contents.lives[:1]:
        for entry in life.entries():
            return entry.now_ns
    return 0
