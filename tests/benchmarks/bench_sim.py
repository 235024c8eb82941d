"""``make bench-sim``: what a seed costs in the virtual worlds, measured side by side in one run.

    make bench-sim                                      everything, about six minutes
    make bench-sim ARGS="seeds"                         some parts
    make bench-sim ARGS="--quick --json results.json"   a trial; all numbers also as JSON

Leaves nothing behind, also when interrupted. Exit codes: 0 measured (goals met or not) · 1 a seed failed ·
2 wrong use · 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import bench_crypto
import core_events
import seeds
from machine import describe, warning
from seeds import Failed, Way
from tables import Rows, print_rows

from harness.scratch import scratch_folder

SEEDS_A_MINUTE = 300
TIMES_REAL = 50
SHARE_OF_SIM = 1 / 3


@dataclass(slots=True)
class Bench:
    """What the parts need, and the goals they found met or missed."""

    scratch: Path
    quick: bool
    goals: Rows = field(default_factory=list)

    def goal(self, what: str, wanted: str, found: str, met: bool) -> None:
        """For the last table."""
        self.goals.append({"goal": what, "wanted": wanted, "found": found, "": "met" if met else "MISSED"})


def run_seeds(bench: Bench) -> Rows:
    """A row for each way to run the same seeds."""
    ways = (seeds.LEAN, seeds.KEYED_HASH, seeds.NO_SHARING, seeds.WITH_JOURNALS, seeds.LOCKSTEP)
    span, rounds = (range(1, 3), 1) if bench.quick else (range(1, 11), 5)
    costs = seeds.measure(ways, span, rounds, bench.scratch)
    sim = costs[seeds.LEAN.name]
    rows: Rows = []
    for name, cost in costs.items():
        rows.append(
            {
                "": name,
                "operations": round(mean(cost.operations.values())),
                "ms": round(cost.a_seed_s() * 1e3),
                "ms_disturbed": round(mean(cost.every_s) * 1e3),
                "judging": f"{1 - cost.a_seed_s(judged=False) / cost.a_seed_s():.0%}",
                "seeds/min": round(cost.a_minute()),
                "unjudged": round(cost.a_minute(judged=False)),
                "x_real_time": round(cost.times_real()),
                "x_sim": round(cost.a_seed_s() / sim.a_seed_s(), 2),
            }
        )
    lockstep = costs[seeds.LOCKSTEP.name]
    a_minute = sim.a_minute()
    bench.goal("sim, judged", f">= {SEEDS_A_MINUTE} seeds/min", f"{a_minute:.0f}", a_minute >= SEEDS_A_MINUTE)
    times = sim.times_real()
    bench.goal("sim, judged", f">= {TIMES_REAL} x real time", f"{times:.0f}", times >= TIMES_REAL)
    share = lockstep.a_minute() / a_minute
    bench.goal("lockstep / sim", f">= {SHARE_OF_SIM:.2f}", f"{share:.2f}", share >= SHARE_OF_SIM)
    return rows


def run_sizes(bench: Bench) -> Rows:
    """A row for each size of cluster, and the wide-area one."""
    plain = [Way(f"n = {n}", {"nodes": n}) for n in ((4, 7) if bench.quick else (4, 7, 13, 31))]
    n = 7 if bench.quick else 31
    wide = Way(f"n = {n} (f = {(n - 1) // 3}), wide area", {"nodes": n, "virtual": {"latency": "wan"}})
    rows: Rows = []
    for way in (*plain, wide):
        cost = seeds.measure([way], range(1, 2 if bench.quick else 3), 1, bench.scratch)[way.name]
        rows.append(
            {
                "": way.name,
                "operations": round(mean(cost.operations.values())),
                "s": round(cost.a_seed_s(), 2),
                "x_n=4": round(cost.a_seed_s() * 1e3 / float(str(rows[0]["s"])) / 1e3, 1) if rows else 1.0,
                "x_real_time": round(cost.times_real(), 1),
            }
        )
    bench.goal(wide.name, "valid", f"valid, {rows[-1]['operations']} operations", True)
    return rows


def run_events(bench: Bench) -> Rows:
    """Rows for single seeds."""
    rows: Rows = []
    for seed in range(1, 2 if bench.quick else 4):
        place = bench.scratch / f"seed-{seed}"
        place.mkdir()
        rows.append({"seed": seed, **core_events.compare(seed, 2 if bench.quick else 10, place)})
    return rows


PARTS: dict[str, tuple[str, Callable[[Bench], Rows]]] = {
    "seeds": (
        "processor time of a seed (n = 4, 100 operations, 3 faults) in ms, the least of each seed's rounds",
        run_seeds,
    ),
    "events": ("processor time of an event in us: sim, and the bare core fed with the same", run_events),
    "sizes": (
        "processor time of a seed in s, by size of the cluster; the messages grow with n squared",
        run_sizes,
    ),
}


def main(arguments: list[str]) -> int:
    """The exit code."""
    options = _parser().parse_args(arguments)
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        print(f"bench-sim: no part {unknown[0]!r}: choose from {', '.join(PARTS)}", file=sys.stderr)
        return 2
    machine = describe() | {"python_build": python_build(), "signature_us": round(bench_crypto.sign_us(), 1)}
    results: dict[str, object] = {"schema": "traitor/bench-sim/1", "machine": machine}
    print("machine: " + ", ".join(f"{name} {value}" for name, value in machine.items()))
    if words := warning(machine):
        print(words)
    status = 0
    try:
        with scratch_folder() as scratch:
            bench = Bench(scratch, options.quick)
            for name in options.parts or PARTS:
                title, run = PARTS[name]
                start = time.monotonic()
                print(f"\n{name}: {title}", flush=True)
                results[name] = rows = run(bench)
                print_rows(rows)
                took = f"{time.monotonic() - start:.0f} s, load average {os.getloadavg()[0]:.1f}"
                print(f"  ({took})", flush=True)
            if bench.goals:
                print("\ngoals: of one core, by processor time")
                print_rows(bench.goals)
                results["goals"] = bench.goals
    except Failed as problem:
        print(f"bench-sim: {problem}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("bench-sim: interrupted; everything it started is gone", file=sys.stderr)
        status = 130
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return status


def python_build() -> str:
    """Nearly all of it is Python: one built with profiles (as distributions do) is a tenth faster."""
    flags = str(sysconfig.get_config_var("CONFIG_ARGS"))
    return "optimized" if "--enable-optimizations" in flags else "not optimized"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench-sim",
        description="Benchmarks of the virtual worlds; what they are compared with is measured beside them.",
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all unless told")
    parser.add_argument("--quick", action="store_true", help="short and rough, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
