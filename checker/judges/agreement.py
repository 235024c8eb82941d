"""Agreement: correct replicas commit one digest per sequence number, execute one sequence, hold one state.

Within a life execution goes up by one, from where `started` (or a finished state transfer) says. The same
number has the same digest and the same requests with the same outcome in every life of every correct replica;
checkpoints of one number have one digest. Every decision is a quorum's (`quorums`). A correct replica never
has cause for an alarm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from checker.folder import RunFolder
from checker.judges.quorums import without_quorum
from checker.limits import Limits
from checker.numbers import counted, have
from checker.trace import (
    Alarm,
    Checkpointed,
    Committed,
    Executed,
    Life,
    Record,
    ReplicaTrace,
    Transferred,
)
from checker.verdict import Line, invalid, unknown, valid

NAME = "agreement"
_DIFFERENT = {"batch": "different batches", "requests": "different requests", "state": "different states"}


class _Claim(NamedTuple):
    """What a trace line says: that `about` was `what`."""

    about: tuple[str, int]
    what: object


class _Seen(NamedTuple):
    claim: _Claim
    replica: int
    record: Record


def judge(folder: RunFolder, _: Limits) -> Line:
    """Compare every claim of every correct replica with the first one about the same thing."""
    traces = folder.correct_traces()
    if not traces:
        return unknown(NAME, folder.why_no_traces())
    found = _contradiction(traces) or _disorder(traces) or _alarm(traces)
    if found is not None:
        return found
    flawed = [(trace.replica, flaw) for trace in traces for flaw in trace.flaws]
    if flawed:
        replica, flaw = flawed[0]
        reason = f"replica {replica}: trace.jsonl line {flaw.line} cannot be read: {flaw.reason}"
        return unknown(NAME, reason, flaws=len(flawed))
    if folder.ledger is None or len(traces) < len(folder.ledger.correct()):
        return unknown(NAME, "the ledger or a correct replica's trace is missing: quorums cannot be counted")
    found = without_quorum(traces, folder.ledger)
    if found is not None:
        return found
    committed = {r.seq for t in traces for r in t.records() if isinstance(r, Committed)}
    executed = {r.seq for t in traces for r in t.records() if isinstance(r, Executed)}
    if not executed:
        return unknown(NAME, "no correct replica executed anything")
    checkpoints = {r.seq for t in traces for r in t.records() if isinstance(r, Checkpointed)}
    reason = (
        f"{counted(len(traces), 'correct replica')} {have(len(traces), 'agrees', 'agree')}, each time by a "
        f"quorum, on {len(committed)} committed and {counted(len(executed), 'executed sequence number')} "
        f"and on {counted(len(checkpoints), 'checkpoint')}"
    )
    return valid(NAME, reason, committed=len(committed), executed=len(executed), checkpoints=len(checkpoints))


def _contradiction(traces: Sequence[ReplicaTrace]) -> Line | None:
    first: dict[tuple[str, int], _Seen] = {}
    for trace in traces:
        for record in trace.records():
            for claim in _claims(record):
                now = _Seen(claim, trace.replica, record)
                before = first.setdefault(claim.about, now)
                if before.claim.what != claim.what:
                    return _conflict(before, now)
    return None


def _claims(record: Record) -> Iterator[_Claim]:
    match record:
        case Committed(seq=seq, digest=digest):
            yield _Claim(("batch", seq), digest)
        case Executed(seq=seq, digest=digest, requests=requests):
            yield _Claim(("batch", seq), digest)
            yield _Claim(("requests", seq), requests)
        case Checkpointed(seq=seq, digest=digest):
            yield _Claim(("state", seq), digest)


def _shown(seen: _Seen) -> str:
    what, seq = seen.claim.about
    match seen.record:
        case Executed(requests=requests) if what == "requests":
            shown = ", ".join(f"{r.client}/{r.timestamp} {r.did}" for r in requests[:4])
            return f"executed [{shown}] at sequence number {seq}"
        case Executed(digest=digest):
            return f"executed {digest:.16} at sequence number {seq}"
        case Committed(digest=digest):
            return f"committed {digest:.16} at sequence number {seq}"
        case Checkpointed(digest=digest):
            return f"had state {digest:.16} at checkpoint {seq}"
    raise AssertionError("it makes no claim")


def _conflict(one: _Seen, two: _Seen) -> Line:
    reason = (
        f"replica {one.replica} {_shown(one)} (trace.jsonl line {one.record.line}), "
        f"but replica {two.replica} {_shown(two)} (line {two.record.line})"
    )
    what, seq = one.claim.about
    return invalid(NAME, reason, kind=_DIFFERENT[what], seq=seq, replicas=sorted({one.replica, two.replica}))


def _disorder(traces: Sequence[ReplicaTrace]) -> Line | None:
    for trace in traces:
        # A line that cannot be read may be the one that is missing.
        unreadable = min((flaw.line for flaw in trace.flaws), default=None)
        for life in trace.lives:
            if unreadable is not None and unreadable > life.line:
                break
            found = _disorder_in(trace.replica, life)
            if found is not None:
                return found
    return None


def _disorder_in(replica: int, life: Life) -> Line | None:
    at = life.executed
    for record in life.records:
        if isinstance(record, Transferred):
            at = record.seq
        if not isinstance(record, Executed):
            continue
        if record.seq != at + 1:
            reason = (
                f"replica {replica} executed {record.seq} right after {at} (trace.jsonl line {record.line})"
            )
            return invalid(NAME, reason, kind="gap in execution", seq=record.seq, replicas=[replica])
        at = record.seq
    return None


def _alarm(traces: Sequence[ReplicaTrace]) -> Line | None:
    for trace in traces:
        for record in trace.records():
            if isinstance(record, Alarm):
                where = f"(trace.jsonl line {record.line})"
                reason = f"correct replica {trace.replica} raised an alarm {where}: {record.reason:.200}"
                return invalid(NAME, reason, kind="alarm", replicas=[trace.replica])
    return None
