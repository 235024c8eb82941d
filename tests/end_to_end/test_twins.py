"""Two processes under one identity: one such replica of four breaks nothing, two do, and are named for it."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from cluster_runs import TRAITOR, environment, inhabited, leftovers, traitor

from checker.forensics.sources import Sources
from harness import one_run
from harness.plan import Plan, make_plan
from harness.records import hash_records
from harness.replay.command import journalled
from harness.spec import make_spec
from harness.store import hash_files
from harness.trial import Trial, trial

OF_A_WORLD = ("plan.json", "run.json", "stderr.log")


def asked(
    replicas: list[int],
    peers: list[int],
    budget: str,
    world: str = "sim",
    log: str = "copy",
    hold_ms: int = 1000,
) -> dict[str, object]:
    fault = {
        "kind": "twins",
        "start": "300ms",
        "stop": f"{300 + hold_ms}ms",
        "params": {"replicas": replicas, "peers": peers, "log": log},
    }
    return {
        "world": world,
        "rate": 40,
        "time": "2s",
        "budget": budget,
        "cluster": {"durability": "write", "request_timeout": "150ms", "view_change_timeout": "150ms"},
        "faults": [fault],
    }


def doubled(*words: object) -> Plan:
    return make_plan(make_spec(asked(*words)), 1)  # type: ignore[arg-type]


def lines_of(result: Trial) -> dict[str, dict[str, object]]:
    lines = result.verdict["lines"]
    assert isinstance(lines, list)
    return {line["name"]: line for line in lines}


def test_two_of_four_break_agreement_and_both_are_convicted(tmp_path: Path) -> None:
    read: list[str] = []

    def look(folder: Path, _: Trial) -> None:
        sources = Sources(folder, range(4))
        assert [datagram for datagram in sources.datagrams() if "twin" in datagram.seen.place]
        read.extend(sources.read)

    result = trial(doubled([0, 1], [3], "break"), tmp_path, look, world=one_run.virtual_world())
    assert [name for name in read if "twin" in name] == [f"replicas/{r}-twin/journal" for r in (0, 1)]
    lines = lines_of(result)
    assert lines["agreement"]["verdict"] == "invalid"
    assert "outside the fault model" in str(lines["agreement"])
    assert lines["accountability"]["verdict"] == "valid"
    told = str(lines["accountability"]["reason"])
    assert told.startswith("2 culprits proved, all of them liars")
    assert "conflicting votes" in told


def test_one_of_four_is_the_same_in_both_worlds_and_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from an empty log; and nobody takes the twin's folder for a replica's."""
    monkeypatch.setattr(one_run, "lean_world", one_run.virtual_world)
    found: list[dict[str, str]] = []

    def look(folder: Path, _: Trial) -> None:
        hashes = hash_files(folder)
        found.append({name: hashes[name] for name in hashes if name.rpartition("/")[2] not in OF_A_WORLD})
        steps = [json.loads(line) for line in (folder / "faults.jsonl").read_text().splitlines()[1:]]
        seen = {step["step"]: step.get("receipt") for step in steps}
        told = seen["took-effect"]["twins"]["0"]
        assert told["folder"] == "replicas/0-twin"
        assert set(told["heard_by"]["first"]) <= {"r1", "clients"}
        assert set(told["heard_by"]["twin"]) <= {"r2", "r3", "clients"}
        assert told["diverged"]["first"] != told["diverged"]["twin"]
        assert seen["undone"] == {"alone": {"0": {"pid": None, "process": "running"}}}
        assert journalled(folder) == [0, 1, 2, 3]

    for world, log in (("sim", "copy"), ("lockstep", "copy"), ("sim", "genesis")):
        result = trial(doubled([0], [2, 3], "within", world, log), tmp_path, look)
        assert result.error is None, result.error
        assert not result.violations, result
        assert result.verdict["verdict"] == "valid", result.verdict
    assert {"replicas/0-twin/trace.jsonl", "replicas/0-twin/journal", "replicas/0-twin/wal"} <= set(found[0])
    assert found[1] == found[0]
    assert found[2]["replicas/0-twin/trace.jsonl"] != found[0]["replicas/0-twin/trace.jsonl"]


@pytest.mark.sandbox
def test_one_of_four_has_a_twin_in_real_processes(tmp_path: Path) -> None:
    """Both live, both are heard by their own side only, and they diverge; the cluster bears it, and replica 0
    is convicted."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps({**asked([0], [2, 3], "within", "live", hold_ms=1500), "time": "2500ms"}))
    done = traitor(tmp_path / "runs", str(spec), "--seed", "1")
    gone_ns = time.monotonic_ns()
    assert done.code == 0, done.explain()
    assert {
        done.verdicts()[name] for name in ("agreement", "promises", "liveness", "recovery", "coverage")
    } == {"valid"}
    told = done.reason("accountability")
    assert told.startswith("1 culprit proved, all of them liars"), told
    steps = [json.loads(line) for line in (done.folder / "faults.jsonl").read_text().splitlines()[1:]]
    seen = {step["step"]: step.get("receipt") for step in steps}
    twin = seen["took-effect"]["twins"]["0"]
    assert len(set(twin["pids"])) == 2
    assert set(twin["heard_by"]["first"]) <= {"r1", "clients"}
    assert set(twin["heard_by"]["twin"]) <= {"r2", "r3", "clients"}
    assert twin["diverged"]["first"] != twin["diverged"]["twin"]
    assert twin["pids"][0] == seen["undone"]["alone"]["0"]["pid"], "the first one lived on"
    both = [(done.folder / "replicas" / name / "trace.jsonl").read_text() for name in ("0", "0-twin")]
    assert all('"started"' in text.splitlines()[0] for text in both)
    left = leftovers(tmp_path)
    assert not left.processes
    assert not left.rules
    assert done.namespaces, "there were such"
    assert not inhabited(done.namespaces, gone_ns)
    run = done.folder
    follow = [*TRAITOR, "reproduce", str(run), "--world", "sim", "--schedule", "recorded", "--json"]
    words = {"cwd": tmp_path, "env": environment(), "capture_output": True, "text": True}
    said = json.loads(subprocess.run(follow, **words, check=True).stdout)  # type: ignore[call-overload]
    assert said["traces_differ"] == []
    assert said["schedule"]["parted"] is None
    assert said["schedule"]["followed"] == said["schedule"]["items"] > 500
    of_twin = "replicas/0-twin/trace.jsonl"
    assert hash_records(tmp_path / said["folder"], 4)[of_twin] == hash_records(run, 4)[of_twin]
