"""What a sweep found, counted up: its size does not grow with the number of seeds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from harness.coverage import COLUMNS, Cells, cells_from, rows_of
from harness.judging import worst
from harness.request import counted
from harness.sweep.outcome import VERDICTS, Outcome

MOST_LISTED = 1000
"""Failures in the JSON."""
_TEXT_LISTED = 20


@dataclass(slots=True)
class Tally:
    """Of all outcomes so far."""

    asked: int
    """Seeds."""
    verdicts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERDICTS, 0))
    lines: dict[str, dict[str, int]] = field(default_factory=dict)
    """Line of the verdict -> verdict -> seeds."""
    faults: dict[str, list[int]] = field(default_factory=dict)
    """Kind -> [planned, took effect]."""
    cells: Cells = field(default_factory=Counter)
    """What packet faults did, by kind of message."""
    idle: dict[str, int] = field(default_factory=dict)
    """Kind -> seeds in which it was planned and not one of its faults took effect."""
    operations: dict[str, int] = field(default_factory=dict)
    changed_view: int = 0
    """Seeds in which some replica left view 0."""
    kept: int = 0
    virtual_ns: int = 0
    run_cpu_s: float = 0.0
    cpu_s: float = 0.0
    failures: list[Outcome] = field(default_factory=list)
    uncovered_seeds: list[int] = field(default_factory=list)
    """The first of them."""

    def add(self, outcome: Outcome) -> None:
        """Count it."""
        self.verdicts[outcome.verdict] += 1
        for name, verdict in outcome.lines.items():
            line = self.lines.setdefault(name, {})
            line[verdict] = line.get(verdict, 0) + 1
        for kind, (planned, took) in outcome.faults.items():
            each = self.faults.setdefault(kind, [0, 0])
            each[0] += planned
            each[1] += took
            if planned and not took:
                self.idle[kind] = self.idle.get(kind, 0) + 1
        self.cells.update(cells_from(outcome.cells))
        for name, number in outcome.operations.items():
            self.operations[name] = self.operations.get(name, 0) + number
        self.changed_view += outcome.view > 0
        self.kept += outcome.folder is not None
        self.virtual_ns += outcome.virtual_ns
        self.run_cpu_s += outcome.run_cpu_s
        self.cpu_s += outcome.cpu_s
        if outcome.verdict not in ("valid", "uncovered") and len(self.failures) < MOST_LISTED:
            self.failures.append(outcome)
        if outcome.verdict == "uncovered" and len(self.uncovered_seeds) < MOST_LISTED:
            self.uncovered_seeds.append(outcome.seed)

    @property
    def done(self) -> int:
        """Seeds."""
        return sum(self.verdicts.values())

    @property
    def exit_code(self) -> int:
        """The worst, in the order 1, 4, 3, 0. Nothing done is nothing known."""
        return (
            worst(*(Outcome(0, word).exit_code for word, seeds in self.verdicts.items() if seeds))
            if self.done
            else 3
        )

    def rates(self) -> tuple[float, float]:
        """Seeds a minute and core; virtual seconds for each second of processor time."""
        if not self.cpu_s:
            return 0.0, 0.0
        return 60 * self.done / self.cpu_s, self.virtual_ns / 1e9 / self.cpu_s

    def text(self) -> str:
        """The summary for people."""
        per_minute, ratio = self.rates()
        words = [f"{seeds} {word}" for word, seeds in self.verdicts.items() if seeds]
        rows = [("seeds", f"{self.done} of {self.asked}: {', '.join(words) or 'none done'}")]
        for name, verdicts in self.lines.items():
            rows.append(
                (
                    name,
                    ", ".join(f"{verdicts[v]} {v}" for v in ("valid", "invalid", "unknown") if v in verdicts),
                )
            )
        faults = ", ".join(
            f"{took} of {planned} {kind}" for kind, (planned, took) in sorted(self.faults.items())
        )
        operations = ", ".join(f"{number} {outcome}" for outcome, number in self.operations.items())
        rows += [
            ("faults", f"{faults or 'none'} took effect; {counted(self.changed_view, 'seed')} left view 0"),
            ("operations", operations or "none"),
            (
                "speed",
                f"{per_minute:.0f} seeds a minute and core; virtual time {ratio:.0f} times as fast as real",
            ),
        ]
        if self.failures:
            shown = ", ".join(str(one.seed) for one in self.failures[:_TEXT_LISTED])
            more = ", …" if len(self.failures) > _TEXT_LISTED else ""
            rows.append(("failed", f"{shown}{more} ({counted(self.kept, 'run')} kept)"))
        return "\n".join(f"{name:<16} {value}" for name, value in rows)

    def data(self) -> dict[str, object]:
        """The summary for programs."""
        per_minute, ratio = self.rates()
        bad = sum(self.verdicts[word] for word in VERDICTS if word not in ("valid", "uncovered"))
        return {
            "asked": self.asked,
            "done": self.done,
            "verdicts": self.verdicts,
            "lines": self.lines,
            "faults": {
                kind: {"planned": p, "took_effect": t} for kind, (p, t) in sorted(self.faults.items())
            },
            "idle": dict(sorted(self.idle.items())),
            "coverage": {"columns": [*COLUMNS, "activations"], "cells": rows_of(self.cells)},
            "operations": self.operations,
            "changed_view": self.changed_view,
            "kept": self.kept,
            "virtual_s": round(self.virtual_ns / 1e9, 3),
            "cpu_s": round(self.cpu_s, 3),
            "run_cpu_s": round(self.run_cpu_s, 3),
            "seeds_per_minute_and_core": round(per_minute, 1),
            "virtual_to_real": round(ratio, 1),
            "uncovered_seeds": self.uncovered_seeds,
            "failures": [one.data() for one in self.failures],
            "failures_left_out": bad - len(self.failures),
        }
