"""What the numbers were measured on, and whether the machine was quiet: printed above every table."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path

import psutil

BUSY_SHARE = 0.15
"""Of all processors, used by others: above it absolute numbers are worth little."""
PACKAGES = ("pynacl", "cryptography")


def describe() -> dict[str, object]:
    """The machine, the interpreter, the libraries, and how busy others keep it right now."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in PACKAGES},
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "busy_share": round(busy_share(), 3),
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "not known",
    }


def busy_share(seconds: float = 1.0) -> float:
    """How much of the machine others used in a second in which this process slept, 0 to 1."""
    return psutil.cpu_percent(interval=seconds) / 100


def warning(machine: dict[str, object]) -> str | None:
    """Words for a machine on which wall-clock numbers mislead."""
    share = machine["busy_share"]
    assert isinstance(share, float)
    if share <= BUSY_SHARE:
        return None
    return (
        f"WARNING: others use {share:.0%} of this machine. Ratios are measured side by side and still tell "
        "something, throughput and latency do not: wait until it is quiet, then measure again"
    )


def cpu_ns(pid: int) -> int:
    """Time on a processor so far, exact to the scheduler's nanosecond; 0 for a process that is gone."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def own_cpu_ns() -> int:
    """Of this process."""
    return time.process_time_ns()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""
