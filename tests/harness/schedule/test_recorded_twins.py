"""A recorded order of runs in which an identity had two processes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from journalled_run import journalled_run

from harness import nemesis_driver
from harness.plan import Plan, make_plan
from harness.plan_file import read_plan, write_plan
from harness.records import hash_records
from harness.schedule.from_run import schedule_of
from harness.schedule.record import Ends, Item, Schedule, Turn
from harness.schedule.schedule_file import wanted_of, write_schedule
from harness.spec import make_spec
from harness.twin_folders import twins_of
from harness.virtual.machine import Machine
from harness.virtual.twins import Twins
from harness.virtual.virtual_run import run_virtual
from harness.virtual.world import VirtualWorld

LATE_NS = 60_000_000


def doubled_plan() -> Plan:
    """Twins of replica 1 when its turn to lead has come, which is seen at a look."""
    params = {"replicas": [1], "peers": [2, 3], "views": True}
    fault = {"kind": "twins", "start": "310ms", "stop": "1600ms", "params": params}
    later = {**fault, "start": "2s", "stop": "3500ms", "params": {**params, "peers": [0, 3]}}
    cluster = {"K": 4, "L": 8, "request_timeout": "150ms", "view_change_timeout": "150ms"}
    keys: dict[str, object] = {"rate": 40, "clients": 3, "time": "4s", "faults": [fault, later]}
    return make_plan(make_spec({**keys, "world": "sim", "budget": "within", "cluster": cluster}), 1)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first twin is there at a moment at which another nemesis would not have looked, a second one a moment
    after that was asked for; both die a moment after they were killed."""

    def start(self: VirtualWorld, replica: int, **words: Any) -> None:
        late_ns = LATE_NS if started else 0
        started.append(replica)
        self.scheduler.at(self.now_ns() + late_ns, lambda: asked(self, replica, **words))

    def stop(self: Twins, replica: int) -> None:
        twin = self.at_work.get(replica)
        if twin is not None:
            twin.machine._scheduler.at(twin.machine._scheduler.now_ns + LATE_NS, now, self, replica)

    def boot(self: Machine, after_ns: int, silent: bool = False) -> None:
        begin(self, after_ns and 1_000_000, silent)

    started: list[int] = []
    now, begin, asked = Twins.stop, Machine.boot, VirtualWorld.start_twin
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VirtualWorld, "start_twin", start)
        patch.setattr(nemesis_driver, "POLL_NS", 3_000_000)
        patch.setattr(Twins, "stop", stop)
        patch.setattr(Machine, "boot", boot)
        return journalled_run(tmp_path_factory.mktemp("schedule") / "run", doubled_plan(), patch)


@pytest.fixture(scope="module")
def schedule(recorded: Path) -> Schedule:
    return schedule_of(recorded, 4)


def follow(folder: Path, plan: Plan, schedule: Schedule) -> dict[str, Any]:
    """Run the plan in that order; ``schedule`` of its ``run.json``."""
    folder.mkdir()
    write_schedule(schedule, folder.parent / "made")
    assert plan.virtual is not None
    write_plan(replace(plan, virtual=replace(plan.virtual, schedule=folder.parent / "made")), folder)
    assert run_virtual(folder, True) == 0
    run = json.loads((folder / "run.json").read_text())
    assert run["health"]["reached"]
    told: dict[str, Any] = run["schedule"]
    return told


def receipts(run: Path) -> list[Any]:
    steps = [json.loads(line) for line in (run / "faults.jsonl").read_text().splitlines()[1:]]
    return [step["receipt"]["twins"]["1"]["diverged"] for step in steps if step["step"] == "took-effect"]


def cut(schedule: Schedule, number: int) -> Schedule:
    items: list[Item] = list(schedule.items[:number])
    items.append(Ends(items[-1].t_ns, "cut"))
    return replace(schedule, items=tuple(items), wanted=wanted_of(items))


def turns_of(schedule: Schedule, twin: str) -> list[int]:
    return [n for n, one in enumerate(schedule.items) if isinstance(one, Turn) and one.twin == twin]


def test_both_instances_do_what_they_did(recorded: Path, schedule: Schedule, tmp_path: Path) -> None:
    told = follow(tmp_path / "again", read_plan(recorded / "plan.json"), schedule)
    assert told["parted"] is None
    assert told["followed"] == told["items"] > 500
    assert twins_of(recorded, 1) == ["1-twin", "1-twin-2"]
    assert hash_records(tmp_path / "again", 4) == hash_records(recorded, 4), (
        "history and traces, of twins too"
    )
    assert receipts(tmp_path / "again") == receipts(recorded)
    assert len(receipts(recorded)) == 2


@pytest.mark.parametrize("place", ["before its first turn", "while it is at work"])
def test_a_record_left_with_a_twin_goes_on_with_it(
    recorded: Path, schedule: Schedule, tmp_path: Path, place: str
) -> None:
    turns = turns_of(schedule, "1-twin")
    number = turns[0] if place == "before its first turn" else turns[len(turns) // 2]
    told = follow(tmp_path / "again", read_plan(recorded / "plan.json"), cut(schedule, number))
    assert told["parted"]["why"] == "cut"
    records = (tmp_path / "again" / "replicas" / "1-twin" / "trace.jsonl").read_text().splitlines()
    assert json.loads(records[-1])["t_ns"] > told["parted"]["time_ns"] + 100_000_000
    started = json.loads(records[0])
    assert started["e"] == "started"
    assert started["records"] > 20, "a copy of the log"


def test_a_plan_without_the_fault_has_no_twin(recorded: Path, schedule: Schedule, tmp_path: Path) -> None:
    """Nobody is charged for it, so there is none."""
    plan = replace(read_plan(recorded / "plan.json"), faults=())
    told = follow(tmp_path / "again", plan, schedule)
    assert told["parted"]["where"] == "the start of the twin 1-twin"
    assert told["parted"]["why"] == "here nobody has asked for a twin"
    assert twins_of(tmp_path / "again", 1) == []


def test_an_outcome_that_is_another_names_the_twin(
    recorded: Path, schedule: Schedule, tmp_path: Path
) -> None:
    number = turns_of(schedule, "1-twin-2")[0]
    turn = schedule.items[number]
    assert isinstance(turn, Turn)
    events = (turn.events[0]._replace(hash=bytes(16)), *turn.events[1:])
    items: list[Item] = [*schedule.items]
    items[number] = turn._replace(events=events)
    told = follow(
        tmp_path / "again", read_plan(recorded / "plan.json"), replace(schedule, items=tuple(items))
    )
    assert told["parted"]["where"] == "event 1 of the twin 1-twin-2 (start)"
