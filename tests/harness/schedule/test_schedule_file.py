"""``schedule.jsonl``, both ways, and what is no schedule."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.schedule.record import (
    DELIVER,
    START,
    TIMER,
    Arrived,
    Called,
    Ends,
    Event,
    Item,
    Phase,
    Said,
    Schedule,
    Stopped,
    Turn,
)
from harness.schedule.schedule_file import read_schedule, wanted_of, write_schedule
from harness.virtual.settings import CLIENTS

STARTED = Event(10, START, "", b"nonce", -5, 3, b"h0")
DELIVERED = Event(12, DELIVER, "COMMIT 1 0 7", b"digest", 0, 0, b"h1")
FIRED = Event(13, TIMER, "status", b"", 4, 0, b"h2")
ITEMS: list[Item] = [
    Turn(20, 2, 1, 1, (STARTED, DELIVERED), False, True),
    Called(21, ("timer", 1003, "retry", 5)),
    Turn(22, 2, 1, 3, (FIRED,), True, False),
    Arrived(25, "REPLY 2 0 1", b"reply"),
    Stopped(30, 0),
    Turn(30, 2, 1, 1, (STARTED,), False, True, "2-twin"),
    Turn(30, 2, 1, 2, (DELIVERED,), True, True, "2-twin"),
    Stopped(30, 3, "3-twin-2"),
    Ends(31, "the journal ends"),
    Said(31, b"a lie"),
]
SCHEDULE = Schedule("a run", 4, 5, (Phase("load", 6, 40),), tuple(ITEMS), wanted_of(ITEMS))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_schedule(SCHEDULE, tmp_path / "s")
    assert read_schedule(tmp_path / "s") == SCHEDULE
    assert SCHEDULE.wanted == {(2, b"digest"): 2, (CLIENTS, b"reply"): 1}


def lines(tmp_path: Path) -> list[dict[str, object]]:
    write_schedule(SCHEDULE, tmp_path / "s")
    return [json.loads(line) for line in (tmp_path / "s").read_text().splitlines()]


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (0, {"schema": "traitor/schedule/2"}),
        (0, {"n": -1}),
        (0, {"phases": [["load", 1]]}),
        (0, {"phases": 3}),
        (1, {"t": "x"}),
        (1, {"t": 2**80}),
        (1, {"r": 4}),
        (1, {"r": True}),
        (1, {"events": [[1, "COMMIT", "xyz", "00"]]}),
        (1, {"events": [[1]]}),
        (1, {"events": [[]]}),
        (1, {"events": [[1, "start", 1.5, "00", 0, "00"]]}),
        (1, {"events": [[1, "timer", "a\nb", 1, "00"]]}),
        (2, {"called": [[]]}),
        (3, {"t": 1}),
        (4, {"arrived": ["x"]}),
        (4, {"arrived": None}),
        (6, {"twin": "3-twin"}),
        (6, {"twin": "../2-twin"}),
        (6, {"twin": "2-twin-0"}),
        (6, {"twin": "2-twin-1"}),
        (6, {"twin": ""}),
        (8, {"twin": 3}),
        (9, {"ends": 5}),
        (10, {"said": "xyz"}),
        (10, {"said": 5}),
        (10, {"said": "00" * 70_000}),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, line: int, change: dict[str, object]) -> None:
    found = lines(tmp_path)
    found[line] |= change
    (tmp_path / "s").write_text("\n".join(map(json.dumps, found)) + "\n")
    with pytest.raises(UsageError, match=rf"s, line {line + 1}: "):
        read_schedule(tmp_path / "s")


@pytest.mark.parametrize("content", [b"", b"\xff\n", b"[]\n", b"[" * 100_000, b'{"schema": 1}\n'])
def test_what_is_no_schedule(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(UsageError):
        read_schedule(tmp_path / "s")


def test_no_file_and_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("none", "pipe", "."):
        with pytest.raises(UsageError):
            read_schedule(tmp_path / name)
