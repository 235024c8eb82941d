"""Output that cannot be written changes no exit code, except to say that results were lost."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HISTORY = ROOT / "tests" / "checker" / "bad_histories" / "stale_read.jsonl"


def shell(command: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """A line of bash in which ``$T`` is traitor; its output is the exit code of the first program."""
    script = f"T='{sys.executable} -m harness'; {command}; echo code ${{PIPESTATUS[0]}} >&2"
    return subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        ("| head -c 1", 1),
        ("| true", 1),
        (">&-", 1),
        (">&- 2>/dev/null <&-", 1),
        (">/dev/full", 1),
        ("2>/dev/full", 1),
    ],
)
def test_a_violation_stays_one_whoever_reads(tmp_path: Path, redirection: str, code: int) -> None:
    done = shell(f"$T check {HISTORY} --out {tmp_path} {redirection}", tmp_path)
    assert f"code {code}" in done.stderr
    assert "Traceback" not in done.stderr
    (folder,) = tmp_path.iterdir()
    assert (folder / "verdict.json").exists()
    assert (folder / "report.html").exists()


@pytest.mark.parametrize(("redirection", "code"), [("| true", 0), (">&-", 0), (">/dev/full", 4)])
def test_results_that_are_lost_are_no_success(tmp_path: Path, redirection: str, code: int) -> None:
    done = shell(f"$T workloads {redirection}", tmp_path)
    assert f"code {code}" in done.stderr
    assert ("could not be written" in done.stderr) == (code == 4)
    assert "Traceback" not in done.stderr


def test_a_closed_standard_error_is_no_place_for_files(tmp_path: Path) -> None:
    """Without a /dev/null in its place the next file opened would be standard error, and be written to."""
    done = shell(f"$T check {HISTORY} --out {tmp_path} 2>&-", tmp_path)
    assert "verdict          invalid" in done.stdout
    assert "code 1" in done.stderr


def test_what_lies_about_in_the_current_folder_is_not_run(tmp_path: Path) -> None:
    """A folder of another checkout, say: the packages there are called as ours are."""
    for name in ("checker", "harness", "reports", "pbft_node"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "random.py").write_text("raise SystemExit('shadowed')")
    traitor = [sys.executable, "-P", "-m", "harness"]
    for words in (["check", HISTORY], ["doctor"]):
        done = subprocess.run(
            [*traitor, *map(str, words)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "shadowed" not in done.stdout + done.stderr
        assert ("verdict          invalid" in done.stdout) == (words[0] == "check")
