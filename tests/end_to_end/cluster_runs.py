"""Running ``traitor`` as a user does, and looking at what it left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
TRAITOR = [sys.executable, "-m", "harness"]
SMALL = [
    "--set",
    "K=4",
    "--set",
    "L=8",
    "--set",
    "request_timeout=200ms",
    "--set",
    "view_change_timeout=200ms",
]
"""Checkpoints every 4 numbers and short timers, so that both are crossed all the time."""
EXCUSES = {
    "liveness": "void, because ",
    "view-churn": "void, because ",
    "recovery": "void, because ",
    "coverage": r"no receipt that [^;]* took effect \(an earlier fault was not undone in time\)$",
    "harness": r"it was once \d+\.\d+ s late, more than 1 s$",
}
"""How a line begins, or what is all of it, when a busy machine has made it unknown."""
THREE_FAULTS = ["--fault", "partition", "--fault", "kill", "--fault", "pause"]


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    stdout: str
    stderr: str
    out: Path
    namespaces: frozenset[str]
    """Network namespaces its processes lived in, as seen twice a second."""

    @property
    def folder(self) -> Path:
        """The only run folder it made."""
        (folder,) = self.out.iterdir()
        return folder

    def verdicts(self) -> dict[str, str]:
        """Line by line, those that were judged."""
        lines = json.loads((self.folder / "verdict.json").read_text())["lines"]
        return {line["name"]: line["verdict"] for line in lines if line["judged"]}

    def excused(self) -> set[str]:
        """Lines that say themselves that the machine was too busy for them to tell anything."""
        return {line for line, why in EXCUSES.items() if re.match(why, self.reason(line))}

    def reason(self, line: str) -> str:
        """Of one line of the verdict."""
        lines = json.loads((self.folder / "verdict.json").read_text())["lines"]
        return str(next(one["reason"] for one in lines if one["name"] == line))

    def operations(self) -> dict[str, int]:
        """By outcome."""
        counts: dict[str, int] = json.loads((self.folder / "verdict.json").read_text())["operations"]
        return counts

    def traces(self, kind: str) -> list[dict[str, object]]:
        """Every trace line of a kind, of all replicas."""
        found = []
        for path in sorted(self.folder.glob("replicas/*/trace.jsonl")):
            lines = path.read_text().splitlines()
            found += [event for event in map(json.loads, lines) if event["e"] == kind]
        return found

    def views(self) -> int:
        """The latest view that any replica entered."""
        return max((int(str(event["view"])) for event in self.traces("new-view")), default=0)

    def explain(self) -> str:
        """For a failure message."""
        return f"exit {self.code}\n{self.stdout}\n{self.stderr[-3000:]}"


def environment(*paths: Path) -> dict[str, str]:
    """With more places to import from, the first of all being ours."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *paths))), "NO_COLOR": "1"}


def traitor(out: Path, *arguments: str, deadline_s: float = 150, paths: Sequence[Path] = ()) -> Done:
    """``traitor run`` with its own ``--out``, to its end."""
    command = [*TRAITOR, "run", "--out", str(out), *arguments]
    namespaces: set[str] = set()
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=ROOT, env=environment(*paths))
        end = time.monotonic() + deadline_s
        while process.poll() is None:
            namespaces |= leftovers(out).namespaces
            if time.monotonic() > end:
                process.kill()
                raise AssertionError(f"{command} took more than {deadline_s} s")
            time.sleep(0.5)
        stdout.seek(0)
        stderr.seek(0)
        return Done(process.returncode, stdout.read(), stderr.read(), out, frozenset(namespaces))


@dataclass(frozen=True)
class Leftovers:
    """What a run could leave on the machine."""

    processes: tuple[str, ...]
    namespaces: frozenset[str]
    """Network namespaces of those processes, other than our own."""
    rules: str


def leftovers(out: Path) -> Leftovers:
    """Processes that name the run's folder, where they live, and firewall rules of ours outside."""
    processes = []
    namespaces = set()
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if str(out) in command and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(f"{process.pid} {command}")
                namespaces.add(os.readlink(f"/proc/{process.pid}/ns/net"))
        except (psutil.Error, OSError):
            continue
    namespaces.discard(os.readlink("/proc/self/ns/net"))
    return Leftovers(tuple(processes), frozenset(namespaces), firewall_rules())


def firewall_rules() -> str:
    """Chains and rules that carry our name in this namespace; empty where there is no iptables."""
    tool = shutil.which("iptables-legacy-save", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
    if tool is None:
        return ""
    listed = subprocess.run([tool], capture_output=True, text=True, check=False, timeout=20).stdout
    return "\n".join(line for line in listed.splitlines() if "TRAITOR" in line.upper())


def inhabited(namespaces: frozenset[str], gone_ns: int) -> list[str]:
    """Processes that live in one of these namespaces. The kernel gives the number of a namespace that is gone
    to the next one, which may be another run's: who was born after ``gone_ns`` (monotonic) lives there."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.readlink(f"/proc/{process.pid}/ns/net") in namespaces and born_ns(process.pid) < gone_ns:
                found.append(f"{process.pid} {process.name()}")
        except (psutil.Error, OSError):
            continue
    return found


def born_ns(pid: int) -> int:
    """On the monotonic clock; the kernel tells it since boot, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    asleep_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return int(fields[19]) * 10**9 // os.sysconf("SC_CLK_TCK") - asleep_ns
