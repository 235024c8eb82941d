"""The phases of a run and the nemesis driver, on a virtual world: the ways a run can go."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from virtual_world import MILLISECOND_NS, VirtualWorld, virtual_port

from checker.formats import traitor
from harness.errors import HarnessError
from harness.nemesis_driver import Nemesis
from harness.plan import Plan, make_plan
from harness.progress import Silent
from harness.recorder import Recorder
from harness.run import Beside, Run
from harness.run_record import RunRecord
from harness.spec import make_spec
from nemesis.faults import KINDS
from nemesis.faults.fault import Fault

SECOND_NS = 1000 * MILLISECOND_NS
PHASES = ["set up", "healthy", "load", "undo", "recover", "final reads", "tear down"]


def small_plan(**asked: object) -> Plan:
    keys: dict[str, object] = {"time": 8, "rate": 20, "clients": 2, "workload": {"name": "kv", "keys": 5}}
    return make_plan(make_spec(keys | asked), 7)


class Played:
    """A run that was executed, and its files."""

    def __init__(self, folder: Path, world: VirtualWorld, plan: Plan | None = None) -> None:
        self.folder, self.world = folder, world
        self.record = RunRecord(started_utc="then")
        beside = Beside(lambda: world.log.append("beside"), lambda: world.log.append("beside stopped"))
        plan = plan or small_plan()
        self.run = Run(plan, world, virtual_port(world), folder, self.record, Silent(), beside)
        self.code = self.run.execute()

    def json(self, name: str) -> dict[str, Any]:
        data = json.loads((self.folder / name).read_text())
        assert isinstance(data, dict)
        return data

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()[1:]]

    def phases(self) -> dict[str, bool]:
        return {phase["name"]: phase["ok"] for phase in self.json("run.json")["phases"]}


def test_a_run_goes_through_its_phases(tmp_path: Path) -> None:
    played = Played(tmp_path, VirtualWorld())
    assert played.code == 0
    assert played.phases() == dict.fromkeys(PHASES, True)
    assert played.world.log == ["set up", "beside", "beside stopped", "tear down"]
    run = played.json("run.json")
    assert run["health"]["reached"] is True
    assert run["health"]["replies"] == {"0": True, "1": True, "2": True, "3": True}
    assert run["harness_errors"] == []
    phases = run["phases"]
    assert all(before["end_ns"] <= after["start_ns"] for before, after in itertools.pairwise(phases))
    operations = traitor.read(tmp_path / "history.jsonl").operations
    assert {operation.phase for operation in operations} == {"load", "final"}
    assert {operation.key for operation in operations if operation.phase == "final"} == {
        operation.key for operation in operations
    }


def test_every_fault_has_its_steps_and_the_ledger_its_windows(tmp_path: Path) -> None:
    played = Played(tmp_path, VirtualWorld())
    steps: dict[str, list[str]] = {}
    for line in played.lines("faults.jsonl"):
        steps.setdefault(line["fault"], []).append(line["step"])
    assert set(steps) == {fault.id for fault in small_plan().faults}
    assert all(each == ["asked", "took-effect", "undo-asked", "undone"] for each in steps.values()), steps
    ledger = played.json("ledger.json")
    windows = ledger["windows"]
    assert all(before["to_ns"] == after["from_ns"] for before, after in itertools.pairwise(windows))
    assert any(window["bad"] for window in windows)
    assert all(window["within_liveness_budget"] for window in windows)
    assert windows[-1]["bad"] == []
    nemesis = [line for line in played.lines("history.jsonl") if line["process"] == "nemesis"]
    assert [line["f"] for line in nemesis] == ["start", "stop"] * len(steps)


def test_a_cluster_that_never_gets_healthy_is_not_loaded(tmp_path: Path) -> None:
    world = VirtualWorld()
    world.mute_until_ns = 10**18
    played = Played(tmp_path, world)
    assert played.code == 4
    assert played.phases() == {"set up": True, "healthy": False, "tear down": True}
    assert "no answer from replica 0, 1, 2, 3" in played.json("run.json")["harness_errors"][0]
    assert played.lines("history.jsonl") == []


def test_a_set_up_that_fails_leaves_a_record(tmp_path: Path) -> None:
    world = VirtualWorld()

    def fail() -> None:
        raise HarnessError("no iptables", "Install it.")

    world.set_up = fail  # type: ignore[method-assign]
    played = Played(tmp_path, world)
    assert played.code == 4
    assert played.phases() == {"set up": False, "tear down": True}
    assert "no iptables" in played.json("run.json")["harness_errors"][0]
    assert world.log == ["beside stopped", "tear down"]


def test_an_interruption_undoes_everything_and_keeps_the_history(tmp_path: Path) -> None:
    world = VirtualWorld()
    plan = small_plan()
    start_ns = plan.faults[0].start_ns + 300 * MILLISECOND_NS
    world.call_at(start_ns, lambda: world.stop("stopped by SIGINT"))
    played = Played(tmp_path, world, plan)
    assert played.code == 130
    assert played.json("run.json")["interrupted"] == "stopped by SIGINT"
    assert played.phases() == {"set up": True, "healthy": True, "load": False, "tear down": True}
    assert "tear down" in world.log
    assert not world.blocked()
    assert all(world.process(replica).state == "running" for replica in range(4))
    assert traitor.read(tmp_path / "history.jsonl").operations
    steps = [line["step"] for line in played.lines("faults.jsonl") if line["fault"] == plan.faults[0].id]
    assert steps[-2:] == ["undo-asked", "undone"]


def test_a_second_interruption_leaves_the_ledger(tmp_path: Path) -> None:
    """The first was taken note of before anything slow began."""
    world = VirtualWorld()
    plan = small_plan()
    start_ns = plan.faults[0].start_ns + 300 * MILLISECOND_NS
    world.call_at(start_ns, lambda: world.stop("stopped by SIGINT"))

    def again() -> None:
        raise KeyboardInterrupt

    world.tear_down = again  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        Played(tmp_path, world, plan)
    assert json.loads((tmp_path / "run.json").read_text())["interrupted"] == "stopped by SIGINT"
    ledger = json.loads((tmp_path / "ledger.json").read_text())
    assert (ledger["schema"], ledger["n"]) == ("traitor/ledger/1", 4)
    windows = ledger["windows"]
    assert windows[-1]["to_ns"] > windows[0]["from_ns"]
    assert windows[-1]["bad"], "the fault at work when it was stopped"


def test_a_bug_of_ours_keeps_its_traceback_and_the_files(tmp_path: Path) -> None:
    world = VirtualWorld()
    world.call_at(SECOND_NS, lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    with pytest.raises(ZeroDivisionError):
        Played(tmp_path, world)
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["harness_errors"] == ["ZeroDivisionError: integer division or modulo by zero"]
    assert (tmp_path / "ledger.json").exists()
    assert world.log[-1] == "tear down"


def test_a_replica_that_does_not_come_back_is_not_recovered(tmp_path: Path) -> None:
    world = VirtualWorld()
    world.restarts = False
    played = Played(
        tmp_path, world, small_plan(faults=[{"kind": "kill", "params": {"replicas": [2]}}], time=4)
    )
    assert played.code == 0, "the run itself went to its end"
    phases = played.phases()
    assert (phases["undo"], phases["recover"]) == (False, False)
    assert played.json("run.json")["health"]["replies"] == {"0": True, "1": True, "2": False, "3": True}
    assert [line["step"] for line in played.lines("faults.jsonl")][-1] == "undo-failed"
    assert played.json("ledger.json")["windows"][-1]["bad"] == [2], "still bad at the end"
    assert phases["final reads"], "f+1 replicas are enough to read"


def test_recovery_does_not_wait_for_a_stuck_client(tmp_path: Path) -> None:
    world = VirtualWorld()
    plan = small_plan(faults="none", operation_timeout=600, workload={"name": "kv", "retry": 0})
    world.call_at(7 * SECOND_NS, lambda: setattr(world, "mute_until_ns", 8 * SECOND_NS))
    played = Played(tmp_path, world, plan)
    assert played.code == 0
    assert all(played.phases().values())
    errors = [line["error"] for line in played.lines("history.jsonl") if line["type"] == "info"]
    assert errors == ["abandoned", "abandoned"]
    assert world.now_ns() < 60 * SECOND_NS


def test_final_reads_that_get_no_answer_are_asked_again(tmp_path: Path) -> None:
    world = VirtualWorld()
    plan = small_plan(faults="none", operation_timeout=0.5)
    world.call_at(8 * SECOND_NS + 50 * MILLISECOND_NS, lambda: setattr(world, "mute_until_ns", 9 * SECOND_NS))
    played = Played(tmp_path, world, plan)
    assert played.phases()["final reads"]


def test_no_final_read_is_said(tmp_path: Path) -> None:
    world = VirtualWorld()
    plan = small_plan(faults="none", operation_timeout=0.5)
    world.call_at(8 * SECOND_NS + 5 * MILLISECOND_NS, lambda: setattr(world, "mute_until_ns", 10**18))
    played = Played(tmp_path, world, plan)
    assert not played.phases()["final reads"]
    assert "5 keys could not be read" in str(played.json("run.json")["phases"][-2]["detail"])


# The nemesis driver by itself


def driver(folder: Path, world: VirtualWorld, *faults: Fault, budget_break: bool = False) -> Nemesis:
    return Nemesis(world, Recorder(folder, "kv", world), faults, KINDS, budget_break)


def fault(name: str, kind: str, start_s: float, stop_s: float, **params: object) -> Fault:
    return Fault(name, kind, int(start_s * SECOND_NS), int(stop_s * SECOND_NS), params)


def steps_of(folder: Path) -> list[tuple[str, str, int]]:
    lines = (folder / "faults.jsonl").read_text().splitlines()[1:]
    parsed = [json.loads(line) for line in lines]
    return [(line["fault"], line["step"], line["time_ns"]) for line in parsed]


def test_a_partition_nobody_noticed_had_no_effect(tmp_path: Path) -> None:
    world = VirtualWorld()
    links = [["r0", "r1"]]
    nemesis = driver(
        tmp_path, world, fault("cut", "partition", 1, 2, shape="majority", cut_clients=False, links=links)
    )
    nemesis.begin(0, 10 * SECOND_NS)
    world.run(lambda: nemesis.over, 5 * SECOND_NS)
    assert [step for _, step, _ in steps_of(tmp_path)] == ["asked", "no-effect", "undo-asked", "undone"]


def test_what_this_world_cannot_do_is_not_done(tmp_path: Path) -> None:
    world = VirtualWorld()
    world.capabilities = frozenset()
    nemesis = driver(tmp_path, world, fault("k", "kill", 1, 2, replicas=[1]))
    nemesis.begin(0, 10 * SECOND_NS)
    assert world.run(lambda: nemesis.over, 5 * SECOND_NS)
    assert [step for _, step, _ in steps_of(tmp_path)] == ["no-effect"]


def test_a_fault_waits_until_there_is_room_in_the_budget(tmp_path: Path) -> None:
    world = VirtualWorld()
    world.restarts = False
    first, second = fault("a", "kill", 1, 2, replicas=[1]), fault("b", "kill", 3, 5, replicas=[2])
    nemesis = driver(tmp_path, world, first, second)
    nemesis.begin(0, 10 * SECOND_NS)

    def come_back() -> None:
        world.restarts = True
        world.restart(1)

    world.call_at(4 * SECOND_NS, come_back)
    assert world.run(lambda: nemesis.over, 20 * SECOND_NS)
    times = {(name, step): time_ns for name, step, time_ns in steps_of(tmp_path)}
    assert times["b", "asked"] >= times["a", "undone"] >= 4 * SECOND_NS
    assert times["b", "undo-asked"] - times["b", "asked"] >= 1 * SECOND_NS, "it has half its length"


def test_faults_the_plan_kept_apart_do_not_meet(tmp_path: Path) -> None:
    """n = 7 has budget for two; both would hit the primary, which is the one that is slow to come back."""
    world = VirtualWorld(7)
    world.restarts = False
    first, second = fault("a", "kill", 1, 2, replicas="primary"), fault("b", "kill", 3, 5, replicas="primary")
    nemesis = driver(tmp_path, world, first, second)
    nemesis.begin(0, 10 * SECOND_NS)

    def come_back() -> None:
        world.restarts = True
        world.restart(0)

    world.call_at(6 * SECOND_NS, come_back)
    assert world.run(lambda: nemesis.over, 20 * SECOND_NS)
    times = {(name, step): time_ns for name, step, time_ns in steps_of(tmp_path)}
    assert times["b", "asked"] >= times["a", "undone"] >= 6 * SECOND_NS
    assert ("b", "took-effect") in times
    assert times["b", "undo-asked"] - times["b", "asked"] >= 1 * SECOND_NS, (
        "half its length, though its time is over"
    )


@pytest.mark.parametrize(
    ("budget_break", "steps", "left"),
    [
        (False, ["no-effect"], ["a"]),
        (True, ["asked", "took-effect", "undo-asked", "undo-failed"], ["a", "b"]),
    ],
)
def test_a_fault_without_room_is_left_out_unless_the_budget_is_broken(
    tmp_path: Path, budget_break: bool, steps: list[str], left: list[str]
) -> None:
    world = VirtualWorld()
    world.restarts = False
    first, second = fault("a", "kill", 1, 2, replicas=[1]), fault("b", "kill", 3, 5, replicas=[2])
    nemesis = driver(tmp_path, world, first, second, budget_break=budget_break)
    nemesis.begin(0, 10 * SECOND_NS)
    assert world.run(lambda: nemesis.over, 30 * SECOND_NS)
    assert [step for name, step, _ in steps_of(tmp_path) if name == "b"] == steps
    assert nemesis.not_undone() == left


def test_undo_all_stops_what_is_active_and_what_is_still_to_come(tmp_path: Path) -> None:
    world = VirtualWorld()
    nemesis = driver(
        tmp_path, world, fault("a", "pause", 1, 8, replicas=[1]), fault("b", "kill", 9, 10, replicas=[2])
    )
    nemesis.begin(0, 10 * SECOND_NS)
    world.run(lambda: False, 2 * SECOND_NS)
    assert nemesis.active() == ["a"]
    nemesis.undo_all()
    assert world.run(lambda: nemesis.over, 3 * SECOND_NS)
    world.run(lambda: False, 20 * SECOND_NS)
    steps = [(name, step) for name, step, _ in steps_of(tmp_path)]
    assert [step for name, step in steps if name == "a"] == ["asked", "took-effect", "undo-asked", "undone"]
    assert [step for name, step in steps if name == "b"] == ["no-effect"]
    assert nemesis.not_undone() == []
    assert all(world.process(replica).state == "running" for replica in range(4))
