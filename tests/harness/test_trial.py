"""Trials: what comes out of a run, and out of everything that can go wrong with one."""

import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from checker.verdict import NAMES
from harness import one_run
from harness import trial as trial_module
from harness.errors import HarnessError
from harness.plan import Plan, make_plan
from harness.scratch import PREFIX, scratch_folder
from harness.spec import make_spec
from harness.store import hash_files
from harness.trial import Trial, TrialLimits, trial
from harness.violation import Violation

OVERHEAD_S = 0.04
"""Processor time, of a large test process beside another one. A fresh interpreter takes five times this."""


def small_plan(seed: int = 7, **asked: object) -> Plan:
    keys: dict[str, object] = {"world": "sim", "time": 5, "rate": 20, "faults": ["kill", "pause"]}
    return make_plan(make_spec(keys | asked), seed)


def nothing(folder: Path, quiet: bool) -> int:
    """A world that does not run anything."""
    return 0


def test_a_trial_says_what_the_run_was(tmp_path: Path) -> None:
    plan = small_plan()
    result = trial(plan, tmp_path)
    assert (result.exit_code, result.error, result.violations) == (0, None, ()), result
    assert [line["name"] for line in lines(result)] == list(NAMES)
    assert result.operations["ok"] > 50
    assert {fault.id: fault.took_effect for fault in result.faults} == {one.id: True for one in plan.faults}
    assert result.view >= 0
    assert plan.duration_ns < result.virtual_ns < 4 * plan.duration_ns
    assert 0 < result.judge_cpu_s < result.run_cpu_s < result.cpu_s
    assert result.summary() == "valid"
    assert not os.listdir(tmp_path)


def lines(result: Trial) -> list[dict[str, object]]:
    found = result.verdict["lines"]
    assert isinstance(found, list)
    return found


def test_the_folder_can_be_looked_at_and_kept(tmp_path: Path) -> None:
    plan, out = small_plan(faults="none"), tmp_path / "runs"
    seen: dict[str, str] = {}
    kept: list[one_run.Done] = []

    def look(folder: Path, result: Trial) -> None:
        seen.update(hash_files(folder))
        made = one_run.MadeBy("traitor sweep --seeds 7..7", "traitor")
        kept.append(one_run.keep(folder, out, plan, made, 0))

    (tmp_path / "scratch").mkdir()
    result = trial(plan, tmp_path / "scratch", look)
    assert not os.listdir(tmp_path / "scratch")
    assert {"history.jsonl", "plan.json", "replicas/3/trace.jsonl"} <= set(seen)
    assert "manifest.json" not in seen
    (done,) = kept
    assert (done.exit_code, done.verdict["verdict"]) == (result.exit_code, result.verdict["verdict"])
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert manifest["files"].items() >= seen.items()
    assert manifest["reproduce"] == f"traitor run --plan {done.folder}/plan.json"
    assert done.report == done.folder / "report.html"
    assert "traitor sweep --seeds 7..7" in (done.folder / "spec.yaml").read_text()


def test_a_violation_is_named(tmp_path: Path) -> None:
    """A record spoilt after the run: the last answered read of the load never saw a write."""

    def spoilt(folder: Path, quiet: bool) -> int:
        code = one_run.virtual_world()(folder, quiet)
        path = folder / "history.jsonl"
        events = [json.loads(line) for line in path.read_text().splitlines()]
        read = next(e for e in reversed(events) if e.get("type") == "ok" and e["f"] == "get" and e["output"])
        read["output"] = "never written"
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        return code

    result = trial(small_plan(faults="none"), tmp_path, world=spoilt)
    assert result.exit_code == 1
    assert result.violations == (Violation("linearizability", "value from nowhere"),)
    assert result.summary() == "invalid: linearizability: value from nowhere"


def raises(error: BaseException) -> Callable[[Path, bool], int]:
    def world(folder: Path, quiet: bool) -> int:
        raise error

    return world


def kills_itself(folder: Path, quiet: bool) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def leaves(folder: Path, quiet: bool) -> int:
    os._exit(7)


def never_ends(folder: Path, quiet: bool) -> int:
    while True:
        time.sleep(1)


def wants_memory(folder: Path, quiet: bool) -> int:
    return len(bytearray(1 << 30)) and 0


def writes_endlessly(folder: Path, quiet: bool) -> int:
    with (folder / "trace").open("wb") as file:
        while True:
            file.write(bytes(1 << 20))


def says_why(folder: Path, quiet: bool) -> int:
    (folder / "run.json").write_text(json.dumps({"harness_errors": ["no healthy cluster\nSee there."]}))
    return 4


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (raises(HarnessError("the disk is full", "Free some space.")), "the disk is full"),
        (raises(ZeroDivisionError("a bug")), "exit code 1: ZeroDivisionError: a bug"),
        (raises(SystemExit(0)), "the run died"),
        (kills_itself, "the run died: it was ended by SIGKILL"),
        (leaves, "the run died: it ended with exit code 7"),
        (never_ends, "not done within 1 s"),
        (wants_memory, "it needed more than 256 MiB of memory"),
        (writes_endlessly, "File too large"),
        (says_why, "no healthy cluster"),
    ],
)
def test_a_run_that_fails_is_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: Callable[[Path, bool], int], words: str
) -> None:
    monkeypatch.setattr(trial_module, "room_bytes", lambda _: 80 << 20)
    limits = TrialLimits(stage_s=1, memory_bytes=256 << 20)
    result = trial(small_plan(faults="none"), tmp_path, limits=limits, world=world)
    assert result.exit_code == 4
    assert words in str(result.error)
    assert result.violations == ()
    assert result.summary() == f"unknown: {result.error}"
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("world", ["sim", "lockstep"])
def test_a_replica_whose_disk_is_full_accuses_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: str
) -> None:
    """It stops with exit code 4, which is no replica that ended by itself."""
    monkeypatch.setattr(trial_module, "room_bytes", lambda _: 1 << 18)
    result = trial(small_plan(world=world, faults="none"), tmp_path)
    assert (result.exit_code, result.violations) == (4, ())
    assert "the machine refused replica" in str(result.error)
    assert "File too large" in str(result.error)


def test_no_room_for_a_trial_is_a_result(tmp_path: Path) -> None:
    result = trial(small_plan(faults="none"), tmp_path / "nowhere", world=nothing)
    assert (result.exit_code, "No such file" in str(result.error)) == (4, True)


def dies(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def loops(*_: object) -> None:
    while True:
        time.sleep(1)


def hungers(*_: object) -> None:
    bytearray(1 << 30)


@pytest.mark.parametrize(
    ("judge", "words"), [(dies, "SIGKILL"), (loops, "not done within 1 s"), (hungers, "256 MiB of memory")]
)
def test_a_judge_that_dies_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judge: Callable[..., None], words: str
) -> None:
    monkeypatch.setattr(trial_module, "judge_folder", judge)
    limits = TrialLimits(stage_s=1, memory_bytes=256 << 20)
    result = trial(small_plan(faults="none"), tmp_path, limits=limits, world=nothing)
    assert (result.exit_code, result.error) == (3, None)
    assert {line["verdict"] for line in lines(result)} == {"unknown"}
    assert words in result.reason()


def test_a_history_that_cannot_be_read_is_the_harness_fault(tmp_path: Path) -> None:
    def scribbles(folder: Path, quiet: bool) -> int:
        (folder / "history.jsonl").write_text("{}\n{}\n")
        return 0

    result = trial(small_plan(faults="none"), tmp_path, world=scribbles)
    assert result.exit_code == 4
    assert "the run cannot be judged" in str(result.error)


def test_an_interruption_of_the_run_is_one_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        trial(small_plan(faults="none"), tmp_path, world=lambda folder, quiet: 130)
    assert not os.listdir(tmp_path)


def test_an_interruption_of_the_caller_ends_the_run_and_what_it_started(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def slow(folder: Path, quiet: bool) -> int:
        own_child = os.fork()
        if own_child == 0:
            time.sleep(60)
            os._exit(0)
        (tmp_path / "pids").write_text(f"{os.getpid()} {own_child}")
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(60)
        return 0

    with pytest.raises(KeyboardInterrupt):
        trial(small_plan(faults="none"), scratch, world=slow)
    assert not os.listdir(scratch)
    end = time.monotonic() + 10
    while any(running(int(pid)) for pid in (tmp_path / "pids").read_text().split()):
        assert time.monotonic() < end, "a process of the trial is still there"
        time.sleep(0.01)


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_trial_is_cheap_beside_its_run(tmp_path: Path) -> None:
    plan = small_plan()
    costs = []
    for _ in range(5):
        result = trial(plan, tmp_path, world=nothing)
        costs.append(result.cpu_s - result.judge_cpu_s)
    assert min(costs) < OVERHEAD_S, f"a run of nothing costs {costs}"


def test_a_plan_runs_in_its_child_as_it_does_here(tmp_path: Path) -> None:
    """Nothing of the parent gets into a run, and nothing of a run into the next."""
    plan = dataclasses.replace(small_plan(faults="none"), duration_ns=10**9)
    seen: list[dict[str, str]] = []
    for _ in range(2):
        trial(plan, tmp_path, lambda folder, _: seen.append(records(folder)))
    here = tmp_path / "here"
    here.mkdir()
    one_run.write_plan(plan, here)
    assert one_run.virtual_world()(here, True) == 0
    assert seen == [records(here)] * 2


def records(folder: Path) -> dict[str, str]:
    """What the same plan fixes."""
    return {name: digest for name, digest in hash_files(folder).items() if name.endswith(".jsonl")}


def test_scratch_is_gone_afterwards_and_so_is_what_a_killed_process_left(tmp_path: Path) -> None:
    abandoned = tmp_path / f"{PREFIX}abc"
    (abandoned / "trial-1").mkdir(parents=True)
    with scratch_folder((tmp_path,)) as one:
        assert os.listdir(tmp_path) == [one.name]
        with scratch_folder((tmp_path / "nowhere", tmp_path)) as two:
            assert set(os.listdir(tmp_path)) == {one.name, two.name}, "one is held by its process"
            (two / "file").write_text("")
    assert not os.listdir(tmp_path)


def test_scratch_without_room_says_so(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no scratch space"), scratch_folder((tmp_path / "nowhere",)):
        pass
