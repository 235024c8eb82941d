"""The place where a live run happens: private user, mount, pid, network, host name and IPC namespaces.

``run_inside`` runs a command there through ``launcher`` and behaves like the command itself: the same exit
code, and SIGINT, SIGTERM, SIGHUP and SIGQUIT reach it once. The launcher has a session of its own, so that
Ctrl-C, which a terminal sends to its whole foreground group, reaches only the outer process, which passes
it on. Killing the outer process in any way leaves nothing behind. No privilege is needed where the system
lets users make namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from harness import launcher
from harness.errors import HarnessError

READY_DEADLINE_S = 30.0
PROBE_DEADLINE_S = 30.0

_LAUNCHER = str(Path(launcher.__file__).resolve())
_ROOT = str(Path(__file__).resolve().parents[1])


def inside() -> bool:
    """Does this process run in a sandbox? (Not fooled by a variable that leaked out of one.)"""
    place = os.environ.get(launcher.PLACE_VARIABLE)
    return place is not None and place == os.readlink("/proc/self/ns/pid")


def run_inside(argv: Sequence[str], env: Mapping[str, str] | None = None) -> int:
    """Run a command in a new sandbox and give back its exit code (128 + number when a signal ended it).

    Raises HarnessError when the sandbox cannot be built or the command not be found.
    """
    with _relaying() as inner:
        process = start_inside(argv, env)
        inner.is_now(process)
        return _exit_code(process)


def start_inside(
    argv: Sequence[str], env: Mapping[str, str] | None = None, stdout: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a command in a new sandbox. Returns when it runs there."""
    read_end, write_end = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", _LAUNCHER, str(write_end), str(os.getpid()), *argv],
            env=None if env is None else dict(env),
            stdout=stdout,
            pass_fds=(write_end,),
            start_new_session=True,
        )
    except OSError as problem:
        os.close(read_end)
        raise HarnessError(f"cannot start the sandbox launcher: {problem}") from problem
    finally:
        os.close(write_end)
    trouble = _read_trouble(read_end)
    if trouble:
        process.kill()
        process.wait()
        raise _explained(trouble)
    return process


def _read_trouble(read_end: int) -> bytes:
    """What the launcher reports; it is empty (and the pipe closed) once the command runs."""
    try:
        if not select.select([read_end], [], [], READY_DEADLINE_S)[0]:
            late = {"step": "ready", "errno": 0, "text": f"not within {READY_DEADLINE_S:.0f} s"}
            return json.dumps(late).encode()
        return os.read(read_end, 65536)
    finally:
        os.close(read_end)


@contextlib.contextmanager
def _relaying() -> Iterator[_Inner]:
    """Pass signals on to the inner process once it is known; whatever happens, it is gone afterwards."""
    inner = _Inner()
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    relayed = [number for number in launcher.RELAYED if not (nohup and number == signal.SIGHUP)]
    before = {}
    with contextlib.suppress(ValueError):  # Not the main thread: then signals are somebody else's business.
        before = {number: signal.signal(number, inner.on_signal) for number in relayed}
    try:
        yield inner
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        inner.end()


class _Inner:
    """Where signals go to; those that come before there is a process are kept for it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)

    def is_now(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        while self._early:
            process.send_signal(self._early.pop(0))

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    code = process.wait()
    return code if code >= 0 else 128 - code


def _explained(trouble: bytes) -> HarnessError:
    report = json.loads(trouble)
    step, text = report["step"], report["text"]
    if step == "command":
        return HarnessError(f"cannot run {text}", "Check the command's name and path.")
    return HarnessError(f"cannot build the sandbox: {step}: {text}", _mend())


def _mend() -> str:
    """What to do when the kernel refuses namespaces; every cause found on this machine."""
    causes = {
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "AppArmor restricts user namespaces: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        "/proc/sys/kernel/unprivileged_userns_clone": (
            "0",
            "User namespaces are for root only: sudo sysctl kernel.unprivileged_userns_clone=1",
        ),
        "/proc/sys/user/max_user_namespaces": (
            "0",
            "User namespaces are switched off: sudo sysctl user.max_user_namespaces=15000",
        ),
    }
    found = [hint for path, (bad, hint) in causes.items() if _first_word(path) == bad]
    if any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")):
        found.append("In a container: start it with --privileged (its seccomp profile refuses namespaces).")
    return "\n".join(found) or "Run it as root, or allow user namespaces; `traitor doctor` tells more."


def _first_word(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


@functools.cache
def probe() -> Mapping[str, str | None]:
    """What a sandbox on this machine can do: a name -> None when it works, or what went wrong.

    ``sandbox`` is the namespaces themselves; the others are those of ``harness.probe``.
    """
    paths = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
    variables = {**os.environ, "PYTHONPATH": paths}
    try:
        process = start_inside(
            [sys.executable, "-P", "-m", "harness.probe"], variables, stdout=subprocess.PIPE
        )
    except HarnessError as problem:
        return {"sandbox": str(problem)}
    try:
        output, _ = process.communicate(timeout=PROBE_DEADLINE_S)
        found = json.loads(output)
    except (subprocess.TimeoutExpired, ValueError) as problem:
        process.kill()
        process.communicate()
        return {"sandbox": f"the probe inside it failed: {problem}"}
    return {"sandbox": None, **found}


def available(intercepting: bool = False, doubling: bool = False) -> str | None:
    """None when live runs work on this machine (those with faults on packets, those with twins), else what is
    missing and how to mend it."""
    if inside():
        return None
    found = probe()
    more = (*(("nfqueue", "raw socket") if intercepting else ()), *(("ip rule",) if doubling else ()))
    for name in ("sandbox", "ip", "veth", "ip_forward", "iptables", *more):
        problem = found.get(name)
        if problem:
            return problem
    return None
