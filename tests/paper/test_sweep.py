"""The sweep tells what failed, how to run it again, and when it tested nothing."""

from __future__ import annotations

from collections import Counter

import pytest
import random_runs
import sweep


def test_a_sweep_that_passes_says_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep.sweep([1, 4], jobs=1, verbose=False) == 0
    said = capsys.readouterr().out
    assert "PASSED: 0 failures in 2 runs" in said
    assert all(name in said for name in sweep.DEMANDED)


def test_processes_share_the_work_and_every_seed_is_run() -> None:
    seeds = [1, 4, 6]
    assert [outcome.seed for outcome in sweep.outcomes(seeds, jobs=2, verbose=False)] == seeds


@pytest.mark.parametrize("trouble", [AssertionError("two digests"), KeyError("two digests")])
def test_a_failure_comes_with_the_way_to_see_it_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def fails(run: random_runs.Run) -> None:
        raise trouble

    monkeypatch.setattr(random_runs, "carry_through", fails)
    assert sweep.sweep([7], jobs=1, verbose=False) == 1
    said = capsys.readouterr().out
    assert "FAILED seed 7" in said
    assert "two digests" in said
    assert "python tests/paper/sweep.py --seeds 7 --verbose" in said


def test_runs_without_any_trouble_are_no_pass(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "ENOUGH_TO_JUDGE", 2)
    monkeypatch.setattr(random_runs, "carry_through", lambda run: None)
    assert sweep.sweep([1, 2], jobs=1, verbose=False) == 3
    assert "TOO LITTLE HAPPENED" in capsys.readouterr().out


def test_shares_are_of_all_runs() -> None:
    counts = Counter(dict.fromkeys(sweep.DEMANDED, 1000))
    assert sweep.vacuous(counts, 1_000) == []
    assert sweep.vacuous(counts - Counter({"a liar": 900}), 1_000) == ["a liar"]


def test_seeds_as_they_are_written() -> None:
    assert sweep.seed_list("7") == [7]
    assert sweep.seed_list("3..5") == [3, 4, 5]
    assert sweep.seed_list("1,9") == [1, 9]


def test_the_story_of_a_run_is_in_order_of_time() -> None:
    outcome = sweep.run_seed(4, verbose=True)
    times = [float(line.split()[0]) for line in outcome.story[1:]]
    assert times == sorted(times)
    assert any("executed" in line for line in outcome.story)
    assert any("calm" in line for line in outcome.story)
