"""``traitor reproduce``: k of n, what counts as the same, and what a virtual world must never do."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness import cli, one_run, reproduce, store
from harness.errors import HarnessError
from harness.interval import in_words, wilson
from harness.plan import Plan, in_world, make_plan
from harness.plan_file import plan_text
from harness.run_record import write_json
from harness.spec import make_spec

STALE = ("linearizability", "stale read")
DROUGHT = ("liveness", "drought")
SPOILT = ("linearizability", "value from nowhere")
real_world = one_run.lean_world()


def traitor(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = cli.main([str(word) for word in words])
    output = capsys.readouterr()
    return code, output.out, output.err


def small_plan(world: str = "sim") -> Plan:
    return make_plan(make_spec({"world": world, "time": 3, "rate": 25, "faults": ["pause"]}), 7)


def new_run(folder: Path, plan: Plan) -> Path:
    folder.mkdir(parents=True)
    one_run.run_plan(plan, folder, "", store.Origin("kv", 7, "traitor run", "traitor run"), quiet=True)
    return folder


@pytest.fixture(scope="module")
def valid_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_run(tmp_path_factory.mktemp("runs") / "valid", small_plan())


def spoils(when: Callable[[Path], bool]) -> Callable[[], one_run.RunWorld]:
    """A world whose last read shows what nobody wrote, when asked to."""

    def world(folder: Path, quiet: bool) -> int:
        code = real_world(folder, quiet)
        path = folder / "history.jsonl"
        events = [json.loads(line) for line in path.read_text().splitlines()]
        if when(folder):
            read = next(e for e in reversed(events) if e.get("type") == "ok" and e["f"] == "get")
            read["output"] = "never written"
            path.write_text("".join(json.dumps(event) + "\n" for event in events))
        return code

    return lambda: world


# ------------------------------------------------------------------ virtual worlds


def test_a_run_without_a_violation_is_valid_again(
    valid_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = traitor(capsys, "reproduce", valid_run, "--times", "3", "--out", tmp_path / "out")
    assert code == 0, out
    lines = out.splitlines()
    assert [line.split()[:4] for line in lines[:3]] == [[str(i), "of", "3", "again"] for i in (1, 2, 3)]
    assert "3 of 3 (95 % Wilson interval 43 % to 100 %): verdict valid" in out
    assert "history and traces as in RUN, 3 of 3" in out
    assert not os.listdir(tmp_path), "nothing was kept, as nothing was seen"


def test_a_violation_is_seen_again_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("virtual_world", "lean_world"):
        monkeypatch.setattr(one_run, name, spoils(lambda _: True))
    run = new_run(tmp_path / "runs" / "bad", small_plan())
    out = tmp_path / "out"
    code, said, _ = traitor(capsys, "reproduce", run, "--times", "3", "--out", out, "--keep", "1", "--json")
    result = json.loads(said)
    assert (code, result["exit_code"], result["again"], result["compared_with"]) == (1, 1, 3, "RUN")
    assert result["sought"] == [{"line": SPOILT[0], "property": SPOILT[1]}]
    assert [bool(one["folder"]) for one in result["runs"]] == [True, False, False]
    (kept,) = out.iterdir()
    assert str(kept) == result["runs"][0]["folder"]
    assert json.loads((kept / "verdict.json").read_text())["verdict"] == "invalid"
    assert (kept / "report.html").exists()
    assert result["interval"]["share"] == list(wilson(3, 3))


def test_other_bytes_in_a_virtual_world_are_a_defect_of_ours(
    valid_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    count = tmp_path / "count"
    count.write_text("")

    def second(folder: Path) -> bool:
        count.write_text(count.read_text() + "x")
        return len(count.read_text()) == 2

    monkeypatch.setattr(one_run, "lean_world", spoils(second))
    monkeypatch.setattr(one_run, "render_report", lambda folder: (None, 0))
    code, out, _ = traitor(capsys, "reproduce", valid_run, "--times", "3", "--out", tmp_path / "out")
    assert code == 4
    assert "DEFECT: other bytes than in RUN: history.jsonl" in out.splitlines()[1]
    assert "2 of 3" in out
    assert "1 of 3: other bytes than in RUN: history.jsonl" in out
    assert len(os.listdir(tmp_path / "out")) == 1, "the run that should not be is kept"


def test_what_other_code_made_is_compared_run_with_run(
    valid_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its bytes may differ, and accuse nobody; those of the runs must still be alike."""
    monkeypatch.setattr(one_run, "lean_world", spoils(lambda _: True))
    monkeypatch.setattr(one_run, "render_report", lambda folder: (None, 0))
    older = shutil.copytree(valid_run, tmp_path / "older")
    manifest = json.loads((older / "manifest.json").read_text())
    write_json(older / "manifest.json", manifest | {"commit": "0" * 40})
    code, out, err = traitor(capsys, "reproduce", older, "--times", "2", "--out", tmp_path / "out")
    assert (code, "commit 000" in err) == (1, True)
    assert "0 of 2" in out
    assert "as in the first run, 2 of 2" in out
    assert "also seen        2 of 2" in out


def test_one_run_is_not_said_to_be_like_itself(
    valid_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody knows which code is running: git tells nothing of a checkout that belongs to somebody else."""
    monkeypatch.setattr(store, "_commit", lambda: None)
    code, out, err = traitor(capsys, "reproduce", valid_run, "--times", "1", "--out", tmp_path / "out")
    assert (code, "git does not tell" in err) == (0, True)
    assert "bytes            not compared" in out


def test_a_run_that_was_cut_short_is_no_measure(valid_run: Path) -> None:
    original = reproduce.read_original(valid_run)
    plan = original.plan
    assert reproduce._seeking(original, plan, 1).compared_with == "RUN"
    assert reproduce._seeking(original, in_world(plan, "lockstep"), 1).compared_with == "RUN"
    assert reproduce._seeking(original, in_world(plan, "live"), 1).compared_with == ""
    cut = dataclasses.replace(original, whole=False)
    assert reproduce._seeking(cut, plan, 1).compared_with == "the first run"
    lived = dataclasses.replace(original, plan=in_world(plan, "live"))
    assert reproduce._seeking(lived, plan, 1).compared_with == "the first run"


def test_an_interruption_tells_what_was_seen(
    valid_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = reproduce.trial

    def interrupted_later(*arguments: Any) -> object:
        if interrupted_later.calls == 2:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        interrupted_later.calls += 1  # type: ignore[attr-defined]
        return tried(*arguments)

    interrupted_later.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(reproduce, "trial", interrupted_later)
    code, out, _ = traitor(capsys, "reproduce", valid_run, "--times", "9", "--out", tmp_path / "out")
    assert code == 130
    assert "reproduced       2 of 2" in out
    assert "130 (interrupted)" in out


# ------------------------------------------------------------------ live


def verdict(found: Sequence[tuple[str, str]], word: str, code: int) -> dict[str, object]:
    lines = [
        {"name": name, "verdict": "invalid", "judged": True, "reason": "so", "details": {"kind": kind}}
        for name, kind in found
    ]
    counts = {"ok": 100, "fail": 0, "info": 2, "by_function": {}}
    return {"verdict": word, "exit_code": code, "lines": lines, "operations": counts}


INVALID, OTHER = verdict([STALE], "invalid", 1), verdict([DROUGHT], "invalid", 1)
VALID, UNKNOWN, VOID = verdict([], "valid", 0), verdict([], "unknown", 3), verdict([], "unknown", 4)


def plays(
    monkeypatch: pytest.MonkeyPatch, results: Sequence[dict[str, object] | BaseException]
) -> list[Path]:
    """Live runs end like this, one after the other. The folders they had."""
    folders: list[Path] = []

    def run_plan(plan: Plan, folder: Path, *_: object, quiet: bool) -> one_run.Done:
        assert plan.world == "live"
        folders.append(folder)
        result = results[len(folders) - 1]
        if isinstance(result, BaseException):
            raise result
        write_json(folder / "verdict.json", result)
        return one_run.Done(folder, int(str(result["exit_code"])), None, result, None)

    monkeypatch.setattr(reproduce.one_run, "run_plan", run_plan)
    monkeypatch.setattr(reproduce.one_run, "check_possible", lambda plan: None)
    return folders


def live_run(valid_run: Path, folder: Path, result: dict[str, object]) -> Path:
    shutil.copytree(valid_run, folder)
    (folder / "manifest.json").unlink()
    (folder / "plan.json").write_text(plan_text(in_world(small_plan(), "live")))
    write_json(folder / "verdict.json", result)
    return folder


def test_k_of_n_counts_the_same_violation_only(
    valid_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = live_run(valid_run, tmp_path / "run", INVALID)
    folders = plays(monkeypatch, [VALID, INVALID, OTHER, INVALID, UNKNOWN, INVALID])
    out = tmp_path / "out"
    code, said, _ = traitor(capsys, "reproduce", run, "--times", "6", "--out", out, "--keep", "2")
    assert code == 1
    assert [line.split()[3] for line in said.splitlines()[:6]] == [
        "not",
        "again",
        "not",
        "again",
        "not",
        "again",
    ]
    assert "reproduced       3 of 6 (95 % Wilson interval 18 % to 82 %): linearizability: stale read" in said
    assert "also seen        1 of 6" in said
    assert sorted(out.iterdir()) == sorted([folders[1], folders[3]]), "the first two that showed it"


@pytest.mark.parametrize(
    ("original", "results", "code", "again"),
    [
        (INVALID, [VALID, VALID], 0, "0 of 2"),
        (INVALID, [VALID, UNKNOWN], 3, "0 of 2"),
        (INVALID, [VALID, VOID], 4, "0 of 2"),
        (INVALID, [OTHER, VOID], 1, "0 of 2"),
        (VALID, [VALID, INVALID], 1, "1 of 2"),
        (UNKNOWN, [UNKNOWN, VALID], 3, "1 of 2"),
        (VALID, [VALID, HarnessError("no room")], 4, "1 of 1"),
        (VALID, [VALID, KeyboardInterrupt()], 130, "1 of 1"),
    ],
)
def test_exit_codes(
    valid_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    original: dict[str, object],
    results: list[dict[str, object] | BaseException],
    code: int,
    again: str,
) -> None:
    run = live_run(valid_run, tmp_path / "run", original)
    folders = plays(monkeypatch, results)
    words = ["reproduce", run, "--times", "2", "--out", tmp_path / "out", "--keep", "0"]
    got, said, err = traitor(capsys, *words)
    assert (got, again in said) == (code, True), said
    assert not any(folder.exists() for folder in folders)
    assert ("no room" in err) == (code == 4 and original is VALID)


# ------------------------------------------------------------------ refusals


def test_refusals_leave_nothing(
    valid_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    edited, unjudged, spoilt, bare = (
        shutil.copytree(valid_run, tmp_path / name) for name in ("edited", "unjudged", "spoilt", "bare")
    )
    (edited / "plan.json").write_text((edited / "plan.json").read_text() + "\n")
    (unjudged / "verdict.json").unlink()
    (spoilt / "replicas" / "2" / "trace.jsonl").write_text("{}\n")
    (bare / "plan.json").unlink()
    there = set(os.listdir(tmp_path))
    for words, told in (
        ([tmp_path / "nowhere"], "does not exist"),
        ([bare], "has no plan.json"),
        ([edited], "traitor run --plan"),
        ([unjudged], "traitor check"),
        ([spoilt], "was changed after its run"),
        ([valid_run, "--times", "0"], "--times 0"),
        ([valid_run, "--keep", "9999"], "--keep 9999"),
        ([valid_run, "--world", "moon"], "Choose one of live, lockstep, sim"),
    ):
        code, out, err = traitor(capsys, "reproduce", *words)
        assert (code, out) == (2, "")
        assert told in err
        assert "Traceback" not in err
    assert set(os.listdir(tmp_path)) == there


# ------------------------------------------------------------------ the interval


def test_the_interval_is_wilsons() -> None:
    """Against values of the literature (Newcombe 1998, table I), and its ends."""
    for k, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert wilson(k, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert wilson(20, 20)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)
    assert in_words(20, 20) == "20 of 20 (95 % Wilson interval 83 % to 100 %)"
