"""Rows of named cells as tables on standard output."""

from __future__ import annotations

Rows = list[dict[str, object]]


def print_rows(rows: Rows) -> None:
    """A table for each run of rows with the same columns."""
    start = 0
    while start < len(rows):
        columns = list(rows[start])
        end = start + 1
        while end < len(rows) and list(rows[end]) == columns:
            end += 1
        cells = [columns] + [[str(row[c]) for c in columns] for row in rows[start:end]]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        for line in cells:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        start = end
