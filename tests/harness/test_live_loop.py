"""The event loop: order, cancelling, lateness, conditions and stopping."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from harness.loop import LATE_NS, EventLoop

SECOND_NS = 1_000_000_000


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    made = EventLoop()
    yield made
    made.close()
    made.close()


def soon(ms: int = 0) -> int:
    return time.monotonic_ns() + ms * 1_000_000


def test_calls_come_in_order_of_time_then_of_asking(loop: EventLoop) -> None:
    seen: list[str] = []
    now_ns = soon(5)
    loop.call_at(now_ns + 2, lambda: seen.append("third"))
    loop.call_at(now_ns, lambda: seen.append("first"))
    loop.call_at(now_ns, lambda: seen.append("second"))
    assert loop.run(lambda: len(seen) == 3, soon(5000))
    assert seen == ["first", "second", "third"]
    assert time.monotonic_ns() >= now_ns + 2


def test_a_cancelled_call_is_not_made(loop: EventLoop) -> None:
    seen: list[str] = []
    timer = loop.call_at(soon(), lambda: seen.append("cancelled"))
    loop.call_at(soon(1), lambda: seen.append("made"))
    timer.cancel()
    timer.cancel()
    assert loop.run(lambda: bool(seen), soon(5000))
    assert seen == ["made"]


def test_it_returns_false_at_the_deadline_and_what_is_not_due_stays(loop: EventLoop) -> None:
    seen: list[str] = []
    loop.call_at(soon(60_000), lambda: seen.append("far"))
    start_ns = time.monotonic_ns()
    assert not loop.run(lambda: False, start_ns + 20_000_000)
    assert time.monotonic_ns() - start_ns >= 20_000_000
    assert not seen


def test_it_returns_at_once_when_the_condition_holds_already(loop: EventLoop) -> None:
    loop.call_at(0, lambda: pytest.fail("nothing is to be done"))
    assert loop.run(lambda: True, soon(5000))


def test_the_condition_is_asked_after_every_callback(loop: EventLoop) -> None:
    seen: list[int] = []
    for number in range(5):
        loop.call_at(number, lambda number=number: seen.append(number))
    assert loop.run(lambda: len(seen) == 2, soon(5000))
    assert seen == [0, 1]


def test_a_call_that_always_asks_for_another_does_not_starve_readers(loop: EventLoop) -> None:
    read_end, write_end = os.pipe()
    got: list[bytes] = []

    def again() -> None:
        loop.call_at(0, again)

    again()
    loop.add_reader(read_end, lambda: got.append(os.read(read_end, 10)))
    os.write(write_end, b"x")
    assert loop.run(lambda: bool(got), soon(5000))
    loop.remove_reader(read_end)
    loop.remove_reader(read_end)
    os.close(read_end)
    os.close(write_end)


def test_lateness_is_measured(loop: EventLoop) -> None:
    done: list[int] = []
    loop.call_at(time.monotonic_ns() - 2 * LATE_NS, lambda: done.append(1))
    loop.call_at(soon(), lambda: done.append(2))
    assert loop.run(lambda: len(done) == 2, soon(5000))
    assert loop.worst_lag_ns >= 2 * LATE_NS
    assert loop.late_calls == 1


def test_stop_from_a_signal_handler_ends_a_sleeping_run_and_every_later_one(loop: EventLoop) -> None:
    before = signal.signal(signal.SIGALRM, lambda number, frame: loop.stop("SIGALRM"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        start_ns = time.monotonic_ns()
        assert not loop.run(lambda: False, start_ns + 20 * SECOND_NS)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic_ns() - start_ns < 5 * SECOND_NS
    loop.stop("a second reason")
    assert loop.stopped == "SIGALRM"
    assert not loop.run(lambda: True, soon(1000))


def test_an_exception_in_a_callback_is_not_swallowed(loop: EventLoop) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    loop.call_at(0, broken)
    with pytest.raises(ZeroDivisionError):
        loop.run(lambda: False, soon(1000))
