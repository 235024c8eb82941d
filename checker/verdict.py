"""What is said at the end: lines, each `valid`, `invalid` or `unknown` with a reason, and an exit code.

An unknown never hides a violation, and a line that was not judged never counts as a pass nor as a failure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from checker.history import Operation

if TYPE_CHECKING:
    from checker.counterexample import Counterexample
    from checker.forensics.evidence import Evidence
    from checker.transactions.refutation import Refutation

SCHEMA = "traitor/verdict/1"
_FEW = 3
"""More lines than this that were not judged for one and the same reason are one row of the text."""
Judgement = Literal["valid", "invalid", "unknown"]

NAMES = (
    "linearizability",
    "witness",
    "agreement",
    "exactly-once",
    "durability",
    "validity",
    "promises",
    "liveness",
    "view-churn",
    "accountability",
    "recovery",
    "coverage",
    "harness",
)
_VIOLATIONS = frozenset(NAMES) - {"coverage", "harness"}


@dataclass(frozen=True, slots=True)
class Line:
    """One question answered. `reason` is one sentence."""

    name: str
    verdict: Judgement
    reason: str
    judged: bool = True
    details: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """As `verdict.json` has it."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "judged": self.judged,
            "reason": self.reason,
            "details": dict(self.details),
        }


def valid(name: str, reason: str, **details: object) -> Line:
    """A line that passed."""
    return Line(name, "valid", reason, details=details)


def invalid(name: str, reason: str, *, kind: str, **details: object) -> Line:
    """A line that found a violation.

    `kind` is which of the judge's rules was broken, in a few words that are the same for every run.
    """
    return Line(name, "invalid", reason, details={"kind": kind, **details})


def unknown(name: str, reason: str, **details: object) -> Line:
    """A line that could not decide."""
    return Line(name, "unknown", reason, details=details)


def not_judged(name: str, reason: str = "not yet judged") -> Line:
    """A line for which there is no judge, or nothing to judge."""
    return Line(name, "unknown", reason, judged=False)


@dataclass(frozen=True, slots=True)
class KeyWitness:
    """An explaining order of one key, audited."""

    key: str
    order: tuple[int, ...]
    dropped: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything the judge has to say about one run or one history."""

    lines: tuple[Line, ...]
    operations: Mapping[str, object]
    model: str | None = None
    history_sha256: str | None = None
    witness: tuple[KeyWitness, ...] = ()
    counterexample: Counterexample | Refutation | None = None
    evidence: Evidence | None = None
    """Of the accountability line: who is proved guilty. None: nothing was searched."""

    @property
    def exit_code(self) -> int:
        """0 valid, 1 a violation, 3 unknown, 4 the harness failed; the worst in the order 1, 4, 3, 0."""
        judged = [line for line in self.lines if line.judged]
        if any(line.verdict == "invalid" and line.name in _VIOLATIONS for line in judged):
            return 1
        if any(line.verdict == "invalid" and line.name == "harness" for line in judged):
            return 4
        return 0 if judged and all(line.verdict == "valid" for line in judged) else 3

    @property
    def verdict(self) -> Judgement:
        """The whole in one word. A run whose harness failed says nothing: `unknown`."""
        code = self.exit_code
        return "valid" if code == 0 else "invalid" if code == 1 else "unknown"

    def line(self, name: str) -> Line:
        """The line called `name`. KeyError if there is none."""
        for line in self.lines:
            if line.name == name:
                return line
        raise KeyError(name)

    def to_json(self) -> dict[str, object]:
        """As `verdict.json` has it."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "lines": [line.to_json() for line in self.lines],
            "operations": dict(self.operations),
        }

    def text(self) -> str:
        """As a terminal shows it: one line each, control characters of hostile values made harmless."""
        rows = []
        alike = Counter(line.reason for line in self.lines if not line.judged)
        together = [line.name for line in self.lines if not line.judged and alike[line.reason] > _FEW]
        for line in self.lines:
            if line.name in together:
                continue
            rows.append(f"{line.name:<16} {line.verdict:<8} {line.reason}")
            if line.name == "linearizability" and self.counterexample is not None:
                rows += [f"{'':<25} {reason}" for reason in self.counterexample.reasons[1:]]
            if isinstance(still := line.details.get("still"), str):
                rows.append(f"{'':<25} {still}")
            if self.counterexample is None and isinstance(more := line.details.get("reasons"), list):
                rows += [f"{'':<25} {reason}" for reason in more]
            if line.name == "coverage":
                rows += [f"{'':<25} {note}" for note in _notes(line)]
        if together:
            why = self.line(together[0]).reason
            rows.append(f"{'not judged':<16} {'unknown':<8} {why}: {', '.join(together)}")
        rows.append(f"{'verdict':<16} {self.verdict:<8} exit code {self.exit_code}")
        return "".join(
            "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in row) + "\n" for row in rows
        )


def _notes(line: Line) -> list[str]:
    """What the reader of a bare history has to say of it, or what became of lies."""
    became = line.details.get("became")
    if isinstance(became, list):
        return [note for note in became if isinstance(note, str)]
    read = line.details.get("read")
    notes = read.get("notes") if isinstance(read, dict) else None
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []


def count_operations(operations: Iterable[Operation]) -> dict[str, object]:
    """The `operations` object of `verdict.json`."""
    totals: Counter[str] = Counter()
    by_function: dict[str, Counter[str]] = {}
    for op in operations:
        totals[op.type] += 1
        by_function.setdefault(op.f, Counter())[op.type] += 1
    return {
        **{outcome: totals[outcome] for outcome in ("ok", "fail", "info")},
        "by_function": {f: dict(sorted(count.items())) for f, count in sorted(by_function.items())},
    }
