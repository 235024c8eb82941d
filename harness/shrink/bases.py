"""Where shrinking begins: the plan of RUN in a world where it fails again, every time.

A run of a virtual world fails again in that world, and alike in the other one, of which ``sim`` is the
quicker. The plan of a live run says nothing of the race it lost; in ``sim`` it may lose it on some networks,
so a few are tried, which are the seeds after its own; then its recorded order is followed, as far as it goes.
Else real processes are left, with many tries each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness.console import tell
from harness.errors import HarnessError, TraitorError, UsageError
from harness.plan import Plan, in_world
from harness.plan_file import SCHEDULE
from harness.request import counted
from harness.schedule.from_run import schedule_of
from harness.schedule.schedule_file import write_schedule
from harness.shrink.attempts import attempt_in
from harness.shrink.stopping import Stop
from harness.shrink.trials import Outcome, Trials
from harness.spec import LIVE, VIRTUAL_WORLDS, WORLDS
from harness.violation import Violation, shown
from harness.virtual.virtual_run import get_ready
from nemesis.faults import KINDS

NAME_END = "-shrunk"
_NAME_CHARACTERS = 40
_LIVE_S = 180.0
"""More than a live run's load, for everything around it."""
_FIRST_S = 600.0
"""Limit for a run of which nothing is known yet."""
_TIMES_LONGER = 20
"""A candidate may take so many times longer than the plan it comes from, and some more."""


@dataclass(frozen=True, slots=True)
class Base:
    """A plan that fails as RUN did."""

    plan: Plan
    trials: Trials
    tried: int
    """How many plans were, until this one failed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A base of which run, and where."""

    run: Path
    plan: Plan
    failure: Violation
    world: str | None
    tries: int
    jobs: int


def find_base(asked: Wanted, scratch: Path, stop: Stop) -> Base:
    """The first that fails the same way. HarnessError (exit code 4) when none does."""
    original, tries = asked.plan, asked.tries
    wanted = (asked.failure.line, asked.failure.property)
    tried: list[Outcome] = []
    for one in _worlds(original, asked.world):
        if one in VIRTUAL_WORLDS:
            get_ready(in_world(original, one))  # before anything is forked
        plans = itertools.chain(_plans(original, one, tries), _recorded(asked, one, scratch))
        trials = Trials(
            attempt_in(one, wanted, tries), scratch, asked.jobs if one != LIVE else 1, _FIRST_S, stop.check
        )
        if one == LIVE:
            trials.limit_s = tries * (original.duration_ns / 1e9 + _LIVE_S)
        seen: list[Plan] = []
        found = trials.first(
            _noted(plans, seen),
            lambda outcome: wanted in outcome.failures,
            lambda _, outcome: tried.append(outcome),
        )
        if found is not None:
            if one != LIVE:
                trials.limit_s = _TIMES_LONGER * tried[-1].seconds + 60
            return Base(seen[found], trials, len(tried))
    raise _not_again(original, asked.failure, asked.world, tried)


def _worlds(plan: Plan, world: str | None) -> list[str]:
    """In the order in which they are tried. Raises UsageError."""
    if world is not None and world not in WORLDS:
        raise UsageError(f"--world {world!a:.40}", f"Choose one of {', '.join(WORLDS)}.")
    worlds = [world] if world else ["sim", *(["lockstep"] if plan.world == "lockstep" else [])]
    for fault in plan.faults:
        able = KINDS[fault.kind].worlds
        if not set(worlds) & set(able):
            raise UsageError(
                f"{fault.id}: there is no {fault.kind} in world {worlds[0]}",
                f"It can be shrunk in world {able[0]}: --world {able[0]}.",
            )
    return worlds


def _plans(plan: Plan, world: str, tries: int) -> Iterator[Plan]:
    name = (
        plan.name
        if plan.name.endswith(NAME_END)
        else plan.name[: _NAME_CHARACTERS - len(NAME_END)] + NAME_END
    )
    moved = replace(in_world(plan, world), name=name)
    seeds = tries if world in VIRTUAL_WORLDS and plan.world == LIVE else 1
    for number in range(seeds):
        yield replace(moved, seed=(plan.seed + number) % 2**63)


def _recorded(asked: Wanted, world: str, scratch: Path) -> Iterator[Plan]:
    """The plan of a live run with the order that its journals tell, if they do."""
    if asked.plan.world != LIVE or world != "sim":
        return
    path = scratch / SCHEDULE
    try:
        write_schedule(schedule_of(asked.run, asked.plan.nodes), path)
    except (TraitorError, OSError) as error:
        tell(f"note: its recorded order cannot be followed: {error}")
        return
    for plan in _plans(asked.plan, world, 1):
        assert plan.virtual is not None, "it is a plan for sim"
        yield replace(plan, virtual=replace(plan.virtual, schedule=path))


def _noted(plans: Iterable[Plan], seen: list[Plan]) -> Iterator[Plan]:
    for plan in plans:
        seen.append(plan)
        yield plan


def _not_again(plan: Plan, failure: Violation, world: str | None, tried: list[Outcome]) -> HarnessError:
    others = dict.fromkeys(Violation(*one) for outcome in tried for one in outcome.failures)
    notes = [outcome.note for outcome in tried if outcome.note]
    seen = f"; otherwise: {shown(others)}" if others else f"; {notes[0]}" if notes else ""
    where = world or "sim"
    hint = "Was it made by other code, or with another PYTHONPATH? See: traitor reproduce RUN"
    if plan.world == LIVE and where != LIVE:
        hint = (
            "It was a race that this machine lost, and the plan does not hold it. Try more networks "
            "(--tries 50), or real processes, several runs for each candidate: --world live --tries 5"
        )
    elif where == LIVE:
        hint = "The race is rarer than that: raise --tries."
    runs = counted(len(tried), "run") if where != LIVE else tried[0].note
    return HarnessError(f"{failure} was not seen again in world {where}: 0 of {runs}{seen}", hint)
