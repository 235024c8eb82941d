"""The checker as a process with limits: a checker that dies is an unknown, never a pass."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from checker.formats.writer import HistoryWriter
from harness import judging
from harness.errors import UsageError
from harness.judging import CheckLimits, Judgement, judge, worst

ROOT = Path(__file__).resolve().parents[2]
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


@pytest.mark.parametrize(
    ("final", "interrupted", "told"),
    [
        (3, False, "exit code 3"),
        (130, True, "exit code 130: interrupted; by its lines alone it would be 3"),
        (4, False, "exit code 4: the harness or the report failed; by its lines alone it would be 3"),
    ],
)
def test_what_is_printed_tells_the_exit_code_of_the_command(final: int, interrupted: bool, told: str) -> None:
    before = "coverage unknown ended with exit code 1\nverdict unknown "
    judgement = Judgement(3, f"{before}exit code 3\n")
    assert judgement.text_with(final, interrupted) == before + told


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
        ("pass", "exit code 0, but wrote no verdict"),
        ("import sys; sys.exit(1)", "exit code 1, but wrote no verdict"),
    ],
)
def test_a_checker_that_dies_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    checker = tmp_path / "python"
    checker.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}"\n')
    checker.chmod(0o755)
    monkeypatch.setattr(judging.sys, "executable", str(checker))
    # Of an earlier judgement, and not to be believed.
    (tmp_path / "verdict.json").write_text('{"verdict": "valid", "exit_code": 0, "lines": []}')
    judgement = judge(tmp_path, CheckLimits(wall_s=2, memory_bytes=1 << 30))
    assert judgement.exit_code == 3
    assert judgement.died
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert {line["verdict"] for line in verdict["lines"]} == {"unknown"}
    assert words in verdict["lines"][0]["reason"]


SLOW_MODEL = """
from checker.models.base import Model

class Slow(Model):
    'Every order of the writes is another state, and no order explains the read.'

    def step(self, state, call):
        sum(range(20_000))
        if call.f == "read":
            return not call.known, state
        return True, (*(state or ()), call.input)
"""


@pytest.fixture
def slow_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a model of somebody's own, under which no engine decides `busy_history` soon."""
    (tmp_path / "slow_model.py").write_text(SLOW_MODEL)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    return "slow_model:Slow"


def busy_history(path: Path, writes: int) -> Path:
    """Many writes at once, and a read that no order of them explains."""
    with path.open("wb") as out:
        writer = HistoryWriter(out.write, "register")
        for i in range(writes):
            writer.invoke(0, i, "write", "k", f"v{i}")
        for i in range(writes):
            writer.ok(10, i, None)
        writer.invoke(20, 0, "read", "k", None)
        writer.ok(21, 0, "nobody wrote it")
    return path


def checker_of(process: subprocess.Popen[str], deadline_s: float = 20) -> psutil.Process:
    """The checker that a command started, once it is at work."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        for child in psutil.Process(process.pid).children(recursive=True):
            if child.cpu_times().user > 0.5:
                return child
        time.sleep(0.02)
    raise AssertionError(f"no checker at work within {deadline_s} s")


def test_a_checker_killed_at_work_is_unknown(tmp_path: Path, slow_model: str) -> None:
    """The real one, under the command a user calls."""
    path = busy_history(tmp_path / "history.jsonl", 40)
    command = [sys.executable, "-m", "harness", "check", str(path), "--out", str(tmp_path / "out")]
    command += ["--model", slow_model]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            checker_of(process).kill()
            said, complaint = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 3, complaint
    assert "the checker did not finish: it was ended by SIGKILL" in said
    (folder,) = (tmp_path / "out").iterdir()
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "unknown"
    assert "it was ended by SIGKILL" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (CheckLimits(wall_s=1), "it was not done within 1 s and was killed"),
        (CheckLimits(search_s=0.5), "time limit of 0.5 s"),
    ],
    ids=["wall time", "search time"],
)
def test_a_checker_at_its_limits_is_unknown(
    tmp_path: Path, slow_model: str, limits: CheckLimits, words: str
) -> None:
    path = busy_history(tmp_path / "history.jsonl", 40)
    judgement = judge(path, limits, tmp_path, slow_model)
    assert judgement.exit_code == 3
    assert words in judgement.text
    assert json.loads((tmp_path / "verdict.json").read_text())["exit_code"] == 3


def test_a_checker_short_of_memory_is_unknown(tmp_path: Path) -> None:
    path = history(tmp_path / "history.jsonl", "a")
    path.write_text(path.read_text().replace('"a"', f'"{"a" * (40 << 20)}"'))
    judgement = judge(path, CheckLimits(memory_bytes=128 << 20), tmp_path)
    assert judgement.exit_code == 3
    assert "it needed more than its 128 MiB of memory" in judgement.text
    assert json.loads((tmp_path / "verdict.json").read_text())["exit_code"] == 3


def test_a_lower_limit_of_the_users_stays_in_force(tmp_path: Path) -> None:
    path = history(tmp_path / "history.jsonl", "a")
    call = (
        f"import sys; from harness.judging import *; from pathlib import Path; path = Path({str(path)!r})\n"
    )
    call += "sys.exit(judge(path, CheckLimits(), path.parent).exit_code)"
    limited = ["prlimit", f"--as={1 << 30}", "--", sys.executable, "-c", call]
    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_worst_code_wins() -> None:
    assert worst(0, 3, 4, 1) == 1
    assert worst(0, 3, 4) == 4
    assert worst(0, 3) == 3
    assert worst(0, 0) == 0


def test_a_killed_command_leaves_no_checker(tmp_path: Path, slow_model: str) -> None:
    path = busy_history(tmp_path / "history.jsonl", 40)
    command = [sys.executable, "-m", "harness", "check", str(path), "--out", str(tmp_path / "out")]
    command += ["--model", slow_model]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as process:
        try:
            checker = checker_of(process)
        finally:
            process.kill()
    _, alive = psutil.wait_procs([checker], timeout=10)
    assert not alive
