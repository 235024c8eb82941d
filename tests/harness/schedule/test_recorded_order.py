"""A recorded order is followed to its end, or to the first event that cannot be as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from journalled_run import journalled_run, small_plan

from harness import cli
from harness.errors import UsageError
from harness.plan import Plan, in_world
from harness.plan_file import parse_plan, plan_text, read_plan, write_plan
from harness.records import hash_records
from harness.schedule.from_run import schedule_of
from harness.schedule.record import DELIVER, UNDONE, Arrived, Called, Ends, Item, Said, Schedule, Turn
from harness.schedule.schedule_file import wanted_of, write_schedule
from harness.virtual.virtual_run import run_virtual
from harness.virtual.world import VirtualWorld
from pbft_node.core.replica import Replica

FAULTS = ["kill", "pause", "partition"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every kind of fault, and all journals a live run has. Nobody may change it."""
    with pytest.MonkeyPatch.context() as patch:
        plan = small_plan(3, faults=FAULTS)
        return journalled_run(tmp_path_factory.mktemp("schedule") / "run", plan, patch)


@pytest.fixture(scope="module")
def schedule(recorded: Path) -> Schedule:
    return schedule_of(recorded, 4)


def follow_in(folder: Path, plan: Plan, schedule: Schedule) -> dict[str, Any]:
    """Run the plan in that order, in an empty folder; ``schedule`` of its ``run.json``."""
    write_schedule(schedule, folder.parent / "made")
    write_plan(with_schedule(plan, folder.parent / "made"), folder)
    assert run_virtual(folder, True) == 0
    run = json.loads((folder / "run.json").read_text())
    assert run["health"]["reached"], "whoever decides the order, the cluster recovers"
    told: dict[str, Any] = run["schedule"]
    return told


@pytest.fixture
def follow(recorded: Path, tmp_path: Path) -> Callable[[Schedule], dict[str, Any]]:
    """Run the plan in that order; ``schedule`` of the new ``run.json``. The folder is tmp_path/again."""

    def call(schedule: Schedule) -> dict[str, Any]:
        folder = tmp_path / "again"
        folder.mkdir()
        return follow_in(folder, read_plan(recorded / "plan.json"), schedule)

    return call


def with_schedule(plan: Plan, path: Path) -> Plan:
    assert plan.virtual is not None
    return replace(plan, virtual=replace(plan.virtual, schedule=path))


Follow = Callable[[Schedule], dict[str, Any]]


def changed(schedule: Schedule, items: list[Item]) -> Schedule:
    return replace(schedule, items=tuple(items), wanted=wanted_of(items))


def some_delivery(schedule: Schedule, after: int) -> tuple[int, int]:
    """(item, event) of a COMMIT that has an effect."""
    for number, item in enumerate(schedule.items[after:], after):
        if isinstance(item, Turn):
            for place, event in enumerate(item.events):
                if event.kind == DELIVER and event.name.startswith("COMMIT"):
                    return number, place
    raise AssertionError("no COMMIT")


def test_a_record_is_followed_to_its_end(
    recorded: Path, schedule: Schedule, follow: Follow, tmp_path: Path
) -> None:
    told = follow(schedule)
    assert told["parted"] is None
    assert told["followed"] == told["items"] > 500
    assert hash_records(tmp_path / "again", 4) == hash_records(recorded, 4), "history and traces"


LATE_NS = 100_000_000


@pytest.fixture(scope="module")
def tampered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a lie and lost packets, in which rules come and go a moment after that was asked for, as
    they do where an interceptor has to be told."""

    def tamper(self: VirtualWorld, owner: str, rules: Any) -> None:
        self.scheduler.at(self.now_ns() + LATE_NS, now, self, owner, rules)

    now = VirtualWorld.tamper
    plan = small_plan(3, faults=["equivocate", "drop"])
    plan = replace(plan, faults=tuple(replace(fault, params=PARAMS[fault.kind]) for fault in plan.faults))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VirtualWorld, "tamper", tamper)
        return journalled_run(tmp_path_factory.mktemp("schedule") / "lies", plan, patch)


PARAMS: dict[str, dict[str, object]] = {
    "equivocate": {"replicas": [0], "strategy": "proposals", "split": "most", "other": "time"},
    "drop": {"match": {"p": 0.2}},
}


def test_rules_on_packets_are_in_force_when_they_were(tampered: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    folder.mkdir()
    told = follow_in(folder, read_plan(tampered / "plan.json"), schedule_of(tampered, 4))
    assert told["parted"] is None
    assert hash_records(folder, 4) == hash_records(tampered, 4), "history and traces"
    assert in_force(folder) == in_force(tampered)


def in_force(run: Path) -> list[tuple[str, int]]:
    steps = [json.loads(line) for line in (run / "faults.jsonl").read_text().splitlines()]
    return [(step["fault"], step["receipt"]["since_ns"]) for step in steps if step.get("step") == UNDONE]


def test_a_liar_says_what_it_said(tampered: Path, tmp_path: Path) -> None:
    """Also where it would tell another lie now. Without the capture it is not known what it said."""
    plan = read_plan(tampered / "plan.json")
    other = [
        {**fault.params, "other": "null"} if "other" in fault.params else fault.params
        for fault in plan.faults
    ]
    faults = [replace(fault, params=params) for fault, params in zip(plan.faults, other, strict=True)]
    schedule = schedule_of(tampered, 4)
    said = [item for item in schedule.items if isinstance(item, Said)]
    for number, left in enumerate((schedule.items, [item for item in schedule.items if item not in said])):
        folder = tmp_path / str(number) / "again"
        folder.mkdir(parents=True)
        told = follow_in(folder, replace(plan, faults=tuple(faults)), changed(schedule, list(left)))
        assert (told["parted"] is None) == (number == 0)
        assert told["followed"] > 100


def test_a_liar_goes_on_until_the_end_of_its_rules_was_proved(tampered: Path, tmp_path: Path) -> None:
    """Else it is silent too early."""
    schedule = schedule_of(tampered, 4)
    items = [item for item in schedule.items if not (isinstance(item, Called) and item.who[-1] == UNDONE)]
    items = [item for item in items if not isinstance(item, Said)]
    assert len(items) < len(schedule.items) - 2
    folder = tmp_path / "again"
    folder.mkdir()
    told = follow_in(folder, read_plan(tampered / "plan.json"), changed(schedule, items))
    assert told["parted"]["why"] == "nobody has sent that datagram in this run"


def test_a_datagram_nobody_sent_is_where_it_ends(schedule: Schedule, follow: Follow) -> None:
    number, place = some_delivery(schedule, len(schedule.items) // 2)
    turn = schedule.items[number]
    assert isinstance(turn, Turn)
    events = list(turn.events)
    events[place] = events[place]._replace(digest=bytes(8))
    items = [*schedule.items[:number], turn._replace(events=tuple(events)), *schedule.items[number + 1 :]]
    told = follow(changed(schedule, items))
    assert told["parted"]["where"].startswith(f"event {turn.first + place} of replica {turn.replica} (COMMIT")
    assert "nobody has sent" in told["parted"]["why"]
    assert 0 < told["followed"] < told["items"]


def test_an_outcome_that_is_another_is_where_it_ends(
    schedule: Schedule, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule is another one from seq 5 on, at one replica."""
    original = Replica.broadcast

    def other(self: Replica, type_: Any, view: int, seq: int, body: bytes) -> None:
        if self.me != 1 or type_.name != "COMMIT" or seq != 5 or self.executed > 5:
            original(self, type_, view, seq, body)

    monkeypatch.setattr(Replica, "broadcast", other)
    told = follow(schedule)
    assert "of replica 1 (" in told["parted"]["where"]
    assert told["parted"]["why"] == "what the core gives back is not what it had given back"


def test_a_record_that_ends_early_is_left_there(schedule: Schedule, follow: Follow) -> None:
    half = schedule.items[: len(schedule.items) // 2]
    told = follow(changed(schedule, [*half, Ends(half[-1].t_ns, "the journal was full")]))
    assert told["parted"]["why"] == "the journal was full"
    assert told["followed"] > 100


def test_a_phase_ends_when_what_ended_it_has_happened(schedule: Schedule, follow: Follow) -> None:
    """Without the last reply to the last health probe that phase would have gone on."""
    recover = next(phase for phase in schedule.phases if phase.name == "recover")
    arrivals = [n for n, item in enumerate(schedule.items) if isinstance(item, Arrived)]
    last = max(n for n in arrivals if schedule.items[n].t_ns <= recover.end_ns)
    told = follow(changed(schedule, [*schedule.items[:last], *schedule.items[last + 1 :]]))
    assert told["parted"]["where"] == "the end of phase 'recover'"


def test_a_start_that_nobody_asked_for(schedule: Schedule, follow: Follow) -> None:
    """The record of the second life without the kill: its start comes where the first still lives."""
    second = next(item for item in schedule.items if isinstance(item, Turn) and item.life == 2)
    number = next(n for n, item in enumerate(schedule.items) if isinstance(item, Turn) and n > 100)
    at_ns = schedule.items[number].t_ns
    items = [*schedule.items[:number], second._replace(t_ns=at_ns), *schedule.items[number:]]
    told = follow(changed(schedule, items))
    assert "here nobody has killed it" in told["parted"]["why"]


# Plans that name a schedule


def test_a_plan_names_the_file_beside_it(recorded: Path, schedule: Schedule, tmp_path: Path) -> None:
    plan = read_plan(recorded / "plan.json")
    write_schedule(schedule, tmp_path / "made")
    (tmp_path / "there").mkdir()
    write_plan(with_schedule(plan, tmp_path / "made"), tmp_path / "there")
    again = read_plan(tmp_path / "there" / "plan.json")
    assert again == plan
    assert again.virtual is not None
    assert again.virtual.schedule == tmp_path / "there" / "schedule.jsonl"
    lockstep = in_world(again, "lockstep").virtual
    assert lockstep is not None
    assert lockstep.schedule is None
    (tmp_path / "there" / "schedule.jsonl").unlink()
    with pytest.raises(UsageError, match=r"is no schedule[.]jsonl beside it"):
        read_plan(tmp_path / "there" / "plan.json")


@pytest.mark.parametrize(("name", "world"), [("../x", "sim"), (3, "sim"), ("schedule.jsonl", "lockstep")])
def test_a_plan_names_no_other_file(recorded: Path, name: object, world: str) -> None:
    data = json.loads(plan_text(read_plan(recorded / "plan.json")))
    data["world"] = world
    data["virtual"]["schedule"] = name
    with pytest.raises(UsageError, match="schedule"):
        parse_plan(json.dumps(data), "plan")


# The command


def test_a_virtual_run_needs_no_record(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reproduce", str(recorded), "--schedule", "recorded"]) == 2
    assert "its order already" in capsys.readouterr().err


@pytest.fixture
def live(recorded: Path, tmp_path: Path) -> Path:
    """The same run, as if it had been live."""
    folder = Path(shutil.copytree(recorded, tmp_path / "live"))
    plan = in_world(read_plan(folder / "plan.json"), "live")
    (folder / "plan.json").write_text(plan_text(plan))
    (folder / "manifest.json").unlink()
    return folder


def test_the_command_makes_a_whole_run_that_runs_again(
    live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["reproduce", str(live), "--schedule", "recorded", "--out", str(tmp_path / "out"), "--json"]
    assert cli.main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schedule"]["parted"] is None
    assert said["traces_differ"] == []
    (folder,) = (tmp_path / "out").iterdir()
    assert {"plan.json", "schedule.jsonl", "verdict.json", "report.html"} <= {
        p.name for p in folder.iterdir()
    }
    words = ["run", "--plan", str(folder / "plan.json"), "--out", str(tmp_path / "out2"), "--json"]
    assert cli.main(words) == 0
    (second,) = (tmp_path / "out2").iterdir()
    assert hash_records(second, 4) == hash_records(folder, 4)


def test_a_run_without_the_clients_journal(
    live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (live / "clients.journal").unlink()
    words = ["reproduce", str(live), "--schedule", "recorded", "--out", str(tmp_path / "out")]
    assert cli.main(words) == 2
    assert "not recorded" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == [], "nothing is left"


def test_a_record_that_was_changed_is_not_followed(
    live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = {"schema": "traitor/manifest/1", "files": {"clients.journal": "0" * 64}}
    (live / "manifest.json").write_text(json.dumps(manifest))
    words = ["reproduce", str(live), "--schedule", "recorded", "--out", str(tmp_path / "out")]
    assert cli.main(words) == 2
    assert "'clients.journal' was changed after the run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [["--world", "lockstep"], ["--times", "3"]])
def test_what_a_record_cannot_do(live: Path, more: list[str]) -> None:
    assert cli.main(["reproduce", str(live), "--schedule", "recorded", *more]) == 2
