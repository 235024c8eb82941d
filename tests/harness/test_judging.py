"""The checker as a process with limits: a checker that dies is an unknown, never a pass."""

import json
import sys
from pathlib import Path

import pytest

from harness import judging
from harness.errors import UsageError
from harness.judging import CheckLimits, judge, worst

HEADER = {"schema": "traitor/history/1", "model": "kv", "initial": None}


def history(path: Path, *reads: str | None) -> Path:
    """A put of "a", acknowledged, and then reads."""
    operations: list[tuple[str, str | None, str | None]] = [
        ("put", "a", None),
        *(("get", None, r) for r in reads),
    ]
    lines: list[dict[str, object]] = [dict(HEADER)]
    for f, given, output in operations:
        base = {"process": 0, "f": f, "key": "k", "input": given}
        for kind, more in (("invoke", {"phase": "load"}), ("ok", {"output": output})):
            index = len(lines) - 1
            lines.append({"index": index, "time_ns": 1000 * (index + 1), "type": kind, **base, **more})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_stale_read_is_a_violation(tmp_path: Path) -> None:
    judgement = judge(history(tmp_path / "h.jsonl", None), CheckLimits(), tmp_path)
    assert judgement.exit_code == 1
    assert "linearizability" in judgement.text
    assert json.loads((tmp_path / "verdict.json").read_text())["exit_code"] == 1


def test_a_malformed_history_is_wrong_use_with_its_line(tmp_path: Path) -> None:
    path = history(tmp_path / "h.jsonl", "a")
    path.write_text(path.read_text() + "{broken\n")
    with pytest.raises(UsageError, match="line 6"):
        judge(path, CheckLimits(), tmp_path)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit(9)", "exit code 9"),
        ("raise SystemError('bug')", "exit code 1: SystemError: bug"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
        ("x = bytearray(3 << 30)", "memory"),
        ("import time; time.sleep(60)", "not done within"),
    ],
)
def test_a_checker_that_dies_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    checker = tmp_path / "python"
    checker.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}"\n')
    checker.chmod(0o755)
    monkeypatch.setattr(judging.sys, "executable", str(checker))
    judgement = judge(tmp_path, CheckLimits(wall_s=2, memory_bytes=1 << 30))
    assert judgement.exit_code == 3
    assert judgement.died
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert {line["verdict"] for line in verdict["lines"]} == {"unknown"}
    assert words in verdict["lines"][0]["reason"]


def test_the_worst_code_wins() -> None:
    assert worst(0, 3, 4, 1) == 1
    assert worst(0, 3, 4) == 4
    assert worst(0, 3) == 3
    assert worst(0, 0) == 0
