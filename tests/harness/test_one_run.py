"""A kept run from an empty folder to a judged one, and what is left when something goes wrong on the way."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import one_run, store
from harness.errors import HarnessError, UsageError
from harness.one_run import Done, MadeBy, run_plan
from harness.plan import Plan, make_plan
from harness.spec import make_spec

ORIGIN = store.Origin("kv", 7, "traitor run --seed 7", "traitor run --seed 7")


def small_plan(world: str = "sim") -> Plan:
    return make_plan(make_spec({"world": world, "time": 3, "rate": 40, "faults": "none"}), 7)


def run(folder: Path) -> Done:
    folder.mkdir(parents=True)
    return run_plan(small_plan(), folder, "# of a test\n", ORIGIN, quiet=True)


def test_a_run_leaves_a_whole_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(tmp_path / "run")
    assert done.exit_code == 0, done
    assert done.judgement is not None
    assert "linearizability  valid" in done.judgement.text
    assert done.verdict["verdict"] == "valid"
    assert done.report == done.folder / "report.html"
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert manifest["files"] == store.hash_files(done.folder)
    assert {"spec.yaml", "plan.json", "history.jsonl", "verdict.json"} <= set(manifest["files"])
    assert capsys.readouterr().out == "", "what is printed is the command's business"


def test_a_live_run_wants_a_sandbox_and_a_virtual_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_run.sandbox, "available", lambda *_: "this test wants none")
    one_run.check_possible(small_plan())
    with pytest.raises(HarnessError, match="this test wants none"):
        one_run.check_possible(small_plan("live"))


def raises(error: BaseException) -> Callable[[Path, bool], int]:
    def world(folder: Path, quiet: bool) -> int:
        raise error

    return world


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (raises(HarnessError("the nursery is on fire", "Call somebody.")), "the nursery is on fire"),
        (raises(ZeroDivisionError("a bug")), "the world failed with ZeroDivisionError: a bug"),
        (raises(MemoryError()), "not enough memory"),
        (lambda folder, quiet: 9, "the world ended with exit code 9"),
        (lambda folder, quiet: 4, "the world failed; it said why on stderr"),
    ],
)
def test_a_world_that_fails_is_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: Callable[[Path, bool], int], words: str
) -> None:
    monkeypatch.setattr(one_run, "virtual_world", lambda: world)
    monkeypatch.setattr(one_run, "render_report", lambda folder: (None, 0))
    done = run(tmp_path / "run")
    assert done.exit_code == 4
    assert words in json.loads((done.folder / "run.json").read_text())["harness_errors"][0]
    assert done.verdict["exit_code"] == 4


def test_a_world_that_cannot_begin_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_run, "virtual_world", lambda: raises(UsageError("no such network")))
    with pytest.raises(UsageError, match="no such network"):
        run(tmp_path / "run")
    assert not os.listdir(tmp_path)


def test_a_folder_that_cannot_be_prepared_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise HarnessError("the disk is full")

    monkeypatch.setattr(one_run.store, "seal", full)
    with pytest.raises(HarnessError, match="the disk is full"):
        run(tmp_path / "run")
    assert not os.listdir(tmp_path)


def test_an_interrupted_run_is_judged_and_an_interrupted_judgement_keeps_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_run, "render_report", lambda folder: (None, 0))
    monkeypatch.setattr(one_run, "virtual_world", lambda: raises(KeyboardInterrupt()))
    done = run(tmp_path / "one")
    assert (done.exit_code, done.judgement is None) == (130, False)
    monkeypatch.setattr(one_run, "judge", raises(KeyboardInterrupt()))
    done = run(tmp_path / "two")
    assert (done.exit_code, done.judgement) == (130, None)
    assert (done.folder / "manifest.json").exists()


def test_a_trial_that_cannot_be_copied_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot copy a run"):
        one_run.keep(
            tmp_path / "nowhere", tmp_path / "runs", small_plan(), MadeBy("traitor sweep", "traitor"), 0
        )
    assert not os.listdir(tmp_path / "runs")


def test_only_plain_files_of_a_trial_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_run, "render_report", lambda folder: (None, 0))
    found = tmp_path / "trial"
    (found / "replicas" / "0").mkdir(parents=True)
    (found / "run.json").write_text("{}")
    os.mkfifo(found / "replicas" / "0" / "metrics.sock")
    (found / "replicas" / "0" / "elsewhere").symlink_to("/etc/passwd")
    done = one_run.keep(found, tmp_path / "runs", small_plan(), MadeBy("traitor sweep", "traitor"), 0)
    assert (done.folder / "run.json").exists()
    assert os.listdir(done.folder / "replicas" / "0") == []
