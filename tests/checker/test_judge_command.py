"""`python -m checker` and the verdict: exit codes, files, hostile values, judges that throw."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from run_folder_builder import RunFolderBuilder

from checker.__main__ import main
from checker.counterexample import find as counterexample_finder
from checker.formats.writer import HistoryWriter
from checker.judge import JUDGES, judge_history, judge_run
from checker.judges import linearizability
from checker.verdict import NAMES, Line, Verdict, not_judged

HERE = Path(__file__).parent
BAD = HERE / "bad_histories" / "stale_read.jsonl"
GOOD = HERE / "good_histories" / "stale_read.jsonl"


@pytest.fixture
def folder(tmp_path):
    return RunFolderBuilder().write(tmp_path / "run")


def test_a_run_folder_gets_its_verdict_and_witness(folder, capsys):
    assert main([str(folder)]) == 0
    written = json.loads((folder / "verdict.json").read_text())
    assert written["schema"] == "traitor/verdict/1"
    assert (written["verdict"], written["exit_code"]) == ("valid", 0)
    assert [line["name"] for line in written["lines"]] == list(NAMES)
    assert written["operations"]["ok"] == 61
    assert written["operations"]["by_function"]["get"] == {"ok": 31}
    header, *keys = map(json.loads, (folder / "witness.jsonl").read_text().splitlines())
    assert header["schema"] == "traitor/witness/1"
    assert len(header["history_sha256"]) == 64
    assert [(key["key"], len(key["order"]), key["dropped"]) for key in keys] == [("k", 61, [])]
    assert not (folder / "counterexample.json").exists()
    assert not list(folder.glob(".*"))
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES)


def test_a_violation_replaces_the_witness_by_a_counterexample(tmp_path, folder):
    assert main([str(folder)]) == 0
    run = RunFolderBuilder()
    run.events = [(*e[:5], "v1", *e[6:]) if e[2] == "ok" and e[8] == "final" else e for e in run.events]
    run.write(folder)
    assert main([str(folder)]) == 1
    assert not (folder / "witness.jsonl").exists()
    found = json.loads((folder / "counterexample.json").read_text())
    assert found["schema"] == "traitor/counterexample/1"
    assert found["stuck_on"] in [op["index"] for op in found["operations"]]
    assert {"index", "process", "f", "input", "output", "type", "call_ns", "return_ns"} <= found[
        "operations"
    ][0].keys()


def test_a_bare_history_writes_nothing_unless_told(tmp_path, capsys):
    before = sorted(BAD.parent.iterdir())
    assert main([str(BAD)]) == 1
    assert sorted(BAD.parent.iterdir()) == before
    assert main([str(BAD), "--out", str(tmp_path / "new")]) == 1
    kept = ["counterexample.json", "history.jsonl", "recheck.py", "verdict.json"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == kept
    said = capsys.readouterr().out
    assert "read 9 operations" in said


def test_json_is_one_object_on_standard_output(capsys):
    assert main([str(GOOD), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "valid"


def test_another_model_can_be_named(capsys):
    assert main([str(GOOD), "--model", "append"]) == 2
    assert "put" in capsys.readouterr().err


MALFORMED = {
    "a half line": (lambda lines: [*lines[:-1], lines[-1][:-9]], True),
    "an answer without a call": (lambda lines: [lines[0], *lines[2:]], False),
    "two calls open": (lambda lines: [*lines[:2], lines[1].replace('"index": 0', '"index": 1')], False),
    "time backwards": (lambda lines: [*lines, lines[1].replace('"index": 0', '"index": 99')], False),
    "an unknown type": (lambda lines: [lines[0], lines[1].replace('"invoke"', '"evoke"')], False),
    "a missing field": (lambda lines: [lines[0], lines[1].replace('"key"', '"kay"')], False),
    "no JSON": (lambda lines: [*lines[:3], "hello"], False),
    "no header": (lambda lines: lines[1:], False),
    "an empty line": (lambda lines: [lines[0], "", *lines[1:]], False),
    "a wrong schema": (lambda lines: [lines[0].replace("history/1", "history/2")], False),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_history_is_an_error_with_its_line(tmp_path, capsys, case):
    change, torn = MALFORMED[case]
    path = tmp_path / "h.jsonl"
    path.write_text("\n".join(change(GOOD.read_text().splitlines())) + ("" if torn else "\n"))
    assert main([str(path)]) == 2
    said = capsys.readouterr()
    assert f"{path}: line " in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_a_malformed_history_in_a_run_folder_is_an_error_too(folder, capsys):
    path = folder / "history.jsonl"
    path.write_text(path.read_text().replace('"type": "ok"', '"type": "okay"', 1))
    assert main([str(folder)]) == 2
    assert "history.jsonl: line" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["", "\n", '{"schema": "traitor/history/1", "model": "kv", "initial": null}\n']
)
def test_a_history_of_nothing_is_not_judged(tmp_path, capsys, content):
    path = tmp_path / "h.jsonl"
    path.write_text(content)
    assert main([str(path)]) == 2
    assert "operations" in (said := capsys.readouterr().err) or "empty" in said


def test_wrong_use_says_what_to_do(tmp_path, capsys):
    assert main([str(tmp_path / "nothing")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 2
    assert "Give a run folder" in capsys.readouterr().err


def test_running_out_of_time_is_unknown(tmp_path, capsys):
    path = tmp_path / "h.jsonl"
    with path.open("wb") as out:
        writer = HistoryWriter(out.write, "register")
        for i in range(24):
            writer.invoke(0, i, "write", "k", f"v{i // 2}")
            writer.invoke(0, 100 + i, "read", "k", None)
        for i in range(24):
            writer.ok(10, i, None)
            writer.ok(10, 100 + i, f"v{i // 2}")
        for time, i in ((20, 1), (30, 2)):
            writer.invoke(time, i, "read", "k", None)
            writer.ok(time + 1, i, f"v{i}")
    assert main([str(path), "--time-limit", "0.2"]) == 3
    assert "time limit of 0.2 s" in capsys.readouterr().out


def test_hostile_values_cannot_paint_the_terminal(tmp_path):
    path = tmp_path / "h.jsonl"
    with path.open("wb") as out:
        writer = HistoryWriter(out.write, "kv")
        writer.invoke(0, 0, "get", "k\x1b[2J\ud800", None)
        writer.ok(1, 0, "\x1b]0;owned\x07\u202e\ud800")
    command = [sys.executable, "-m", "checker", str(path), "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    said = subprocess.run(command, capture_output=True, check=False, cwd=HERE.parents[1], env=environment)
    assert said.returncode == 1
    assert b"\x1b" not in said.stdout
    assert said.stderr == b""


def test_a_terminal_that_knows_only_ascii_is_no_reason_to_fail(tmp_path):
    path = tmp_path / "h.jsonl"
    with path.open("wb") as out:
        writer = HistoryWriter(out.write, "kv")
        writer.invoke(0, 0, "put", "k", "v")
        writer.ok(1, 0, None)
        writer.invoke(1_501, 0, "get", "k", None)
        writer.ok(1_502, 0, None)
    command = [sys.executable, "-m", "checker", str(path)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    said = subprocess.run(command, capture_output=True, check=False, cwd=HERE.parents[1], env=environment)
    assert said.returncode == 1
    assert b"1.5 \\xb5s" in said.stdout


# ------------------------------------------------------------------ the verdict


@pytest.mark.parametrize("name", JUDGES)
def test_a_judge_that_throws_is_unknown(folder, name):
    def broken(folder, limits):
        raise RuntimeError("the judge fell asleep")

    verdict = judge_run(folder, judges={**JUDGES, name: broken})
    assert verdict.line(name).verdict == "unknown"
    assert "the judge fell asleep" in verdict.line(name).reason
    assert verdict.exit_code == 3


def test_an_engine_that_throws_is_unknown(folder, monkeypatch):
    def broken(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(linearizability, "decide", broken)
    verdict = judge_run(folder)
    assert verdict.line("linearizability").verdict == "unknown"
    assert verdict.exit_code == 3


def test_a_wrong_order_of_the_engine_does_not_pass_the_auditor(folder, monkeypatch):
    honest = linearizability.decide

    def lying(model, keys, budget):
        from dataclasses import replace

        result = honest(model, keys, budget)
        return replace(result, keys=tuple(replace(key, order=key.order[::-1]) for key in result.keys))

    monkeypatch.setattr(linearizability, "decide", lying)
    line = judge_history(folder / "history.jsonl").line("linearizability")
    assert line.verdict == "unknown"
    assert "the auditor objects" in line.reason


def test_a_wrong_refutation_does_not_pass_the_auditor(folder, monkeypatch):
    honest = linearizability.decide

    def lying(model, keys, budget):
        from dataclasses import replace

        result = honest(model, keys, budget)
        return replace(result, keys=tuple(replace(k, status="refuted", stuck_on=0) for k in result.keys))

    monkeypatch.setattr(linearizability, "decide", lying)
    line = judge_history(folder / "history.jsonl").line("linearizability")
    assert line.verdict == "unknown"


@pytest.mark.parametrize("broken", ["find", "known_pattern"])
def test_a_refutation_stands_when_only_its_explanation_fails(monkeypatch, folder, broken):
    def fails(*_):
        raise RecursionError("too deep")

    run = RunFolderBuilder()
    run.events = [(*e[:5], "v1", *e[6:]) if e[2] == "ok" and e[8] == "final" else e for e in run.events]
    monkeypatch.setattr(counterexample_finder, broken, fails)
    line = judge_run(run.write(folder)).line("linearizability")
    if broken == "find":  # then there is nothing the auditor could look at
        assert line.verdict == "unknown"
        assert "cannot be verified" in line.reason
    else:
        assert line.verdict == "invalid"
        assert line.details["kind"] == "no explanation"


def test_the_worst_line_decides_and_unknown_never_hides_a_violation():
    for violation, harness, coverage in itertools.product(("valid", "invalid", "unknown"), repeat=3):
        lines = [not_judged(name) for name in NAMES if name not in ("agreement", "harness", "coverage")]
        lines += [
            Line("agreement", violation, ""),
            Line("harness", harness, ""),
            Line("coverage", coverage, ""),
        ]
        code = Verdict(tuple(lines), {}).exit_code
        if violation == "invalid":
            assert code == 1
        elif harness == "invalid":
            assert code == 4
        elif {violation, harness, coverage} == {"valid"}:
            assert code == 0
        else:
            assert code == 3


def test_lines_that_were_not_judged_do_not_make_a_pass():
    assert Verdict(tuple(not_judged(name) for name in NAMES), {}).exit_code == 3


def test_where_nothing_completed_nothing_is_explained(tmp_path, capsys):
    path = tmp_path / "open.jsonl"
    path.write_text("".join(BAD.read_text().splitlines(keepends=True)[:2]))
    assert main([str(path), "--out", str(tmp_path / "out")]) == 3
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text())
    line = next(line for line in verdict["lines"] if line["name"] == "linearizability")
    assert line["verdict"] == "unknown"
    assert "completed: there is no answer to judge" in line["reason"]
    assert not (tmp_path / "out" / "witness.jsonl").exists()


def test_a_state_of_registers_is_said_as_json(capsys):
    assert main([str(HERE / "bad_histories" / "registers_stale_read.jsonl")]) == 1
    assert 'the key then holds {"x": 1} and read ["x"]' in capsys.readouterr().out
