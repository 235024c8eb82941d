"""What is asked of the judge: the first value of every key, and what is refused before a history is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from run_folder_builder import RunFolderBuilder

from checker.__main__ import main
from checker.history import HistoryError

FROM_ZERO = """INFO  jepsen.util - 0	:invoke	:read	nil
INFO  jepsen.util - 0	:ok	:read	0
INFO  jepsen.util - 1	:invoke	:cas	[0 1]
INFO  jepsen.util - 1	:ok	:cas	[0 1]
"""
OVERDRAWN = """{:process 0, :type :invoke, :f :transfer, :value {:from "a", :to "b", :amount 7}}
{:process 0, :type :ok, :f :transfer, :value {:from "a", :to "b", :amount 7}}
{:process 0, :type :invoke, :f :read, :value nil}
{:process 0, :type :ok, :f :read, :value {"a" -2, "b" 12}}
"""
TRUE_AT_FIRST = """{:process 0, :type :invoke, :f :read, :value nil}
{:process 0, :type :ok, :f :read, :value [true]}
{:process 0, :type :invoke, :f :add, :value "x"}
{:process 0, :type :ok, :f :add, :value "x"}
"""
FOREIGN = {
    "a register from 0": (FROM_ZERO, "cas-register", "0", "begins at 0"),
    "a bank that allows overdrafts": (
        OVERDRAWN,
        "bank",
        '{"balances": [["a", 5], ["b", 5]], "negative": true}',
        'begins at [["balances", [["a", 5]',
    ),
    "a set that holds true": (TRUE_AT_FIRST, "grow-only-set", "[true]", "begins at [true]"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_every_key_begins_at_initial_and_all_agree(case, tmp_path, capsys):
    text, model, initial, said = FOREIGN[case]
    path, out, jsonl = tmp_path / "h", tmp_path / "out", tmp_path / "e.jsonl"
    path.write_text(text)
    asked = ["--model", model, f"--initial={initial}", "--out", str(out)]
    assert main([str(path), *asked, "--export", "jsonl", "--to", str(jsonl)]) == 0
    assert said in capsys.readouterr().out
    assert recheck(out).startswith("VERIFIED: the history is linearizable")
    assert (out / "history.jsonl").read_bytes() == jsonl.read_bytes()
    assert main([str(jsonl)]) == 0
    assert "begins at" not in capsys.readouterr().out
    edn = tmp_path / "e.edn"
    assert main([str(jsonl), "--export", "edn", "--to", str(edn)]) == 0
    assert main([str(edn)]) == 0


def test_without_it_they_are_judged_from_what_the_format_says(tmp_path, capsys):
    path = tmp_path / "h.log"
    path.write_text(FROM_ZERO)
    assert main([str(path)]) == 1
    path.write_text(OVERDRAWN)
    assert main([str(path)]) == 2
    assert "what the bank held at first is not known" in capsys.readouterr().err


def ours(tmp_path, initial: object, mark: bytes = b"") -> Path:
    header = {"schema": "traitor/history/1", "model": "register", "initial": initial}
    call = {"index": 0, "time_ns": 1, "process": 0, "type": "invoke", "f": "read", "key": "k", "input": None}
    answer = {"index": 1, "time_ns": 2, "process": 0, "type": "ok", "output": 1}
    path = tmp_path / "ours.jsonl"
    path.write_bytes(mark + "".join(json.dumps(line) + "\n" for line in (header, call, answer)).encode())
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_it_overrides_the_header_also_of_the_kept_history(tmp_path, mark):
    path, out = ours(tmp_path, True, mark), tmp_path / "out"
    assert main([str(path), "--out", str(out)]) == 1
    assert (out / "history.jsonl").read_bytes() == path.read_bytes()
    assert main([str(path), "--out", str(out), "--initial", "1"]) == 0
    header, *rest = (out / "history.jsonl").read_text().splitlines()
    assert json.loads(header)["initial"] == 1
    assert rest == path.read_text().splitlines()[1:]
    assert recheck(out).startswith("VERIFIED: the history is linearizable")


def test_a_history_is_not_written_over_with_another_value(tmp_path, capsys):
    folder = tmp_path / "out"
    assert main([str(ours(tmp_path, 1)), "--out", str(folder)]) == 0
    kept = folder / "history.jsonl"
    before = kept.read_bytes()
    assert main([str(kept), "--initial", "1", "--out", str(folder)]) == 0
    assert main([str(kept), "--initial", "2", "--out", str(folder)]) == 2
    assert "another initial value" in capsys.readouterr().err
    assert kept.read_bytes() == before


@pytest.mark.parametrize(
    ("initial", "told"),
    [("zero", "is not JSON"), ("", "is not JSON"), ('{"a": 1, "a": 2}', "'a' twice"), ("[" * 9_999, "JSON")],
)
def test_what_is_no_json_is_wrong_use(initial, told, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main([str(ours(tmp_path, 1)), "--initial", initial])
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("text", [FROM_ZERO, None])
def test_a_value_the_model_cannot_begin_at_is_refused(text, tmp_path, capsys):
    path = ours(tmp_path, 1)
    if text:
        path.write_text(text)
    assert main([str(path), "--initial", "[1, 2]"]) == 2
    told = capsys.readouterr().err
    assert "--initial [1, 2] does not fit model" in told
    assert "it must be a string, an integer, a boolean or null" in told


def test_a_run_folder_says_itself_what_it_began_with(tmp_path, capsys):
    folder = RunFolderBuilder().write(tmp_path / "run")
    assert main([str(folder), "--initial", "0"]) == 2
    assert "Leave out --initial" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--model", "nowhere:Class"], "cannot be imported"),
        (["--out", "file/below/out"], "Not a directory"),
        (["--export", "edn", "--to", "missing/e.edn"], "No such file or directory"),
        (["--export", "edn", "--to", "file/e.edn"], "Not a directory"),
        (["--export", "edn", "--to", "ours.jsonl"], "no place for an export"),
    ],
)
def test_what_cannot_be_is_refused_before_the_history_is_read(flags, told, tmp_path, capsys, monkeypatch):
    def read(*_):
        raise HistoryError("h", 0, "it was read", "too early")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("checker.formats.detect.read_history", read)
    (tmp_path / "file").write_text("")
    path = ours(tmp_path, 1)
    assert main([path.name]) == 2
    assert "it was read" in capsys.readouterr().err
    assert main([path.name, *flags]) == 2
    assert told in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["file", "ours.jsonl"]


def recheck(folder: Path) -> str:
    """The last line that `recheck.py` prints."""
    program = [sys.executable, "-I", str(folder / "recheck.py")]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()[-1]
