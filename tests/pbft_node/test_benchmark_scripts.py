"""The benchmark scripts still run. What they measure is for quiet machines, not for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tests" / "benchmarks"


def run(script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    command = [sys.executable, str(SCRIPTS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def test_a_quick_benchmark_counts_operations_and_leaves_nothing_behind(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = run("bench_node.py", tmp_path, "unbatched", "--quick", "--json", str(results))
    assert done.returncode == 0, done.stderr
    rows = json.loads(results.read_text())["unbatched"]
    assert [row["case"] for row in rows] == ["unbatched, hybrid", "unbatched, client_auth mac"]
    assert all(row["per_second"] > 0 for row in rows)
    assert os.listdir(tmp_path) == ["results.json"]


def test_a_short_soak_prints_memory_and_log(tmp_path: Path) -> None:
    done = run("soak_node.py", tmp_path, "--operations", "2000")
    assert "memory at the end over memory after the first tenth" in done.stdout, done.stderr
    assert len(done.stdout.splitlines()) >= 12
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("arguments", [["nothing-like-it"], ["--json"]])
def test_wrong_use_is_exit_code_2(tmp_path: Path, arguments: list[str]) -> None:
    assert run("bench_node.py", tmp_path, *arguments).returncode == 2
