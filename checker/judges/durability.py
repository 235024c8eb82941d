"""Durability: what a client was told happened did, at enough correct replicas, and was there at the end.

A client believes f+1 equal replies, so at least f+1 less the Byzantine ones came from correct replicas, each
of which wrote `executed` before it answered. Since a replica that is killed comes back with what it promised,
at the end so many correct replicas must again (by execution, checkpoint or state transfer) be at or past the
sequence number of every acknowledged operation. That reads show it is linearizability's question.
"""

from __future__ import annotations

from collections import defaultdict

from checker.folder import RunFolder
from checker.history import Operation
from checker.limits import Limits
from checker.trace import Executed
from checker.verdict import Line, invalid, unknown, valid

NAME = "durability"


def judge(folder: RunFolder, _: Limits) -> Line:
    """Look up every acknowledged operation in the traces of correct replicas."""
    if folder.history is None or folder.ledger is None:
        return unknown(NAME, "the history or the ledger is missing")
    acknowledged = [op for op in folder.history.operations if op.type == "ok"]
    if not acknowledged:
        return unknown(NAME, "no operation was acknowledged")
    named = [op for op in acknowledged if op.client is not None and op.timestamp is not None]
    if not named:
        return unknown(
            NAME, "no acknowledged operation names its client and timestamp: none can be looked up"
        )
    traces = folder.correct_traces()
    if any(trace.flaws for trace in traces) or len(traces) < len(folder.ledger.correct()):
        return unknown(NAME, "a correct replica's trace is missing or has lines that cannot be read")
    need = max(1, folder.ledger.f + 1 - len(folder.ledger.byzantine))
    executed_by: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    for trace in traces:
        for record in trace.records():
            if isinstance(record, Executed):
                for request in record.requests:
                    if request.did == "executed":
                        executed_by[request.client, request.timestamp][trace.replica] = record.seq
    final = {trace.replica: trace.lives[-1].position() if trace.lives else 0 for trace in traces}
    for op in named:
        assert op.client is not None
        assert op.timestamp is not None
        found = executed_by.get((op.client, op.timestamp), {})
        if len(found) < need:
            return _never_executed(op, found, need)
        seq = max(found.values())
        holders = [replica for replica, position in final.items() if position >= seq]
        if len(holders) < need:
            return _forgotten(op, seq, holders, need)
    reason = (
        f"{len(named)} acknowledged operations were executed by, and at the end still known to, "
        f"at least {need} correct replica{'s' if need > 1 else ''} each"
    )
    return valid(NAME, reason, acknowledged=len(named), needed=need)


def _never_executed(op: Operation, found: dict[int, int], need: int) -> Line:
    reason = (
        f"operation {op.index} ({op.f}, client {op.client}, timestamp {op.timestamp}) was acknowledged, but "
        f"{len(found)} correct replicas executed it; an acknowledgement takes at least {need}"
    )
    return invalid(NAME, reason, operation=op.index, replicas=sorted(found))


def _forgotten(op: Operation, seq: int, holders: list[int], need: int) -> Line:
    reason = (
        f"operation {op.index} ({op.f}) was acknowledged at sequence number {seq}, but at the end only "
        f"{len(holders)} correct replicas had come that far; it takes {need} to keep it"
    )
    return invalid(NAME, reason, operation=op.index, seq=seq, replicas=holders)
