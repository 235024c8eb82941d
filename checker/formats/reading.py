"""How a history is to be read, and what the reader has to say beside the history itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from checker.history import History

FORMATS = ("traitor", "jepsen-edn", "porcupine-log", "porcupine-kv")
EXPORTS = ("edn", "jsonl")
FailPolicy = Literal["never-happened", "observer"]
FAIL_POLICIES: Sequence[FailPolicy] = ("never-happened", "observer")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for; None leaves it to the format."""

    model: str | None = None
    fail: FailPolicy | None = None
    forgive_torn_tail: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A history and how it was read."""

    history: History
    format: str
    counts: tuple[int, int, int]
    """Operations that ended `ok`, `fail` and `info` (or not at all) in the file's own words."""
    processes: int
    notes: tuple[str, ...] = ()

    def sentence(self) -> str:
        """How much of what was read."""
        ok, fail, info = self.counts
        total = ok + fail + info
        return (
            f"read {total} operation{'' if total == 1 else 's'} ({ok} ok, {fail} fail, {info} info) of "
            f"{self.processes} process{'' if self.processes == 1 else 'es'}, format {self.format}, "
            f"model {self.history.model}"
        )

    def to_json(self) -> dict[str, object]:
        """As the coverage line's details have it."""
        ok, fail, info = self.counts
        counts = {"ok": ok, "fail": fail, "info": info, "processes": self.processes}
        return {"format": self.format, **counts, "notes": list(self.notes)}
