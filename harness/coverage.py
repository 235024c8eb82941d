"""What packet faults did, by kind of message: the coverage table of a run and of a sweep.

A cell is (message type, action, phase, role of the sender); its count, how often a rule did something to such
a packet. All from the receipts in ``faults.jsonl``: what the engine counted, not what was planned.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.request import counted

Cell = tuple[str, str, str, str]
Cells = Counter[Cell]
COLUMNS = ("message", "action", "phase", "role")
COVERAGE_SCHEMA = "traitor/coverage/1"
_SHOWN = 400
LEGEND = (
    "phase: view-change for VIEW_CHANGE and NEW_VIEW, and for the rest while a view was asked for that "
    "nobody had begun; role: of the sender, in the view of the message"
)


def read_cells(path: Path) -> Cells:
    """Of a ``faults.jsonl`` that this run wrote. The last receipt of a fault counts: it has all."""
    last: dict[str, Cells] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return Counter()
    for line in lines:
        step = json.loads(line)
        receipt = step.get("receipt")
        if isinstance(receipt, Mapping) and "cells" in receipt:
            last[str(step.get("fault"))] = cells_from(receipt["cells"])
    return sum(last.values(), Counter())


def cells_from(rows: object) -> Cells:
    """From rows of four words and a count; others are left out."""
    cells: Cells = Counter()
    for row in rows if isinstance(rows, Sequence) else ():
        if isinstance(row, Sequence) and len(row) == 5 and isinstance(row[4], int):
            cells[str(row[0]), str(row[1]), str(row[2]), str(row[3])] += row[4]
    return cells


def rows_of(cells: Cells) -> list[list[str | int]]:
    """For JSON, in a fixed order."""
    return [[*cell, count] for cell, count in sorted(cells.items())]


def table(cells: Cells) -> str:
    """For people."""
    if not cells:
        return "no packet met a rule"
    rows = [[*map(str, row)] for row in rows_of(cells)]
    left = len(rows) - _SHOWN
    more = f"\n… and {counted(left, 'cell')} more" if left > 0 else ""
    return f"{in_columns([[*COLUMNS, 'activations'], *rows[:_SHOWN]])}{more}\n{LEGEND}"


def in_columns(rows: Iterable[Sequence[str]]) -> str:
    """The first row is the head; numbers stand to the right."""
    rows = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = [all(row[column].isdecimal() for row in rows[1:]) for column in range(len(widths))]

    def line(row: Sequence[str]) -> str:
        parts = zip(row, widths, right, strict=True)
        return "  ".join(
            text.rjust(width) if end else text.ljust(width) for text, width, end in parts
        ).rstrip()

    return "\n".join(map(line, rows))


def write(cells: Cells, folder: Path) -> None:
    """``coverage.json`` and ``coverage.txt``. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"schema": COVERAGE_SCHEMA, "columns": [*COLUMNS, "activations"], "cells": rows_of(cells)}
    (folder / "coverage.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (folder / "coverage.txt").write_text(table(cells) + "\n", encoding="utf-8")
