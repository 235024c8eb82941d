"""Promises: what each correct replica said, in all its lives, held against what it said before.

Agreement sees a broken promise only when it led two replicas apart. A vote leaves a line before it leaves the
replica, and promises outlive a restart, so each replica's own trace judges it:
- one view and number, one digest, accepted, prepared or committed;
- views never go back; who asked for a view or entered it votes in no lower one, nor in one not entered;
- it proposes in its own views only; votes lie between the water marks (h < n <= H);
- with its log lost it votes on nothing before the view it named, and leaves none before it recovered;
- the first life begins with nothing executed.

A killed life may have kept promises in its log of which the trace has no line (its last turn): a life that
begins further than the trace led breaks nothing; nor one that begins in a view it had only asked for, where
the life before did not end in order and somebody can have sent it the NEW-VIEW by then. Silence voids the
views it had been in, and `bound` takes their place. What of a trace follows a line that cannot be read is
judged by digests only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from checker.folder import RunFolder
from checker.limits import Limits
from checker.numbers import counted, have
from checker.run_facts import RunReport
from checker.trace import (
    AskedView,
    Checkpointed,
    Committed,
    Life,
    NewView,
    Record,
    ReplicaTrace,
    Silent,
    Voted,
)
from checker.verdict import Line, invalid, unknown, valid

NAME = "promises"


def judge(folder: RunFolder, _: Limits) -> Line:
    """Every correct replica by itself."""
    traces = folder.correct_traces()
    if not traces:
        return unknown(NAME, folder.why_no_traces())
    nodes = folder.ledger.n if folder.ledger else 0
    window = folder.plan.window if folder.plan else None
    around = _Around(_entered(traces), folder.liars() or frozenset(), folder.run)
    replicas = [_Replica(trace, nodes, window, around) for trace in traces]
    for replica in replicas:
        found = replica.broken()
        if found is not None:
            return found
    flawed = [trace for trace in traces if trace.flaws]
    if flawed:
        reason = f"the trace of replica {flawed[0].replica} has lines that cannot be read"
        return unknown(NAME, reason)
    if folder.ledger is None or len(traces) < len(folder.ledger.correct()):
        return unknown(NAME, "the ledger or a correct replica's trace is missing")
    votes = sum(replica.votes for replica in replicas)
    if not votes:
        return unknown(NAME, "no correct replica voted on anything")
    lives = sum(len(trace.lives) for trace in traces)
    reason = (
        f"{counted(len(traces), 'correct replica')} kept {have(len(traces), 'its', 'their')} word in "
        f"{'1 life' if lives == 1 else f'{lives} lives'}: {counted(votes, 'vote')}, one "
        "digest for each view and number, none in a view left or not entered, none outside the water marks"
    )
    return valid(NAME, reason, votes=votes, lives=lives)


def _entered(traces: Sequence[ReplicaTrace]) -> Mapping[tuple[int, int], int]:
    """(replica, view) -> when it was in it first, by its trace: it entered it, or a life began in it."""
    first: dict[tuple[int, int], int] = {}
    for trace in traces:
        for life in trace.lives:
            began = [(life.view, life.t_ns)] if life.view is not None and life.active else []
            news = [(one.view, one.t_ns) for one in life.records if isinstance(one, NewView)]
            for view, t_ns in [*began, *news]:
                first[trace.replica, view] = min(first.get((trace.replica, view), t_ns), t_ns)
    return first


@dataclass(frozen=True, slots=True)
class _Around:
    """What else is known of a run than one replica's trace."""

    entered: Mapping[tuple[int, int], int]
    """(replica, view) -> when the trace of a correct replica says that it was in it first."""
    liars: frozenset[int]
    run: RunReport | None

    def cut_short_ns(self, replica: int, since_ns: int, until_ns: int) -> int | None:
        """When the life between these times was killed or crashed. None: it was not, it ended in order. Where
        nobody tells of ends at all (no run.json) it may have been, until its successor began."""
        if self.run is None:
            return until_ns
        ends = [
            one.time_ns
            for one in self.run.exits
            if one.replica == replica and not one.orderly and since_ns <= one.time_ns <= until_ns
        ]
        return max(ends, default=None)


@dataclass(slots=True)
class _Replica:
    """One replica on its way through its trace: what it has promised so far."""

    trace: ReplicaTrace
    nodes: int
    """0: not known."""
    window: int | None
    around: _Around
    view: int = 0
    active: bool = True
    low: int = 0
    high: int | None = None
    silent: bool = False
    bound: int | None = None
    """While silent: the first view it may vote in."""
    votes: int = 0
    chosen: dict[tuple[int, int], Voted | Committed] = field(default_factory=dict)
    committed: dict[tuple[int, int], Voted | Committed] = field(default_factory=dict)

    def broken(self) -> Line | None:
        """The first promise that it broke."""
        unreadable = min((flaw.line for flaw in self.trace.flaws), default=None)
        for number, life in enumerate(self.trace.lives):
            whole = unreadable is None or unreadable < life.line
            found = self._begins(number, life) if whole else None
            for record in life.records:
                if found is not None:
                    return found
                readable = unreadable is None or record.line < unreadable
                found = self._take(record) if readable else self._digest(record)
            if found is not None:
                return found
        return None

    def _begins(self, number: int, life: Life) -> Line | None:
        self.silent, self.bound = False, None
        self.low, self.high = life.stable, self._high(life.stable)
        before, was_active = (self.view, self.active) if number else (0, True)
        forgets = any(isinstance(record, Silent) and not record.over for record in life.records[:1])
        if life.view is None:
            pass
        elif not forgets and (
            life.view < before
            or (
                life.view == before
                and life.active
                and not was_active
                and not self._may_have_entered(before, self.trace.lives[number - 1].t_ns, life.t_ns)
            )
        ):
            began = f"came back in view {life.view}, after it had been in view {before}"
            if life.view == before:
                began = f"came back in view {before} as if it had entered it: it had only asked for it"
            return self._wrong(life.line, "went back to an earlier view", began)
        else:
            self.view, self.active = life.view, life.active
        if number == 0 and life.executed > 0:
            told = f"began its first life with {life.executed} sequence numbers executed"
            return self._wrong(life.line, "began with what it never executed", told)
        return None

    def _may_have_entered(self, view: int, since_ns: int, until_ns: int) -> bool:
        """In the last turn of a life that was killed, which the log kept and the trace did not: as primary,
        or with a NEW-VIEW, which a correct primary traces before it sends it, so before that life's end."""
        end_ns = self.around.cut_short_ns(self.trace.replica, since_ns, until_ns)
        if not self.nodes or end_ns is None:
            return False
        primary = view % self.nodes
        if primary == self.trace.replica or primary in self.around.liars:
            return True
        entered_ns = self.around.entered.get((primary, view))
        return entered_ns is not None and entered_ns <= end_ns

    def _take(self, record: Record) -> Line | None:
        match record:
            case Voted():
                self.votes += 1
                return self._digest(record) or self._place(record)
            case Committed():
                return self._digest(record)
            case NewView(view=view, line=line):
                if view < self.view or (view == self.view and self.active):
                    told = f"entered view {view}, after it had been in view {self.view}"
                    return self._wrong(line, "went back to an earlier view", told)
                self.view, self.active = view, True
            case AskedView(view=view, line=line):
                if view < self.view:
                    told = f"asked for view {view}, after it had been in view {self.view}"
                    return self._wrong(line, "went back to an earlier view", told)
                if self.silent:
                    told = f"asked for view {view} before it had recovered from the loss of its log"
                    return self._wrong(line, "acted while silent", told)
                self.view, self.active = view, False
            case Checkpointed(stable=True, seq=seq):
                self.low = seq
                self.high = record.high if record.high is not None else self._high(seq)
            case Silent(over=over):
                self.silent, self.bound = not over, record.bound
        return None

    def _high(self, low: int) -> int | None:
        return None if self.window is None else low + self.window

    def _digest(self, record: Record) -> Line | None:
        """One view and number, one digest."""
        if not isinstance(record, Voted | Committed):
            return None
        seen = self.committed if isinstance(record, Committed) else self.chosen
        before = seen.setdefault((record.view, record.seq), record)
        if before.digest == record.digest:
            return None
        told = (
            f"{_did(record)} {record.digest:.16} at view {record.view}, number {record.seq}, after it had "
            f"{_did(before)} {before.digest:.16} there (line {before.line})"
        )
        return self._wrong(record.line, "two digests in one view", told, seq=record.seq)

    def _place(self, vote: Voted) -> Line | None:
        """In the view it is in, for a number in the window, and not while silent."""
        what = f"{_did(vote)} number {vote.seq} in view {vote.view}"
        if vote.view < self.view:
            told = f"{what}, after it had been in view {self.view} or had asked for it"
            return self._wrong(vote.line, "voted in a view it had left", told, seq=vote.seq)
        if vote.view > self.view or not self.active:
            told = f"{what}, which it had not entered"
            return self._wrong(vote.line, "voted in a view not entered", told, seq=vote.seq)
        if self.silent and (self.bound is None or vote.view < self.bound):
            until = (
                "it knew of no view it may vote in" if self.bound is None else f"it may from {self.bound} on"
            )
            told = f"{what} although its log was lost: {until}"
            return self._wrong(vote.line, "acted while silent", told, seq=vote.seq)
        if vote.seq <= self.low or (self.high is not None and vote.seq > self.high):
            marks = f"h = {self.low}" + ("" if self.high is None else f", H = {self.high}")
            return self._wrong(vote.line, "outside the water marks", f"{what} with {marks}", seq=vote.seq)
        if self.nodes and vote.role == "primary" and vote.view % self.nodes != self.trace.replica:
            primary = vote.view % self.nodes
            told = f"proposed number {vote.seq} in view {vote.view}, whose primary is replica {primary}"
            return self._wrong(vote.line, "proposed in another's view", told, seq=vote.seq)
        return None

    def _wrong(self, line: int, kind: str, told: str, **details: object) -> Line:
        replica = self.trace.replica
        reason = f"replica {replica} {told} (trace.jsonl line {line})"
        return invalid(NAME, reason, kind=kind, replicas=[replica], **details)


def _did(record: Voted | Committed) -> str:
    if isinstance(record, Committed):
        return "committed"
    return "accepted" if record.kind == "pre-prepare" else "prepared"
