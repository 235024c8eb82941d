"""Runs of the library's scripts in ``sim``: the settings under which each shows what it is for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from script_bugs import planted

from harness.plan import make_plan
from harness.spec import make_spec
from harness.trial import Trial, trial

SAFETY = ("linearizability", "agreement", "exactly-once", "durability", "validity", "promises")
CLUSTER = {"K": 4, "L": 8, "request_timeout": "200ms", "view_change_timeout": "200ms"}


@dataclass(frozen=True)
class Case:
    """A script, the bug it is for, and the lines of the verdict that are to see it."""

    script: str
    bug: str
    lines: tuple[str, ...]
    budget: str = "safety"
    time: float = 5
    workload: str = "kv"
    reads: str = "ordered"

    def run(self, seed: int, scratch: Path, bug: bool) -> tuple[Trial, bool]:
        """With the bug or without; and whether the script came to its end."""
        spec = {
            "world": "sim",
            "faults": [f"script:{self.script}"],
            "time": self.time,
            "rate": 60,
            "workload": self.workload,
            "budget": self.budget,
            "cluster": {**CLUSTER, "reads": self.reads},
        }
        steps: list[Mapping[str, object]] = []

        def look(folder: Path, _done: Trial) -> None:
            steps.extend(json.loads(line) for line in (folder / "faults.jsonl").read_text().splitlines())

        with planted(self.bug) if bug else nullcontext():
            done = trial(make_plan(make_spec(spec), seed), scratch, look)
        return done, any(step.get("step") == "took-effect" for step in steps)


CASES: tuple[Case, ...] = (
    Case("commit-at-one", "backups accept any NEW-VIEW", ("agreement",)),
    Case("fabricated-certificate", "certificates are not checked", ("agreement",)),
    Case("two-certificates", "O picks the lowest certificate", ("agreement",), "within"),
    Case("forged-state", "parts of a state are not checked", ("agreement",), workload="append"),
    Case("stale-read", "f+1 replies do for fast reads", ("linearizability",), "within", reads="fast"),
    Case("starvation", "nobody is helped", ("liveness",), "within", time=14, reads="fast"),
    Case("kill-after-prepare", "proposals are not persisted", ("promises",)),
    Case("kill-after-checkpoint", "states are not persisted", ("recovery",)),
    Case("kill-after-view-change", "view changes are not persisted", ("promises",)),
    Case("kill-after-commit", "certificates are not persisted", ("agreement",)),
    Case("kill-next-primaries", "own proposals are not persisted", ("promises",), "within"),
)


def invalid(done: Trial, names: Iterable[str]) -> list[str]:
    """Which of these lines are."""
    lines = done.verdict["lines"]
    assert isinstance(lines, list), done.error
    return [line["name"] for line in lines if line["name"] in names and line["verdict"] == "invalid"]
