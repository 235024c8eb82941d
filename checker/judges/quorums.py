"""Agreement, one level deeper: was every decision really a quorum's?

Two replicas that decide differently show themselves. A replica that decides too soon mostly does not: it
takes a badly timed fault. But votes leave a trace before they leave the replica, and all clocks are one, so

- when a correct replica has `prepared` (v, n, d), a quorum had accepted that proposal by then;
- when one has `committed` (n, d), a quorum had prepared it by then, in some view;
- in a life that began with an empty log nothing is executed that was not committed first.

A quorum counts less the Byzantine replicas, which leave no evidence. A replica that was restarted between the
proposal and then is given the benefit of the doubt: a crash may come between its log and its trace.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from checker.run_facts import Ledger
from checker.trace import Committed, Executed, NewView, ReplicaTrace, Voted
from checker.verdict import Line, invalid

NAME = "agreement"
Choice = tuple[int, str]
"""A sequence number and a digest."""


class _Votes:
    """Who voted for what, and when first."""

    def __init__(self, traces: Sequence[ReplicaTrace], n: int) -> None:
        self._n = n
        self._first: dict[tuple[object, ...], dict[int, int]] = defaultdict(dict)
        self._proposed: dict[Choice, int] = {}
        self._announced: dict[int, NewView] = {}
        """View -> how its primary opened it: the proposals in a NEW-VIEW are its, in its window or not."""
        self._restarts = {trace.replica: [life.t_ns for life in trace.lives[1:]] for trace in traces}
        for trace in traces:
            for record in trace.records():
                if isinstance(record, Voted):
                    self._note(trace.replica, record)
                elif isinstance(record, NewView) and record.primary == trace.replica:
                    self._announced.setdefault(record.view, record)

    def _note(self, replica: int, vote: Voted) -> None:
        about = _accepted if vote.kind == "pre-prepare" else _prepared
        self._first[about(vote)].setdefault(replica, vote.t_ns)
        choice = (vote.seq, vote.digest)
        self._proposed[choice] = min(vote.t_ns, self._proposed.get(choice, vote.t_ns))

    def for_prepared(self, vote: Voted) -> int:
        """Replicas that may have accepted the proposal when this one had it prepared."""
        first = dict(self._first.get(_accepted(vote), {}))
        opening = self._announced.get(vote.view)
        if opening is not None and opening.min_s < vote.seq <= opening.max_s:
            first[opening.primary] = min(opening.t_ns, first.get(opening.primary, opening.t_ns))
        return self._count(first, vote, vote.view % self._n)

    def for_committed(self, committed: Committed) -> int:
        """Replicas that may have had it prepared when this one had it committed."""
        return self._count(self._first.get(_prepared(committed), {}), committed, None)

    def _count(self, first: Mapping[int, int], claim: Voted | Committed, proposer: int | None) -> int:
        """Those that had voted by then, and those restarted after the proposal: their votes may be durable
        without a trace. Of the proposer the proposal itself may be."""
        until_ns = claim.t_ns
        since_ns = self._proposed.get((claim.seq, claim.digest), until_ns + 1)
        return sum(
            first.get(replica, until_ns + 1) <= until_ns
            or (bool(restarts) and _any_within(restarts, since_ns if replica != proposer else 0, until_ns))
            for replica, restarts in self._restarts.items()
        )


def _any_within(times_ns: Sequence[int], since_ns: int, until_ns: int) -> bool:
    return any(since_ns <= t_ns <= until_ns for t_ns in times_ns)


def _accepted(vote: Voted) -> tuple[object, ...]:
    return ("accepted", vote.view, vote.seq, vote.digest)


def _prepared(vote: Voted | Committed) -> tuple[object, ...]:
    return ("prepared", vote.seq, vote.digest)


def without_quorum(traces: Sequence[ReplicaTrace], ledger: Ledger) -> Line | None:
    """The first decision that no quorum made. Call it with every correct replica's trace, without a flaw."""
    need = (ledger.n + ledger.f) // 2 + 1 - len(ledger.byzantine)
    votes = _Votes(traces, ledger.n)
    for trace in traces:
        for record in trace.records():
            match record:
                case Voted(kind="prepared"):
                    count = votes.for_prepared(record)
                case Committed():
                    count = votes.for_committed(record)
                case _:
                    continue
            if count < need:
                return _too_few(trace.replica, record, count, need)
    return _uncommitted(traces)


def _too_few(replica: int, record: Voted | Committed, count: int, need: int) -> Line:
    did, by = ("committed", "prepared") if isinstance(record, Committed) else ("prepared", "accepted")
    reason = (
        f"replica {replica} {did} {record.digest:.16} at sequence number {record.seq} (trace.jsonl line "
        f"{record.line}) when {count} correct replicas had {by} it: a quorum takes {need}"
    )
    kind = f"{did} without a quorum"
    return invalid(NAME, reason, kind=kind, seq=record.seq, replicas=[replica], had=count, needed=need)


def _uncommitted(traces: Sequence[ReplicaTrace]) -> Line | None:
    for trace in traces:
        for life in trace.lives:
            if life.log_records or life.executed:
                continue
            committed: set[tuple[int, str]] = set()
            for record in life.records:
                if isinstance(record, Committed):
                    committed.add((record.seq, record.digest))
                elif isinstance(record, Executed) and (record.seq, record.digest) not in committed:
                    reason = (
                        f"replica {trace.replica} executed {record.digest:.16} at sequence number "
                        f"{record.seq} (trace.jsonl line {record.line}) before it had committed it"
                    )
                    kind = "executed before it was committed"
                    return invalid(NAME, reason, kind=kind, seq=record.seq, replicas=[trace.replica])
    return None
