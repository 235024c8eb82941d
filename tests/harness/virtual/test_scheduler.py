"""The virtual clock: order by time, then by when it was asked for."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError
from harness.virtual import scheduler as module
from harness.virtual.scheduler import Scheduler, VirtualTimer


def steps(scheduler: Scheduler, deadline_ns: int) -> int:
    count = 0
    while scheduler.step(deadline_ns):
        count += 1
    return count


def test_by_time_and_ties_in_the_order_they_were_asked_for() -> None:
    seen: list[tuple[str, int]] = []
    scheduler = Scheduler()

    def note(name: str) -> None:
        seen.append((name, scheduler.now_ns))
        if name == "b":
            scheduler.at(20, note, "asked for last, due at once")

    for due_ns, name in ((30, "d"), (20, "b"), (10, "a"), (20, "c")):
        scheduler.at(due_ns, note, name)
    assert steps(scheduler, 100) == 5
    assert seen == [("a", 10), ("b", 20), ("c", 20), ("asked for last, due at once", 20), ("d", 30)]
    assert scheduler.now_ns == 100, "nothing left: the clock stands at the deadline"


def test_nothing_happens_beyond_the_deadline_and_time_never_goes_back() -> None:
    seen: list[int] = []
    scheduler = Scheduler()
    scheduler.at(50, lambda: seen.append(scheduler.now_ns))
    assert steps(scheduler, 49) == 0
    assert scheduler.now_ns == 49
    scheduler.at(10, lambda: seen.append(scheduler.now_ns))
    assert steps(scheduler, 50) == 2
    assert seen == [49, 50]
    assert not scheduler.step(20)
    assert scheduler.now_ns == 50


def test_cancelled_timers_are_silent_and_fire_once() -> None:
    seen: list[str] = []
    timer = VirtualTimer(lambda: seen.append("called"))
    timer()
    timer()
    cancelled = VirtualTimer(lambda: seen.append("cancelled"))
    cancelled.cancel()
    cancelled()
    assert seen == ["called"]


def test_a_storm_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNDER_WAY", 100)
    scheduler = Scheduler()

    def breed() -> None:
        scheduler.at(scheduler.now_ns + 1, breed)
        scheduler.at(scheduler.now_ns + 1, breed)

    scheduler.at(0, breed)
    with pytest.raises(HarnessError, match="messages breed messages"):
        steps(scheduler, 10**9)


def test_clear_forgets_what_is_to_come() -> None:
    scheduler = Scheduler()
    scheduler.at(5, lambda: pytest.fail("it was forgotten"))
    scheduler.clear()
    assert steps(scheduler, 10) == 0


def test_it_goes_on_until_somebody_wants_to_look() -> None:
    scheduler = Scheduler()
    seen: list[int] = []

    def note(look: bool) -> None:
        seen.append(scheduler.now_ns)
        scheduler.look = look

    for due_ns, look in ((10, False), (20, True), (30, False)):
        scheduler.at(due_ns, note, look)
    assert scheduler.go_on(100)
    assert seen == [10, 20]
    assert scheduler.go_on(100), "it was not looked yet"
    scheduler.look = False
    assert not scheduler.go_on(29)
    assert scheduler.now_ns == 29
    assert not scheduler.go_on(100)
    assert (seen, scheduler.now_ns) == ([10, 20, 30], 100)
