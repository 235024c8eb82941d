"""The runs there are, a line each for ``traitor list``: what their verdicts say, if they have one.

What stands in a run folder is hostile: it is read as data with the bounds of any of our files, and shown as
printable text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.store import MARKS, printable, read_object


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A line of ``traitor list``."""

    folder: Path
    started: str
    verdict: str
    """``valid`` … or ``not judged``."""
    exit_code: int | None
    operations: str
    reason: str
    """Of the first line that is not valid."""


def list_runs(out: Path) -> list[RunSummary]:
    """Newest first. Raises UsageError when ``out`` cannot be read."""
    try:
        folders = [
            path for path in out.iterdir() if path.is_dir() and any((path / mark).exists() for mark in MARKS)
        ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(
            f"cannot list {out}: {error.strerror}", "Name the folder that holds the runs."
        ) from None
    return [_summary(folder) for folder in sorted(folders, key=lambda folder: folder.name, reverse=True)]


def _summary(folder: Path) -> RunSummary:
    verdict, run = read_object(folder / "verdict.json"), read_object(folder / "run.json")
    operations, lines, code = verdict.get("operations"), verdict.get("lines"), verdict.get("exit_code")
    counts = operations if isinstance(operations, dict) else {}
    reason = ""
    for line in lines if isinstance(lines, list) else []:
        if isinstance(line, dict) and line.get("judged") and line.get("verdict") != "valid":
            reason = f"{line.get('name')}: {line.get('reason')}"
            break
    return RunSummary(
        folder=folder,
        started=printable(run.get("started_utc") or folder.name.split("-")[0]),
        verdict=printable(verdict.get("verdict") or "not judged"),
        exit_code=code if isinstance(code, int) else None,
        operations=" ".join(
            f"{counts[key]} {key}" for key in ("ok", "fail", "info") if isinstance(counts.get(key), int)
        ),
        reason=printable(reason),
    )
