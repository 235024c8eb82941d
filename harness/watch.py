"""What each replica's process uses, once a second, into ``replicas/<i>/resources.jsonl``.

A replica that eats memory or descriptors is about to fail for a reason no protocol trace shows. How long the
replicas waited for a processor is added up: on a machine that is too small every timeout fires, and none of
them says anything about the protocol. The watch is part of the event loop, so it costs nothing while nothing
is due.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TextIO

import psutil

from harness.world import Timer, World

INTERVAL_NS = 1_000_000_000


class Watch:
    """Of all replicas of a run; ``folder`` is the run folder."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._folders = [folder / "replicas" / str(i) for i in range(world.n)]
        self._files: list[TextIO] = []
        self._seen: dict[int, psutil.Process] = {}
        self._timer: Timer | None = None
        self._next_ns = 0
        self._processor: dict[int, tuple[int, int]] = {}

    def processor(self) -> tuple[int, int]:
        """(ns run, ns waited while able to run), of all replicas in all their lives; 0 if the kernel does not
        tell."""
        lives = self._processor.values()
        return sum(ran for ran, _ in lives), sum(waited for _, waited in lives)

    def start(self) -> None:
        """From now on."""
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            self._files.append((folder / "resources.jsonl").open("a", encoding="utf-8", buffering=1))
        self._next_ns = self._world.now_ns()
        self._tick()

    def stop(self) -> None:
        """No more samples. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        for file in self._files:
            file.close()
        self._files.clear()

    def _tick(self) -> None:
        for replica, file in enumerate(self._files):
            pid = self._world.process(replica).pid
            if pid is not None:
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    self._sample(replica, pid, file)
        self._next_ns = max(self._next_ns + INTERVAL_NS, self._world.now_ns())
        self._timer = self._world.call_at(self._next_ns, self._tick)

    def _sample(self, replica: int, pid: int, file: TextIO) -> None:
        with contextlib.suppress(OSError, ValueError):
            ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
            self._processor[pid] = (int(ran), int(waited))
        process = self._seen.get(replica)
        if process is None or process.pid != pid:
            process = self._seen[replica] = psutil.Process(pid)
            process.cpu_percent()  # The first answer has nothing to compare with.
            return
        with process.oneshot():
            sample = {
                "time_ns": self._world.now_ns(),
                "cpu_percent": process.cpu_percent(),
                "rss_bytes": process.memory_info().rss,
                "open_files": process.num_fds(),
            }
        file.write(json.dumps(sample) + "\n")
