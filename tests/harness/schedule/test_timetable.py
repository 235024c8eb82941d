"""When a call is made again: when it was made, not when it is due."""

from __future__ import annotations

from harness.schedule.record import Called
from harness.schedule.timetable import Timetable


def test_a_call_waits_for_its_recorded_time() -> None:
    table = Timetable([Called(50, ("invoke", 7)), Called(90, ("invoke", 7))])
    assert table.when(("invoke", 7), 40, 0) == 50
    assert table.when(("invoke", 7), 45, 0) == 50, "asked for twice, made once"
    table.made(("invoke", 7))
    assert table.when(("invoke", 7), 80, 60) == 90
    table.made(("invoke", 7))
    assert table.when(("invoke", 7), 99, 95) is None, "it was not made a third time"


def test_a_call_that_was_not_made_then_is_not_made_now() -> None:
    table = Timetable([Called(50, ("timer", 7, "retry", 1))])
    assert table.when(("timer", 7, "retry", 2), 60, 0) is None
    assert table.when(("fault", "kill-1", "asked"), 60, 0) == 60, "a fault is the plan's"


def test_one_given_up_before_its_timeout_did_not_time_out() -> None:
    table = Timetable([Called(50, ("timeout", 7)), Called(50, ("timeout", 8))])
    assert table.when(("timeout", 7), 60, 0) is None
    assert table.when(("timeout", 8), 49, 0) == 50


def test_a_time_that_is_over_is_no_time_to_wait_for() -> None:
    table = Timetable([Called(50, ("fault", "kill-1", "asked"))])
    assert table.when(("fault", "kill-1", "asked"), 75, 70) == 75
