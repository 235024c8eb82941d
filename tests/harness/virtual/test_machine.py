"""One replica under the scheduler: turns, timers, and what a kill or a pause does to both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.virtual import machine as module
from harness.virtual.host import Ended, TurnEnd
from harness.virtual.machine import Machine
from harness.virtual.scheduler import Scheduler
from pbft_node.clock import PER_BILLION, Setting

TURN_NS = 100


@dataclass
class Script:
    """A host that writes down what it is told and answers what it was given."""

    scheduler: Scheduler
    calls: list[tuple[object, ...]] = field(default_factory=list)
    due_ns: int | None = None
    ends: Ended | None = None
    silent: bool = False

    def begin_life(self, now_ns: int, wall_offset_ns: int, nonce: bytes) -> None:
        self.calls.append(("begin", now_ns, wall_offset_ns, nonce))

    def deliver(self, now_ns: int, datagram: bytes) -> None:
        self.calls.append(("deliver", now_ns, datagram))

    def fire_due(self, now_ns: int) -> None:
        self.calls.append(("fire", now_ns))
        self.due_ns = None

    def end_turn(self, now_ns: int) -> TurnEnd:
        self.calls.append(("end", now_ns))
        sends = [(1, b"out %d" % now_ns)]
        return TurnEnd(() if self.ends else sends, self.due_ns, self.ends)

    def move_clock(self, now_ns: int, setting: Setting) -> None:
        self.calls.append(("clock", now_ns, setting.serial, setting.jump_ns))

    def refuse_writes(self, now_ns: int, error: int) -> None:
        self.calls.append(("refuse", now_ns, error))

    def write_log(self) -> None:
        self.calls.append(("write log",))

    def kill(self) -> None:
        self.calls.append(("kill", self.scheduler.now_ns))

    def pause(self) -> None:
        self.calls.append(("pause", self.scheduler.now_ns))

    def resume(self) -> None:
        self.calls.append(("resume", self.scheduler.now_ns))

    def is_up(self) -> bool:
        return True

    def close(self) -> None:
        self.calls.append(("close", self.scheduler.now_ns))


@dataclass
class Bench:
    """A machine that runs, its host, and what came out of it."""

    scheduler: Scheduler
    host: Script
    machine: Machine
    left: list[tuple[int, int, Sequence[tuple[int, bytes]]]]
    ended: list[tuple[int, Ended]]

    def run(self, until_ns: int) -> None:
        while self.scheduler.step(until_ns):
            pass

    def at(self, due_ns: int, datagram: bytes) -> None:
        self.scheduler.at(due_ns, self.machine.arrive, datagram)

    def told(self) -> list[tuple[object, ...]]:
        calls, self.host.calls = self.host.calls, []
        return calls


def bench(*, up: bool = True) -> Bench:
    scheduler = Scheduler()
    host = Script(scheduler)
    left: list[tuple[int, int, Sequence[tuple[int, bytes]]]] = []
    ended: list[tuple[int, Ended]] = []
    machine = Machine(
        3,
        host,
        scheduler,
        TURN_NS,
        lambda replica, sends: left.append((scheduler.now_ns, replica, sends)),
        lambda replica, how: ended.append((replica, how)),
        lambda replica, incarnation: (77, b"%d/%d" % (replica, incarnation)),
    )
    made = Bench(scheduler, host, machine, left, ended)
    if up:
        machine.boot(0)
        made.run(1_000)
        made.told()
        left.clear()
    return made


def test_a_life_begins_with_a_turn_and_is_up_after_it() -> None:
    it = bench(up=False)
    it.machine.boot(50)
    it.at(10, b"there is nobody yet")
    it.run(149)
    assert it.told() == [("begin", 50, 77, b"3/1")]
    assert it.machine.lost == 1
    assert not it.machine.is_up()
    it.run(150)
    assert it.told() == [("end", 150)]
    assert it.machine.is_up()
    assert it.left == [(150, 3, [(1, b"out 150")])]


def test_what_arrives_in_a_turn_joins_it() -> None:
    it = bench()
    it.at(2_000, b"opens")
    it.at(2_099, b"joins")
    it.at(2_100, b"opens the next: the end of the turn was asked for before it")
    it.scheduler.at(2_050, it.at, 2_100, b"joins that")
    it.run(3_000)
    assert [call[:2] for call in it.told()] == [
        ("deliver", 2_000),
        ("deliver", 2_099),
        ("deliver", 2_100),
        ("end", 2_100),
        ("deliver", 2_100),
        ("end", 2_200),
    ]


def test_a_kill_in_a_turn_means_the_turn_never_was() -> None:
    it = bench()
    it.at(2_000, b"opens")
    it.scheduler.at(2_050, it.machine.kill)
    it.at(2_060, b"nobody is there")
    it.run(3_000)
    assert it.told() == [("deliver", 2_000, b"opens"), ("kill", 2_050)]
    assert it.left == []
    assert it.machine.lost == 1
    state = it.machine.process()
    assert (state.state, state.incarnation, state.detail["exit_signal"]) == ("dead", 1, 9)
    assert not it.machine.kill(), "it is dead"
    it.machine.boot(0)
    it.run(4_000)
    assert [call[0] for call in it.told()] == ["begin", "end"]
    assert it.machine.process().incarnation == 2


def test_killed_before_it_began() -> None:
    it = bench(up=False)
    it.machine.boot(100)
    it.scheduler.at(50, it.machine.kill)
    it.scheduler.at(60, it.machine.boot, 100)
    it.run(1_000)
    assert it.told() == [("kill", 50), ("begin", 160, 77, b"3/2"), ("end", 260)]


def test_a_pause_holds_the_turn_and_what_arrives() -> None:
    it = bench()
    it.at(2_000, b"opens")
    it.scheduler.at(2_050, it.machine.pause)
    it.at(2_300, b"waits")
    it.scheduler.at(2_500, it.machine.resume)
    it.run(3_000)
    assert it.told() == [
        ("deliver", 2_000, b"opens"),
        ("pause", 2_050),
        ("resume", 2_500),
        ("deliver", 2_500, b"waits"),
        ("end", 2_600),
    ]
    assert it.machine.lost == 0


def test_a_paused_process_has_a_buffer_as_large_as_a_socket_s() -> None:
    it = bench()
    it.machine.pause()
    large = b"." * (module.BUFFER_BYTES // 4)
    for _ in range(6):
        it.machine.arrive(large)
    assert it.machine.lost == 2
    it.machine.resume()
    it.run(3_000)
    assert [call[0] for call in it.told()] == ["pause", "resume", *["deliver"] * 4, "end"]


def test_a_turn_takes_no_more_datagrams_than_a_real_one() -> None:
    it = bench()
    it.machine.pause()
    for number in range(module.MAX_DATAGRAMS_PER_TURN + 10):
        it.machine.arrive(b"%d" % number)
    it.machine.resume()
    it.run(3_000)
    kinds = [call[0] for call in it.told()]
    share = module.MAX_DATAGRAMS_PER_TURN
    assert kinds == ["pause", "resume", *["deliver"] * share, "end", *["deliver"] * 10, "end"]


def test_timers_fire_when_due_and_never_in_an_open_turn() -> None:
    it = bench()
    it.host.due_ns = 2_150
    it.at(1_900, b"sets the timer")
    it.at(2_100, b"opens")
    it.run(3_000)
    assert it.told() == [
        ("deliver", 1_900, b"sets the timer"),
        ("end", 2_000),
        ("deliver", 2_100, b"opens"),
        ("end", 2_200),
        ("fire", 2_200),
        ("end", 2_300),
    ]


def test_a_timer_set_anew_fires_at_its_new_time_only() -> None:
    it = bench()
    it.host.due_ns = 5_000
    it.at(1_900, b"sets")
    it.run(2_100)
    it.host.due_ns = 2_500
    it.at(2_200, b"sets again, earlier")
    it.run(9_000)
    assert [call for call in it.told() if call[0] == "fire"] == [("fire", 2_500)]


def test_timers_that_fall_due_in_a_pause_fire_after_it() -> None:
    it = bench()
    it.host.due_ns = 2_500
    it.at(1_900, b"sets")
    it.scheduler.at(2_400, it.machine.pause)
    it.scheduler.at(7_000, it.machine.resume)
    it.run(9_000)
    assert [call for call in it.told() if call[0] == "fire"] == [("fire", 7_000)]


def test_paused_before_it_began() -> None:
    it = bench(up=False)
    it.machine.boot(100)
    it.scheduler.at(50, it.machine.pause)
    it.scheduler.at(900, it.machine.resume)
    it.run(2_000)
    assert it.told() == [("pause", 50), ("resume", 900), ("begin", 900, 77, b"3/1"), ("end", 1_000)]


def test_one_that_ends_by_itself_is_dead_and_told_of() -> None:
    it = bench()
    it.host.ends = Ended(70, None, ("a bug",))
    it.at(2_000, b"the last straw")
    it.at(2_500, b"nobody is there")
    it.run(3_000)
    assert it.ended == [(3, Ended(70, None, ("a bug",)))]
    assert it.left == []
    state = it.machine.process()
    assert (state.state, state.detail["exit_code"]) == ("dead", 70)
    assert it.machine.lost == 1


def test_a_moved_clock_is_noticed_in_a_turn_and_a_new_life_does_not_jump() -> None:
    it = bench()
    now = it.scheduler.now_ns
    it.machine.move_clock(Setting(1, now, 7, 0, PER_BILLION))
    it.run(now + TURN_NS)
    assert it.told() == [("clock", now, 1, 7), ("end", now + TURN_NS)]
    it.machine.pause()
    it.machine.move_clock(Setting(2, now, 8, 0, PER_BILLION))
    assert it.told() == [("pause", now + TURN_NS)]
    it.machine.resume()
    it.run(now + 2 * TURN_NS)
    assert it.told()[1] == ("clock", now + TURN_NS, 2, 8)
    it.machine.kill()
    it.told()
    it.machine.boot(0)
    it.run(now + 2 * TURN_NS)
    assert [call for call in it.told() if call[0] == "clock"] == [("clock", now + 2 * TURN_NS, 2, 0)]
