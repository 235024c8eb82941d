"""The checker and the report, after everything is on disk: the checker in a process of its own, with limits.

A checker that dies (out of memory, out of time, a bug) has found nothing out: every line becomes
``unknown``, with how it died. That is exit code 3, never a pass.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import EXIT_HARNESS, EXIT_USAGE, HarnessError, UsageError
from harness.store import read_object

if TYPE_CHECKING:
    from checker.verdict import Verdict

EXIT_VIOLATION = 1
EXIT_UNKNOWN = 3
_WORST_FIRST = (EXIT_VIOLATION, EXIT_HARNESS, EXIT_UNKNOWN, 0)
_ROOT = Path(__file__).resolve().parents[1]
_SHOWN_CHARACTERS = 2000
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """Of the checker's process."""

    search_s: float = 60.0
    """How long it may search."""
    wall_s: float = 300.0
    """How long it may take for everything."""
    memory_bytes: int = 4 << 30
    """Address space."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came out."""

    exit_code: int
    text: str
    """The verdict lines, as the checker prints them."""
    died: str | None = None
    """How the checker ended, when it was not by itself."""

    def text_with(self, final: int, interrupted: bool) -> str:
        """``text``, whose last line tells the exit code of the command, where that is another."""
        text = self.text.rstrip("\n")
        if final == self.exit_code:
            return text
        before, _, _ = text.rpartition("exit code ")
        why = "interrupted" if interrupted else "the harness or the report failed"
        return f"{before}exit code {final}: {why}; by its lines alone it would be {self.exit_code}"


def judge(
    path: Path,
    limits: CheckLimits,
    out: Path | None = None,
    model: str | None = None,
    flags: Sequence[str] = (),
) -> Judgement:
    """Judge a run folder, or a history file into the folder ``out``. UsageError when it cannot be.

    ``flags`` are more of ``python -m checker``.
    """
    import subprocess  # not when judging in a forked child

    # -P: a folder called checker where the user happens to be is not ours.
    command = [sys.executable, "-P", "-m", "checker", "--time-limit", str(limits.search_s)]
    command += [] if out is None else ["--out", str(out)]
    command += [] if model is None else ["--model", model]
    command += [*flags, "--", str(path)]
    verdict = (out or path) / "verdict.json"
    before = _stamp(verdict)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=limits.wall_s,
            check=False,
            env=os.environ | {"PYTHONPATH": _python_path(model)},
            preexec_fn=lambda: _in_the_child(limits.memory_bytes),
        )
    except subprocess.TimeoutExpired:
        died = f"it was not done within {limits.wall_s:g} s and was killed"
    except OSError as error:
        raise HarnessError(
            f"cannot start the checker: {error.strerror}", "Is the machine out of memory?"
        ) from None
    else:
        if done.returncode == EXIT_USAGE:
            message = done.stderr.strip()[-_SHOWN_CHARACTERS:] or "the checker refused it"
            raise UsageError(message.removeprefix("error: "))
        if done.returncode in _WORST_FIRST and "Traceback (most recent call last)" not in done.stderr:
            if _stamp(verdict) != before and read_object(verdict).get("exit_code") == done.returncode:
                return Judgement(done.returncode, done.stdout)
            died = f"it ended with exit code {done.returncode}, but wrote no verdict that says so"
        else:
            died = _how(done.returncode, done.stderr, limits)
    return dead(died, out or path)


def _python_path(model: str | None) -> str:
    """Ours first; the user's is only for a model of the user's own."""
    own = os.environ.get("PYTHONPATH") if model is not None and ":" in model else None
    return os.pathsep.join([str(_ROOT), own] if own else [str(_ROOT)])


def die_with_parent() -> None:
    """However it dies: nobody would read what this child finds."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _in_the_child(memory_bytes: int) -> None:
    die_with_parent()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _stamp(verdict: Path) -> tuple[int, int] | None:
    """Which file this is. The checker replaces it; one it did not write says nothing of this judgement."""
    try:
        seen = verdict.stat()
    except OSError:
        return None
    return seen.st_ino, seen.st_mtime_ns


def worst(*codes: int) -> int:
    """An unknown never hides a violation: 1, then 4, then 3, then 0."""
    return min(codes, key=lambda code: _WORST_FIRST.index(code) if code in _WORST_FIRST else 1)


def _how(code: int, stderr: str, limits: CheckLimits) -> str:
    last = (stderr.strip().splitlines() or [""])[-1][:300]
    if "MemoryError" in stderr:
        return f"it needed more than its {limits.memory_bytes >> 20} MiB of memory"
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}" + (f": {last}" if last else "")
    return f"it ended with exit code {code}: {last}"


def dead_verdict(died: str) -> Verdict:
    """Nothing was found out."""
    from checker.verdict import NAMES, Verdict, unknown

    lines = tuple(unknown(name, f"the checker did not finish: {died}") for name in NAMES)
    return Verdict(lines=lines, operations={"ok": 0, "fail": 0, "info": 0, "by_function": {}})


def dead(died: str, folder: Path) -> Judgement:
    """A checker that did not end by itself: ``unknown``, also in ``folder``."""
    from checker.results import write_results

    verdict = dead_verdict(died)
    try:
        write_results(verdict, folder)
    except OSError as error:
        raise HarnessError(
            f"cannot write the verdict into {folder}: {error.strerror}", "Free some space."
        ) from None
    return Judgement(verdict.exit_code, verdict.text(), died)
