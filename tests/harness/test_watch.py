"""The watch over what replicas use."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import cast

from harness.watch import INTERVAL_NS, Watch
from harness.world import World
from nemesis.machinery import ProcessState


class NoTimer:
    def cancel(self) -> None:
        pass


class Clock:
    """Just enough of a world: two replicas, one of them this process, the other dead; time moves by hand."""

    n = 2

    def __init__(self) -> None:
        self.time_ns = 5
        self.pids: list[int | None] = [os.getpid(), None]
        self.due: list[tuple[int, Callable[[], None]]] = []

    def now_ns(self) -> int:
        return self.time_ns

    def process(self, replica: int) -> ProcessState:
        pid = self.pids[replica]
        return ProcessState(replica, pid, "dead" if pid is None else "running", 1, {})

    def call_at(self, at_ns: int, callback: Callable[[], None], who: object = None) -> NoTimer:
        self.due.append((at_ns, callback))
        return NoTimer()

    def tick(self) -> None:
        self.time_ns, callback = self.due.pop()
        callback()


def lines(folder: Path, replica: int) -> list[dict[str, float]]:
    path = folder / "replicas" / str(replica) / "resources.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_sample_a_second_of_those_that_live(tmp_path: Path) -> None:
    clock = Clock()
    watch = Watch(cast(World, clock), tmp_path)
    watch.start()
    clock.tick()
    clock.tick()
    samples = lines(tmp_path, 0)
    assert [sample["time_ns"] for sample in samples] == [5 + INTERVAL_NS, 5 + 2 * INTERVAL_NS]
    for sample in samples:
        assert sample.keys() == {"time_ns", "cpu_percent", "rss_bytes", "open_files"}
        assert sample["rss_bytes"] > 1_000_000
        assert sample["open_files"] >= 3
        assert sample["cpu_percent"] >= 0
    assert lines(tmp_path, 1) == []
    watch.stop()
    watch.stop()
    clock.tick()
    assert len(lines(tmp_path, 0)) == 2


def test_waiting_for_a_processor_is_added_up(tmp_path: Path) -> None:
    clock = Clock()
    watch = Watch(cast(World, clock), tmp_path)
    assert watch.processor() == (0, 0)
    watch.start()
    ran, waited = watch.processor()
    assert ran > 0
    assert waited >= 0
    clock.pids[1] = os.getppid()
    clock.tick()
    assert watch.processor() > (ran, waited), "of both, and it only grows"
    watch.stop()


def test_a_process_that_is_gone_or_new_is_no_trouble(tmp_path: Path) -> None:
    clock = Clock()
    gone = subprocess.Popen(["true"])
    gone.wait()
    clock.pids = [os.getpid(), gone.pid]
    watch = Watch(cast(World, clock), tmp_path)
    watch.start()
    clock.tick()
    clock.pids[1] = os.getpid()
    clock.tick()
    clock.tick()
    assert len(lines(tmp_path, 0)) == 3
    assert len(lines(tmp_path, 1)) == 1
    watch.stop()
