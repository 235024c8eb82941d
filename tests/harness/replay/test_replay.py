"""``traitor replay``: what was recorded comes out again, and where it does not, the event is named."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from journalled_run import change_frame, journalled_run, small_plan

from harness import cli
from harness.judging import Judgement
from harness.replay.judge_again import Again, text
from harness.replay.of_replica import Kind, kind_of, replay_replica
from pbft_node.core.replica import Replica
from pbft_node.journal_file import HEADER_BYTES
from pbft_node.journal_reader import Start, read_journal


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a kill. Nobody may change it."""
    with pytest.MonkeyPatch.context() as patch:
        return journalled_run(tmp_path_factory.mktemp("replay") / "run", small_plan(), patch)


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy."""
    return Path(shutil.copytree(made, tmp_path / "run"))


Replay = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def replay(capfd: pytest.CaptureFixture[str]) -> Replay:
    def call(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = cli.main(["replay", "--json", *map(str, arguments)])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return code, json.loads(out) if out else {"error": err}

    return call


def killed(run: Path) -> int:
    """A replica with several lives."""
    return next(r for r in range(4) if len(read_journal(run / "replicas" / str(r) / "journal").lives) > 1)


def test_every_hash_is_equal_through_all_lives_and_the_verdict_is_the_same(run: Path, replay: Replay) -> None:
    before = sorted(path for path in run.rglob("*"))
    code, said = replay(run)
    assert code == 0
    assert said["equal"] == said["events"] > 500
    lives = [len(read_journal(run / "replicas" / str(r) / "journal").lives) for r in range(4)]
    assert [each["lives"] for each in said["replicas"]] == lives
    assert max(lives) > 1, "somebody was killed"
    for each in said["replicas"]:
        assert each["mismatch"] is None
        assert each["trace_difference"] is None
        assert each["trace_lines"] > 0
        recorded = (run / "replicas" / str(each["replica"]) / "trace.jsonl").read_bytes()
        assert each["trace_lines"] == recorded.count(b"\n")
    assert said["judged_again"]["same"] is True
    assert said["judged_again"]["verdict"]["exit_code"] == 0
    assert sorted(path for path in run.rglob("*")) == before, "nothing is written into the run"


def test_the_replayed_trace_is_the_recorded_one_byte_by_byte(run: Path, tmp_path: Path) -> None:
    replica = killed(run)
    replay_replica(run, replica, tmp_path / "trace", Kind(virtual=True))
    assert (tmp_path / "trace").read_bytes() == (run / "replicas" / str(replica) / "trace.jsonl").read_bytes()


def test_a_simulation_with_cheap_signatures(tmp_path: Path) -> None:
    plan = small_plan(faults=[])
    assert plan.virtual is not None
    plan = replace(plan, virtual=replace(plan.virtual, signer="keyed-hash"))
    with pytest.MonkeyPatch.context() as patch:
        run = journalled_run(tmp_path / "run", plan, patch)
    outcome = replay_replica(run, 1, None, kind_of(run))
    assert outcome.mismatch is None
    assert outcome.equal == outcome.events > 100


def test_a_changed_datagram_is_found_at_its_event(run: Path, replay: Replay) -> None:
    """Frame 20 holds events of a turn: one bit of the last datagram in it."""
    journal = run / "replicas" / "1" / "journal"
    change_frame(journal, 20, lambda payload: payload[:-1] + bytes([payload[-1] ^ 1]))
    turns = list(read_journal(journal).lives[0].turns())
    expected = sum(len(turn.entries) for turn in turns[:21])
    code, said = replay(run, "--replica", 1)
    assert code == 4
    (outcome,) = said["replicas"]
    assert outcome["mismatch"]["number"] == expected
    assert outcome["equal"] == expected - 1
    assert said["judged_again"] is None


def test_another_rule_is_found_at_the_first_event_it_touches(
    run: Path, replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that sends no COMMIT for seq 3: the event at which it was prepared."""
    original = Replica.broadcast

    def no_commit(self: Replica, type_: Any, view: int, seq: int, body: bytes) -> None:
        if type_.name != "COMMIT" or seq != 3:
            original(self, type_, view, seq, body)

    trace = (run / "replicas" / "1" / "trace.jsonl").read_text().splitlines()
    prepared = next(e for e in map(json.loads, trace) if e["e"] == "prepared" and e["seq"] == 3)
    monkeypatch.setattr(Replica, "broadcast", no_commit)
    code, said = replay(run, "--replica", 1)
    assert code == 4
    mismatch = said["replicas"][0]["mismatch"]
    assert mismatch["now_ns"] == prepared["t_ns"]
    assert any("trace prepared" in effect and "seq=3" in effect for effect in mismatch["effects"])
    assert not any("send" in effect and "COMMIT" in effect for effect in mismatch["effects"])
    assert mismatch["trace_only_then"] == mismatch["trace_only_now"] == []


def replay_until(replay: Replay, run: Path, where: str, replica: int = 0) -> dict[str, Any]:
    code, said = replay(run, "--replica", replica, "--until", where)
    assert code == 0, said
    return said


def test_other_journals_say_what_was_received(
    run: Path, replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A COMMIT for another digest: the receivers have one of this view and number with other bytes."""
    original = Replica.broadcast

    def otherwise(self: Replica, type_: Any, view: int, seq: int, body: bytes) -> None:
        changed = type_.name == "COMMIT" and seq == 3 and self.me == 2
        original(self, type_, view, seq, bytes(32) if changed else body)

    monkeypatch.setattr(Replica, "broadcast", otherwise)
    _, said = replay(run, "--replica", 2)
    (outcome,) = said["replicas"]
    assert any("OTHER BYTES" in line and "COMMIT" in line for line in outcome["mismatch"]["others"])


def test_until_an_event_shows_the_state_after_it(run: Path, replay: Replay) -> None:
    data = replay_until(replay, run, "57", replica=2)
    assert data["event"] == 57
    assert [line["event"] for line in data["before"]] == list(range(48, 58))
    state = data["state"]
    assert state["view"] == 0
    assert state["primary"] == 0
    executed = [slot["seq"] for slot in state["slots"] if slot["executed"]]
    assert max(executed, default=state["stable"]) == state["executed"]
    for slot in state["slots"]:
        if slot["prepared"]:
            assert list(slot["prepares"].values()).count(slot["digest"]) >= 2
    assert {timer["name"] for timer in state["timers"]} >= {"status"}


def test_until_a_number_and_until_a_time(run: Path, replay: Replay) -> None:
    at = replay_until(replay, run, "seq:10")
    assert at["state"]["executed"] >= 10
    earlier = replay_until(replay, run, str(at["event"] - 1))
    assert earlier["state"]["executed"] < 10
    timed = replay_until(replay, run, "0.5s")
    load = next(p for p in json.loads((run / "run.json").read_text())["phases"] if p["name"] == "load")
    assert timed["time_ns"] <= load["start_ns"] + 500_000_000
    following = replay_until(replay, run, str(timed["event"] + 1))
    assert following["time_ns"] > load["start_ns"] + 500_000_000


def test_beyond_the_end_is_said(run: Path, replay: Replay) -> None:
    code, said = replay(run, "--replica", 2, "--until", 10**6)
    assert code == 2
    assert "ends before event 1000000" in said["error"]


@pytest.mark.parametrize(
    "words",
    [
        ["--until", "57"],
        ["--pdb", "--replica", "1"],
        ["--replica", "1", "--until", "x"],
        ["--replica", "1", "--until", "0"],
        ["--replica", "1", "--events", "9..3"],
        ["--replica", "1", "--events", "1..3", "--until", "4"],
        ["--replica", "9"],
    ],
)
def test_wrong_use(run: Path, replay: Replay, words: list[str]) -> None:
    assert replay(run, *words)[0] == 2


def test_events_are_listed_by_range(run: Path, replay: Replay) -> None:
    code, said = replay(run, "--replica", killed(run), "--events", "1..4")
    assert code == 0
    assert [line["number"] for line in said["events"]] == [1, 2, 3, 4]
    assert said["events"][0]["what"] == "started, with 0 records from its log"


def test_the_text_for_people(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", str(run), "--replica", "2", "--until", "57"]) == 0
    out = capsys.readouterr().out
    for word in ("log window", "certificates", "checkpoints", "pending", "timers", "watermarks", "primary 0"):
        assert word in out
    assert cli.main(["replay", str(run), "--replica", str(killed(run))]) == 0
    out = capsys.readouterr().out
    assert "every output hash equal" in out
    assert re.search(r"cut by a crash after event \d+;", out), "one: the end of a simulation is no crash"


def test_a_verdict_that_is_another_is_said() -> None:
    judgement = Judgement(1, "verdict invalid\n")
    other = Again(judgement, {}, "valid", ("agreement: invalid, was valid",))
    assert "NOT the same as recorded: agreement: invalid, was valid" in text(other)
    assert other.same is False
    assert text(Again(judgement, {}, "invalid", ())).endswith("the same as recorded: invalid")
    assert "had not been judged" in text(Again(judgement, {}, None, ()))


def test_a_debugger_stands_before_the_event(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "typed").write_text("p ('executed', replica.executed)\nn\np ('effects', len(effects))\nc\n")
    with (tmp_path / "typed").open() as typed:
        monkeypatch.setattr("sys.stdin", typed)
        assert cli.main(["replay", str(run), "--replica", "0", "--until", "seq:1", "--pdb"]) == 0
    out = capsys.readouterr().out
    assert "('executed', 0)" in out
    assert "its hash is equal" in out


def test_a_journal_cut_short_replays_to_the_cut(run: Path, replay: Replay) -> None:
    journal = run / "replicas" / "1" / "journal"
    os.truncate(journal, journal.stat().st_size - 10)
    code, said = replay(run, "--replica", 1)
    (outcome,) = said["replicas"]
    assert outcome["ending"] == "torn"
    assert outcome["mismatch"] is None
    assert outcome["equal"] == outcome["events"]
    assert outcome["trace_difference"] is not None, "the trace has lines that no whole turn explains"
    assert code == 4


@pytest.mark.parametrize("kept", ["half", "header"])
def test_a_journal_that_says_less_than_the_trace_accuses_nobody(run: Path, replay: Replay, kept: str) -> None:
    """What it does not show, the replica did all the same: others acted on it."""
    for replica in (0, 1):
        journal = run / "replicas" / str(replica) / "journal"
        data = journal.read_bytes()
        journal.write_bytes(data[: HEADER_BYTES if kept == "header" else len(data) // 2])
    code, said = replay(run)
    assert code == 4
    assert all(each["trace_difference"]["replayed"] is None for each in said["replicas"][:2])
    lines = {line["name"]: line["verdict"] for line in said["judged_again"]["verdict"]["lines"]}
    assert lines.pop("harness") == "invalid", "the manifest knows the journals"
    assert "invalid" not in lines.values()


def test_without_a_recorded_trace_none_is_judged(run: Path, replay: Replay) -> None:
    (run / "replicas" / "0" / "trace.jsonl").unlink()
    (run / "replicas" / "1" / "trace.jsonl").unlink()
    os.mkfifo(run / "replicas" / "1" / "trace.jsonl")
    code, said = replay(run)
    assert code == 4
    assert [each["trace_readable"] for each in said["replicas"]] == [False, False, True, True]
    lines = {line["name"]: line["verdict"] for line in said["judged_again"]["verdict"]["lines"]}
    assert lines.pop("harness") == "invalid"
    assert lines["agreement"] == "unknown"
    assert "invalid" not in lines.values()


def test_a_damaged_journal_is_no_proof(run: Path, replay: Replay) -> None:
    journal = run / "replicas" / "3" / "journal"
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 255
    journal.write_bytes(data)
    code, said = replay(run, "--replica", 3)
    (outcome,) = said["replicas"]
    assert outcome["ending"] == "damaged"
    assert 0 < outcome["equal"] == outcome["events"]
    assert code == 4


def test_a_changed_trace_is_found_and_the_replayed_one_judged(run: Path, replay: Replay) -> None:
    trace = run / "replicas" / "0" / "trace.jsonl"
    lines = trace.read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if '"committed"' in line)
    lines[number] = lines[number].replace('"seq":1,', '"seq":2,')
    trace.write_text("\n".join(lines) + "\n")
    code, said = replay(run)
    difference = said["replicas"][0]["trace_difference"]
    assert difference["line"] == number + 1
    assert '"seq":1,' in difference["replayed"]
    assert said["judged_again"]["exit_code"] == 0, "the replayed trace is good"
    assert code == 4


def test_lost_records_are_rebuilt_and_invented_ones_found(run: Path, replay: Replay) -> None:
    replica = killed(run)
    journal = run / "replicas" / str(replica) / "journal"
    lives = read_journal(journal).lives
    frame = len(list(lives[0].turns()))

    def another(payload: bytes) -> bytes:
        start = next(lives[1].entries()).event
        assert isinstance(start, Start)
        return payload.replace(start.digest, bytes(16), 1)

    change_frame(journal, frame, another)
    code, said = replay(run, "--replica", replica)
    mismatch = said["replicas"][0]["mismatch"]
    assert mismatch["number"] == lives[0].events + 1
    assert "not what the lives before it had written" in mismatch["what"]
    assert code == 4


@pytest.mark.parametrize("garbage", [b"", b"PBFTJRN\n", bytes(range(200))])
def test_a_file_that_is_no_journal(run: Path, replay: Replay, garbage: bytes) -> None:
    (run / "replicas" / "1" / "journal").write_bytes(garbage)
    code, said = replay(run, "--replica", 1)
    assert code == 4
    assert "replica 1 cannot be replayed" in said["replicas"][0]


def test_pipes_and_foreign_configs(run: Path, replay: Replay) -> None:
    (run / "replicas" / "1" / "journal").unlink()
    os.mkfifo(run / "replicas" / "1" / "journal")
    shutil.copy(run / "replicas" / "0" / "config.json", run / "replicas" / "2" / "config.json")
    (run / "replicas" / "3" / "config.json").write_text("[" * 100_000)
    code, said = replay(run)
    assert code == 4
    assert [isinstance(each, str) for each in said["replicas"]] == [False, True, True, True]
    assert said["judged_again"] is None


def test_a_run_without_journals_is_wrong_use(run: Path, replay: Replay) -> None:
    for journal in run.glob("replicas/*/journal"):
        journal.unlink()
    code, said = replay(run)
    assert code == 2
    assert "no journals" in said["error"]


def test_a_service_in_the_current_folder_is_not_imported(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica would not find it there either; so says the process that tries it, and ours does the same."""
    config = run / "replicas" / "1" / "config.json"
    data = json.loads(config.read_text())
    data["cluster"]["service"] = "somebody:Service"
    config.write_text(json.dumps(data))
    (tmp_path / "somebody.py").write_text("raise SystemExit('imported from the current folder')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    assert cli.main(["replay", str(run), "--replica", "1", "--until", "5"]) == 2
