"""The random runs are not taken at their word: a rule of the protocol is broken, and a check must say so.

Each case overrides one method of the replica, in all replicas of a run, and names the words of the check
that has to catch it within a few seeds. The same seeds pass with the rule intact (``test_random_runs``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from random_runs import draw, random_run

from pbft_node.core.effects import Effect
from pbft_node.core.events import Event, Started
from pbft_node.core.messages import Request, ViewChange
from pbft_node.core.records import RecordType
from pbft_node.core.replica import Replica
from pbft_node.core.slots import Slot
from pbft_node.core.snapshots import LastReply
from pbft_node.core.types import View

SEEDS = 12
"""Tried one after the other until the check speaks; about every second does."""


class ForgetsItsLog(Replica):
    """Comes back with nothing, and speaks at once."""

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        return super().handle(Started(()) if isinstance(event, Started) else event, now_ns)


class ForgetsProposals(Replica):
    """PRE_PREPARE records are not written: neither what it proposed nor what it accepted comes back."""

    def persist(self, type_: RecordType, payload: bytes) -> None:
        if type_ is not RecordType.PRE_PREPARE:
            super().persist(type_, payload)


class LeavesNoView(Replica):
    """Goes on voting in a view after its VIEW-CHANGE said what it had prepared there."""

    def start_view_change(self, view: View, reason: str) -> None:
        super().start_view_change(view, reason)
        self.active = True
        self.view = self.log_view


class EmptyP(Replica):
    """VIEW-CHANGEs show nothing prepared."""

    def own_view_change(self, view: View) -> ViewChange:
        kept, self.certificates = self.certificates, {}
        try:
            return super().own_view_change(view)
        finally:
            self.certificates = kept


class HastyCommit(Replica):
    """f+1 COMMITs are taken for a quorum."""

    def check_committed(self, slot: Slot) -> None:
        digest = None if slot.committed else slot.committed_digest(self.cluster.weak)
        if digest is not None:
            slot.committed = True
            self.decide(slot.view, slot.seq, digest)


class NoClientTable(Replica):
    """Whatever is ordered is executed, and forgotten."""

    def execute_request(self, request: Request) -> list[object]:
        result = self.service.execute(self.store, request.client, request.operation)
        self.send_reply(request.client, LastReply(request.timestamp, result))
        self.progress_made(request)
        return [request.client, request.timestamp, request.digest.hex(), "executed"]


class NobodySuspects(Replica):
    """No request timer."""

    def watch_oldest(self) -> None:
        return


class StaleReads(Replica):
    """Reads are answered at once, from the replica's own state."""

    def on_request(self, request: Request) -> None:
        if b"read" not in request.operation[:16]:
            super().on_request(request)
        else:
            result = self.service.execute(self.store, request.client, request.operation)
            self.send_reply(request.client, LastReply(request.timestamp, result))


@dataclass(frozen=True)
class Planted:
    replica: type[Replica]
    words: str
    options: dict[str, object]


CASES = [
    Planted(ForgetsItsLog, "signed", {"liars": 0}),
    Planted(ForgetsProposals, "signed two", {"liars": 0, "turn_ms": 3, "faults": 8, "clients": 4}),
    Planted(LeavesNoView, "after its VIEW-CHANGE", {"liars": 0}),
    Planted(EmptyP, "decided as", {"liars": 0, "loss": 0.2, "max_delay_ms": 40}),
    Planted(HastyCommit, "with only", {"liars": 0}),
    Planted(NoClientTable, "executed at", {"liars": 0, "loss": 0.2}),
    Planted(NobodySuspects, "not live", {"liars": 1, "boldness": 0.7, "lies_to_the_end": False}),
    Planted(StaleReads, "two results", {"n": 6, "liars": 0, "reads": 0.5, "max_delay_ms": 40, "loss": 0.2}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replica.__name__)
def test_a_broken_rule_is_caught(case: Planted) -> None:
    said = []
    for seed in range(SEEDS):
        options = replace(draw(seed), **case.options)  # type: ignore[arg-type]
        try:
            random_run(seed, options, case.replica, calm_ms=10_000)
        except AssertionError as problem:
            said.append(str(problem))
            if case.words in said[-1]:
                return
    raise AssertionError(f"{SEEDS} runs and nothing said {case.words!r}: {said}")
