"""Validity: what was executed, a client asked for.

Of every request that took effect at a correct replica the bytes are looked up by their digest
(`checker.executed_requests`), the client's signature is verified from scratch, and what the bytes say is held
against the history: same client, timestamp, function, key and input (`checker.asked`). Invalid are
- a request that its client did not sign, or that stands under another client or timestamp in the trace;
- one that nobody asked for: another operation than the history's, or none of that client;
- one whose bytes exist nowhere, though the journal of the replica that executed it is whole.

What cannot be verified is said: with `client_auth: mac` a request carries MACs, which its receiver could
have made itself; with `signer: keyed-hash` anybody could. Then only the other rules are judged. Without
journals (trials of sweep and shrink keep none) nothing is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from checker.asked import Asked
from checker.executed_requests import Claim, Hunt, claims, has_journals
from checker.fields import Unreadable
from checker.folder import RunFolder
from checker.limits import Limits
from checker.numbers import counted
from checker.public_keys import NoOpenSSL, PublicKeys, Signatures, read_public_keys
from checker.trace import ReplicaTrace
from checker.verdict import Line, invalid, not_judged, unknown, valid
from checker.wire import AUTHENTICATOR, READ_ONLY, Frame

NAME = "validity"
MAC, KEYED_HASH = "mac", "keyed-hash"


def judge(folder: RunFolder, limits: Limits) -> Line:
    """Find the bytes, verify, compare."""
    replicas = range(folder.ledger.n) if folder.ledger else sorted(folder.traces)
    if not has_journals(folder.path, replicas):
        return not_judged(
            NAME, "the replicas kept no journals (a lean run): the bytes of requests are not known"
        )
    if folder.history is None or folder.ledger is None or folder.plan is None:
        return unknown(NAME, "the history, the ledger or the plan is missing")
    traces = folder.correct_traces()
    if not traces:
        return unknown(NAME, folder.why_no_traces())
    wanted = claims(traces)
    if not wanted:
        return unknown(NAME, "no correct replica's trace shows an executed request")
    try:
        keys = read_public_keys(folder.path)
        signatures = Signatures(keys, hashed=folder.plan.signer == KEYED_HASH)
    except (OSError, Unreadable) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return unknown(NAME, f"the public keys cannot be read: {why}")
    except NoOpenSSL as error:
        return not_judged(NAME, f"signatures cannot be verified: {error}")
    correct = [trace.replica for trace in traces]
    order = [*correct, *(replica for replica in replicas if replica not in correct)]
    asked = Asked(folder.history, folder.ledger.byzantine_clients)
    case = _Case(folder.path, asked, keys, signatures, traces, wanted)
    return case.line(order, limits.signatures, folder.plan.signer)


class _Case:
    """Everything needed, and what was found so far."""

    def __init__(
        self,
        path: Path,
        asked: Asked,
        keys: PublicKeys,
        signatures: Signatures,
        traces: tuple[ReplicaTrace, ...],
        wanted: Mapping[str, Sequence[Claim]],
    ) -> None:
        self._keys = keys
        self._signatures = signatures
        self._wanted = wanted
        self._asked = asked
        self._hunt = Hunt(path, traces, wanted)

    def line(self, order: list[int], most: int, signer: str) -> Line:
        for digest, frame in self._hunt.found(order):
            if self._signatures.verified >= most:
                reason = (
                    f"more than {most} requests were executed: the signatures of the rest are not verified"
                )
                return unknown(NAME, reason, signatures=most)
            for claim in self._wanted[digest]:
                found = self._wrong(claim, frame)
                if found is not None:
                    return found
        missing = self._missing()
        if missing is not None:
            return missing
        asked, verified = self._asked, self._signatures.verified
        reason = (
            f"{counted(len(self._wanted), 'executed request')}: {self._how(verified, signer)}, "
            f"{asked.compared} are what the history asked for, {counted(asked.probes, 'health probe')}"
        )
        if asked.of_liars:
            reason += f", {asked.of_liars} signed by clients that lie"
        details = {"requests": len(self._wanted), "signatures": verified, "compared": asked.compared}
        return valid(NAME, reason, **details, probes=asked.probes, journals=self._hunt.read)

    def _how(self, verified: int, signer: str) -> str:
        if self._keys.client_auth == MAC:
            return "signatures there are none (client_auth mac: MACs prove nothing to a third party)"
        if signer == KEYED_HASH:
            return f"{verified} keyed hashes in place of signatures are good (they stop no liar)"
        return f"{counted(verified, 'client signature')} verified"

    def _wrong(self, claim: Claim, frame: Frame) -> Line | None:
        told = f"replica {claim.replica} executed request {claim.timestamp} of client {claim.client}"
        if (frame.sender, frame.seq) != (claim.client, claim.timestamp):
            why = f"whose bytes are of request {frame.seq} of client {frame.sender}"
            return _invalid(claim, f"{told}, {why}", "under another name")
        if frame.flags & READ_ONLY:
            return _invalid(claim, f"{told}, which was not to be ordered", "read-only request ordered")
        by_mac = self._keys.client_auth == MAC and frame.auth == AUTHENTICATOR
        if not by_mac and not self._signatures.good(frame):
            return _invalid(claim, f"{told}, which that client did not sign", "not signed by its client")
        problem = self._asked.problem(frame)
        if problem is not None:
            return _invalid(claim, f"{told}: {problem}", "nobody asked for it")
        return None

    def _missing(self) -> Line | None:
        """Of what was not found: a violation where a whole journal should have it."""
        troubles = self._hunt.troubles
        for digest in self._hunt.left:
            claim = self._wanted[digest][0]
            if claim.replica not in troubles:
                reason = (
                    f"replica {claim.replica} executed request {claim.timestamp} of client {claim.client}, "
                    f"digest {digest!a:.18}, and such bytes never reached it or anybody"
                )
                return _invalid(claim, reason, "bytes that exist nowhere")
        if self._hunt.left:
            replica, why = next(iter(troubles.items()))
            left = counted(len(self._hunt.left), "executed request")
            return not_judged(NAME, f"the bytes of {left} are not there: of replica {replica} {why}")
        return None


def _invalid(claim: Claim, reason: str, kind: str) -> Line:
    where = f"(trace.jsonl line {claim.line})"
    details = {"replica": claim.replica, "client": claim.client, "timestamp": claim.timestamp}
    return invalid(NAME, f"{reason} {where}", kind=kind, **details)
