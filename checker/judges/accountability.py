"""Accountability: who signed two conflicting things? There is no judge for it yet, and its line says so."""

from __future__ import annotations

from checker.folder import RunFolder
from checker.limits import Limits
from checker.verdict import Line, not_judged

NAME = "accountability"


def judge(_folder: RunFolder, _limits: Limits) -> Line:
    """Not judged: the evidence (signed messages with their bytes) is not in the run folder."""
    return not_judged(NAME)
