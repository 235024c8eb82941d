"""Who is proved guilty, in sentences: each culprit, then each pair of messages and the rule it breaks.

All of it is what hostile replicas signed: shown escaped and cut. The bytes are in
`evidence/accountability.json`, which verifies without this page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reports.untrusted import integer, listing, mapping, shown

MAX_PROOFS = 12
MAX_CULPRITS = 50
TOLD = frozenset({"culprits", "proofs"})
"""Details that these sentences tell."""


def sentences(details: Mapping[str, object]) -> Iterator[str]:
    """Of the details of the accountability line."""
    culprits = [mapping(entry) for entry in listing(details.get("culprits"))[:MAX_CULPRITS]]
    for culprit in culprits:
        known = "compromised by the nemesis" if culprit.get("in_ledger") is True else "not compromised"
        rules = ", ".join(
            f"{shown(rule, 60)} × {shown(count, 12)}"
            for rule, count in list(mapping(culprit.get("rules")).items())[:20]
        )
        void = "" if culprit.get("counts") is True else " (no proof where more than f lied)"
        yield f"Replica {shown(culprit.get('replica'), 12)}, {known}: {rules}{void}."
    for entry in listing(details.get("proofs"))[:MAX_PROOFS]:
        proof = mapping(entry)
        section = shown(proof.get("section"), 12)
        where = "" if section == "-" else f", section {section}"
        yield (
            f"Replica {shown(proof.get('culprit'), 12)} {shown(proof.get('told'), 500)} "
            f"({shown(proof.get('rule'), 60)}{where}; a proof {shown(proof.get('holds'), 60)})."
        )
    if culprits:
        yield "The signed bytes are in evidence/accountability.json; traitor audit verifies them again."


def liars(ledger: Mapping[str, object]) -> frozenset[str]:
    """Names of the replicas that the ledger calls Byzantine."""
    numbers = (integer(entry) for entry in listing(ledger.get("byzantine")))
    return frozenset(str(number) for number in numbers if number is not None)
