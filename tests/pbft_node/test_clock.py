"""A replica's own clock: what it shows, when a timer by it is due, and the file that moves it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft_node.clock import PER_BILLION, RIGHT, ClockFile, Setting, move, own_ns, true_ns
from pbft_node.core.effects import Effect, SetTimer
from pbft_node.core.events import ClockMoved, Event, Started, TimerFired
from pbft_node.errors import ConfigError, MachineError
from pbft_node.turns import Turns

SECOND = 1_000_000_000
RATES = st.sampled_from([0, 1, PER_BILLION // 3, PER_BILLION, 7 * PER_BILLION])


class NoLog:
    def append(self, record: bytes) -> None:
        raise AssertionError("nothing is promised")

    def compact(self, records: object) -> None:
        raise AssertionError("nothing is promised")

    def sync(self) -> None:
        """Nothing waits."""


class Ticking:
    """Sets a timer of one second whenever anything but a moved clock happens, and remembers its times."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.wall: list[int] = []

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        self.seen.append((type(event).__name__, now_ns))
        if isinstance(event, ClockMoved):
            self.wall.append(now_ns + event.wall_offset_ns)
            return []
        return [SetTimer("tick", len(self.seen), SECOND)]


def ticking(at_ns: int = 0, wall_offset_ns: int = 0) -> tuple[Ticking, Turns]:
    core = Ticking()
    turns = Turns(core, NoLog(), None)
    turns.step(Started((), wall_offset_ns), at_ns)
    turns.finish(at_ns)
    return core, turns


@given(st.integers(0, 10**15), RATES, st.integers(0, 10**12))
def test_a_timer_is_due_when_its_clock_shows_its_time(begin: int, rate: int, left: int) -> None:
    moved = ClockMoved(begin, 5, rate, 0)
    due = true_ns(moved, 5 + left)
    if due is None:
        assert rate == 0
        assert left > 0
    else:
        assert own_ns(moved, due) >= 5 + left
        assert due == begin or own_ns(moved, due - 1) < 5 + left


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(-(10**12), 10**12), RATES), max_size=8))
def test_the_monotonic_clock_never_goes_back(moves: list[tuple[int, int, int]]) -> None:
    moved, now, shown = None, 0, 0
    for serial, (wait, jump, rate) in enumerate(moves, start=1):
        now += wait
        assert own_ns(moved, now) >= shown
        shown = own_ns(moved, now)
        moved = move(moved, Setting(serial, now, jump, jump, rate), now, 0)
        assert own_ns(moved, now) == shown + max(0, jump)
        shown = own_ns(moved, now)


def test_a_timer_survives_a_clock_that_stands_still_and_keeps_what_was_left_of_its_time() -> None:
    core, turns = ticking()
    assert turns.next_due_ns() == SECOND
    turns.move_clock(Setting(1, 400, 0, 0, 0), 400)
    assert turns.next_due_ns() is None, "nobody need wake a clock that stands still"
    turns.fire_due(100 * SECOND)
    assert len(core.seen) == 2, "it fired by a clock that stands still"
    turns.move_clock(Setting(2, 5 * SECOND, 0, 0, PER_BILLION), 5 * SECOND)
    assert turns.next_due_ns() == 6 * SECOND - 400
    turns.fire_due(6 * SECOND - 401)
    assert core.seen[-1][0] == "ClockMoved"
    turns.fire_due(6 * SECOND - 400)
    assert core.seen[-1] == (TimerFired.__name__, SECOND)


def test_a_jump_forward_fires_at_once_and_one_back_moves_the_wall_clock_only() -> None:
    core, turns = ticking(at_ns=10, wall_offset_ns=1000 * SECOND)
    turns.move_clock(Setting(1, 20, 3600 * SECOND, 3600 * SECOND, PER_BILLION), 20)
    assert turns.next_due_ns() == 20
    turns.fire_due(20)
    assert core.seen[-1] == ("TimerFired", 20 + 3600 * SECOND)
    turns.move_clock(Setting(2, 30, -60 * SECOND, -60 * SECOND, PER_BILLION), 30)
    assert core.seen[-1] == ("ClockMoved", 30 + 3600 * SECOND)
    assert core.wall == [20 + 4600 * SECOND, 30 + 940 * SECOND]


def test_the_wall_clock_of_a_drift_counts_from_its_anchor_also_in_a_later_life() -> None:
    core, turns = ticking(at_ns=10 * SECOND)
    turns.move_clock(Setting(1, 2 * SECOND, 0, 0, 2 * PER_BILLION), 12 * SECOND)
    assert core.wall == [22 * SECOND]


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = ClockFile(tmp_path / "clock", create=True)
    read = ClockFile(tmp_path / "clock")
    assert read.read() == RIGHT
    for setting in (Setting(1, 5, -7, -9, 0), Setting(2, 6, 7, 10**15, 3)):
        written.write(setting)
        assert read.read() == setting
    read.close()
    written.close()


def test_a_half_written_setting_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    ClockFile(path, create=True).close()
    data = bytearray(path.read_bytes())
    data[0] = 9
    path.write_bytes(data)
    file = ClockFile(path)
    assert file.read() is None
    file.close()


def test_what_is_no_clock_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot open the clock file"):
        ClockFile(tmp_path / "none")
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(ConfigError, match="no clock file of 48 bytes"):
        ClockFile(tmp_path / "short")
