"""Run folders, the manifest, and the list of runs."""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import run_list, store
from harness.errors import HarnessError, UsageError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ORIGIN = store.Origin("kv", 7, "traitor run", "traitor run --seed 7")


def test_a_folder_is_named_after_its_run_and_never_reused(tmp_path: Path) -> None:
    first = store.make_run_folder(tmp_path / "runs", "kv", 7, NOW)
    second = store.make_run_folder(tmp_path / "runs", "kv", 7, NOW)
    assert first.name == "20260102T030405Z-kv-s7"
    assert second.name == "20260102T030405Z-kv-s7-2"


def test_a_place_that_takes_no_folder_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make a run folder"):
        store.make_run_folder(tmp_path / "file", "kv", 7, NOW)


def test_a_full_disk_is_the_machines_fault() -> None:
    assert isinstance(store.storage_error("x", OSError(28, "No space left on device")), HarnessError)
    assert isinstance(store.storage_error("x", OSError(13, "Permission denied")), UsageError)


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for path, word in (("none", "does not exist"), ("file", "not a folder"), ("empty", "not a run folder")):
        with pytest.raises(UsageError, match=word):
            store.find_run(tmp_path / path)
    (tmp_path / "empty" / "plan.json").write_text("{}")
    assert store.find_run(tmp_path / "empty") == tmp_path / "empty"


def test_the_manifest_seals_every_file_but_itself_and_the_report(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    (tmp_path / "replicas").mkdir()
    (tmp_path / "replicas" / "wal").write_bytes(b"log")
    (tmp_path / "report.html").write_text("")
    store.seal(tmp_path, ORIGIN)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["schema"] == "traitor/manifest/1"
    assert (manifest["seed"], manifest["reproduce"]) == (7, "traitor run --seed 7")
    assert manifest["files"] == {
        "plan.json": hashlib.sha256(b"{}").hexdigest(),
        "replicas/wal": hashlib.sha256(b"log").hexdigest(),
    }
    (tmp_path / "verdict.json").write_text("{}")
    store.seal_again(tmp_path)
    again = json.loads((tmp_path / "manifest.json").read_text())
    assert set(again["files"]) == {"plan.json", "replicas/wal", "verdict.json"}
    assert again["command"] == manifest["command"]


def test_judging_again_does_not_seal_what_was_changed_since(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    (tmp_path / "verdict.json").write_text("{}")
    store.seal(tmp_path, ORIGIN)
    (tmp_path / "plan.json").write_text('{"seed": 8}')
    (tmp_path / "verdict.json").unlink()
    (tmp_path / "witness.jsonl").write_text("w")
    store.seal_judgement(tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text())["files"] == {
        "plan.json": hashlib.sha256(b"{}").hexdigest(),
        "witness.jsonl": hashlib.sha256(b"w").hexdigest(),
    }


def test_no_fifo_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")
    assert store.read_object(tmp_path / "run.json") == {}


def test_sealing_again_without_a_manifest_makes_none(tmp_path: Path) -> None:
    store.seal_again(tmp_path)
    assert not os.listdir(tmp_path)


def test_the_list_survives_hostile_folders(tmp_path: Path) -> None:
    good, bad, odd = tmp_path / "b-good", tmp_path / "a-bad", tmp_path / "c-odd"
    for folder in (good, bad, odd, tmp_path / "no-run"):
        folder.mkdir()
    verdict = {
        "verdict": "invalid",
        "exit_code": 1,
        "operations": {"ok": 3, "fail": 0, "info": 1},
        "lines": [
            {"name": "a", "verdict": "valid", "judged": True, "reason": "fine"},
            {"name": "b", "verdict": "invalid", "judged": True, "reason": "a \x1b[31mlie"},
        ],
    }
    (good / "plan.json").write_text("{}")
    (good / "verdict.json").write_text(json.dumps(verdict))
    (bad / "run.json").write_bytes(b"\xff not json")
    (odd / "history.jsonl").write_text("")
    (odd / "verdict.json").write_text('{"operations": [1], "lines": 3, "exit_code": "x"}')
    runs = {run.folder.name: run for run in run_list.list_runs(tmp_path)}
    assert list(runs) == ["c-odd", "b-good", "a-bad"]
    assert (runs["b-good"].exit_code, runs["b-good"].operations) == (1, "3 ok 0 fail 1 info")
    assert "\x1b" not in runs["b-good"].reason
    assert "b: a" in runs["b-good"].reason
    assert runs["a-bad"].verdict == "not judged"
    assert run_list.list_runs(tmp_path / "none") == []
    with pytest.raises(UsageError, match="cannot list"):
        run_list.list_runs(odd / "history.jsonl")
