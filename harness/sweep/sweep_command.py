"""``traitor sweep``: many seeds in virtual time, a line each, failures kept, the rest counted."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from harness import coverage, one_run
from harness.console import say, tell
from harness.plan import make_plan
from harness.request import seconds, whole
from harness.run import EXIT_INTERRUPTED
from harness.scratch import scratch_folder
from harness.spec_file import overlay, read_spec_file
from harness.sweep.options import DERIVED, OPTIONS
from harness.sweep.pool import Pool
from harness.sweep.seed_run import LIMITS, Sweep, run_seed
from harness.sweep.source import Source, seeds_of
from harness.sweep.tally import Tally

SWEEP_SCHEMA = "traitor/sweep/1"
MAX_JOBS = 256
MAX_KEPT = 10_000
_STAGES = 8
"""A seed has two runs of two stages each, and room around them."""


@dataclass(frozen=True, slots=True)
class SweepAsked:
    """The flags of ``traitor sweep``."""

    spec_file: Path | None
    flags: dict[str, object]
    """Keys of the spec."""
    settings: tuple[str, ...]
    seeds: str
    jobs: object
    keep: object
    stop_after: object
    swarm: bool
    out: Path
    json: bool
    coverage: bool
    """Show and write the coverage table."""
    command: str
    program: str


def sweep_command(asked: SweepAsked) -> int:
    """Everything; the exit code."""
    keys = {} if asked.spec_file is None else read_spec_file(asked.spec_file)
    overlay(keys, asked.flags)
    source = Source(keys, asked.settings, asked.swarm)
    seeds = seeds_of(asked.seeds)
    jobs = _cores() if asked.jobs is None else whole("--jobs", asked.jobs, 1, MAX_JOBS)
    most_kept = whole("--keep", asked.keep, 0, MAX_KEPT)
    end_s = _end_s(asked.stop_after)
    _try_the_first(source, seeds[0])
    sweep = Sweep(source, asked.out, one_run.MadeBy(asked.command, asked.program))
    tally = Tally(len(seeds))
    interrupted = False
    with scratch_folder() as scratch:
        pool = Pool(
            min(jobs, len(seeds)),
            lambda seed, keep: run_seed(sweep, scratch, seed, keep),
            scratch / "workers",
            _STAGES * LIMITS.stage_s,
        )
        running = pool.outcomes(
            seeds, lambda under_way: tally.kept + under_way < most_kept, lambda: time.monotonic() < end_s
        )
        try:
            with closing(running):
                for outcome in running:
                    tally.add(outcome)
                    if not asked.json:
                        say(outcome.text())
        except KeyboardInterrupt:
            interrupted = True
    code = EXIT_INTERRUPTED if interrupted else tally.exit_code
    if asked.coverage:
        coverage.write(tally.cells, asked.out)
    _conclude(asked, source, tally, code)
    return code


def _conclude(asked: SweepAsked, source: Source, tally: Tally, code: int) -> None:
    interrupted = code == EXIT_INTERRUPTED
    if asked.json:
        result = {
            "schema": SWEEP_SCHEMA,
            "world": source.world,
            "seeds": asked.seeds,
            "swarm": asked.swarm,
            "exit_code": code,
            "interrupted": interrupted,
            **tally.data(),
        }
        say(json.dumps(result))
        return
    if asked.coverage:
        say(f"{coverage.table(tally.cells)}\n")
    why = " (interrupted)" if interrupted else ""
    say(f"{tally.text()}\n{'exit code':<16} {code}{why}")
    if tally.done < tally.asked and not interrupted:
        tell(f"traitor: --stop-after {asked.stop_after} was over before every seed was run")


def _cores() -> int:
    return min(MAX_JOBS, len(os.sched_getaffinity(0)))


def _end_s(stop_after: object) -> float:
    if stop_after is None:
        return float("inf")
    return time.monotonic() + seconds("--stop-after", stop_after, 1, 30 * 24 * 3600) / 1e9


def _try_the_first(source: Source, seed: int) -> None:
    """What is wrong with every seed is told once, before anything is there."""
    plan = make_plan(source.spec_of(seed), seed)
    one_run.check_possible(plan)


def options_command(as_json: bool) -> int:
    """``traitor sweep --options``: what a swarm draws from."""
    rows = [
        {
            "name": option.name,
            "meaning": option.meaning,
            "choices": [{"weight": weight, "value": value} for weight, value in option.choices],
        }
        for option in OPTIONS
    ]
    if as_json:
        derived = [{"name": name, "meaning": meaning} for name, meaning in DERIVED]
        say(json.dumps({"options": rows, "derived": derived}))
        return 0
    say("What each seed of a swarm draws, each time a choice in proportion to its weight:")
    for option in OPTIONS:
        say(f"\n{option.name}\n    {option.meaning}")
        for weight, value in option.choices:
            say(f"    {weight:>3}  {json.dumps(value)}")
    for name, meaning in DERIVED:
        say(f"\n{name}\n    {meaning}")
    return 0
