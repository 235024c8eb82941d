"""The workers of a sweep: they live on, one that dies costs a line, and none is left behind."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.errors import HarnessError
from harness.sweep.outcome import Outcome
from harness.sweep.pool import Pool

PATIENCE_S = 60.0


def always(_under_way: int = 0) -> bool:
    return True


def said(seed: int, keep: bool) -> Outcome:
    """Who did it, in the place of a reason."""
    return Outcome(seed, "valid", f"{os.getpid()} {keep}")


def all_of(
    pool: Pool, seeds: range, may_keep: Callable[[int], bool] = always, go_on: Callable[[], bool] = always
) -> list[Outcome]:
    return list(pool.outcomes(seeds, may_keep, go_on))


def children() -> list[int]:
    """But for the nursery that tests of lockstep share."""
    found = psutil.Process().children(recursive=True)
    return [child.pid for child in found if "--nursery" not in child.cmdline()]


def test_every_seed_once_by_workers_that_stay(tmp_path: Path) -> None:
    before = children()
    done = all_of(Pool(3, said, tmp_path / "err", PATIENCE_S), range(50))
    assert sorted(outcome.seed for outcome in done) == list(range(50))
    assert len({outcome.reason for outcome in done}) <= 3, "three processes did it all"
    assert children() == before


def test_outcomes_come_back_whole(tmp_path: Path) -> None:
    rich = Outcome(5, "invalid", "x" * 200_000, {"ok": 3}, {"kill": [2, 1]}, {"agreement": "valid"}, 7)
    rich = replace(rich, virtual_ns=10**10, run_cpu_s=0.5, cpu_s=0.25, real_s=1.5, plan="kv", folder="runs/1")
    assert all_of(Pool(1, lambda seed, keep: rich, tmp_path / "err", PATIENCE_S), range(1)) == [rich]


def test_a_worker_that_dies_costs_its_seed_only(tmp_path: Path) -> None:
    def work(seed: int, keep: bool) -> Outcome:
        if seed % 10 == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if seed % 10 == 7:
            os._exit(9)
        return said(seed, keep)

    done = {each.seed: each for each in all_of(Pool(2, work, tmp_path / "err", PATIENCE_S), range(30))}
    assert len(done) == 30
    for seed, outcome in done.items():
        assert outcome.verdict == ("harness" if seed % 10 in (3, 7) else "valid")
    assert done[13].reason == "its worker died: SIGKILL"
    assert done[17].reason == "its worker died: exit code 9"
    assert done[13].exit_code == 4


def test_an_exception_costs_its_seed_and_not_the_worker(tmp_path: Path) -> None:
    def work(seed: int, keep: bool) -> Outcome:
        return Outcome(seed, "valid", str(os.getpid() // (seed - 1)))

    done = all_of(Pool(1, work, tmp_path / "err", PATIENCE_S), range(4))
    assert [outcome.verdict for outcome in done] == ["valid", "harness", "valid", "valid"]
    assert "bug of Traitor: ZeroDivisionError at test_sweep_pool.py:" in done[1].reason


def test_a_seed_that_takes_for_ever_is_given_up(tmp_path: Path) -> None:
    def work(seed: int, keep: bool) -> Outcome:
        if seed == 1:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pause()
        return said(seed, keep)

    done = all_of(Pool(1, work, tmp_path / "err", 0.3), range(3))
    assert [outcome.verdict for outcome in done] == ["valid", "harness", "valid"]
    assert "not done within 0.3 s and was killed" in done[1].reason


def test_workers_that_never_live_are_not_replaced_for_ever(tmp_path: Path) -> None:
    def work(seed: int, keep: bool) -> Outcome:
        os._exit(1)

    with pytest.raises(HarnessError, match="5 workers in a row"):
        all_of(Pool(2, work, tmp_path / "err", PATIENCE_S), range(100))
    assert not children()


def test_closing_ends_workers_and_what_they_started(tmp_path: Path) -> None:
    """As Ctrl-C does: what a worker had begun is undone by its own ``finally``."""
    here = tmp_path / "here"

    def work(seed: int, keep: bool) -> Outcome:
        if seed:
            here.mkdir()
            try:
                (here / "begun").touch()
                signal.pause()
            finally:
                (here / "begun").unlink()
                here.rmdir()
        return said(seed, keep)

    running = Pool(2, work, tmp_path / "err", PATIENCE_S).outcomes(range(2), always, always)
    assert next(running).seed == 0
    deadline = time.monotonic() + 20
    while not (here / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    running.close()
    assert not children()
    assert not here.exists()


def test_seeds_may_be_endless_for_all_it_keeps(tmp_path: Path) -> None:
    begun: list[int] = []

    def seeds() -> range:
        return range(10**6)

    def go_on() -> bool:
        begun.append(0)
        return len(begun) <= 40

    done = all_of(Pool(2, said, tmp_path / "err", PATIENCE_S), seeds(), go_on=go_on)
    assert len(done) == 40, "what is under way ends, nothing more is begun"


def test_keeping_is_asked_for_with_what_is_under_way(tmp_path: Path) -> None:
    asked: list[int] = []

    def may_keep(under_way: int) -> bool:
        asked.append(under_way)
        return under_way < 1

    done = all_of(Pool(3, said, tmp_path / "err", PATIENCE_S), range(12), may_keep)
    assert max(asked) <= 1
    assert {outcome.reason.split()[1] for outcome in done} == {"True", "False"}
