"""The certificate of linearizability, verified as `recheck.py` does it: by its program, from our own source.

The folder's `recheck.py` is not run, for it is as hostile as the rest; it is compared with the one that this
version writes.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from checker.audit_run.findings import Finding, OnTrust
from checker.files import read_regular
from checker.history import History
from checker.models import model_class
from checker.recheck import NotCarried, assemble, is_of_transactions
from checker.recheck import program as recheck

NAME = "certificate"


def check_certificate(
    folder: Path, history: History | None, recorded: str | None
) -> tuple[Finding, list[OnTrust]]:
    """`recorded`: the verdict on linearizability, as `verdict.json` has it."""
    if history is None:
        return Finding(NAME, "unchecked", "there is no history to hold it against"), []
    there = [name for name in ("witness.jsonl", "counterexample.json") if (folder / name).exists()]
    if not there:
        if recorded == "unknown":
            return Finding(NAME, "on trust", "there is none: the verdict on linearizability is unknown"), []
        return Finding(NAME, "unchecked", "no witness.jsonl and no counterexample.json in the folder"), []
    used, whole = model_class(history.model), None
    if is_of_transactions(used):
        from checker.recheck.transactions import Transactions  # only such histories need it

        whole = Transactions
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = recheck.main([str(folder)], used, history.model, folder, whole)
    lines = said.getvalue().splitlines() or ["nothing was said"]
    if code != recheck.VERIFIED:
        return Finding(NAME, "wrong", f"{' and '.join(there)}: {lines[-1]}"), []
    what = "an order of each key explains" if there == ["witness.jsonl"] else "no order explains"
    told = f"{there[0]}: {what} {len(history.operations)} operations, audited"
    return Finding(NAME, "verified", told, (f"{there[0]}, by the auditor",)), _program(folder, history.model)


def _program(folder: Path, model: str) -> list[OnTrust]:
    if not (folder / "recheck.py").exists():
        return []
    try:
        if read_regular(folder / "recheck.py").decode("utf-8", "replace") == assemble(model):
            return []
        why = "it is not what this version of the checker writes; it was not run"
    except (OSError, NotCarried) as error:
        why = f"it cannot be compared ({error}); it was not run"
    return [OnTrust("recheck.py", why)]
