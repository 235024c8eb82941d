"""Writes a verdict and its certificates: `verdict.json`, `witness.jsonl`, `counterexample.json`.

Each file appears whole or not at all (written beside, then renamed). A certificate that this verdict does not
have is removed, so that none of an earlier judgement is taken for its own; the verdict is written last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from checker.verdict import Verdict


def write_results(verdict: Verdict, folder: Path) -> None:
    """Write into `folder`, which exists. OSError if the disk will not take it."""
    witness = "".join(_witness_lines(verdict)) if verdict.witness else None
    _replace(folder / "witness.jsonl", witness)
    counterexample = verdict.counterexample
    _replace(folder / "counterexample.json", _pretty(counterexample.to_json()) if counterexample else None)
    _replace(folder / "verdict.json", _pretty(verdict.to_json()))


def _witness_lines(verdict: Verdict) -> Iterator[str]:
    header = {
        "schema": "traitor/witness/1",
        "history_sha256": verdict.history_sha256,
        "model": verdict.model,
    }
    yield json.dumps(header) + "\n"
    for key in verdict.witness:
        yield json.dumps({"key": key.key, "order": key.order, "dropped": key.dropped}) + "\n"


def _pretty(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"


def _replace(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink(missing_ok=True)
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
