"""Writes a verdict and its certificates: `witness.jsonl` or `counterexample.json`, `recheck.py`, and
`evidence/accountability.json` where somebody is proved guilty.

Each file appears whole or not at all (written beside, then renamed). A certificate that this verdict does not
have is removed, so that none of an earlier judgement is taken for its own; the verdict is written last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from checker.verdict import Verdict

EVIDENCE = "evidence/accountability.json"
"""Of a run folder (`checker.forensics.evidence`)."""


def write_results(verdict: Verdict, folder: Path) -> None:
    """Write into `folder`, which exists. OSError if the disk will not take it."""
    witness = "".join(_witness_lines(verdict)) if verdict.witness else None
    _replace(folder / "witness.jsonl", witness)
    _replace(folder / "counterexample.json", _counterexample(verdict))
    _replace(folder / "recheck.py", _program(verdict))
    _evidence(folder, verdict)
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


def _counterexample(verdict: Verdict) -> str | None:
    found = verdict.counterexample
    if found is None:
        return None
    said = found.to_json()
    return _pretty({"schema": said.pop("schema"), "history_sha256": verdict.history_sha256, **said})


def _program(verdict: Verdict) -> str | None:
    """What verifies the certificate again; None without one, or if the model's source cannot stand alone."""
    if verdict.model is None or (not verdict.witness and verdict.counterexample is None):
        return None
    from checker.recheck import NotCarried, assemble

    try:
        return assemble(verdict.model)
    except NotCarried:
        return None


def _evidence(folder: Path, verdict: Verdict) -> None:
    found = verdict.evidence
    place = folder / EVIDENCE
    if found is not None and found.proofs:
        place.parent.mkdir(exist_ok=True)
        _replace(place, _pretty(found.to_json()))
    elif place.parent.is_dir():
        _replace(place, None)


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
