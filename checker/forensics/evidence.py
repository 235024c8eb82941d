"""Proofs as data: `evidence/accountability.json`, schema `traitor/accountability/1`.

Everything that is needed to convict is in a proof: the rule it breaks and the signed bytes. Bounded: of a
culprit and a rule the first few proofs are kept, the rest is counted; large messages only as far as there is
room. Where a frame was seen is told for people and proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from checker.forensics.messages import said
from checker.forensics.rules import RULES, Rule
from checker.forensics.slots import Shown
from checker.public_keys import PublicKeys
from checker.results import EVIDENCE

SCHEMA = "traitor/accountability/1"
PLACE = EVIDENCE
MOST_OF_A_RULE = 3
"""Kept for each culprit."""
MOST_BYTES = 8 << 20
"""Of raw messages, beside the first proof of each culprit."""


@dataclass(frozen=True, slots=True)
class Proof:
    """`frames`: of the culprit, the first at least."""

    culprit: int
    rule: Rule
    told: str
    """What it did: "signed …"."""
    frames: tuple[Shown, ...]

    def to_json(self) -> dict[str, object]:
        """As the file has it."""
        return {
            "culprit": self.culprit,
            "rule": self.rule.name,
            "section": self.rule.section,
            "holds": self.rule.holds,
            "told": self.told,
            "messages": [_message(shown) for shown in self.frames],
        }


def _message(shown: Shown) -> dict[str, object]:
    frame, seen = shown.frame, shown.seen
    place: dict[str, object] = {"file": seen.place, "time_ns": seen.time_ns}
    if seen.number:
        place["packet"] = seen.number
    if shown.within:
        place["within"] = shown.within
    return {"says": said(frame), "signer": frame.sender, "hex": frame.raw.hex(), "seen": place}


@dataclass(slots=True)
class Evidence:
    """All that was found, as far as it is kept."""

    keys: PublicKeys
    signer: str
    proofs: list[Proof] = field(default_factory=list)
    counts: dict[tuple[int, str], int] = field(default_factory=dict)
    """Culprit and rule -> proofs found."""
    searched: dict[str, object] = field(default_factory=dict)
    void: dict[int, Mapping[str, int]] = field(default_factory=dict)
    """Replica -> rules it seemed to break, by what is no proof here."""
    _bytes: int = 0

    def add(self, proof: Proof) -> None:
        """Keep it, or count it."""
        key = proof.culprit, proof.rule.name
        number = self.counts.get(key, 0)
        self.counts[key] = number + 1
        size = sum(len(shown.frame.raw) for shown in proof.frames)
        first = all(proof.culprit != known.culprit for known in self.proofs)
        if first or (number < MOST_OF_A_RULE and self._bytes + size <= MOST_BYTES):
            self._bytes += 0 if first else size
            self.proofs.append(proof)

    def culprits(self, *holds: str) -> tuple[int, ...]:
        """Who is proved guilty by a rule that holds so."""
        return tuple(sorted({culprit for culprit, rule in self.counts if RULES[rule].holds in holds}))

    def take_back(self, culprit: int) -> None:
        """What was found against it is no proof: more than f replicas lied, and it may have been misled."""
        self.void[culprit] = self.by_rule(culprit)
        self.proofs = [proof for proof in self.proofs if proof.culprit != culprit]
        self.counts = {key: count for key, count in self.counts.items() if key[0] != culprit}

    def by_rule(self, culprit: int) -> Mapping[str, int]:
        """Rule -> proofs found, of one culprit."""
        return {rule: count for (who, rule), count in sorted(self.counts.items()) if who == culprit}

    def to_json(self) -> dict[str, object]:
        """Schema `traitor/accountability/1`."""
        keys = self.keys
        return {
            "schema": SCHEMA,
            "cluster_id": keys.cluster_id.hex(),
            "auth": keys.auth,
            "signer": self.signer,
            "n": len(keys.replicas),
            "proofs": [proof.to_json() for proof in sorted_proofs(self.proofs)],
            "counts": [
                {"culprit": culprit, "rule": rule, "holds": RULES[rule].holds, "proofs": count}
                for (culprit, rule), count in sorted(self.counts.items())
            ],
            "void": [{"replica": one, "rules": dict(rules)} for one, rules in sorted(self.void.items())],
            "searched": self.searched,
        }


def sorted_proofs(proofs: Sequence[Proof]) -> list[Proof]:
    """By culprit, those that always hold first."""
    order = list(RULES)
    return sorted(proofs, key=lambda p: (p.culprit, p.rule.holds, order.index(p.rule.name)))
