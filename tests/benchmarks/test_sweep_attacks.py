"""``make sweep-attacks``: what counts as an alarm, as a wasted night, and as done already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sweep_attacks import Memory, Row, main, parser, wanted

from nemesis.faults import KINDS

COMMAND = ("--fault", "drop", "--seeds", "0..9")


def row(planned: int = 100, receipts: int = 100, **verdicts: int) -> Row:
    """Of a hundred runs, those that are not named valid."""
    named = dict.fromkeys(("invalid", "unknown", "uncovered", "harness"), 0) | verdicts
    every = {"valid": 100 - sum(named.values()), **named}
    alarms: list[dict[str, object]] = [{"seed": 7, "reason": "agreement"}] if named["invalid"] else []
    return Row("drop", 4, 100, every, planned, receipts, 5, [], alarms)


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (row(), 0),
        (row(invalid=1), 1),
        (row(invalid=1, harness=1), 1),
        (row(harness=1), 4),
        (row(unknown=1), 3),
        (row(receipts=95, uncovered=5), 0),
        (row(receipts=94, uncovered=5), 3),
        (row(uncovered=6), 3),
        (row(planned=0, receipts=0), 3),
    ],
)
def test_what_a_kind_comes_to(one: Row, code: int) -> None:
    assert one.exit_code == code
    assert ("seed 7" in one.columns()[-1]) == (code == 1)


def test_what_is_done_is_remembered_for_the_same_command_and_code_only(tmp_path: Path) -> None:
    path = tmp_path / "attacks.json"
    Memory(path, "code").keep(COMMAND, row(invalid=1))
    assert Memory(path, "code").recall(COMMAND) == row(invalid=1)
    assert Memory(path, "code").recall((*COMMAND, "--nodes", "7")) is None
    assert Memory(path, "other code").recall(COMMAND) is None
    path.write_text("[1, ", encoding="utf-8")
    assert Memory(path, "code").recall(COMMAND) is None


def test_every_kind_and_those_that_lie_with_seven_replicas_too() -> None:
    made = wanted(parser().parse_args(["--seeds", "1000"]))
    assert [kind for kind, nodes, _ in made if nodes == 4] == list(KINDS)
    seven = {kind: seeds for kind, nodes, seeds in made if nodes == 7}
    assert set(seven) == {name for name, kind in KINDS.items() if kind.family == "lie"}
    assert set(seven.values()) == {50}


def test_two_seeds_of_a_kind_and_then_none_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["x", "--fault", "drop", "--seeds", "2", "--jobs", "1", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", given)
    assert main() == 0
    said = capsys.readouterr().out
    done = json.loads((tmp_path / "attacks.json").read_text(encoding="utf-8"))
    assert done["exit_code"] == 0
    assert [(one["kind"], one["runs"], one["receipts"]) for one in done["rows"]] == [("drop", 2, 2)]
    assert (tmp_path / "attacks.txt").read_text(encoding="utf-8") in said
    monkeypatch.setattr("sweep_attacks.subprocess", None)
    assert main() == 0, "all was done: nothing is swept"
    assert capsys.readouterr().out == said
