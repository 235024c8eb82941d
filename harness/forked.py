"""Work in a forked child with limits, whose findings come back as JSON lines through a pipe.

For work that is done many times and may end badly: an endless loop, no memory left, a crash. A fork costs a
few milliseconds where a new interpreter costs a few hundred, since everything is imported already. The child
has nothing of the terminal, is killed with everything in its process group, and dies with its parent. What it
did not report, it did not find out.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from harness.errors import HarnessError, TraitorError
from harness.judging import die_with_parent

Report = Callable[[Mapping[str, object]], None]
_MOST_BYTES = 16 << 20
"""Of everything a child reports."""
_LAST_CHARACTERS = 500
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What a child may use."""

    stage_s: float = 300.0
    """Real time from one report to the next."""
    memory_bytes: int = 4 << 30
    """Address space beyond what its parent has."""
    file_bytes: int | None = None
    """Length of any one file."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a child reported."""

    reports: tuple[Mapping[str, object], ...]
    died: str | None
    """How it ended, when it was not by itself at the end of its work."""
    cpu_s: float
    """Processor time of it and of its own children."""


def in_child(work: Callable[[Report], None], limits: ChildLimits, stderr: Path) -> Heard:
    """Do it there and wait. ``work`` must not need threads. Raises HarnessError when there is no child."""
    child = begin(work, limits, stderr)
    trouble: str | None = "nobody waited for it"
    try:
        trouble = _listen(child)
    finally:
        heard = child.end(trouble)
    return heard


@dataclass(slots=True)
class Child:
    """One that is at work. ``end`` it, whatever happens."""

    number: int
    """Of the process."""
    reading: int
    """File descriptor: there is something to ``hear``."""
    limits: ChildLimits
    stderr: Path
    said: bytearray = field(default_factory=bytearray)

    def hear(self) -> bool:
        """What it said by now; waits until it says something. False: it has nothing more to say."""
        piece = os.read(self.reading, 1 << 20)
        self.said += piece
        return bool(piece)

    def end(self, trouble: str | None) -> Heard:
        """Kill whatever is left of it. ``trouble``: why it was not waited for to the end. Only once."""
        reaped: list[tuple[int, float]] = []
        os.close(self.reading)
        _end(self.number, reaped)
        status, cpu_s = reaped[0]
        said = bytes(self.said)
        reports, whole = _reports(said)
        died = None if whole and trouble is None else trouble or _how(status, self.stderr, self.limits)
        return Heard(reports, died, cpu_s)


def begin(work: Callable[[Report], None], limits: ChildLimits, stderr: Path) -> Child:
    """Do it there, and do not wait: ``limits.stage_s`` is the caller's to watch."""
    reading, writing = os.pipe()
    try:
        # Until its own handlers are set, no signal may make the child believe it is its parent.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            number = os.fork()
            if number == 0:
                _be_the_child(work, limits, stderr, writing)
            os.close(writing)
            return Child(number, reading, limits, stderr)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise HarnessError(f"cannot fork: {error.strerror}", "Is the machine out of memory?") from None


def cpu_s() -> float:
    """Processor time of this process and of the children it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


# In the parent


def _listen(child: Child) -> str | None:
    """To everything it says. Why no more was waited for, if it had more to say."""
    poll = select.poll()
    poll.register(child.reading, select.POLLIN)
    stage_s = child.limits.stage_s
    deadline = time.monotonic() + stage_s
    while True:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            if time.monotonic() < deadline:
                continue
            return f"it was not done within {stage_s:g} s and was killed"
        heard_bytes = len(child.said)
        if not child.hear():
            return None
        if b"\n" in child.said[heard_bytes:]:
            deadline = time.monotonic() + stage_s
        if len(child.said) > _MOST_BYTES:
            child.said.clear()
            return f"it reported more than {_MOST_BYTES >> 20} MiB and was killed"


def _end(child: int, reaped: list[tuple[int, float]]) -> None:
    """Kill whatever is left of it, and wait for it, also when we are being interrupted."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        # Waited for without being reaped: its number stays its own until its group was killed, too.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(child, signal.SIGKILL)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
        reaped.append((status, usage.ru_utime + usage.ru_stime))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _reports(said: bytes) -> tuple[tuple[Mapping[str, object], ...], bool]:
    """Whole lines, and whether the last one says that the work was finished."""
    reports = [json.loads(line) for line in said.splitlines(keepends=True) if line.endswith(b"\n")]
    whole = bool(reports) and reports[-1] == _FINISHED
    return tuple(reports[:-1] if whole else reports), whole


_FINISHED = {"finished": True}


def _how(status: int, stderr: Path, limits: ChildLimits) -> str:
    last = _last_words(stderr)
    if "MemoryError" in last:
        return f"it needed more than {limits.memory_bytes >> 20} MiB of memory"
    if os.WIFSIGNALED(status):
        how = f"it was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    else:
        how = f"it ended with exit code {os.waitstatus_to_exitcode(status)}"
    return f"{how}: {last}" if last else how


def _last_words(stderr: Path) -> str:
    try:
        with stderr.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 10_000))
            lines = file.read().decode(errors="backslashreplace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:_LAST_CHARACTERS] if lines else ""


# In the child


def _be_the_child(
    work: Callable[[Report], None], limits: ChildLimits, stderr: Path, writing: int
) -> NoReturn:
    """Whatever happens here ends here: nothing of the parent's stack may run a second time."""
    code = 1
    try:
        die_with_parent()
        os.setpgid(0, 0)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        own_streams(stderr)
        _limit(limits)
        gc.freeze()  # what the parent left is not ours to collect

        def report(what: Mapping[str, object]) -> None:
            _write(writing, json.dumps(what).encode() + b"\n")

        work(report)
        report(_FINISHED)
        code = 0
    except BaseException as error:
        with contextlib.suppress(BaseException):
            if isinstance(error, TraitorError):  # the last line is what the parent tells
                print(f"{error.message} ({error.hint})".replace("\n", " "), file=sys.stderr)
            else:
                sys.excepthook(type(error), error, error.__traceback__)
            sys.stderr.flush()
    finally:
        os._exit(code)


def own_streams(stderr: Path) -> None:
    """The parent's may be locked by a thread that is not here, and are not for us anyway."""
    nothing = os.open(os.devnull, os.O_RDWR)
    complaints = os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.dup2(complaints, 2)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as we live
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115


def _limit(limits: ChildLimits) -> None:
    with open("/proc/self/statm", "rb") as file:
        inherited_bytes = int(file.read().split()[0]) * resource.getpagesize()
    _at_most(resource.RLIMIT_AS, inherited_bytes + limits.memory_bytes)
    if limits.file_bytes is not None:
        _at_most(resource.RLIMIT_FSIZE, limits.file_bytes)


def _at_most(what: int, most: int) -> None:
    """Where a lower limit is in force already, it stays."""
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, hard))


def _write(writing: int, line: bytes) -> None:
    while line:
        line = line[os.write(writing, line) :]
