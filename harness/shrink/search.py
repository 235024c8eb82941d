"""The search: one move after the other, over and over, until none makes the plan smaller.

The order is by what a move saves and explains: first the end of the run is cut off, for short runs make all
that follows quick; then faults, replicas, clients, keys, operations; then times, what faults do in detail,
the network and parameters. The best plan so far is there at any moment, so that whatever ends the search
leaves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from harness.plan import Plan
from harness.shrink import calmer, moves, parameters, simpler, timing
from harness.shrink.moves import Move
from harness.shrink.sizes import Size, size_of
from harness.shrink.trials import Outcome, Trials

MOVES = (
    Move("no recorded order", calmer.without_record),
    Move("cut the load short", timing.cut_short),
    Move("fewer faults", moves.fewer_faults),
    Move("fewer victims", simpler.fewer_victims),
    Move("fewer replicas", simpler.fewer_replicas),
    Move("fewer clients", moves.fewer_clients),
    Move("fewer keys", moves.fewer_keys),
    Move("fewer operations", moves.fewer_operations),
    Move("fewer final reads", moves.fewer_final_reads),
    Move("shorter faults", timing.shorter_faults),
    Move("everything earlier", timing.earlier),
    Move("simpler faults", parameters.simpler_faults),
    Move("a calmer network", calmer.calmer_network),
    Move("the usual cluster", simpler.usual_cluster),
    Move("within the budget", simpler.within_budget),
    Move("rounder times", timing.rounder),
)
MOST_ROUNDS = 6
MOST_STEPS = 20_000
"""Kept one by one; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class Step:
    """A candidate that was run."""

    move: str
    accepted: bool
    size: Size
    seconds: float
    note: str
    """Of a trial that says nothing."""


@dataclass(slots=True)
class Progress:
    """Where the search is."""

    best: Plan
    move: str = ""
    round: int = 0
    place: int = 0
    """Of the move in its round."""
    tried: int = 0
    accepted: int = 0
    steps: list[Step] = field(default_factory=list)


class Search:
    """Over one plan, which fails as ``failure`` says."""

    def __init__(
        self,
        plan: Plan,
        failure: tuple[str, str],
        trials: Trials,
        told: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """``told`` of every candidate run and of every move begun."""
        self.progress = Progress(plan)
        self._failure = failure
        self._trials = trials
        self._told = told

    def go_on(self, given: tuple[Move, ...] = MOVES, most_rounds: int = MOST_ROUNDS) -> Plan:
        """Until nothing helps any more. What ends it before (Ctrl-C, the budget) leaves ``progress.best``."""
        progress = self.progress
        for number in range(1, most_rounds + 1):
            before = progress.best
            for place, move in enumerate(given):
                progress.round, progress.place, progress.move = number, place, move.name
                self._told(progress)
                move.smaller(progress.best, self.first)
            if progress.best == before:
                break
        return progress.best

    def first(self, plans: Iterable[Plan]) -> int | None:
        """For a move."""
        asked: dict[int, Plan] = {}

        def noted() -> Iterator[Plan]:
            for index, plan in enumerate(plans):
                asked[index] = plan
                yield plan

        found = self._trials.first(noted(), self.wanted, self._settled)
        if found is not None:
            self.progress.best = asked[found]
        return found

    def wanted(self, outcome: Outcome) -> bool:
        """Did it fail the same way?"""
        return self._failure in outcome.failures

    def _settled(self, plan: Plan, outcome: Outcome) -> None:
        progress = self.progress
        accepted = self.wanted(outcome)
        progress.tried += 1
        if accepted:
            progress.accepted += 1
        if len(progress.steps) < MOST_STEPS:
            step = Step(progress.move, accepted, size_of(plan), outcome.seconds, outcome.note)
            progress.steps.append(step)
        self._told(progress)
