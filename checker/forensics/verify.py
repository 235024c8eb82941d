"""Evidence verified again, from nothing but its bytes and the public keys.

`python -m checker.forensics evidence/accountability.json keys/public.json` on any machine: each proof's
messages are taken apart, their signatures verified, and its rule asked. Where a message was seen, and how
many more proofs there were, is not to be verified so; `traitor audit` searches the run again for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from checker.fields import Fields, Unreadable
from checker.forensics.evidence import SCHEMA
from checker.forensics.rules import RULES, WITHIN_F, guilt
from checker.forensics.verified import Exhausted, Verified
from checker.forensics.view_rules import Cluster
from checker.public_keys import PublicKeys, Signatures
from checker.wire import Frame, frame_at

KEYED_HASH = "keyed-hash"
MOST_SIGNATURES = 200_000
MOST_PROOFS = 10_000


@dataclass(slots=True)
class Checked:
    """What came of it."""

    proved: dict[int, list[str]] = field(default_factory=dict)
    """Culprit -> what it did, a sentence for each proof."""
    rules: dict[int, list[str]] = field(default_factory=dict)
    """Culprit -> the rules it broke."""
    problems: list[str] = field(default_factory=list)
    hashed: bool = False
    """Keyed hashes stand in place of signatures: anybody could have made them."""

    def loose(self) -> set[int]:
        """Culprits of whom this holds only while at most f replicas lie."""
        return {who for who, broken in self.rules.items() if all(RULES[r].holds == WITHIN_F for r in broken)}

    def condition(self, culprit: int) -> str:
        """To be said with its name."""
        return f", {WITHIN_F}" if culprit in self.loose() else ""


def check_evidence(document: Mapping[str, object], keys: PublicKeys) -> Checked:
    """Raises Unreadable where it is no such document, and NoOpenSSL."""
    fields = Fields(document, "the evidence")
    if fields.text("schema") != SCHEMA:
        raise Unreadable(f"its schema is not {SCHEMA}")
    checked = Checked(hashed=fields.text("signer") == KEYED_HASH)
    if fields.text("cluster_id") != keys.cluster_id.hex():
        checked.problems.append("it is of another cluster than the keys")
    verified = Verified(Signatures(keys, hashed=checked.hashed), MOST_SIGNATURES)
    cluster = Cluster.of(keys)
    proofs = fields.objects("proofs")
    if len(proofs) > MOST_PROOFS:
        raise Unreadable(f"it has more than {MOST_PROOFS} proofs")
    for number, proof in enumerate(proofs, start=1):
        problem = _check(proof, cluster, verified, checked)
        if problem is not None:
            checked.problems.append(f"proof {number} {problem}")
    _check_counts(fields, checked)
    return checked


def _check(proof: Fields, cluster: Cluster, verified: Verified, checked: Checked) -> str | None:
    """Why it proves nothing, or None."""
    culprit, name = proof.number("culprit"), proof.text("rule")
    rule = RULES.get(name)
    if rule is None:
        return f"is by a rule that there is not, {name!a:.60}"
    if (proof.text("section"), proof.text("holds")) != (rule.section, rule.holds):
        return f"says otherwise where its rule {name!a} comes from, or under which condition it holds"
    frames = []
    for message in proof.objects("messages"):
        frame = _frame(message.text("hex"))
        if frame is None:
            return "has bytes that are no message"
        if message.number("signer") != frame.sender:
            return f"says that replica {message.number('signer')} signed a message of replica {frame.sender}"
        frames.append(frame)
    if not frames or frames[0].sender != culprit:
        return f"does not begin with a message of replica {culprit}"
    try:
        told = guilt(rule, frames, cluster, verified.good)
    except Exhausted:
        return f"is not checked: there are more than {MOST_SIGNATURES} signatures"
    if told is None:
        return f"does not show that replica {culprit} broke the rule {name!a}, or a signature is bad"
    if told != proof.text("told"):
        return f"tells something else than what replica {culprit} did: {told}"
    checked.proved.setdefault(culprit, []).append(told)
    checked.rules.setdefault(culprit, []).append(name)
    return None


def _frame(text: str) -> Frame | None:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        return None
    found = frame_at(data)
    return found[0] if found is not None and found[1] == len(data) else None


def _check_counts(fields: Fields, checked: Checked) -> None:
    """Nobody is counted as guilty without a proof, and no proof is left out of the count."""
    counted: dict[tuple[int, str], int] = {}
    for entry in fields.objects("counts"):
        culprit, rule = entry.number("culprit"), entry.text("rule")
        counted[culprit, rule] = entry.number("proofs")
        if culprit not in checked.proved:
            checked.problems.append(f"it counts replica {culprit} as guilty, and no proof shows that")
    for culprit, broken in sorted(checked.rules.items()):
        for rule in dict.fromkeys(broken):
            if counted.get((culprit, rule), 0) < broken.count(rule):
                checked.problems.append(
                    f"it counts fewer proofs against replica {culprit} than it has: {rule}"
                )
