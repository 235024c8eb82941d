"""``make same-bytes``: does a seed give the same bytes, twice, in `sim` and in `lockstep`?

    make same-bytes                                       100 swarm seeds, two runs in each world
    make same-bytes ARGS="--seeds 0..9 --jobs 1"

Each seed draws its own plan (`traitor sweep --options`). In each world it runs twice, in different processes,
once with PYTHONHASHSEED=0 and once with a random one. Compared are the SHA-256 of every file the run leaves
(history, faults, ledger; trace, log and journal of every replica), the verdict, and ``run.json`` without the
hour it began. Exit codes: 0 all equal · 1 a difference, with the file · 4 a run failed · 130 interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.one_run import virtual_world
from harness.plan import make_plan
from harness.scratch import scratch_folder
from harness.store import read_object
from harness.sweep.source import Source, seeds_of
from harness.trial import Trial, trial

ROOT = Path(__file__).resolve().parents[2]
WAYS = (("sim", "0"), ("sim", "random"), ("lockstep", "0"), ("lockstep", "random"))
OF_THE_RUN = ("history.jsonl", "faults.jsonl", "ledger.json")
OF_A_REPLICA = ("trace.jsonl", "wal", "journal")
BATCH = 10
"""Seeds for one process: a fresh one costs a second of imports."""


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="same-bytes", description=__doc__, allow_abbrev=False)
    parser.add_argument("--seeds", default="0..99", metavar="A..B")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--world", choices=("sim", "lockstep"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    seeds = seeds_of(options.seeds)
    if options.world:
        for line in fingerprints(seeds, options.world):
            print(line, flush=True)
        return 0
    return compare(seeds, options.jobs)


def fingerprints(seeds: range, world: str) -> Iterator[str]:
    """In a process of its own: a JSON line for each seed."""
    source = Source({"world": world}, swarm=True)
    with scratch_folder() as scratch:
        for seed in seeds:
            seen: dict[str, str] = {}

            def look(folder: Path, result: Trial, seen: dict[str, str] = seen) -> None:
                seen |= hashes(folder, result)

            plan = make_plan(source.spec_of(seed), seed)
            done = trial(plan, scratch, look, world=virtual_world())
            told = {"seed": seed, "code": done.exit_code, "error": done.error, "virtual_ns": done.virtual_ns}
            yield json.dumps(told | {"operations": dict(done.operations), "files": seen})


def hashes(folder: Path, result: Trial) -> dict[str, str]:
    """SHA-256 of all that must be the same."""
    names = [Path(name) for name in OF_THE_RUN]
    for replica in sorted((folder / "replicas").iterdir()):
        names += [Path("replicas") / replica.name / name for name in OF_A_REPLICA]
    found = {str(name): _sha256((folder / name).read_bytes()) for name in names}
    record = {key: value for key, value in read_object(folder / "run.json").items() if key != "started_utc"}
    found["run.json"] = _sha256(json.dumps(record, sort_keys=True).encode())
    found["verdict"] = _sha256(json.dumps(result.verdict, sort_keys=True).encode())
    return found


def compare(seeds: range, jobs: int) -> int:
    """Print a line for each batch of seeds, and what differs."""
    batches = [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]
    tasks = [(batch, way) for batch in batches for way in WAYS]
    differing: list[int] = []
    failed: list[int] = []
    operations = codes = virtual_ns = 0
    began = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(_run_batch, tasks)
        for batch in batches:
            of_ways = [next(results) for _ in WAYS]
            for seed, *told in zip(batch, *of_ways, strict=True):
                bad = [each for each in told if each["code"] == 4]
                if bad:
                    failed.append(seed)
                    print(f"seed {seed}: the run failed: {bad[0]['error']}")
                elif names := different(told):
                    differing.append(seed)
                    print(f"seed {seed} DIFFERS in {', '.join(names)}")
                operations += told[0]["operations"]["ok"]
                virtual_ns += told[0]["virtual_ns"]
                codes += told[0]["code"] == 0
            print(f"seeds {batch[0]} to {batch[-1]}: {len(WAYS)} runs each", flush=True)
    print(
        f"{len(seeds) - len(differing) - len(failed)} of {len(seeds)} seeds gave the same bytes in "
        f"{' / '.join(f'{world} (PYTHONHASHSEED={hashseed})' for world, hashseed in WAYS)}\n"
        f"{operations} operations, {virtual_ns / 1e9:.0f} s of virtual time each, {codes} of "
        f"{len(seeds)} seeds with verdict valid; {time.monotonic() - began:.0f} s"
    )
    return 4 if failed else int(bool(differing))


def different(told: list[dict[str, dict[str, str]]]) -> list[str]:
    """Which files are not the same in all of them."""
    files = [each["files"] for each in told]
    names = sorted({name for each in files for name in each})
    return [name for name in names if len({each.get(name) for each in files}) > 1]


def _run_batch(task: tuple[range, tuple[str, str]]) -> list[dict[str, object]]:
    batch, (world, hashseed) = task
    command = [sys.executable, __file__, "--world", world, "--seeds", f"{batch[0]}..{batch[-1]}"]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONHASHSEED": hashseed, "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode or len(lines) != len(batch):
        raise SystemExit(f"same-bytes: {' '.join(command)} ended with {done.returncode}")
    return lines


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
