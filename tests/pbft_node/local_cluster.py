"""A cluster of real replica processes on this machine, made and called as a person does it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pbft_node import by_hand
from pbft_node.core.trace_events import problem

COMMAND = [sys.executable, "-m", "pbft_node"]


def free_ports(count: int) -> int:
    """The first of ``count`` ports in a row that nobody uses now. Test runs side by side begin elsewhere."""
    for step in range(1000):
        base = 21_000 + (os.getpid() * 7 + step) % 1000 * 10
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(("127.0.0.1", base + offset))
            return base
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise AssertionError("no free ports")


def wait_for(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        select.poll().poll(5)


class Cluster:
    """A generated folder and its processes."""

    def __init__(
        self, folder: Path, nodes: int = 4, service: str = "kv", path: Path | None = None, more: str = ""
    ) -> None:
        """``path``: a folder for PYTHONPATH of the replicas. ``more``: options of ``generate``."""
        self.folder = folder
        self.environment = dict(os.environ)
        if path is not None:
            paths = (str(path), os.environ.get("PYTHONPATH"))
            self.environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self.base = free_ports(nodes + 1)
        options = ["--nodes", str(nodes), "--base-port", str(self.base), "--service", service]
        options += more.split()
        assert by_hand.main(["generate", str(folder), *options]) == 0
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def replica(self, number: int) -> Path:
        return self.folder / "replicas" / str(number)

    def trace(self, number: int) -> list[dict[str, object]]:
        path = self.replica(number) / "trace.jsonl"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def problem(self, line: dict[str, object]) -> str | None:
        """Every line of every trace is as ``trace_events`` says."""
        fields = {name: value for name, value in line.items() if name not in ("t_ns", "e")}
        return None if type(line["t_ns"]) is int and problem(str(line["e"]), fields) is None else str(line)

    def set(self, number: int, **keys: object) -> None:
        """Change the configuration of a replica."""
        config = self.replica(number) / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | keys))

    def start(self, *numbers: int) -> None:
        lives = {number: self.lives(number) for number in numbers}
        for number in numbers:
            with (self.replica(number) / "stderr.log").open("ab") as stderr:
                command = [*COMMAND, "--config", str(self.replica(number) / "config.json")]
                self.processes[number] = subprocess.Popen(command, stderr=stderr, env=self.environment)
        for number, before in lives.items():
            self.wait_until_up(number, before)

    def wait_until_up(self, number: int, lives_before: int) -> None:
        wait_for(lambda: self.lives(number) > lives_before, f"replica {number} up: {self.stderr(number)}")

    def lives(self, number: int) -> int:
        return sum(line["e"] == "started" for line in self.trace(number))

    def kill(self, *numbers: int, signal_: int = signal.SIGKILL) -> list[int]:
        for number in numbers:
            self.processes[number].send_signal(signal_)
        return [self.processes.pop(number).wait(20) for number in numbers]

    def stderr(self, number: int) -> str:
        return (self.replica(number) / "stderr.log").read_text()

    def call(self, *operation: str, timeout: float = 20) -> tuple[int, str]:
        options = ["--timeout", str(timeout), str(self.folder / "client.json"), *operation]
        result = subprocess.run([*COMMAND, "call", *options], capture_output=True, text=True, timeout=60)
        return result.returncode, result.stdout.strip() or result.stderr.strip()
