"""The whole search against a failure that is a rule over plans: what comes out, always the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import Plan, make_plan
from harness.shrink.search import Search
from harness.shrink.sizes import is_plan, size_of
from harness.shrink.trials import Outcome, Trials
from harness.spec import make_spec

LOST = ("durability", "lost operation")
OTHER = ("agreement", "two digests")
SPEC = {"time": 80, "clients": 4, "rate": 3, "nodes": 7, "faults": ["kill", "pause", "partition"]}
WHOLE = make_plan(make_spec(SPEC), seed=11)


def needed(plan: Plan) -> tuple[str, ...]:
    """Two faults in the middle."""
    return tuple(
        fault.id for fault in (plan.faults[len(plan.faults) // 2], plan.faults[len(plan.faults) // 4])
    )


NEEDED = needed(WHOLE)


def failures(plan: Plan) -> Outcome:
    """Lost, when those faults are there and three operations between them; else often something else."""
    there = {fault.id: fault for fault in plan.faults}
    if not all(one in there for one in NEEDED):
        return Outcome((OTHER,) if len(plan.faults) % 2 else ())
    low, high = sorted(there[one].start_ns for one in NEEDED)
    between = sum(low <= p.at_ns <= high for client in plan.clients for p in client.operations)
    return Outcome((OTHER, LOST) if between >= 3 else (OTHER,))


class Straight(Trials):
    """Trials without processes: only the rule."""

    def __init__(self) -> None:
        self.most = 100_000

    def first(self, plans: Iterable[Plan], wanted: object, settled: object) -> int | None:
        for index, plan in enumerate(plans):
            if not is_plan(plan):
                continue
            self.most -= 1
            if self.most < 0:
                raise KeyboardInterrupt
            outcome = failures(plan)
            settled(plan, outcome)  # type: ignore[operator]
            if wanted(outcome):  # type: ignore[operator]
                return index
        return None


def test_what_is_needed_stays_and_little_else() -> None:
    assert len(WHOLE.faults) >= 30
    assert LOST in failures(WHOLE).failures
    search = Search(WHOLE, LOST, Straight())
    smallest = search.go_on()
    assert is_plan(smallest)
    assert LOST in failures(smallest).failures
    size = size_of(smallest)
    assert (size.faults, size.operations, size.clients, size.keys, size.replicas) == (2, 3, 1, 1, 4)
    assert smallest.duration_ns < 2_000_000_000
    assert search.progress.tried < 500


def test_every_accepted_step_failed_the_same_way_and_none_grew() -> None:
    search = Search(WHOLE, LOST, Straight())
    search.go_on()
    steps = search.progress.steps
    accepted = [step for step in steps if step.accepted]
    assert len(accepted) == search.progress.accepted > 5
    assert len(steps) == search.progress.tried
    assert accepted[-1].size == size_of(search.progress.best)
    sizes = [tuple(step.size.data().values()) for step in accepted]
    assert all(new[0] <= old[0] and new[1] <= old[1] for old, new in itertools.pairwise(sizes))


def test_another_failure_is_no_step() -> None:
    """Every candidate fails somehow; what fails otherwise is not accepted."""
    search = Search(WHOLE, LOST, Straight())
    smallest = search.go_on()
    assert set(NEEDED) <= {fault.id for fault in smallest.faults}
    assert len(Search(WHOLE, OTHER, Straight()).go_on().faults) == 1


@pytest.mark.parametrize("most", [1, 7, 60])
def test_whatever_ends_the_search_leaves_the_best_so_far(most: int) -> None:
    trials = Straight()
    trials.most = most
    search = Search(WHOLE, LOST, trials)
    with pytest.raises(KeyboardInterrupt):
        search.go_on()
    assert search.progress.tried == most
    assert LOST in failures(search.progress.best).failures
    accepted = [step for step in search.progress.steps if step.accepted]
    assert size_of(search.progress.best) == (accepted[-1].size if accepted else size_of(WHOLE))


def test_the_number_of_jobs_changes_nothing(tmp_path: Path) -> None:
    """Real processes: the same plan and the same steps, whoever was first."""
    small = replace(WHOLE, faults=tuple(fault for fault in WHOLE.faults if fault.id in NEEDED))
    results = []
    for jobs in (1, 3):
        scratch = tmp_path / str(jobs)
        scratch.mkdir()
        search = Search(small, LOST, Trials(lambda plan, _: failures(plan), scratch, jobs, limit_s=30))
        best = search.go_on(most_rounds=1)
        results.append((best, [(step.move, step.accepted, step.size) for step in search.progress.steps]))
    assert results[0] == results[1]
