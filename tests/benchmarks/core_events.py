"""What an event costs in `sim` beside the bare core that is fed the same ones.

A run is made with journals; each replica's journal is then handed to a fresh core, event by event: without
network, scheduler, log, trace and clients. What the replicas of a simulation share, the bare ones share, too.
"""

from __future__ import annotations

import time
from pathlib import Path

from harness.plan import make_plan
from harness.plan_file import plan_text
from harness.replay.of_replica import Kind, open_subject
from harness.spec import make_spec
from harness.virtual.shared import Shared
from harness.virtual.virtual_run import run_virtual
from pbft_node import assembly
from pbft_node.core.events import Event
from pbft_node.journal_reader import Start

N = 4
ASKED = {"world": "sim", "workload": {"name": "kv", "keys": 5}, "time": 10, "rate": 9.5, "faults": []}
"""Without faults: one life each, so no log to read back."""


def compare(seed: int, rounds: int, scratch: Path) -> dict[str, object]:
    """One row: microseconds an event, the least of all rounds."""
    sim_s = bare_s = float("inf")
    events = 0
    plan = make_plan(make_spec(ASKED), seed)
    for round_ in range(rounds + 1):
        folder = scratch / f"events-{round_}"
        folder.mkdir()
        (folder / "plan.json").write_text(plan_text(plan), encoding="utf-8")
        begin_s = time.process_time()
        run_virtual(folder, True, journal=round_ == 0)
        took_s = time.process_time() - begin_s
        if round_ == 0:  # with journals: the events, and warming up
            inputs = _inputs(folder)
            events = sum(len(of_one) for of_one in inputs)
            continue
        sim_s = min(sim_s, took_s)
        bare_s = min(bare_s, _bare_s(scratch / "events-0", inputs))
    return {
        "events": events,
        "sim_us": round(sim_s / events * 1e6, 1),
        "bare_core_us": round(bare_s / events * 1e6, 1),
        "sim/bare": round(sim_s / bare_s, 2),
    }


def _inputs(folder: Path) -> list[list[tuple[Event, int]]]:
    """Of each replica."""
    found = []
    for replica in range(N):
        (life,) = open_subject(folder, replica, Kind(virtual=True)).contents.lives
        entries = [(entry.event, entry.now_ns) for entry in life.entries()]
        found.append([(e.event(()) if isinstance(e, Start) else e, now_ns) for e, now_ns in entries])
    return found


def _bare_s(folder: Path, inputs: list[list[tuple[Event, int]]]) -> float:
    """By all replicas together, in the order of their times."""
    shared = Shared()
    cores = []
    for replica in range(N):
        config = open_subject(folder, replica, Kind(virtual=True)).config
        shared.join(config.keyring)
        cores.append(assembly.make_replica(config, print))
        shared.equip(cores[-1])
    merged = sorted(
        ((now_ns, replica, nth) for replica in range(N) for nth, (_, now_ns) in enumerate(inputs[replica])),
    )
    events = [(cores[replica].handle, *inputs[replica][nth]) for _, replica, nth in merged]
    begin_s = time.process_time()
    for handle, event, now_ns in events:
        handle(event, now_ns)
    return time.process_time() - begin_s
