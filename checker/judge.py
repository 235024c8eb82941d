"""The whole judgement: every judge over one run folder, or over a bare history, into one Verdict.

A judge that throws has found nothing out: its line becomes `unknown` with the exception's text, never a pass,
and the others are still heard. Only HistoryError leaves these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from checker.bare import judge_history, thrown, verdict_of, with_what_holds
from checker.executed import ExecutedOrder, executed_order
from checker.folder import RunFolder, read_folder
from checker.forensics.evidence import Evidence
from checker.history import History
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
    promises,
    recovery,
    validity,
    view_churn,
    witness,
)
from checker.judges.linearizability import Finding
from checker.limits import Limits
from checker.verdict import NAMES, Line, Verdict

__all__ = ["JUDGES", "Judge", "judge_folder", "judge_history", "judge_run"]

Judge = Callable[[RunFolder, Limits], Line]
"""All but linearizability, witness and accountability, which hear what others found."""

JUDGES: Mapping[str, Judge] = {
    "agreement": agreement.judge,
    "exactly-once": exactly_once.judge,
    "durability": durability.judge,
    "validity": validity.judge,
    "promises": promises.judge,
    "liveness": liveness.judge,
    "view-churn": view_churn.judge,
    "recovery": recovery.judge,
    "coverage": coverage.judge,
    "harness": harness.judge,
}
_PROMISED = frozenset(NAMES) - {"accountability", "coverage", "harness"}
"""What PBFT promises while at most f replicas lie."""


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
    order = _executed(folder)
    found = _linearizability(folder.history, limits, None if order.trouble else order.keys)
    line = with_what_holds(found.line, folder.history, limits)
    lines = {"linearizability": line, "witness": witness.judge(order, found)}
    for name, judge in judges.items():
        lines[name] = _heard(name, judge, folder, limits)
    lines[accountability.NAME], evidence = _accountability(folder, limits, lines)
    ordered = tuple(
        outside.mark_outside(lines[name], folder) if name in _PROMISED else lines[name] for name in NAMES
    )
    return replace(verdict_of(ordered, folder.history, found), evidence=evidence)


def _executed(folder: RunFolder) -> ExecutedOrder:
    if folder.history is None:
        return ExecutedOrder({}, "there is no history")
    return executed_order(folder.history, folder.correct_traces())


def _linearizability(
    history: History | None, limits: Limits, executed: Mapping[str, Sequence[int]] | None = None
) -> Finding:
    try:
        return linearizability.judge(history, limits, executed)
    except Exception as error:
        return Finding(thrown("linearizability", error))


def _accountability(
    folder: RunFolder, limits: Limits, lines: Mapping[str, Line]
) -> tuple[Line, Evidence | None]:
    try:
        return accountability.judge(folder, limits, lines)
    except Exception as error:
        return thrown(accountability.NAME, error), None


def _heard(name: str, judge: Judge, folder: RunFolder, limits: Limits) -> Line:
    try:
        return judge(folder, limits)
    except Exception as error:
        return thrown(name, error)
