"""However a run ends, nothing of it stays, and what it recorded is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster_runs import ROOT, SMALL, TRAITOR, environment, inhabited, leftovers

pytestmark = pytest.mark.sandbox


def wait_for(condition: Callable[[], bool], what: str, deadline_s: float = 30) -> None:
    """Until ``condition``, or fail saying what did not come."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {deadline_s} s"
        time.sleep(0.05)


def start(out: Path, settings: list[str]) -> subprocess.Popen[bytes]:
    """A long run, under way: replicas up and operations in its history."""
    command = [*TRAITOR, "run", "--time", "60", "--seed", "2", "--out", str(out), *settings]
    with (out.parent / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env=environment(),
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # these tests may run with nohup
        )
    try:
        wait_for(lambda: history_lines(out) > 100 or process.poll() is not None, "a hundred lines of history")
        assert process.poll() is None, (out.parent / "log").read_text()
    except AssertionError:
        process.kill()
        process.wait()
        raise
    return process


def history_lines(out: Path) -> int:
    paths = list(out.glob("*/history.jsonl"))
    return len(paths[0].read_bytes().splitlines()) if paths else 0


@pytest.mark.parametrize(
    ("sign", "settings"),
    [(signal.SIGINT, ["--fault", "drop"]), (signal.SIGTERM, SMALL), (signal.SIGHUP, [])],
)
def test_interrupted_run_keeps_its_history_and_is_judged(
    tmp_path: Path, sign: signal.Signals, settings: list[str]
) -> None:
    out = tmp_path / "runs"
    process = start(out, settings)
    before = history_lines(out)
    process.send_signal(sign)
    try:
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    (folder,) = out.iterdir()
    assert history_lines(out) >= before
    assert json.loads((folder / "run.json").read_text())["interrupted"]
    assert (folder / "verdict.json").exists()
    told = [line for line in (tmp_path / "log").read_text().splitlines() if "exit code" in line]
    assert [" ".join(line.split()).startswith("verdict unknown exit code 130: inter") for line in told] == [
        True
    ]
    assert leftovers(out).processes == ()


@pytest.mark.interception
def test_sigkill_of_the_harness_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    before = leftovers(out)
    process = start(out, ["--fault", "drop"])
    during = leftovers(out)
    assert len(during.processes) >= 6, f"the harness, the interceptor, four replicas: {during.processes}"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    killed_ns = time.monotonic_ns()
    wait_for(lambda: leftovers(out).processes == (), "every process of the run to be gone")
    after = leftovers(out)
    assert after.rules == before.rules
    assert len(during.namespaces) >= 5, f"a namespace for each replica was expected: {during.namespaces}"
    assert not inhabited(during.namespaces, killed_ns)
    assert history_lines(out) > 100


@pytest.mark.interception
def test_sigkill_of_the_interceptor_voids_the_run(tmp_path: Path) -> None:
    """The network stops, the run ends at once, and says what happened."""
    out = tmp_path / "runs"
    before = leftovers(out)
    process = start(out, ["--fault", "drop"])
    (interceptor,) = (line for line in leftovers(out).processes if "nemesis.interceptor" in line)
    os.kill(int(interceptor.split()[0]), signal.SIGKILL)
    try:
        assert process.wait(60) == 4, "a void run is a failure of the harness, not of the cluster"
    finally:
        process.kill()
        process.wait()
    (folder,) = out.iterdir()
    run = json.loads((folder / "run.json").read_text())
    assert run["harness_errors"][0].startswith("the network stopped: the interceptor was ended by SIGKILL")
    assert [phase["name"] for phase in run["phases"]][-2:] == ["load", "tear down"]
    assert run["phases"][-2]["end_ns"] - run["phases"][-2]["start_ns"] < 50 * 10**9
    lines = json.loads((folder / "verdict.json").read_text())["lines"]
    assert next(line["verdict"] for line in lines if line["name"] == "harness") == "invalid"
    after = leftovers(out)
    assert (after.processes, after.rules) == ((), before.rules)
