"""In which order replicas executed what clients asked for, as far as correct replicas' traces agree on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from checker.history import History
from checker.trace import Executed, ReplicaTrace


@dataclass(frozen=True, slots=True)
class ExecutedOrder:
    """Of each key, the indexes of its operations in order of execution. `trouble`: why there is no order."""

    keys: Mapping[str, Sequence[int]]
    trouble: str | None = None


def executed_order(history: History, traces: Sequence[ReplicaTrace]) -> ExecutedOrder:
    """From traces of correct replicas. A request that took effect twice counts where it did first."""
    batches: dict[int, tuple[tuple[int, int], ...]] = {}
    for trace in traces:
        if trace.flaws:
            return ExecutedOrder({}, f"the trace of replica {trace.replica} has lines that cannot be read")
        for record in trace.records():
            if isinstance(record, Executed):
                names = tuple((r.client, r.timestamp) for r in record.requests if r.did == "executed")
                if batches.setdefault(record.seq, names) != names:
                    return ExecutedOrder({}, f"correct replicas differ at sequence number {record.seq}")
    if not batches:
        return ExecutedOrder({}, "no trace of a correct replica shows an executed request")
    for seq in range(1, max(batches)):
        if seq not in batches:
            return ExecutedOrder({}, f"no correct replica left a trace of executing sequence number {seq}")
    return ExecutedOrder(_by_key(history, [name for seq in sorted(batches) for name in batches[seq]]))


def _by_key(history: History, names: Sequence[tuple[int, int]]) -> dict[str, list[int]]:
    asked = {
        (op.client, op.timestamp): op
        for op in history.operations
        if op.client is not None and op.timestamp is not None and op.type != "fail"
    }
    keys: dict[str, list[int]] = {}
    seen: set[tuple[int, int]] = set()
    for name in names:
        op = asked.get(name)
        if op is not None and name not in seen:
            seen.add(name)
            keys.setdefault(op.key, []).append(op.index)
    return keys
