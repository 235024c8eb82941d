"""What the judge of transactions finds, as data."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Step:
    """An edge of a cycle: `source` comes before `target`. Transactions are named by their operation's index.

    ww: target appended `after` to `key`, where `before`, appended by source, comes earlier in the list that
    transaction `evidence` read. wr: target's read of `key` ends with `before`, appended by source. rw: source
    read `key` up to `before` (None: the empty list) without `after`, which target appended.
    """

    source: int
    target: int
    edge: str
    key: Hashable = None
    before: Hashable = None
    after: Hashable = None
    evidence: int | None = None

    def to_json(self) -> dict[str, object]:
        """Fields that say nothing are left out."""
        shown: dict[str, object] = {"source": self.source, "target": self.target, "edge": self.edge}
        if self.edge in ("ww", "wr", "rw"):
            shown |= {"key": self.key, "before": self.before}
        if self.edge in ("ww", "rw"):
            shown["after"] = self.after
        if self.evidence is not None:
            shown["evidence"] = self.evidence
        return shown


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that no serial order of the transactions explains.

    A cycle has `steps`, each of which begins where the one before ended. Other anomalies are of one `key`;
    `transactions` are then those that show it, first the one that saw it.
    """

    type: str
    transactions: tuple[int, ...]
    sentences: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    key: Hashable = None
    elements: tuple[Hashable, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)

    def named(self) -> set[int]:
        """The indexes of all transactions it rests on, those that only give evidence, too."""
        given = {step.evidence for step in self.steps if step.evidence is not None}
        return {*self.transactions, *(step.target for step in self.steps), *given}

    def to_json(self) -> dict[str, object]:
        """As `verdict.json` and `counterexample.json` have it."""
        shown: dict[str, object] = {"type": self.type, "transactions": list(self.transactions)}
        if self.steps:
            shown["steps"] = [step.to_json() for step in self.steps]
        else:
            shown |= {"key": self.key, "elements": list(self.elements)}
        return {**shown, **self.details, "sentences": list(self.sentences)}
