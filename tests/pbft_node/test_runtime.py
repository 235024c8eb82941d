"""The loop around the core: order of effects, group commit, timers, stopping. The core is a small script."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pbft_node import wal
from pbft_node.core.effects import (
    CancelTimer,
    Compact,
    Completed,
    Effect,
    Halt,
    Persist,
    Rejected,
    Send,
    SetTimer,
    Trace,
)
from pbft_node.core.events import Event, Received, Started, TimerFired
from pbft_node.errors import HaltedError, LogError
from pbft_node.runtime import Runtime
from pbft_node.trace import TraceFile
from pbft_node.transport import AddressBook, UdpTransport
from pbft_node.turns import MAX_TIMERS_PER_TURN

CLUSTER = b"c" * 16
MS = 1_000_000


class Script:
    """A machine that remembers what happened and answers by rule."""

    def __init__(self, rule: Callable[[Event], list[Effect]]) -> None:
        self.rule = rule
        self.seen: list[tuple[Event, int]] = []
        self.started = threading.Event()

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        self.seen.append((event, now_ns))
        self.started.set()
        return self.rule(event)

    @property
    def events(self) -> list[Event]:
        return [event for event, _ in self.seen]


class Recorder:
    """Stands for log, transport and trace at once, and writes down every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.fail_on = ""

    def __getattr__(self, name: str) -> Callable[..., None]:
        def record(*arguments: object) -> None:
            if name == self.fail_on:
                raise LogError("no space")
            self.calls.append((name, *arguments))

        return record


def recorded(
    rule: Callable[[Event], list[Effect]], now: Callable[[], int] = lambda: 100
) -> tuple[Runtime, Recorder]:
    recorder: Any = Recorder()
    return Runtime(Script(rule), recorder, recorder, recorder, clock_ns=now), recorder


def names(recorder: Recorder) -> list[str]:
    return [call[0] for call in recorder.calls if call[0] != "end_interval"]


def test_records_then_sync_then_trace_then_datagrams() -> None:
    rule = {
        b"one": [Send(1, b"m1"), Persist(b"r1"), Trace("prepared", {"seq": 1}), Send(2, b"m2")],
        b"two": [
            Persist(b"r2"),
            Rejected(3, "PREPARE", "bad"),
            Compact((b"c",)),
            Persist(b"r3"),
            Send(3, b"m3"),
        ],
    }
    driver, recorder = recorded(lambda event: rule[event.data])  # type: ignore[union-attr]
    driver.turn([Received(b"one"), Received(b"two")])
    assert [call for call in recorder.calls if call[0] != "end_interval"] == [
        ("append", b"r1"),
        ("add", 100, "prepared", {"seq": 1}),
        ("append", b"r2"),
        ("rejected", 100, Rejected(3, "PREPARE", "bad")),
        ("compact", (b"c",)),
        ("append", b"r3"),
        ("sync",),
        ("flush",),
        ("send", 1, b"m1"),
        ("send", 2, b"m2"),
        ("send", 3, b"m3"),
    ]
    recorder.calls.clear()
    driver.turn([])
    assert names(recorder) == ["sync", "flush"], "what was sent is not sent again"


@pytest.mark.parametrize("failing", ["append", "sync", "compact", "flush"])
def test_nothing_leaves_when_it_cannot_be_kept(failing: str) -> None:
    driver, recorder = recorded(lambda _: [Send(1, b"m"), Persist(b"r"), Compact(()), Persist(b"r")])
    recorder.fail_on = failing
    with pytest.raises(LogError):
        driver.turn([Received(b"")])
    assert "send" not in names(recorder)


def test_halt_keeps_records_and_trace_and_sends_nothing_more() -> None:
    rule = {b"a": [Send(1, b"m")], b"b": [Trace("alarm", {}), Persist(b"r"), Halt("two digests")], b"c": []}
    script = Script(lambda event: rule[event.data])  # type: ignore[union-attr,arg-type]
    recorder: Any = Recorder()
    driver = Runtime(script, recorder, recorder, recorder, clock_ns=lambda: 100)
    with pytest.raises(HaltedError, match="halted: two digests"):
        driver.turn([Received(b"a"), Received(b"b"), Received(b"c")])
    assert names(recorder) == ["add", "append", "sync", "flush"]
    assert Received(b"c") not in script.events


def test_bug_of_the_core_escapes_and_nothing_of_the_turn_is_kept() -> None:
    def rule(event: Event) -> list[Effect]:
        assert event != Received(b"trigger"), "bug"
        return [Send(1, b"m"), Trace("prepared", {})]

    driver, recorder = recorded(rule)
    with pytest.raises(AssertionError, match="bug"):
        driver.turn([Received(b"fine"), Received(b"trigger")])
    assert names(recorder) == ["add"], "neither written nor sent"


def test_completed_is_not_for_replicas() -> None:
    driver, _ = recorded(lambda _: [Completed(1, b"", ())])
    with pytest.raises(AssertionError, match="client's operation"):
        driver.turn([Received(b"")])


def test_timers_fire_once_when_due_with_their_generation() -> None:
    now = [1000]

    def rule(event: Event) -> list[Effect]:
        if event == Started(()):
            return [SetTimer("a", 1, 50), SetTimer("b", 4, 70), SetTimer("c", 1, 60), SetTimer("a", 2, 65)]
        return [CancelTimer("b")] if event == TimerFired("a", 2) else []

    script = Script(rule)
    recorder: Any = Recorder()
    driver = Runtime(script, recorder, recorder, recorder, clock_ns=lambda: now[0])
    driver.turn([Started()])
    for moment in (1059, 1060, 1100, 2000):
        now[0] = moment
        driver.turn([])
    assert script.seen[1:] == [(TimerFired("c", 1), 1060), (TimerFired("a", 2), 1100)]


def test_timer_without_delay_does_not_hold_up_the_loop() -> None:
    script = Script(lambda _: [SetTimer("t", 1, 0)])
    recorder: Any = Recorder()
    driver = Runtime(script, recorder, recorder, None, clock_ns=lambda: 5)
    driver.turn([Started()])
    assert len(script.seen) <= MAX_TIMERS_PER_TURN + 1


class Cluster:
    """One replica's real files and sockets, and a peer's socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind(("127.0.0.1", 0))
        self.peer.settimeout(10)
        free = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        free.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = free.getsockname()
        free.close()
        wal.initialise(folder / "wal", CLUSTER, 0, 1)

    def send(self, data: bytes) -> None:
        self.peer.sendto(data, self.address)

    def live(self, script: Script, *, durability: str = "write") -> None:
        """One life in this thread."""
        opened = wal.open_log(self.folder / "wal", CLUSTER, 0, durability)
        book = AddressBook([self.address, self.peer.getsockname()])
        transport = UdpTransport(self.address, book)
        driver = Runtime(script, opened.log, transport, TraceFile(self.folder / "trace.jsonl"))
        try:
            driver.run(opened.records)
        finally:
            driver.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.peer.close()


def meanwhile(script: Script, work: Callable[[], object]) -> threading.Thread:
    """Once the loop runs, do some work in a second thread, then end the loop with SIGTERM."""

    def task() -> None:
        assert script.started.wait(20), "the loop did not start"
        try:
            work()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=task)
    thread.start()
    return thread


def echo(event: Event) -> list[Effect]:
    if isinstance(event, Received):
        return [
            Persist(event.data),
            Trace("prepared", {"size": len(event.data)}),
            Send(1, b"re " + event.data),
        ]
    return []


def test_echo_over_real_sockets_then_a_second_life_remembers(cluster: Cluster) -> None:
    heard: list[bytes] = []
    before = signal.getsignal(signal.SIGTERM)

    def talk() -> None:
        for number in range(300):
            cluster.send(b"%d" % number)
            heard.append(cluster.peer.recv(100))

    script = Script(echo)
    thread = meanwhile(script, talk)
    cluster.live(script)
    thread.join()
    assert heard == [b"re %d" % number for number in range(300)]
    assert signal.getsignal(signal.SIGTERM) == before, "the process gets its handlers back"
    times = [now for _, now in script.seen]
    assert times == sorted(times)

    second = Script(echo)
    thread = meanwhile(second, lambda: None)
    cluster.live(second)
    thread.join()
    assert second.events[0] == Started(tuple(b"%d" % number for number in range(300)))
    assert len((cluster.folder / "trace.jsonl").read_text().splitlines()) == 300


def test_a_burst_is_drained_in_bounded_turns_with_one_sync_each(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    real_sync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: syncs.append(1) or real_sync(descriptor))
    done = threading.Event()

    def rule(event: Event) -> list[Effect]:
        if event == Started(()):
            for number in range(600):
                cluster.send(b"%d" % number)
        elif event == Received(b"599"):
            done.set()
        return [Persist(b"r")]

    script = Script(rule)
    thread = meanwhile(script, lambda: done.wait(20))
    cluster.live(script, durability="fsync")
    thread.join()
    assert len(script.events) == 601
    assert len(syncs) == 1 + 3, "Started, then 256 + 256 + 88"


def test_the_idle_loop_sleeps(cluster: Cluster) -> None:
    script = Script(lambda event: [SetTimer("tick", 1, 100 * MS)])
    used: list[float] = []

    def measure() -> None:
        start = resource.getrusage(resource.RUSAGE_SELF)
        poll = select.poll()
        poll.poll(500)
        end = resource.getrusage(resource.RUSAGE_SELF)
        used.append(end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime)

    thread = meanwhile(script, measure)
    cluster.live(script)
    thread.join()
    ticks = script.events.count(TimerFired("tick", 1))
    assert 2 <= ticks <= 5, f"{ticks} ticks of 100 ms in half a second"
    assert used[0] < 0.25, f"{used[0]} s of processor time while idle"


def test_timers_are_never_early(cluster: Cluster) -> None:
    """By the real clock, counted from the time the core was told when it set the timer."""
    early: list[int] = []

    def rule(event: Event) -> list[Effect]:
        if isinstance(event, TimerFired) and time.monotonic_ns() < script.seen[-2][1] + 3_300_000:
            early.append(len(script.seen))
        return [SetTimer("t", 1, 3_300_000)]

    script = Script(rule)
    thread = meanwhile(script, lambda: select.poll().poll(300))
    cluster.live(script)
    thread.join()
    assert len(script.seen) > 10
    assert early == []
