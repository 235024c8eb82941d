"""The command around the search: what it refuses, what it leaves, and what its exit code says.

Trials are a rule over plans here, and the last run writes the verdict that the rule gives; real runs are in
``tests/end_to_end/test_shrinking.py``.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from left_behind import left_behind

from harness import cli, one_run, store
from harness.judging import Judgement
from harness.plan import Plan, make_plan
from harness.plan_file import plan_text, read_plan
from harness.shrink import bases, command
from harness.shrink.trials import Outcome
from harness.spec import make_spec
from harness.violation import Violation

LOST = Violation("durability", "lost operation")
SPLIT = Violation("agreement", "two digests")
SPEC = {"world": "sim", "time": 20, "clients": 3, "rate": 4, "faults": ["kill", "pause"], "nodes": 4}
WHOLE = make_plan(make_spec(SPEC), seed=5)
KEPT = WHOLE.faults[3].id


def rule(plan: Plan) -> tuple[Violation, ...]:
    """It takes one fault and two operations."""
    operations = sum(len(client.operations) for client in plan.clients)
    return (LOST,) if operations >= 2 and KEPT in {fault.id for fault in plan.faults} else (SPLIT,)


def verdict(found: tuple[Violation, ...]) -> dict[str, object]:
    lines = [
        {
            "name": one.line,
            "verdict": "invalid",
            "judged": True,
            "reason": "so it is",
            "details": {"kind": one.property},
        }
        for one in found
    ]
    return {
        "schema": "traitor/verdict/1",
        "verdict": "invalid" if found else "valid",
        "exit_code": 1,
        "lines": lines,
    }


def make_run(tmp_path: Path, plan: Plan, found: tuple[Violation, ...]) -> Path:
    run = tmp_path / "run"
    run.mkdir()
    (run / "plan.json").write_text(plan_text(plan))
    (run / "verdict.json").write_text(json.dumps(verdict(found)))
    (run / "run.json").write_text(json.dumps({"schema": "traitor/run/1", "interrupted": None}))
    return run


@pytest.fixture
def ruled(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Trials and the last run go by a rule."""

    def settle(
        of_trials: Callable[[Plan], tuple[Violation, ...]] = rule,
        of_the_run: Callable[[Plan], tuple[Violation, ...]] = rule,
        seconds: float = 0,
    ) -> None:
        def attempt(plan: Plan, _folder: Path) -> Outcome:
            time.sleep(seconds)
            return Outcome(tuple((one.line, one.property) for one in of_trials(plan)), "it says nothing")

        def run_plan(plan: Plan, folder: Path, spec: str, origin: store.Origin, quiet: bool) -> one_run.Done:
            one_run.prepare(plan, folder, spec, origin)
            found = verdict(of_the_run(plan))
            return one_run.Done(
                folder, 1, Judgement(1, "durability       invalid\n"), found, folder / "report.html"
            )

        monkeypatch.setattr(bases, "attempt_in", lambda _world, _failure, _tries: attempt)
        monkeypatch.setattr(command, "recorded_fates", lambda _plan, _scratch: None)
        monkeypatch.setattr(one_run, "run_plan", run_plan)

    return settle


def shrink(tmp_path: Path, run: Path, *flags: str) -> int:
    return cli.main(["shrink", str(run), "--out", str(tmp_path / "out"), *flags])


def test_a_run_folder_of_the_smallest_plan(
    tmp_path: Path, ruled: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    ruled()
    run = make_run(tmp_path, WHOLE, (SPLIT, LOST))
    assert shrink(tmp_path, run, "--line", "durability", "--jobs", "2") == 1
    (folder,) = (tmp_path / "out").iterdir()
    plan = read_plan(folder / "plan.json")
    assert rule(plan) == (LOST,)
    assert [fault.id for fault in plan.faults] == [KEPT]
    assert sum(len(client.operations) for client in plan.clients) == 2
    assert plan.name == "kv-shrunk"
    assert plan.virtual is not None
    assert plan.virtual.signer == "ed25519"
    said = capsys.readouterr().out.splitlines()
    assert said[-1].endswith(f"reproduce {folder}")
    assert any(line.startswith("after ") and "1 fault, 2 operations" in line for line in said)


def test_what_it_writes_tells_every_step(tmp_path: Path, ruled: Callable[..., None]) -> None:
    ruled()
    run = make_run(tmp_path, WHOLE, (LOST,))
    shrink(tmp_path, run)
    (folder,) = (tmp_path / "out").iterdir()
    told = json.loads((folder / "shrink.json").read_text())
    assert told["schema"] == "traitor/shrink/1"
    assert told["of"]["run"] == str(run)
    assert told["kept"] == asdict(LOST)
    assert told["before"]["faults"] == len(WHOLE.faults) > 5
    assert told["after"]["faults"] == 1
    assert len(told["steps"]) == told["tried"]
    accepted = [step for step in told["steps"] if step["accepted"]]
    assert len(accepted) == told["accepted"]
    assert accepted[-1]["size"] == told["after"]
    assert sum(move["tried"] for move in told["moves"]) == told["tried"]
    assert told["ended"] == "nothing more helps"
    note = (folder / "REPRODUCE.md").read_text()
    assert "    traitor run --plan plan.json\n" in note
    assert f"| faults | {len(WHOLE.faults)} | 1 |" in note
    assert "durability invalid: so it is" in note
    assert KEPT in note
    sealed = store.read_object(folder / "manifest.json")["files"]
    assert {"shrink.json", "REPRODUCE.md", "plan.json"} <= set(sealed)  # type: ignore[call-overload]


def test_the_same_run_gives_the_same_plan(tmp_path: Path, ruled: Callable[..., None]) -> None:
    """However many trials there are at once."""
    ruled()
    run = make_run(tmp_path, WHOLE, (LOST,))
    for jobs in ("1", "4"):
        shrink(tmp_path, run, "--jobs", jobs)
    one, other = sorted((tmp_path / "out").iterdir())
    assert (one / "plan.json").read_bytes() == (other / "plan.json").read_bytes()


@pytest.mark.parametrize(
    ("flags", "found", "words"),
    [
        ((), (), "shows no violation"),
        (("--line", "liveness"), (LOST,), "has no violation there"),
        (("--budget", "soon"), (LOST,), "--budget"),
        (("--budget", "0"), (LOST,), "--budget"),
        (("--jobs", "0"), (LOST,), "--jobs"),
        (("--tries", "0"), (LOST,), "--tries"),
        (("--world", "moon"), (LOST,), "--world"),
    ],
)
def test_wrong_use_leaves_nothing(
    tmp_path: Path,
    ruled: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    found: tuple[Violation, ...],
    words: str,
) -> None:
    ruled()
    assert shrink(tmp_path, make_run(tmp_path, WHOLE, found), *flags) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_that_fails_otherwise_is_not_shrunk(
    tmp_path: Path, ruled: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    ruled(of_trials=lambda _: (SPLIT,))
    assert shrink(tmp_path, make_run(tmp_path, WHOLE, (LOST,))) == 4
    said = capsys.readouterr().err
    assert "durability: lost operation was not seen again in world sim: 0 of 1 run" in said
    assert "otherwise: agreement: two digests" in said
    assert not (tmp_path / "out").exists()


def test_a_live_run_is_looked_for_on_several_networks(
    tmp_path: Path, ruled: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    live = make_plan(make_spec({**SPEC, "world": "live"}), seed=5)
    ruled(of_trials=lambda plan: rule(plan) if plan.seed == 7 else (), of_the_run=rule)
    run = make_run(tmp_path, live, (LOST,))
    assert shrink(tmp_path, run, "--tries", "2") == 4
    said = capsys.readouterr().err
    assert "0 of 2 runs" in said
    assert "recorded order cannot be followed" in said
    assert "--world live" in said
    assert shrink(tmp_path, run, "--tries", "3") == 1
    (folder,) = (tmp_path / "out").iterdir()
    assert read_plan(folder / "plan.json").seed == 7
    assert json.loads((folder / "shrink.json").read_text())["began"] == {
        "world": "sim",
        "seed": 7,
        "tried": 3,
    }


def test_a_live_run_that_only_its_recorded_order_shows_keeps_that(
    tmp_path: Path, ruled: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_recorded(plan: Plan) -> tuple[Violation, ...]:
        assert plan.virtual is not None
        assert plan.virtual.signer == "ed25519" or plan.virtual.schedule is None, (
            "hashes of a record are signed"
        )
        return rule(plan) if plan.virtual.schedule is not None else ()

    def write(schedule: object, path: Path) -> None:
        path.write_text(f"the order of {schedule}")

    live = make_plan(make_spec({**SPEC, "world": "live"}), seed=5)
    ruled(of_trials=only_recorded)
    monkeypatch.setattr(bases, "schedule_of", lambda run, _n: run.name)
    monkeypatch.setattr(bases, "write_schedule", write)
    assert shrink(tmp_path, make_run(tmp_path, live, (LOST,)), "--tries", "2") == 1
    (folder,) = (tmp_path / "out").iterdir()
    assert (folder / "schedule.jsonl").read_text() == "the order of run"
    plan = read_plan(folder / "plan.json")
    assert [fault.id for fault in plan.faults] == [KEPT]
    assert "schedule.jsonl" in (folder / "REPRODUCE.md").read_text()
    assert json.loads((folder / "shrink.json").read_text())["began"]["tried"] == 3


@pytest.mark.parametrize(("shown_in", "code"), [(3, 1), (4, 4)])
def test_a_smallest_plan_that_is_run_live_has_several_tries(
    tmp_path: Path, ruled: Callable[..., None], monkeypatch: pytest.MonkeyPatch, shown_in: int, code: int
) -> None:
    runs: list[Plan] = []

    def sometimes(plan: Plan) -> tuple[Violation, ...]:
        runs.append(plan)
        return rule(plan) if len(runs) == shown_in else ()

    live = make_plan(make_spec({**SPEC, "world": "live"}), seed=5)
    ruled(of_the_run=sometimes)
    monkeypatch.setattr(one_run, "check_possible", lambda _plan: None)
    run = make_run(tmp_path, live, (LOST,))
    assert shrink(tmp_path, run, "--world", "live", "--tries", "3") == code
    assert len(runs) == 3
    (folder,) = (tmp_path / "out").iterdir()
    assert read_plan(folder / "plan.json").world == "live"


def test_a_run_that_does_not_show_what_its_trial_did_is_told_of(
    tmp_path: Path, ruled: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    ruled(of_the_run=lambda _: (SPLIT,))
    assert shrink(tmp_path, make_run(tmp_path, WHOLE, (LOST,))) == 4
    assert "this is a bug of Traitor" in capsys.readouterr().err


def test_a_plan_that_does_not_fail_with_real_signatures_keeps_the_cheap_ones(
    tmp_path: Path, ruled: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def cheap_only(plan: Plan) -> tuple[Violation, ...]:
        assert plan.virtual is not None
        return rule(plan) if plan.virtual.signer == "keyed-hash" else ()

    assert WHOLE.virtual is not None
    whole = replace(WHOLE, virtual=replace(WHOLE.virtual, signer="keyed-hash"))
    ruled(of_trials=cheap_only)
    assert shrink(tmp_path, make_run(tmp_path, whole, (LOST,))) == 1
    assert "with real signatures" in capsys.readouterr().err
    (folder,) = (tmp_path / "out").iterdir()
    assert cheap_only(read_plan(folder / "plan.json")) == (LOST,)


@pytest.mark.parametrize("how", ["signal", "budget"])
def test_what_ends_the_search_keeps_the_best_so_far(
    tmp_path: Path, ruled: Callable[..., None], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    ruled(seconds=0.05)
    run = make_run(tmp_path, WHOLE, (LOST,))
    flags = ("--budget", "1") if how == "budget" else ()
    if how == "signal":
        end_after_accepted(monkeypatch, 3)
    assert shrink(tmp_path, run, "--jobs", "1", *flags) == (1 if how == "budget" else 130)
    (folder,) = (tmp_path / "out").iterdir()
    assert rule(read_plan(folder / "plan.json")) == (LOST,)
    told = json.loads((folder / "shrink.json").read_text())
    assert ("SIGINT" if how == "signal" else "budget of 1 s") in told["ended"]
    assert told["accepted"] >= (3 if how == "signal" else 0)
    assert left_behind(zombies=False) == []


def end_after_accepted(monkeypatch: pytest.MonkeyPatch, accepted: int) -> None:
    """Ctrl-C, once, when so many steps were taken."""
    show = command.Bar.show
    ended: list[bool] = []

    def showing(bar: command.Bar, progress: command.Progress, moves: int) -> None:
        if progress.accepted == accepted and not ended:
            ended.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        show(bar, progress, moves)

    monkeypatch.setattr(command.Bar, "show", showing)
