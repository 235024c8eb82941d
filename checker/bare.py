"""A history by itself, without a run folder: nothing is imported here that only a run folder needs.

`traitor check` of a small history starts and answers in the time this module takes to import.
"""

from __future__ import annotations

from pathlib import Path

from checker.formats.detect import read_history
from checker.formats.reading import Options, Reading
from checker.history import History
from checker.judges import coverage, linearizability
from checker.judges.linearizability import Finding
from checker.limits import Limits
from checker.verdict import NAMES, Line, Verdict, count_operations, not_judged, unknown


def judge_history(path: Path, limits: Limits | None = None, *, model: str | None = None) -> Verdict:
    """Judge a history file by itself. Raises HistoryError if it is malformed or has no operations."""
    return judge_reading(read_history(path, options=Options(model=model)), limits or Limits())


def judge_reading(reading: Reading, limits: Limits) -> Verdict:
    """Judge a history that was read."""
    history = reading.history
    try:
        found = linearizability.judge(history, limits)
    except Exception as error:
        found = Finding(thrown(linearizability.NAME, error))
    lines = {name: not_judged(name, "a bare history does not show it") for name in NAMES}
    lines["linearizability"] = with_what_holds(found.line, history, limits)
    lines["coverage"] = coverage.judge_bare(reading)
    return verdict_of(tuple(lines[name] for name in NAMES), history, found)


def with_what_holds(line: Line, history: History | None, limits: Limits) -> Line:
    """The line of linearizability. An invalid one, or any if asked, tells what weaker guarantees hold."""
    if history is None or not history.operations or not (line.verdict == "invalid" or limits.every_guarantee):
        return line
    from checker import weaker  # only a violation needs it, and who asks

    return weaker.told(line, history, limits)


def verdict_of(lines: tuple[Line, ...], history: History | None, found: Finding) -> Verdict:
    """The lines with what was judged and the certificates that were found."""
    return Verdict(
        lines=lines,
        operations=count_operations(history.operations if history else ()),
        model=history.model if history else None,
        history_sha256=history.sha256 if history else None,
        witness=found.witness,
        counterexample=found.counterexample,
    )


def thrown(name: str, error: Exception) -> Line:
    """A judge that threw has found nothing out."""
    return unknown(name, f"its judge failed with {type(error).__name__}: {error!s:.300}")
