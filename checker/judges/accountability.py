"""Accountability: who is provably guilty, and is every one of them a replica that the nemesis compromised?

Proofs are searched in what the run recorded, without a look at the ledger (`checker.forensics`). Then

- a correct replica that is proved guilty is a violation: pbft_node broke its word, or the harness did
  something in its name;
- where more than f replicas lied and safety broke, at least f+1 must be named (with `auth: sign`): two sets
  of replicas that vouched for two things share so many.

Proofs that hold only while at most f replicas lie accuse no correct replica when more did, nor does anything
accuse one that lost its log then: such are taken out of the evidence again, which is to name liars only.
Without journals and a capture there is nothing to judge by.
"""

from __future__ import annotations

from collections.abc import Mapping

from checker.fields import Unreadable
from checker.folder import RunFolder
from checker.forensics.evidence import Evidence, sorted_proofs
from checker.forensics.messages import said
from checker.forensics.rules import ALWAYS, KEPT_LOG, WITHIN_F
from checker.forensics.search import Search
from checker.forensics.sources import Sources, shows_replies
from checker.forensics.verified import Verified
from checker.forensics.view_rules import Cluster
from checker.limits import Limits
from checker.numbers import counted, have, replicas
from checker.public_keys import NoOpenSSL, Signatures, read_public_keys
from checker.run_facts import Ledger
from checker.trace import Silent
from checker.verdict import Line, invalid, not_judged, unknown, valid

NAME = "accountability"
SIGN, KEYED_HASH = "sign", "keyed-hash"
SAFETY = ("linearizability", "witness", "agreement", "exactly-once", "durability", "validity")
_OF_CLIENTS = frozenset({"linearizability", "witness"})
MOST_TOLD = 12
_HYBRID = (
    "auth hybrid: all but PRE-PREPARE, PREPARE, CHECKPOINT, VIEW-CHANGE and NEW-VIEW (so COMMIT, REPLY) has "
    "MACs, which its receiver could have made, so who lied there cannot be proved"
)
_HASHED = (
    "signer keyed-hash: anybody could have made these messages, so outside of this run they prove nothing"
)


def judge(folder: RunFolder, limits: Limits, lines: Mapping[str, Line]) -> tuple[Line, Evidence | None]:
    """`lines`: of the other judges, as far as they are there."""
    if folder.ledger is None or folder.plan is None:
        return unknown(NAME, "the ledger or the plan is missing"), None
    sources = Sources(folder.path, range(folder.ledger.n))
    if not sources.there():
        return not_judged(
            NAME, "no journals and no packets.pcapng (a lean run): nothing that was signed"
        ), None
    try:
        keys = read_public_keys(folder.path)
        signatures = Signatures(keys, hashed=folder.plan.signer == KEYED_HASH)
    except (OSError, Unreadable) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return unknown(NAME, f"the public keys cannot be read: {why}"), None
    except NoOpenSSL as error:
        return not_judged(NAME, f"signatures cannot be verified: {error}"), None
    if len(keys.replicas) != folder.ledger.n:
        return unknown(
            NAME,
            f"there are keys of {len(keys.replicas)} replicas, and {folder.ledger.n} in the ledger",
        ), None
    evidence = Evidence(keys, folder.plan.signer)
    verified = Verified(signatures, limits.evidence_signatures)
    lost = _lost_logs(folder)
    search = Search(sources, Cluster.of(keys), verified, evidence, lost)
    search.run()
    evidence.searched = {
        "messages": search.messages,
        "signatures": verified.asked,
        "files": sources.read,
        "not_read": sources.troubles,
        "left_out": search.cut or None,
        "lost_their_logs": sorted(search.excused),
    }
    broken = [name for name in SAFETY if name in lines and lines[name].verdict == "invalid"]
    case = _Case(folder.ledger, evidence, search.excused, broken)
    for replica in case.void:
        evidence.take_back(replica)
    return case.line(), evidence


def _lost_logs(folder: RunFolder) -> frozenset[int]:
    """Replicas whose traces say so."""
    return frozenset(
        replica
        for replica, trace in folder.traces.items()
        if any(isinstance(record, Silent) for record in trace.records())
    )


class _Case:
    """What was found, against the ledger and the other lines."""

    def __init__(self, ledger: Ledger, evidence: Evidence, lost: set[int], broken: list[str]) -> None:
        self._ledger = ledger
        self._evidence = evidence
        self._broken = broken
        self._many = len(ledger.byzantine) > ledger.f
        firm = set(evidence.culprits(ALWAYS, KEPT_LOG))
        loose = set(evidence.culprits(WITHIN_F))
        accused = firm | loose
        if self._many:
            accused -= (loose - firm) - ledger.byzantine
            accused -= lost - ledger.byzantine
        self.void = sorted((firm | loose) - accused)
        """Correct replicas that no proof stands against, as too many others lied."""
        self.honest = sorted(accused - ledger.byzantine)
        self.named = sorted(accused & ledger.byzantine)
        self._only_loosely = sorted(set(self.named) - firm)

    def line(self) -> Line:
        """The verdict."""
        details = self._details()
        if self.honest:
            return invalid(NAME, self._of_honest(), kind="a correct replica is proved guilty", **details)
        told = self._told()
        if self._broken and self._many and len(self.named) <= self._ledger.f:
            return self._too_few(told, details)
        if self._evidence.searched["left_out"]:
            return unknown(NAME, f"{told}; {self._evidence.searched['left_out']}", **details)
        return valid(NAME, told, **details)

    def _of_honest(self) -> str:
        guilty = self.honest[0]
        proof = next(p for p in sorted_proofs(self._evidence.proofs) if p.culprit == guilty)
        reason = (
            f"replica {guilty}, which the nemesis did not compromise, {proof.told} ({proof.rule.section})"
        )
        if len(self.honest) > 1:
            are = have(len(self.honest) - 1, "is", "are")
            reason += f"; so {are} {replicas(self.honest[1:])} proved guilty"
        if self._broken:
            reason += f": that is the evidence for what is wrong with {self._broken[0]}"
        return reason

    def _too_few(self, told: str, details: Mapping[str, object]) -> Line:
        """Safety broke with more than f liars, and too few of them are named."""
        needed = self._ledger.f + 1
        reason = f"{self._broken[0]} broke with {counted(len(self._ledger.byzantine), 'liar')}: {told}"
        searched = self._evidence.searched
        incomplete = searched["left_out"] or searched["not_read"]
        files = searched["files"]
        assert isinstance(files, list)
        if self._evidence.keys.auth != SIGN:
            return unknown(NAME, f"{reason}; {needed} could be proved only if all were signed", **details)
        if incomplete:
            return unknown(NAME, f"{reason}; not all was read or compared: {_first(incomplete)}", **details)
        if set(self._broken) <= _OF_CLIENTS and not shows_replies(files):
            why = "what clients were told (REPLY) is not recorded in this run"
            return unknown(NAME, f"{reason}; {why}", **details)
        reason = f"{reason}; {needed} must be named"
        return invalid(NAME, reason, kind="too few culprits", **details)

    def _told(self) -> str:
        evidence = self._evidence
        if self.named:
            each = "; ".join(f"replica {r} ({_rules(evidence.by_rule(r))})" for r in self.named)
            told = f"{counted(len(self.named), 'culprit')} proved, all of them liars of the ledger: {each}"
            if self._only_loosely:
                told += f" (of {replicas(self._only_loosely)} this holds while at most f replicas lie)"
        else:
            told = "nobody is proved guilty"
        quiet = sorted(self._ledger.byzantine - set(self.named))
        if quiet:
            whom = have(len(quiet), "it", "any of them")
            told += f"; nothing that {replicas(quiet)} signed convicts {whom}"
        told += f"; {counted(int(str(evidence.searched['messages'])), 'signed message')} compared"
        if self._ledger.byzantine and evidence.keys.auth != SIGN:
            told += f"; {_HYBRID}"
        if evidence.signer == KEYED_HASH and self.named:
            told += f"; {_HASHED}"
        return told

    def _details(self) -> dict[str, object]:
        evidence = self._evidence
        culprits = [
            {
                "replica": replica,
                "in_ledger": replica in self._ledger.byzantine,
                "counts": replica in self.honest or replica in self.named,
                "rules": evidence.void.get(replica) or evidence.by_rule(replica),
            }
            for replica in sorted({*evidence.culprits(ALWAYS, KEPT_LOG, WITHIN_F), *evidence.void})
        ]
        proofs = [
            {
                "culprit": proof.culprit,
                "rule": proof.rule.name,
                "section": proof.rule.section,
                "holds": proof.rule.holds,
                "told": proof.told,
                "messages": [said(shown.frame) for shown in proof.frames],
            }
            for proof in sorted_proofs(evidence.proofs)[:MOST_TOLD]
        ]
        return {
            "culprits": culprits,
            "proofs": proofs,
            "auth": evidence.keys.auth,
            "signer": evidence.signer,
            **evidence.searched,
        }


def _rules(rules: Mapping[str, int]) -> str:
    return ", ".join(rule if count == 1 else f"{rule} × {count}" for rule, count in rules.items())


def _first(reasons: object) -> str:
    return str(reasons[0] if isinstance(reasons, list) else reasons)
