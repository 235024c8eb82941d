"""Many random runs: ``make sweep ARGS="--seeds 0..9999 --jobs 2"``.

A line for each failure with the command that runs it again, progress on stderr, and at the end how often
what the runs are about did happen. A sweep in which it did not is no pass. ``--verbose`` tells each run's
story. Signatures are keyed hashes (see ``memory_cluster.SimulatedKeys``): they bind signer and content, and
test nothing about Ed25519.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [path for path in (str(HERE), str(HERE.parent.parent)) if path not in sys.path]

import random_runs  # noqa: E402

from pbft_node.core.digests import NULL_DIGEST  # noqa: E402

CHUNK = 10
ENOUGH_TO_JUDGE = 200
"""Runs after which each of these shares is demanded."""
DEMANDED = {
    "a view change": 0.3,
    "a stable checkpoint": 0.5,
    "a state transfer": 0.05,
    "a restart with a log": 0.3,
    "unsynced records lost": 0.05,
    "a whole log lost": 0.03,
    "a silent replica that votes again": 0.02,
    "a liar": 0.5,
    "lies rejected": 0.3,
    "a liar lying to the end": 0.2,
    "an operation given up": 0.05,
    "a fast read": 0.15,
    "a null request": 0.02,
    "loss": 0.3,
}


@dataclass
class Outcome:
    """What one seed gave."""

    seed: int
    problem: str = ""
    happened: list[str] = field(default_factory=list)
    operations: int = 0
    calm_ms: float = 0
    story: list[str] = field(default_factory=list)


def run_seed(seed: int, verbose: bool = False) -> Outcome:
    """One run; never raises."""
    options = random_runs.draw(seed)
    outcome = Outcome(seed)
    run = random_runs.prepare(seed, options)
    try:
        random_runs.carry_through(run)
    except AssertionError as problem:
        outcome.problem = " ".join(str(problem).split())[:600] or traceback.format_exc()
        if not str(problem) or verbose:
            outcome.story.append(traceback.format_exc())
    except Exception as problem:
        outcome.problem = f"{type(problem).__name__}: {problem}"
        outcome.story.append(traceback.format_exc())
    outcome.happened = sorted(happened(run))
    outcome.operations = sum(op.completed_ns is not None for op in run.history)
    ended = max((op.completed_ns or 0 for op in run.history), default=0)
    outcome.calm_ms = max(0, ended - run.calm_from_ns) / 1e6
    if verbose:
        outcome.story = [str(options), *story(run), *outcome.story]
    return outcome


def happened(run: random_runs.Run) -> Iterator[str]:
    """What there was to survive in this run."""
    cluster = run.cluster
    facts = {
        "a view change": bool(cluster.trace("new-view")),
        "a stable checkpoint": bool(cluster.trace("stable")),
        "a state transfer": any(t.fields["step"] == "finished" for t in cluster.trace("state-transfer")),
        "a restart with a log": any(t.fields["records"] for t in cluster.trace("started")),
        "unsynced records lost": cluster.records_lost > 0,
        "a whole log lost": cluster.logs_lost > 0,
        "a silent replica that votes again": bool(cluster.trace("recovered")),
        "a liar": any(liar.lies for liar in run.liars.values()),
        "lies rejected": any(rejected.sender in run.liars for _, rejected in cluster.rejected),
        "a liar lying to the end": bool(run.liars) and run.options.lies_to_the_end,
        "an operation given up": any(op.given_up for op in run.history),
        "a fast read": any(op.path == "fast" for op in run.history),
        "a null request": any(t.fields["digest"] == NULL_DIGEST.hex() for t in cluster.trace("executed")),
        "loss": run.options.loss > 0,
    }
    assert facts.keys() == DEMANDED.keys()
    assert all(isinstance(fact, bool) for fact in facts.values()), facts
    return (name for name, true in facts.items() if true)


def story(run: random_runs.Run) -> list[str]:
    """Faults and protocol, in order of time."""
    lines = [
        f"{ns / 1e6:9.1f} ms  r{index}.{life} {t.kind} {brief(t.fields)}"
        for ns, index, life, t in run.cluster.traces
    ]
    return sorted([*run.log, *lines], key=lambda line: float(line.split()[0]))


def brief(fields: object) -> str:
    assert hasattr(fields, "items")
    return " ".join(f"{k}={v[:8] if isinstance(v, str) and len(v) == 64 else v}" for k, v in fields.items())


def run_chunk(seeds: list[int]) -> list[Outcome]:
    return [run_seed(seed) for seed in seeds]


def outcomes(seeds: list[int], jobs: int, verbose: bool) -> Iterator[Outcome]:
    if verbose or jobs == 1:
        yield from (run_seed(seed, verbose) for seed in seeds)
        return
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(jobs) as pool:
        for chunk in pool.map(run_chunk, chunks):
            yield from chunk


def vacuous(counts: Counter[str], runs: int) -> list[str]:
    """What happened too rarely for this sweep to mean something."""
    if runs < ENOUGH_TO_JUDGE:
        return []
    return [name for name, share in DEMANDED.items() if counts[name] < share * runs]


def sweep(seeds: list[int], jobs: int, verbose: bool) -> int:
    """0: all runs passed and tested something; 1: a run failed; 3: too little happened."""
    began = time.monotonic()
    counts: Counter[str] = Counter()
    failed: list[int] = []
    operations, slowest, done = 0, Outcome(-1), 0
    for outcome in outcomes(seeds, jobs, verbose):
        done += 1
        counts.update(outcome.happened)
        operations += outcome.operations
        slowest = max(slowest, outcome, key=lambda one: one.calm_ms)
        if outcome.story:
            print("\n".join(outcome.story))
        if outcome.problem:
            failed.append(outcome.seed)
            again = f"python tests/paper/sweep.py --seeds {outcome.seed} --verbose"
            print(f"FAILED seed {outcome.seed}: {outcome.problem}\n    again: {again}", flush=True)
        if done % 100 == 0:
            progress = f"{done}/{len(seeds)} runs, {len(failed)} failed, {time.monotonic() - began:.0f} s"
            print(progress, file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    print(f"{done} runs in {seconds:.0f} s, simulated signatures; {operations} operations completed")
    for name, share in DEMANDED.items():
        print(f"    {counts[name]:6} {counts[name] / done:6.1%} of runs had {name} (demanded {share:.0%})")
    print(f"    longest wait after the faults had ended: {slowest.calm_ms:.0f} ms (seed {slowest.seed})")
    missing = vacuous(counts, done)
    if failed:
        print(f"FAILED: {len(failed)} of {done} runs: {failed[:20]}")
        return 1
    if missing:
        print(f"TOO LITTLE HAPPENED, so this shows nothing: {', '.join(missing)}. See random_runs.draw")
        return 3
    print(f"PASSED: 0 failures in {done} runs")
    return 0


def seed_list(text: str) -> list[int]:
    """``7``, ``0..99`` (both ends included) or ``1,5,7``."""
    if ".." in text:
        first, last = text.split("..")
        return list(range(int(first), int(last) + 1))
    return [int(part) for part in text.split(",")]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=seed_list, default=list(range(1000)), help="7, 0..9999 or 1,5,7")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--verbose", action="store_true", help="tell each run's story")
    arguments = parser.parse_args()
    if not arguments.seeds or arguments.jobs < 1:
        parser.error("no seeds, or no jobs: nothing would be tested")
    return sweep(arguments.seeds, arguments.jobs, arguments.verbose)


if __name__ == "__main__":
    sys.exit(main())
