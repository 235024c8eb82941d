"""``make replay-live``: do live runs, with kill -9 and all, replay to the last output hash?

    make replay-live                            50 runs of 4 seconds, 2 kills, a pause and a partition each
    make replay-live ARGS="--runs 3 --time 10"

Each run is a `traitor run` in world live under its own seed, then a `traitor replay` of its folder. A line
each: events, how many output hashes were equal, where a kill cut a life, both verdicts. Exit codes: 0 every
run replayed · 1 one did not, with its folder, which is kept · 4 a run could not be made · 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FAULTS = ("kill", "pause", "kill", "partition")


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="replay-live", description=__doc__, allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--time", type=int, default=4, help="seconds of load")
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args(arguments)
    out = Path(tempfile.mkdtemp(prefix="replay-live-"))
    replayed = events = crashes = 0
    began = time.monotonic()
    try:
        for seed in range(options.first_seed, options.first_seed + options.runs):
            asked = ["--seed", str(seed), "--time", str(options.time), "--rate", str(options.rate)]
            for fault in FAULTS:
                asked += ["--fault", fault]
            run = traitor("run", *asked, "--out", str(out))
            if run is None or "run" not in run:
                print(f"seed {seed}: no run: is this machine able to? See: traitor doctor", file=sys.stderr)
                return 4
            folder = Path(run["run"])
            replay = traitor("replay", str(folder)) or {}
            good = bool(replay) and replay["events"] == replay["equal"] > 0
            good = good and all(each["trace_difference"] is None for each in replay["replicas"])
            good = good and same_verdict(run, replay)
            print(f"seed {seed}: {told(run, replay)}{'' if good else f'  DIFFERS: {folder}'}", flush=True)
            if good:
                replayed += 1
                shutil.rmtree(folder)
            events += replay.get("events", 0)
            crashes += sum(len(each["crashes"]) for each in replay.get("replicas", []))
    finally:
        if out.is_dir() and not os.listdir(out):
            out.rmdir()
    print(
        f"{replayed} of {options.runs} live runs replayed with every output hash equal and the same verdict: "
        f"{events} events, {crashes} lives cut by kill -9; {time.monotonic() - began:.0f} s"
    )
    return 0 if replayed == options.runs else 1


def told(run: dict[str, Any], replay: dict[str, Any]) -> str:
    """One run in a line."""
    if not replay:
        return "no replay"
    crashes = sum(len(each["crashes"]) for each in replay["replicas"])
    again = (replay.get("judged_again") or {}).get("verdict") or {}
    return (
        f"{replay['equal']} of {replay['events']} hashes equal, {crashes} lives cut by a crash; "
        f"verdict {run['verdict']['verdict']}, judged again {again.get('verdict')}"
    )


def same_verdict(run: dict[str, Any], replay: dict[str, Any]) -> bool:
    """Line by line."""
    again = (replay.get("judged_again") or {}).get("verdict") or {"lines": []}
    lines = [[(line["name"], line["verdict"]) for line in each["lines"]] for each in (run["verdict"], again)]
    return lines[0] == lines[1]


def traitor(*words: str) -> dict[str, Any] | None:
    """The JSON object it prints."""
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words, "--json"],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found = json.loads(done.stdout)
    except ValueError:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    return found if isinstance(found, dict) else None


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
