"""The whole judgement: every judge over one run folder, or over a bare history, into one Verdict.

A judge that throws has found nothing out: its line becomes `unknown` with the exception's text, never a pass,
and the others are still heard. Only HistoryError leaves these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from checker.folder import RunFolder, read_folder
from checker.formats import traitor
from checker.history import History, HistoryError
from checker.judges import (
    accountability,
    agreement,
    coverage,
    durability,
    exactly_once,
    harness,
    linearizability,
    liveness,
    outside,
    recovery,
)
from checker.judges.linearizability import Finding
from checker.limits import Limits
from checker.verdict import NAMES, Line, Verdict, count_operations, not_judged, unknown

Judge = Callable[[RunFolder, Limits], Line]

JUDGES: Mapping[str, Judge] = {
    "agreement": agreement.judge,
    "exactly-once": exactly_once.judge,
    "durability": durability.judge,
    "liveness": liveness.judge,
    "accountability": accountability.judge,
    "recovery": recovery.judge,
    "coverage": coverage.judge,
    "harness": harness.judge,
}
_SAFETY = frozenset({"linearizability", "agreement", "exactly-once", "durability"})


def judge_run(
    path: Path,
    limits: Limits | None = None,
    *,
    model: str | None = None,
    judges: Mapping[str, Judge] = JUDGES,
) -> Verdict:
    """Judge a run folder. Raises HistoryError if its history is malformed; nothing else."""
    return judge_folder(read_folder(path, model), limits or Limits(), judges)


def judge_folder(folder: RunFolder, limits: Limits, judges: Mapping[str, Judge] = JUDGES) -> Verdict:
    """Judge a run folder that was read. Raises nothing."""
    found = _linearizability(folder.history, limits)
    lines = {"linearizability": found.line}
    for name, judge in judges.items():
        lines[name] = _heard(name, judge, folder, limits)
    ordered = tuple(
        outside.mark_outside(lines[name], folder) if name in _SAFETY else lines[name] for name in NAMES
    )
    return _verdict(ordered, folder.history, found)


def judge_history(path: Path, limits: Limits | None = None, *, model: str | None = None) -> Verdict:
    """Judge a history file by itself. Raises HistoryError if it is malformed or has no operations."""
    limits = limits or Limits()
    history = traitor.read(path, model)
    if not history.operations:
        raise HistoryError(
            str(path), 0, "the history has no operations", "There is nothing to judge; record one"
        )
    found = _linearizability(history, limits)
    lines = {name: not_judged(name, "a bare history does not show it") for name in NAMES}
    lines["linearizability"] = found.line
    lines["coverage"] = coverage.judge_bare(history)
    return _verdict(tuple(lines[name] for name in NAMES), history, found)


def _verdict(lines: tuple[Line, ...], history: History | None, found: Finding) -> Verdict:
    return Verdict(
        lines=lines,
        operations=count_operations(history.operations if history else ()),
        model=history.model if history else None,
        history_sha256=history.sha256 if history else None,
        witness=found.witness,
        counterexample=found.counterexample,
    )


def _linearizability(history: History | None, limits: Limits) -> Finding:
    try:
        return linearizability.judge(history, limits)
    except Exception as error:
        return Finding(_thrown("linearizability", error))


def _heard(name: str, judge: Judge, folder: RunFolder, limits: Limits) -> Line:
    try:
        return judge(folder, limits)
    except Exception as error:
        return _thrown(name, error)


def _thrown(name: str, error: Exception) -> Line:
    return unknown(name, f"its judge failed with {type(error).__name__}: {error!s:.300}")
