"""A run of real processes with kill -9: every event of every life replays, and the verdict with it; and the
order of the whole run, clients and faults included, is followed in ``sim`` to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
WORDS = (
    "run --workload kv --time 2.5 --rate 100 --clients 4 --seed 11 "
    "--fault kill --fault partition "
    "--set K=4 --set L=8 --set request_timeout=200ms --set view_change_timeout=200ms --set keys=8"
)


def traitor(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.sandbox
def test_kill_9_and_all_replay_with_every_hash_equal(tmp_path: Path) -> None:
    ran = traitor(*WORDS.split(), "--out", str(tmp_path / "live"))
    (run,) = (tmp_path / "live").iterdir()
    done = traitor("replay", str(run), "--json")
    assert "Traceback" not in done.stderr
    said = json.loads(done.stdout)
    assert done.returncode == ran.returncode, (ran.stdout, done.stderr, said)
    assert ran.returncode in (0, 3), "3: on a busy machine a fault may find no room"
    assert said["equal"] == said["events"] > 1000
    assert sum(each["lives"] for each in said["replicas"]) > 4, "somebody was killed"
    assert any(each["crashes"] for each in said["replicas"])
    assert all(each["trace_difference"] is None for each in said["replicas"])
    assert said["judged_again"]["same"] is True

    words = ("--world", "sim", "--schedule", "recorded", "--json", "--out", str(tmp_path / "sim"))
    followed = traitor("reproduce", str(run), *words)
    told = json.loads(followed.stdout)
    assert told["schedule"]["parted"] is None, told["schedule"]
    assert told["schedule"]["followed"] == told["schedule"]["items"] > 500
    assert told["traces_differ"] == [], "byte for byte, times included"
    assert followed.returncode in (0, 3)
