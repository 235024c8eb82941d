"""What one seed of a sweep came to: what a worker tells, as JSON, and the line people read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import cast

from harness.console import printable

VERDICTS = ("valid", "invalid", "unknown", "uncovered", "harness")
"""``uncovered``: all that was judged is valid, but too little was tested to say so; ``harness``: the run or
the harness failed."""
_EXIT = {"valid": 0, "invalid": 1, "unknown": 3, "uncovered": 3, "harness": 4}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one seed."""

    seed: int
    verdict: str
    """Of ``VERDICTS``."""
    reason: str = ""
    """Why it is not valid."""
    operations: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, list[int]] = field(default_factory=dict)
    """Kind -> [planned, took effect]."""
    lines: Mapping[str, str] = field(default_factory=dict)
    """Verdict lines that were judged."""
    cells: list[list[str | int]] = field(default_factory=list)
    """What packet faults did: message type, action, phase, role, and how often."""
    view: int = 0
    virtual_ns: int = 0
    run_cpu_s: float = 0.0
    cpu_s: float = 0.0
    real_s: float = 0.0
    plan: str = ""
    """What was drawn, in a few words."""
    folder: str | None = None
    """The run, made again in full, where it was kept."""
    reproduce: str | None = None

    @property
    def exit_code(self) -> int:
        """As of a run."""
        return _EXIT[self.verdict]

    def data(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)

    def text(self) -> str:
        """A line, and more for one that is not valid."""
        planned = sum(each[0] for each in self.faults.values())
        took = sum(each[1] for each in self.faults.values())
        counts = self.operations
        done = f"{counts.get('ok', 0)} ok {counts.get('fail', 0)} fail {counts.get('info', 0)} info"
        line = (
            f"seed {self.seed:<8} {self.verdict:<9} operations {done:<21} faults {took}/{planned:<3} "
            f"view {self.view:<3} virtual {self.virtual_ns / 1e9:6.1f} s  real {self.real_s:6.2f} s  "
            f"{self.plan}"
        )
        more = [self.reason, self.folder, self.reproduce] if self.verdict != "valid" else []
        return "\n".join([printable(line).rstrip(), *(f"    {printable(each)}" for each in more if each)])


def outcome_from(data: Mapping[str, object]) -> Outcome:
    """The other way; the data is our own worker's."""
    return Outcome(**cast(dict[str, object], dict(data)))  # type: ignore[arg-type]


def verdict_of(exit_code: int, lines: Mapping[str, str]) -> str:
    """The word for a judged run."""
    if exit_code == 3:
        bad = [name for name, verdict in lines.items() if verdict != "valid"]
        return "uncovered" if bad == ["coverage"] else "unknown"
    return {0: "valid", 1: "invalid"}.get(exit_code, "harness")


def judged_lines(verdict: Mapping[str, object]) -> dict[str, str]:
    """Name -> verdict, of those that were judged."""
    lines = verdict.get("lines")
    return {
        str(line["name"]): str(line["verdict"])
        for line in (lines if isinstance(lines, list) else [])
        if isinstance(line, dict) and line.get("judged")
    }
