"""``make bench-node``: what replication costs, measured side by side in one run.

    make bench-node                                      everything, under six minutes
    make bench-node ARGS="latency throughput"            some parts
    make bench-node ARGS="--quick --json results.json"   a trial; all numbers also as JSON

Leaves nothing behind, also when interrupted. Exit codes: 0 measured (goals met or not) · 1 a cluster
stalled · 2 wrong use · 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import bench_cpu
import bench_crypto
import bench_failover
import bench_latency
import bench_throughput
from load import Stalled
from machine import describe, warning
from servers import stop_on_signals
from tables import Rows, print_rows

PARTS: dict[str, tuple[str, Callable[[bool], Rows]]] = {
    "crypto": ("Ed25519: libsodium (what replicas use) and OpenSSL", bench_crypto.run),
    "cpu": ("processor time per operation in us, without system calls", bench_cpu.run),
    "latency": ("latency of one client: replicated over unreplicated", bench_latency.run),
    "throughput": ("operations per second, batches of at most 64, durability none", bench_throughput.run),
    "unbatched": ("operations per second, one request a batch", bench_throughput.run_unbatched),
    "failover": ("gap in service when the primary is killed", bench_failover.run),
}


def main(arguments: list[str]) -> int:
    """The exit code."""
    options = _parser().parse_args(arguments)
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        print(f"bench-node: no part {unknown[0]!r}: choose from {', '.join(PARTS)}", file=sys.stderr)
        return 2
    stop_on_signals()
    machine = describe()
    results: dict[str, object] = {"schema": "traitor/bench-node/1", "machine": machine}
    print("machine: " + ", ".join(f"{name} {value}" for name, value in machine.items()))
    if words := warning(machine):
        print(words)
    status = 0
    try:
        for name in options.parts or PARTS:
            title, measure = PARTS[name]
            start = time.monotonic()
            print(f"\n{name}: {title}", flush=True)
            rows = measure(options.quick)
            results[name] = rows
            print_rows(rows)
            print(f"  ({time.monotonic() - start:.0f} s, load average {os.getloadavg()[0]:.1f})", flush=True)
    except Stalled as problem:
        print(f"bench-node: {problem}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("bench-node: interrupted; everything it started is gone", file=sys.stderr)
        status = 130
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench-node",
        description="Benchmarks of pbft_node; what it is compared with is measured beside it.",
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all unless told")
    parser.add_argument("--quick", action="store_true", help="short and rough, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
