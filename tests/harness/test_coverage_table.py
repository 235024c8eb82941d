"""The coverage table: from receipts, added up, shown and written."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from harness import coverage
from harness.sweep.outcome import Outcome
from harness.sweep.tally import Tally

VOTES = ["PREPARE", "drop", "normal", "backup", 3]
PROPOSALS = ["PRE_PREPARE", "delay", "view-change", "primary", 2]


def faults_file(folder: Path, *steps: dict[str, object]) -> Path:
    path = folder / "faults.jsonl"
    lines = [{"schema": "traitor/faults/1"}, *steps]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def step(fault: str, name: str, *cells: list[object]) -> dict[str, object]:
    return {"time_ns": 1, "fault": fault, "kind": "drop", "step": name, "receipt": {"cells": list(cells)}}


def test_the_last_receipt_of_each_fault_counts(tmp_path: Path) -> None:
    path = faults_file(
        tmp_path,
        step("drop-1", "took-effect", [*VOTES[:4], 1]),
        {"time_ns": 1, "fault": "kill-1", "kind": "kill", "step": "took-effect", "receipt": {"killed": {}}},
        step("drop-1", "undone", VOTES),
        step("drop-2", "undone", VOTES, PROPOSALS),
    )
    cells = coverage.read_cells(path)
    assert coverage.rows_of(cells) == [[*VOTES[:4], 6], PROPOSALS]
    assert coverage.read_cells(tmp_path / "nowhere") == Counter()


def test_the_table() -> None:
    shown = coverage.table(coverage.cells_from([VOTES, PROPOSALS])).splitlines()
    assert shown[0].split() == ["message", "action", "phase", "role", "activations"]
    assert "view-change for VIEW_CHANGE and NEW_VIEW" in shown[-1]
    assert [line.split() for line in shown[1:-1]] == [list(map(str, row)) for row in (VOTES, PROPOSALS)]
    assert coverage.table(Counter()) == "no packet met a rule"


def test_what_is_no_cell_is_left_out() -> None:
    assert coverage.cells_from([["a"], 5, ["a", "b", "c", "d", "e"], None]) == Counter()
    assert coverage.cells_from(7) == Counter()


def test_a_sweep_adds_up_and_counts_seeds_without_effect(tmp_path: Path) -> None:
    tally = Tally(3)
    tally.add(Outcome(1, "valid", faults={"drop": [2, 1]}, cells=[VOTES]))
    tally.add(Outcome(2, "uncovered", faults={"drop": [2, 0]}, cells=[]))
    tally.add(Outcome(3, "valid", faults={"drop": [1, 1]}, cells=[VOTES, PROPOSALS]))
    data = json.loads(json.dumps(tally.data()))
    assert data["idle"] == {"drop": 1}
    assert data["coverage"]["cells"] == [[*VOTES[:4], 6], PROPOSALS]
    coverage.write(tally.cells, tmp_path / "new")
    written = json.loads((tmp_path / "new" / "coverage.json").read_text())
    assert (written["schema"], written["cells"]) == ("traitor/coverage/1", data["coverage"]["cells"])
    assert (tmp_path / "new" / "coverage.txt").read_text() == coverage.table(tally.cells) + "\n"
