"""A run folder is compared with its manifest, and nothing in it can make the judge wait or read for ever."""

import errno
import hashlib
import json
import os

import pytest
from run_folder_builder import RunFolderBuilder

from checker.audit_run.sealed_files import check_files
from checker.files import read_regular
from checker.formats import traitor
from checker.history import HistoryError
from checker.judge import judge_run


@pytest.fixture
def folder(tmp_path):
    return RunFolderBuilder().write(tmp_path / "run")


def seal(folder, **more):
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    manifest = {"schema": "traitor/manifest/1", "files": files | more}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def harness_line(folder):
    return judge_run(folder).line("harness")


def test_an_unchanged_folder_is_as_it_was_sealed(folder):
    seal(folder)
    assert harness_line(folder).verdict == "valid"


def test_what_a_judgement_writes_may_change(folder):
    (folder / "verdict.json").write_text("{}")
    seal(folder)
    (folder / "verdict.json").write_text('{"exit_code": 0}')
    assert harness_line(folder).verdict == "valid"


@pytest.mark.parametrize("name", ["history.jsonl", "plan.json", "replicas/1/trace.jsonl"])
def test_a_changed_file_voids_the_run(folder, name):
    seal(folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content.replace(b": ", b":  ", 1))
    line = harness_line(folder)
    assert line.verdict == "invalid"
    assert name in line.reason
    assert "changed after the run" in line.reason


def test_a_file_that_one_may_not_read_is_not_called_changed(folder, monkeypatch):
    """Keys and logs are their owner's, and not judged. (Refused here by hand: root may read all.)"""
    (folder / "replicas" / "1" / "wal").write_text("promises")
    seal(folder)

    def refused(path):
        if path.name == "wal":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read_regular(path)

    monkeypatch.setattr("checker.seal.read_regular", refused)
    assert harness_line(folder).verdict == "valid"
    found, _ = check_files(folder)
    assert (found.result, "you may not read 1 of the" in found.told) == ("unchecked", True)


def test_a_file_that_is_gone_voids_the_run(folder):
    (folder / "replicas" / "1" / "wal").write_text("promises")
    seal(folder)
    (folder / "replicas" / "1" / "wal").unlink()
    assert "wal" in harness_line(folder).reason


@pytest.mark.parametrize("name", ["/etc/hostname", "../../x", "a/../../b", "x\0y"])
def test_a_manifest_cannot_point_outside(folder, name):
    seal(folder, **{name: "00"})
    assert "outside the run" in harness_line(folder).reason


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"schema": "traitor/manifest/1", "files": []}', "[" * 9999]
)
def test_a_malformed_manifest_is_a_trouble(folder, content):
    (folder / "manifest.json").write_text(content)
    assert "manifest.json is malformed" in harness_line(folder).reason


@pytest.mark.parametrize(
    "name", ["plan.json", "faults.jsonl", "run.json", "manifest.json", "replicas/2/trace.jsonl"]
)
@pytest.mark.parametrize("what", ["fifo", "zero"])
def test_only_regular_files_are_read(folder, name, what):
    path = folder / name
    path.unlink(missing_ok=True)
    if what == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert "not a regular file" in harness_line(folder).reason


def test_a_history_is_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / "history.jsonl")
    with pytest.raises(HistoryError, match="not a regular file"):
        traitor.read(tmp_path / "history.jsonl")
