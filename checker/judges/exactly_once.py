"""Exactly once: no client request takes effect at two places of the executed sequence.

A restarted replica executes again what came after its checkpoint: that is the same place, and counted once. A
`duplicate` in a batch was recognised and skipped, as it should be.
"""

from __future__ import annotations

from checker.folder import RunFolder
from checker.limits import Limits
from checker.numbers import counted
from checker.trace import Executed
from checker.verdict import Line, invalid, unknown, valid

NAME = "exactly-once"


def judge(folder: RunFolder, _: Limits) -> Line:
    """Every replica by itself: that replicas agree is another judge's question."""
    traces = folder.correct_traces()
    if not traces:
        return unknown(NAME, folder.why_no_traces())
    requests: set[tuple[int, int]] = set()
    for trace in traces:
        place: dict[tuple[int, int], tuple[int, int]] = {}
        for record in trace.records():
            if not isinstance(record, Executed):
                continue
            in_batch: set[tuple[int, int]] = set()
            for request in record.requests:
                if request.did != "executed":
                    continue
                name = (request.client, request.timestamp)
                seq, line = place.setdefault(name, (record.seq, record.line))
                if seq != record.seq or name in in_batch:
                    where, kind = f"at sequence numbers {seq} and {record.seq}", "executed at two places"
                    if seq == record.seq:
                        where, kind = f"twice at sequence number {seq}", "executed twice in a batch"
                    reason = (
                        f"replica {trace.replica} executed request {name[1]} of client {name[0]} {where} "
                        f"(trace.jsonl lines {line} and {record.line})"
                    )
                    details = {"replica": trace.replica, "client": name[0], "timestamp": name[1]}
                    return invalid(NAME, reason, kind=kind, **details)
                in_batch.add(name)
        requests |= place.keys()
    flawed = [trace.replica for trace in traces if trace.flaws]
    if flawed:
        return unknown(NAME, f"the trace of replica {flawed[0]} has lines that cannot be read")
    if not requests:
        return unknown(NAME, "no correct replica's trace shows an executed request")
    return valid(
        NAME, f"{counted(len(requests), 'request')}, each executed at one place", requests=len(requests)
    )
