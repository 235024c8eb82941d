"""What this machine can do, and how to mend what it cannot.

Every check of the sandbox really does the thing, in a sandbox (see ``probe``). A check that is ``required``
and fails means: no live run here. The others cost speed, or what a later fault needs.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import sandbox

PACKAGES = ("psutil", "cryptography", "pynacl", "scapy", "pyyaml", "jinja2", "rich")
OLDEST_PYTHON = (3, 11)
RMEM_BYTES = 4 * 1024 * 1024
DISK_BYTES = 1024**3
RMEM_FILE = Path("/proc/sys/net/core/rmem_max")
CLOCK_FILE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
GOOD_CLOCKS = ("tsc", "kvm-clock", "arch_sys_counter")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a run needs."""

    name: str
    ok: bool
    detail: str
    """What was found."""
    remedy: str = ""
    """What to do, when not ok."""
    required: bool = True
    """Without it there is no live run."""


def examine() -> list[Check]:
    """Try everything; takes about half a second."""
    return [_python(), _packages(), *_sandbox(sandbox.probe()), _receive_buffer(), _disk(), _clock()]


def render_text(checks: Sequence[Check]) -> str:
    """One line a check, its remedy below, and a last line that says whether live runs work."""
    lines = []
    for check in checks:
        mark = "ok  " if check.ok else ("FAIL" if check.required else "note")
        lines.append(f"{mark}  {check.name:<16} {check.detail}")
        if not check.ok and check.remedy:
            lines += [f"{'':24}{line}" for line in check.remedy.splitlines()]
    bad = [check.name for check in checks if check.required and not check.ok]
    lines.append(f"live runs do not work here: {', '.join(bad)}" if bad else "live runs work here")
    return "\n".join(lines) + "\n"


def render_json(checks: Sequence[Check]) -> dict[str, object]:
    """For ``--json``."""
    good = all(check.ok for check in checks if check.required)
    return {"schema": "traitor/doctor/1", "ok": good, "checks": [asdict(check) for check in checks]}


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    oldest = ".".join(str(part) for part in OLDEST_PYTHON)
    ok = sys.version_info >= OLDEST_PYTHON
    return Check("python", ok, f"{version} ({sys.executable})", f"Install Python {oldest} or newer.")


def _packages() -> Check:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    detail = f"missing: {', '.join(missing)}" if missing else ", ".join(found)
    return Check("packages", not missing, detail, "Run `make setup`.")


def _sandbox(found: Mapping[str, str | None]) -> list[Check]:
    """The chain of what a live run needs; where the sandbox itself fails nothing after it could be tried."""
    who = "as root" if os.geteuid() == 0 else "as an ordinary user"
    checks = [_probed("user namespaces", found, "sandbox", f"a private sandbox works {who}")]
    if not checks[0].ok:
        return checks
    backend = found.get("iptables backend") or "none"
    return [
        *checks,
        _probed("iproute2", found, "ip", "ip is installed"),
        _probed("veth", found, "veth", "namespaces can be joined, MTU 65535"),
        _probed("ip_forward", found, "ip_forward", "the router can forward"),
        _probed("iptables", found, "iptables", f"backend {backend}"),
        _probed("ip rule", found, "ip rule", "routes can hang on the incoming interface", required=False),
        _probed("nfqueue", found, "nfqueue", "packets can be queued to a program", required=False),
        _probed("raw socket", found, "raw socket", "packets can be re-emitted", required=False),
    ]


_UNTOLD = {
    "ip rule": "Twins of replicas need it: a kernel with CONFIG_IP_MULTIPLE_TABLES.",
    "nfqueue": "Faults on single packets need it: sudo modprobe -a nfnetlink_queue xt_NFQUEUE",
    "raw socket": "Faults on single packets need it: CAP_NET_RAW is withheld from this sandbox.",
}


def _probed(
    name: str, found: Mapping[str, str | None], key: str, good: str, *, required: bool = True
) -> Check:
    """A probe's message is one line of what happened, then the remedy."""
    problem = found.get(key, "it could not be tried")
    if problem is None:
        return Check(name, True, good, "", required)
    what, _, remedy = problem.partition("\n")
    return Check(name, False, what, remedy or _UNTOLD.get(key, ""), required)


def _receive_buffer() -> Check:
    try:
        largest = int(RMEM_FILE.read_text())
    except (OSError, ValueError) as problem:
        return Check("rmem_max", False, f"cannot read it: {problem}", required=False)
    forced = os.geteuid() == 0
    ok = forced or largest >= RMEM_BYTES
    detail = f"{largest} bytes" + (" (root may go beyond it)" if forced and largest < RMEM_BYTES else "")
    remedy = f"A paused replica loses datagrams sooner. sudo sysctl net.core.rmem_max={RMEM_BYTES}"
    return Check("rmem_max", ok, detail, remedy, required=False)


def _disk() -> Check:
    """Where runs go unless told otherwise. A short run needs little, so this only advises."""
    remedy = "A long run writes hundreds of MiB: make room, or choose another place with --out DIR."
    folder = Path("runs") if Path("runs").exists() else Path()
    try:
        free = shutil.disk_usage(folder).free
        where = folder.resolve()
    except OSError as problem:
        return Check("disk space", False, f"this folder: {problem.strerror}", remedy, required=False)
    detail = f"{free / 1024**3:.1f} GiB free in {where}"
    return Check("disk space", free >= DISK_BYTES, detail, remedy, required=False)


def _clock() -> Check:
    try:
        name = CLOCK_FILE.read_text().strip()
    except OSError:
        return Check("clock source", True, "unknown", required=False)
    remedy = "Reading time is slow with it, so latencies are coarse. See the kernel's clocksource= option."
    return Check("clock source", name in GOOD_CLOCKS, name, remedy, required=False)
