"""``make soak-node``: a million operations, and what they leave behind.

    make soak-node                              1 M operations with `client_auth: mac`, durability write
    make soak-node ARGS="--operations 100000"   a trial

Every tenth of the way it prints the memory of each replica and the size of its log. Both must stay where
they were: a log is cut at every stable checkpoint, and nothing else may grow with the number of operations.
Exit codes: 0 flat · 1 memory grew by more than a quarter since the first tenth, or a stall · 130
interrupted.
"""

from __future__ import annotations

import argparse
import sys

from load import LoadGenerator, Stalled
from machine import describe, warning
from servers import Servers, make_cluster, replicas, stop_on_signals

from pbft_node.core.services.null import zeros

CLIENTS = 256
ALLOWED_GROWTH = 1.25
STEPS = 10
MIB = 1024 * 1024


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="soak-node", description="Memory and log under many operations.")
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--durability", choices=("none", "write", "fsync"), default="write")
    parser.add_argument("--client-auth", default="mac")
    options = parser.parse_args(arguments)
    stop_on_signals()
    machine = describe()
    print("machine: " + ", ".join(f"{name} {value}" for name, value in machine.items()))
    if words := warning(machine):
        print(words)
    cluster = make_cluster(client_auth=options.client_auth)
    try:
        with replicas(cluster, durability=options.durability) as servers:
            return soak(servers, options.operations)
    except Stalled as problem:
        print(f"soak-node: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("soak-node: interrupted; everything it started is gone", file=sys.stderr)
        return 130


def soak(servers: Servers, operations: int) -> int:
    """Load and look, ten times."""
    print("operations  per second  memory of each replica in MiB    size of each log in KiB")
    generator = LoadGenerator(servers, CLIENTS, zeros(0))
    measured: list[list[int]] = []
    try:
        generator.wait_ready(answering=servers.cluster.n)
        for step in range(1, STEPS + 1):
            load = generator.run(operations=operations // STEPS)
            measured.append(servers.rss_bytes())
            memory = " ".join(f"{size / MIB:7.1f}" for size in measured[-1])
            logs = " ".join(f"{size // 1024:6d}" for size in servers.log_bytes())
            print(f"{step * operations // STEPS:10d}  {load.per_second:10.0f} {memory}    {logs}", flush=True)
    finally:
        generator.close()
    worst = max(last / first for first, last in zip(measured[0], measured[-1]))
    print(f"memory at the end over memory after the first tenth: {worst:.2f} at worst")
    return 0 if worst <= ALLOWED_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
