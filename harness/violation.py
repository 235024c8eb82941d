"""What "the same failure" means: the same line of the verdict is invalid, on the same property.

The property is the ``kind`` in the details of the line: the anomaly of the counterexample ("stale read") for
linearizability, the rule that was broken ("committed without a quorum", "stuck operation") for the others.
Which key, replica or sequence number was hit, and when, is not part of it: that differs from run to run, and
gets smaller when a failure is shrunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.store import printable

NOT_OF_THE_CLUSTER = ("coverage", "harness")
"""Lines that say something about the run, not about the protocol."""
UNNAMED = "unnamed"
"""The property where the judge gave no word, as those before there were words."""
_LONGEST = 60
_MOST = 20


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One line of a verdict that is invalid."""

    line: str
    property: str

    def __str__(self) -> str:
        return f"{self.line}: {self.property}"


def violations(verdict: Mapping[str, object]) -> tuple[Violation, ...]:
    """Of a ``verdict.json``, which anybody may have written; in the order of its lines."""
    lines = verdict.get("lines")
    found = [
        Violation(printable(line.get("name"))[:_LONGEST], _property(line.get("details")))
        for line in (lines if isinstance(lines, list) else [])
        if isinstance(line, dict)
        and line.get("verdict") == "invalid"
        and line.get("judged") is True
        and line.get("name") not in NOT_OF_THE_CLUSTER
    ]
    return tuple(dict.fromkeys(found))[:_MOST]


def shown(found: Iterable[Violation]) -> str:
    """All of them in one line; empty when there are none."""
    return "; ".join(str(violation) for violation in found)


def _property(details: object) -> str:
    word = details.get("kind") if isinstance(details, dict) else None
    return printable(word)[:_LONGEST] if isinstance(word, str) and word else UNNAMED
