"""Trials side by side: the first in written order that fails is taken, however long each of them takes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from left_behind import left_behind

from harness.plan import Plan, make_plan
from harness.shrink.trials import Outcome, Trials
from harness.spec import make_spec

BASE = make_plan(make_spec({"time": 1, "clients": 1, "rate": 5, "faults": "none"}), seed=1)
STALE = ("linearizability", "stale read")


def numbered(number: int) -> Plan:
    """Plans told apart by their seeds."""
    return replace(BASE, seed=number)


def fails_from(least: int, slow: Callable[[int], float] = lambda _: 0) -> Callable[[Plan, Path], Outcome]:
    """Fails where the seed is so large; notes its run in a file beside the trials' folders."""

    def attempt(plan: Plan, folder: Path) -> Outcome:
        with (folder.parents[2] / "ran").open("a") as file:
            file.write(f"{plan.seed}\n")
        deadline = time.monotonic() + slow(plan.seed)
        while time.monotonic() < deadline:
            time.sleep(0.01)
        return Outcome((STALE,) if plan.seed >= least else ())

    return attempt


class Told:
    """Who was settled, in order."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def __call__(self, plan: Plan, _outcome: Outcome) -> None:
        self.seeds.append(plan.seed)


def wanted(outcome: Outcome) -> bool:
    return STALE in outcome.failures


def make(tmp_path: Path, attempt: Callable[[Plan, Path], Outcome], jobs: int = 2, **more: object) -> Trials:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return Trials(attempt, tmp_path / "scratch", jobs, **{"limit_s": 30.0, **more})  # type: ignore[arg-type]


def ran(tmp_path: Path) -> list[int]:
    return [int(word) for word in (tmp_path / "ran").read_text().split()]


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_the_first_in_written_order_wins_also_when_it_is_the_slowest(tmp_path: Path, jobs: int) -> None:
    attempt = fails_from(3, slow=lambda seed: 0.3 if seed == 3 else 0)
    told = Told()
    plans = [numbered(seed) for seed in (0, 1, 2, 3, 4, 5, 6, 7)]
    assert make(tmp_path, attempt, jobs).first(plans, wanted, told) == 3
    assert told.seeds == [0, 1, 2, 3]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_behind_a_failure_nothing_is_begun(tmp_path: Path) -> None:
    attempt = fails_from(1, slow=lambda seed: 0.4 if seed == 0 else 0)
    assert make(tmp_path, attempt, 2).first(map(numbered, range(50)), wanted, Told()) == 1
    assert max(ran(tmp_path)) <= 2


def test_none_fails(tmp_path: Path) -> None:
    told = Told()
    assert make(tmp_path, fails_from(99)).first(map(numbered, range(4)), wanted, told) is None
    assert told.seeds == [0, 1, 2, 3]


def test_a_plan_is_run_and_told_of_once(tmp_path: Path) -> None:
    trials, told = make(tmp_path, fails_from(2), 1), Told()
    assert trials.first(map(numbered, (0, 1, 2)), wanted, told) == 2
    assert trials.first(map(numbered, (1, 0, 2)), wanted, told) == 2
    assert told.seeds == [0, 1, 2]
    assert ran(tmp_path) == [0, 1, 2]


def test_what_was_begun_in_vain_is_told_of_when_its_turn_comes(tmp_path: Path) -> None:
    """Speculation is not to be seen in what is counted."""
    trials, told = make(tmp_path, fails_from(1), 3), Told()
    trials.first(map(numbered, (1, 2, 3)), wanted, told)
    assert told.seeds == [1]
    trials.first(map(numbered, (0, 2)), wanted, told)
    assert told.seeds == [1, 0, 2]


def test_what_is_no_plan_is_passed_over(tmp_path: Path) -> None:
    wrong = replace(BASE, duration_ns=0)
    told = Told()
    assert make(tmp_path, fails_from(0)).first([wrong, wrong, numbered(5)], wanted, told) == 2
    assert told.seeds == [5]
    assert make(tmp_path, fails_from(0)).first([wrong], wanted, told) is None


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_trial_that_dies_says_so_and_fails_nothing(tmp_path: Path, jobs: int) -> None:
    def attempt(plan: Plan, _folder: Path) -> Outcome:
        if plan.seed == 1:
            raise ValueError("no such thing")
        if plan.seed == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return Outcome((STALE,), "as it should be")

    notes: list[str] = []
    trials = make(tmp_path, attempt, jobs)
    plans = map(numbered, (1, 2, 3))
    assert trials.first(plans, wanted, lambda _, outcome: notes.append(outcome.note)) == 2
    assert "no such thing" in notes[0]
    assert "SIGKILL" in notes[1]
    assert notes[2] == "as it should be"


def test_an_endless_trial_is_ended(tmp_path: Path) -> None:
    trials = make(tmp_path, fails_from(0, slow=lambda _: 1000), limit_s=0.3)
    assert "0.3 s" in trials.outcome(numbered(1)).note
    assert left_behind() == []


def test_one_plan_is_run_anew_when_asked_for_by_itself(tmp_path: Path) -> None:
    trials = make(tmp_path, fails_from(0))
    assert trials.outcome(numbered(1)).failures == (STALE,)
    assert trials.outcome(numbered(1)).failures == (STALE,)
    assert ran(tmp_path) == [1, 1]


def test_what_ends_the_waiting_leaves_nothing_behind(tmp_path: Path) -> None:
    def ticks() -> Iterator[None]:
        yield from (None, None)
        raise TimeoutError

    tick = ticks()
    trials = make(tmp_path, fails_from(99, slow=lambda _: 1000), tick=lambda: next(tick))
    with pytest.raises(TimeoutError):
        trials.first(map(numbered, range(5)), wanted, Told())
    assert left_behind() == []
    assert list((tmp_path / "scratch").iterdir()) == []
