"""``make bench-nemesis``: what interception costs while no rule wants anything, measured side by side.

    make bench-nemesis                                      about a minute and a half
    make bench-nemesis ARGS="--quick --json results.json"   a trial; all numbers also as JSON

One live cluster of four in a sandbox, its interceptor beside it. The rule that queues packets is switched off
and on in turn, so both see the same cluster and the same machine; a ratio is of two neighbouring stretches.
The processor time of a packet is all the interceptor uses while the rule is on, over the packets queued: that
includes the kernel's delivery to the receiver, which without interception the sender would do: what that
costs (a datagram of 250 bytes sent, forwarded, received) is measured beside it, as ``cpu_forward``.

Exit codes: 0 measured (goals met or not) · 1 it failed · 2 wrong use · 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from load import LoadGenerator
from machine import cpu_ns, describe, own_cpu_ns, warning
from servers import Servers, make_cluster
from tables import Rows, print_rows

from harness import commands, firewall, sandbox
from harness.adapter import PbftNodeAdapter
from harness.errors import HarnessError
from harness.firewall import QUEUE_CHAIN
from harness.interception import HEADS_QUEUE, WHOLE_QUEUE, LiveInterception
from harness.live import LiveWorld
from harness.scene import places
from harness.topology import CLIENTS, client_address, replica_address
from nemesis.interceptor.opening import opening_data
from pbft_node.config import load_client
from pbft_node.core.services.null import zeros
from pbft_node.genesis import ClientBlock, make_genesis

ROOT = Path(__file__).resolve().parents[2]
LOADS = {"one client": 1, "64 clients": 64}
CPU_GOAL_US = 10.0
SHARE_GOAL = 0.75
FREE_PORT, DATAGRAMS = 7999, 5000


@dataclass(frozen=True, slots=True)
class Stretch:
    """Of load, with the rule on or off."""

    per_second: float
    packets: int
    interceptor_ns: int
    latency_ns: float


class Bench:
    """A cluster under load, whose interception can be switched."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        cluster = make_cluster()
        addresses = [replica_address(i) for i in range(cluster.n)]
        block = ClientBlock(1000, 9999, client_address()[0], client_address()[1] + 1)
        genesis = make_genesis(cluster, 1, addresses, [block])
        adapter = PbftNodeAdapter(genesis, os.environ | {"PYTHONHASHSEED": "0"}, "none", None)
        programs = [adapter.prepare(i, folder / "replicas" / str(i)) for i in range(cluster.n)]
        opening = opening_data(genesis, 1, [], places(cluster.n), [], (HEADS_QUEUE, WHOLE_QUEUE), None)
        self._interception = LiveInterception(folder, opening)
        self._world = LiveWorld(
            n=cluster.n, f=cluster.f, folder=folder, programs=programs, interception=self._interception
        )
        closing.callback(self._world.tear_down)
        self._world.set_up()
        assert self._world._topology is not None
        assert self._interception._process is not None
        self._pid = self._interception._process.pid
        servers = Servers(cluster, folder, load_client(genesis.client_config(0)), [])
        with self._world._topology.inside(CLIENTS):
            self._load = LoadGenerator(servers, max(LOADS.values()), zeros(0, b"x" * 150))
        closing.callback(self._load.close)
        self._load.wait_ready(answering=cluster.n)
        self._on = True

    def stretch(self, clients: int, seconds: float, *, on: bool) -> Stretch:
        """So many clients for so long."""
        if on != self._on:
            _restore(f"-{'D' if on else 'I'} {QUEUE_CHAIN} {'' if on else '1 '}-j RETURN")
            self._on = on
        packets, used_ns = _queued(), cpu_ns(self._pid)
        load = self._load.run(seconds=seconds, clients=clients)
        return Stretch(
            load.per_second,
            _queued() - packets,
            cpu_ns(self._pid) - used_ns,
            median(load.latencies_ns),
        )

    def forwarding_us(self) -> float:
        """What it costs the sender when nobody intercepts: how fast is this machine right now?"""
        if self._on:
            _restore(f"-I {QUEUE_CHAIN} 1 -j RETURN")
            self._on = False
        topology = self._world._topology
        assert topology is not None
        ends = [(f"r{i}", (replica_address(i)[0], FREE_PORT)) for i in (0, 1)]
        source, target = (topology.open_udp(host, address, 1 << 20) for host, address in ends)
        begin_ns = own_cpu_ns()
        for _ in range(DATAGRAMS):
            source.sendto(bytes(250), ends[1][1])
            target.recv(250)
        used_ns = own_cpu_ns() - begin_ns
        source.close()
        target.close()
        return used_ns / DATAGRAMS / 1e3


def _restore(line: str) -> None:
    backend = firewall.choose_backend()
    commands.call(backend.restore, ["--noflush", "-w", "5"], f"*filter\n{line}\nCOMMIT\n")


def _queued() -> int:
    lines = commands.call(firewall.choose_backend().save, ["-c", "-t", "filter"]).splitlines()
    (line,) = (one for one in lines if f"-A {QUEUE_CHAIN}" in one and "NFQUEUE" in one)
    return int(line[1 : line.index(":")])


def measure(folder: Path, quick: bool) -> Rows:
    """A row for each load."""
    pairs, seconds = (1, 1.0) if quick else (7, 2.5)
    rows: Rows = []
    with ExitStack() as closing:
        bench = Bench(folder, closing)
        for name, clients in LOADS.items():
            bench.stretch(clients, seconds / 2, on=True)
            off, on = [], []
            for _ in range(pairs):
                off.append(bench.stretch(clients, seconds, on=False))
                on.append(bench.stretch(clients, seconds, on=True))
            assert sum(one.packets for one in off) == 0, "what is off queues nothing"
            ratios = [two.per_second / one.per_second for one, two in zip(off, on, strict=True)]
            rows.append(
                {
                    "load": name,
                    "ops/s_off": round(median(one.per_second for one in off)),
                    "ops/s_on": round(median(one.per_second for one in on)),
                    "on/off": round(median(ratios), 2),
                    "least": round(min(ratios), 2),
                    "most": round(max(ratios), 2),
                    "ms_off": round(median(one.latency_ns for one in off) / 1e6, 2),
                    "ms_on": round(median(one.latency_ns for one in on) / 1e6, 2),
                    "packets/s": round(median(one.packets for one in on) / seconds),
                    "cpu_us/packet": round(median(one.interceptor_ns / one.packets for one in on) / 1e3, 1),
                    "cpu_least": round(min(one.interceptor_ns / one.packets for one in on) / 1e3, 1),
                    "cpu_forward": round(bench.forwarding_us(), 1),
                }
            )
    return rows


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="bench_nemesis", allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="a trial: short, one pair")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there, too")
    asked = parser.parse_args()
    if not sandbox.inside():
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return sandbox.run_inside([sys.executable, __file__, *sys.argv[1:]], environment)
    machine = describe()
    print(" · ".join(f"{key} {value}" for key, value in machine.items()))
    if words := warning(machine):
        print(words)
    with tempfile.TemporaryDirectory(prefix="traitor-bench-") as folder:
        rows = measure(Path(folder), asked.quick)
    print_rows(rows)
    goals = _goals(rows)
    print_rows(goals)
    if asked.json:
        text = json.dumps({"machine": machine, "loads": rows, "goals": goals}, indent=1)
        Path(asked.json).write_text(text + "\n", encoding="utf-8")
    return 0


def _goals(rows: Rows) -> Rows:
    busy = rows[-1]
    cpu_us, share = float(str(busy["cpu_us/packet"])), float(str(busy["on/off"]))
    return [
        {
            "goal": "cpu of an untouched packet, 64 clients",
            "wanted": f"<= {CPU_GOAL_US:.0f} us",
            "found": f"{cpu_us:.1f} us",
            "": "met" if cpu_us <= CPU_GOAL_US else "MISSED",
        },
        {
            "goal": "throughput on / off, 64 clients",
            "wanted": f">= {SHARE_GOAL}",
            "found": f"{share:.2f}",
            "": "met" if share >= SHARE_GOAL else "MISSED",
        },
    ]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as problem:
        sys.exit(f"bench_nemesis: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
