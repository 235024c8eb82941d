"""The main job, with real processes and a real kernel: a cluster under faults, judged, nothing left behind.

Runs are made twice: with the defaults, and with K = 4, L = 8 and short timers. What a run must have done at
least is a tenth of what it was asked for: a busy machine makes it slow, but it may not make it wrong.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cluster_runs import SMALL, THREE_FAULTS, Done, inhabited, leftovers, traitor

from harness.plan import Plan, make_plan
from harness.plan_file import plan_text
from harness.spec import make_spec
from pbft_node.core.trace_events import problem

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.parametrize("settings", [[], SMALL], ids=["default", "K4-L8"]),
]


def assert_valid(done: Done, operations: int) -> None:
    """Every line that has a judge is valid, and enough happened for that to mean something."""
    verdicts = done.verdicts()
    assert len(verdicts) >= 8, f"too few judges spoke: {verdicts}"
    assert {line for line, word in verdicts.items() if word != "valid"} <= done.excused(), done.explain()
    assert done.code == 0 or done.excused(), done.explain()
    assert done.operations()["ok"] >= operations, done.explain()
    assert (done.folder / "report.html").stat().st_size > 10_000
    assert_traces_as_listed(done.folder)


def assert_traces_as_listed(folder: Path) -> None:
    """A killed replica may leave its last line torn; every other line is as ``trace_events`` says."""
    lines = 0
    for trace in folder.glob("replicas/*/trace.jsonl"):
        for line in trace.read_text().split("\n")[:-1]:
            fields = json.loads(line)
            assert isinstance(fields.pop("t_ns"), int), line
            assert problem(fields.pop("e"), fields) is None, line
            lines += 1
    assert lines > 500


def plan_of(arguments: dict[str, object], settings: list[str]) -> Plan:
    """What the command must come to, reckoned here."""
    asked = [part.partition("=") for part in settings if part != "--set"]
    cluster = {name: int(value) if value.isdigit() else value for name, _, value in asked}
    spec = make_spec({**arguments, **({"cluster": cluster} if cluster else {})})
    assert spec.seed is not None
    return make_plan(spec, spec.seed)


def test_partition_kill_and_pause(tmp_path: Path, settings: list[str]) -> None:
    before = leftovers(tmp_path)
    done = traitor(tmp_path, "--seed", "7", "--time", "12", *THREE_FAULTS, *settings)
    assert_valid(done, operations=300)
    assert done.views() >= 1, "no primary was replaced"
    assert done.traces("stable"), "no checkpoint became stable"
    planned = plan_of({"seed": 7, "time": 12, "faults": ["partition", "kill", "pause"]}, settings)
    assert (done.folder / "plan.json").read_text() == plan_text(planned), "the same seed makes the same plan"
    assert {fault.kind for fault in planned.faults} == {"partition", "kill", "pause"}
    after = leftovers(tmp_path)
    assert after.processes == ()
    assert after.rules == before.rules
    assert len(done.namespaces) >= 5, f"a namespace for each replica was expected: {done.namespaces}"
    torn_down_ns = json.loads((done.folder / "run.json").read_text())["phases"][-1]["end_ns"]
    assert not inhabited(done.namespaces, torn_down_ns)


def test_seven_replicas_and_other_workloads(tmp_path: Path, settings: list[str]) -> None:
    """Each workload once; which settings go with which does not matter to them."""
    asked = ["--nodes", "7", "--workload", "append" if settings else "register"]
    done = traitor(tmp_path, "--seed", "11", "--time", "8", *asked, *THREE_FAULTS, *settings)
    assert_valid(done, operations=200)
    assert done.views() >= 1


def test_all_four_killed_at_once_lose_nothing(tmp_path: Path, settings: list[str]) -> None:
    """More than f at a time, on purpose: safety is demanded all the same."""
    plan = json.loads(plan_text(plan_of({"seed": 3, "time": 4, "faults": "none"}, settings)))
    plan["budget"] = "break"
    plan["faults"] = [kill_all(1, 1.0, 1.6), kill_all(2, 2.6, 3.0)]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan))
    done = traitor(tmp_path / "run", "--plan", str(path))
    assert_valid(done, operations=100)
    killed = json.loads((done.folder / "run.json").read_text())["exits"]
    assert len([end for end in killed if end["signal"] == 9]) == 8, killed
    lives = [event for event in done.traces("started") if event["executed"]]
    assert lives, "no replica came back with what it had executed"


def kill_all(number: int, start_s: float, stop_s: float) -> dict[str, object]:
    return {
        "id": f"kill-{number}",
        "kind": "kill",
        "start_ns": int(start_s * 1e9),
        "stop_ns": int(stop_s * 1e9),
        "params": {"replicas": [0, 1, 2, 3]},
    }
