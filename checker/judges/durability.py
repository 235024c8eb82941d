"""Durability: what a client was told happened did, before it was told, and is still there at the end.

A client believes f+1 equal replies, so at least f+1 less the Byzantine ones came from correct replicas. Each
of them held the operation before it answered: it wrote `executed`, or it had taken over the state after it
(from others, or from its own snapshot when it died between the two); all clocks are one. Since a replica
that is killed comes back with what it promised, at the end so many correct replicas must again (by execution,
checkpoint or state transfer) be at or past the sequence number of every acknowledged operation, and none of
those may have put something else in its place. A fast read was not ordered and leaves nothing to keep: it is
only asked whether a quorum vouched for it. A first life that begins with anything executed shows nothing
for it and is not believed. That reads show an operation is linearizability's question.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from checker.folder import RunFolder
from checker.history import READS, Operation
from checker.limits import Limits
from checker.numbers import counted, have
from checker.run_facts import Ledger
from checker.trace import Executed, ReplicaTrace, Transferred
from checker.verdict import Line, invalid, unknown, valid

NAME = "durability"
Name = tuple[int, int]
"""Of a request: client and timestamp."""


@dataclass(slots=True)
class _Memory:
    """What one replica held, when."""

    position: int
    """At the end."""
    executed: dict[Name, int] = field(default_factory=dict)
    """Request -> the sequence number at which it first took effect."""
    latest: dict[int, frozenset[Name]] = field(default_factory=dict)
    """Sequence number -> the requests that took effect when it was last executed."""
    moments: list[int] = field(default_factory=list)
    reached: list[int] = field(default_factory=list)
    """The highest number reached by each moment, in any life. Both grow."""

    def since_ns(self, seq: int) -> int | None:
        """When it first held the state after `seq`."""
        at = bisect_left(self.reached, seq)
        return self.moments[at] if at < len(self.moments) else None

    def holds(self, name: Name, seq: int) -> bool:
        """At the end, as far as its trace can tell."""
        return self.position >= seq and (seq not in self.latest or name in self.latest[seq])


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
    if not traces:
        return unknown(NAME, "no replica was correct")
    return _look_up(named, traces, folder.ledger)


def _look_up(operations: Sequence[Operation], traces: Sequence[ReplicaTrace], ledger: Ledger) -> Line:
    memories = {trace.replica: _remember(trace) for trace in traces}
    places: dict[Name, dict[int, int]] = defaultdict(dict)
    for replica, memory in memories.items():
        for name, seq in memory.executed.items():
            places[name][replica] = seq
    fast_reads = 0
    need = max(1, ledger.f + 1 - len(ledger.byzantine))
    for op in operations:
        assert op.client is not None
        assert op.timestamp is not None
        name = (op.client, op.timestamp)
        found = places.get(name, {})
        fast = op.path == "fast" and op.f in READS
        needed = (ledger.n + ledger.f) // 2 + 1 if fast else ledger.f + 1
        if op.replicas and len(set(op.replicas)) < needed:
            return _too_few_vouch(op, ledger.f, needed)
        if fast:
            fast_reads += 1
            continue
        if not found:
            return _never_executed(op, memories)
        seq = max(found.values())
        holders = [replica for replica, memory in memories.items() if memory.holds(name, seq)]
        if len(holders) < need:
            return _forgotten(op, seq, holders, need)
        early = _too_early(op, name, seq, memories)
        if early is not None:
            return early
    ordered = len(operations) - fast_reads
    reason = (
        f"{counted(ordered, 'acknowledged operation')} {have(ordered, 'was', 'were')} executed before "
        f"{have(ordered, 'its client was', 'their clients were')} told, and at the end "
        f"{have(ordered, 'is', 'are')} still known to at least {counted(need, 'correct replica')} each"
    )
    if fast_reads:
        reads = f"{counted(fast_reads, 'read')} {have(fast_reads, 'was', 'were')}"
        reason += f"; {reads} not ordered, and a quorum vouched for each"
    return valid(NAME, reason, acknowledged=len(operations), needed=need)


def _remember(trace: ReplicaTrace) -> _Memory:
    if not trace.lives or trace.lives[0].executed > 0:
        return _Memory(0)
    memory = _Memory(trace.lives[-1].position())
    for life in trace.lives:
        _reach(memory, life.t_ns, life.executed)
        for record in life.records:
            if isinstance(record, Executed | Transferred):
                _reach(memory, record.t_ns, record.seq)
            if isinstance(record, Executed):
                names = frozenset((r.client, r.timestamp) for r in record.requests if r.did == "executed")
                memory.latest[record.seq] = names
                for name in names:
                    memory.executed.setdefault(name, record.seq)
    return memory


def _reach(memory: _Memory, t_ns: int, seq: int) -> None:
    if not memory.reached or seq > memory.reached[-1]:
        memory.moments.append(t_ns)
        memory.reached.append(seq)


def _too_early(op: Operation, name: Name, seq: int, memories: dict[int, _Memory]) -> Line | None:
    """A correct replica among those that vouched had not executed it when the client was told."""
    assert op.return_ns is not None
    for replica in op.replicas:
        memory = memories.get(replica)
        if memory is None:
            continue
        since_ns = memory.since_ns(memory.executed.get(name, seq))
        if since_ns is None or since_ns > op.return_ns:
            when = "never did" if since_ns is None else f"did {(since_ns - op.return_ns) / 1e6:.1f} ms later"
            reason = (
                f"operation {op.index} ({op.f}, client {op.client}, timestamp {op.timestamp}) was "
                f"acknowledged on the word of replica {replica} before that had executed it: it {when}"
            )
            kind = "acknowledged before it was executed"
            return invalid(NAME, reason, kind=kind, operation=op.index, seq=seq, replicas=[replica])
    return None


def _too_few_vouch(op: Operation, f: int, needed: int) -> Line:
    reason = (
        f"operation {op.index} ({op.f}) was acknowledged on the word of replicas {sorted(set(op.replicas))} "
        f"alone; with f = {f} a client needs {needed} of them"
    )
    kind = "too few vouch for it"
    return invalid(NAME, reason, kind=kind, operation=op.index, replicas=sorted(set(op.replicas)))


def _never_executed(op: Operation, memories: dict[int, _Memory]) -> Line:
    told = f"operation {op.index} ({op.f}, client {op.client}, timestamp {op.timestamp}) was acknowledged"
    seen = {seq for memory in memories.values() for seq in memory.latest}
    hidden = [s for s in range(1, max(m.position for m in memories.values()) + 1) if s not in seen]
    if hidden:
        reason = f"{told}; it may be at number {hidden[0]}, which no correct replica left a trace of"
        return unknown(NAME, reason, operation=op.index)
    reason = f"{told}, but no correct replica executed it"
    return invalid(NAME, reason, kind="never executed", operation=op.index)


def _forgotten(op: Operation, seq: int, holders: list[int], need: int) -> Line:
    reason = (
        f"operation {op.index} ({op.f}) was acknowledged at sequence number {seq}, but at the end only "
        f"{counted(len(holders), 'correct replica')} still held it there; it takes {need} to keep it"
    )
    return invalid(NAME, reason, kind="forgotten", operation=op.index, seq=seq, replicas=holders)
