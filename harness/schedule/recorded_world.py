"""The world ``sim`` with its order taken from a record instead of a model.

While the record is followed, datagrams go nowhere by themselves: what a core or a client sends is kept when
the record has it arrive later, and lost otherwise. That goes for what the plan's rules on packets make of it,
and for what it was before: which of both arrived, the record knows. Turns, arrivals, starts, and the calls of
clients and nemesis happen when they happened. Each event's outcome must be the recorded one; at the first
that is not, or for which a datagram was never sent here, the run leaves the record, says so, and goes on with
the plan's own virtual network: what was under way then, arrives by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.schedule.followed_machine import FollowedMachine
from harness.schedule.record import (
    DELIVER,
    IN_FORCE,
    START,
    TIMER,
    UNDONE,
    Arrived,
    Called,
    Ends,
    Event,
    Item,
    Said,
    Schedule,
    Stopped,
    Turn,
    digest_of,
)
from harness.schedule.timetable import Timetable
from harness.virtual.host import Host
from harness.virtual.machine import SIGKILL
from harness.virtual.scheduler import VirtualTimer
from harness.virtual.settings import CLIENTS, Virtual
from harness.virtual.world import VirtualWorld
from harness.world import Who
from nemesis.packets.scene import Scene


@dataclass(frozen=True, slots=True)
class Parted:
    """Where and why the run left the record."""

    t_ns: int
    where: str
    """``event 57 of replica 2 (COMMIT 1 0 12)``."""
    why: str


@dataclass(slots=True)
class Made:
    """A datagram sent, for as long as the record has it arrive."""

    source: int
    nth: int
    datagram: bytes
    is_taken: bool = False
    """The plan's rules took it off the wire here; in the recorded run they may have come a moment later."""
    arrived: bool = False


class RecordedWorld(VirtualWorld):
    """See ``World``. ``host`` makes a ``FollowedHost``."""

    _machine_kind = FollowedMachine

    def __init__(
        self,
        *,
        schedule: Schedule,
        n: int,
        f: int,
        seed: int,
        virtual: Virtual,
        host: Callable[[int], Host],
        scene: Scene | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__(
            name="sim", n=n, f=f, seed=seed, virtual=virtual, host=host, scene=scene, folder=folder
        )
        if self._interception is not None:
            self._interception.delays = False  # the record says when things arrived
        self.scheduler.now_ns = schedule.begin_ns
        self.following = True
        self.parted: Parted | None = None
        self.followed = 0
        """Items of the record carried out."""
        self._schedule = schedule
        items = [item for item in schedule.items if not isinstance(item, Called | Said)]
        self._items = len(items)
        self._left: Iterator[Item] = iter(items)
        self._timetable = Timetable(item for item in schedule.items if isinstance(item, Called))
        self._rules_ns = {
            (str(item.who[1]), str(item.who[-1])): item.t_ns
            for item in schedule.items
            if isinstance(item, Called) and item.who[0] == "fault" and item.who[-1] in (IN_FORCE, UNDONE)
        }
        self._said = {
            digest_of(item.datagram): item.datagram for item in schedule.items if isinstance(item, Said)
        }
        """Lies of the record. What a liar says hangs on what had passed the interceptor before."""
        self._wanted = dict(schedule.wanted)
        self._made: dict[tuple[int, bytes], Made] = {}
        self._held: list[tuple[int, VirtualTimer]] = []
        """Calls that were not made in the recorded run, with when they are due."""
        self._turns_left = Counter(
            (item.replica, item.life) for item in schedule.items if isinstance(item, Turn)
        )
        self._wall_offsets: dict[int, int] = {}
        self._phase = 0
        self._through = False
        """The record has no more items."""
        self._is_up = False

    # Life

    def set_up(self) -> None:
        """See ``World``."""
        self._next()
        super().set_up()
        self._is_up = True

    def _await_up(self) -> None:
        """When they were taken for up in the recorded run: when all listened."""
        self._to_next_phase()
        if not self.following or self._phase == 0:
            super()._await_up()

    def tear_down(self) -> None:
        """See ``World``: first to the end of the record, which goes on until the processes were stopped."""
        if self._is_up and self.stopped is None:
            self._is_up = False
            while self.following and not self._through and self.scheduler.step(self.now_ns() + _LONG_NS):
                pass
        super().tear_down()

    def _birthright(self, replica: int, incarnation: int) -> tuple[int, bytes]:
        offset_ns, nonce = super()._birthright(replica, incarnation)
        return self._wall_offsets.get(replica, offset_ns), nonce

    def _machine(self, replica: int) -> FollowedMachine:
        machine = self._machines[replica]
        assert isinstance(machine, FollowedMachine)
        return machine

    # Time

    def call_at(self, at_ns: int, callback: Callable[[], None], who: Who | None = None) -> VirtualTimer:
        """See ``World``: when it was called in the recorded run, if that tells."""
        if not self.following or who is None:
            return super().call_at(at_ns, callback)

        def call() -> None:
            self._timetable.made(who)
            callback()

        timer = VirtualTimer(call)
        when_ns = self._timetable.when(who, at_ns, self.scheduler.now_ns)
        if when_ns is None:
            self._held.append((at_ns, timer))
        else:
            self.scheduler.at(when_ns, self._call, timer)
        return timer

    def run(self, until: Callable[[], bool], deadline_ns: int) -> bool:
        """See ``World``: a phase that went to its deadline ends when the recorded one did."""
        if self.following and self._phase >= len(self._schedule.phases):
            self._part("the end of the record", _OVER)
        if self.following:
            phase = self._schedule.phases[self._phase]
            reached = super().run(lambda: not self.following or until(), max(phase.end_ns, self.now_ns()))
            if not reached and self.now_ns() < deadline_ns and self.stopped is None:
                why = _OVER if self._through else _NOT_ENDED
                self._part(f"the end of phase {phase.name!r}", why)
            if self.following:
                self._to_next_phase()
                return reached
        return super().run(until, deadline_ns)

    def _to_next_phase(self) -> None:
        """The clock goes to where the next phase began; not when the clients go on in this one."""
        if self._phase + 1 >= len(self._schedule.phases):
            self._phase += 1
            return
        start_ns = self._schedule.phases[self._phase + 1].start_ns
        if any(self.now_ns() < t_ns < start_ns for t_ns in self._timetable.client_times):
            return
        self._phase += 1
        while self.following and self.scheduler.step(start_ns):
            pass

    # The record

    def _next(self) -> None:
        item = next(self._left, None)
        self._through = item is None
        if item is not None:
            self.scheduler.at(item.t_ns, self._item, item)

    def _item(self, item: Item) -> None:
        if not self.following:
            return
        match item:
            case Turn():
                self._turn(item)
            case Arrived(_, name, digest):
                made = self._arrival(CLIENTS, digest)
                if made is None:
                    self._part(f"an arrival at the clients ({name})", _NEVER_SENT)
                else:
                    self._receive(made.datagram)
            case Stopped(t_ns, replica):
                self._machine(replica).host.stop(t_ns)
            case Ends(_, why):
                self._part("the end of the record", why)
            case Called() | Said():
                raise AssertionError("calls are in the timetable")
        self.scheduler.look = True
        if self.following:
            self.followed += 1
            self._next()

    def _turn(self, turn: Turn) -> None:
        machine = self._machine(turn.replica)
        for place, event in enumerate(turn.events):
            why = self._event(machine, event)
            if why is not None:
                self._part(f"event {turn.first + place} of replica {turn.replica} ({_words(event)})", why)
                return
        machine.end(turn)
        self._turns_left[turn.replica, turn.life] -= 1
        if machine.doomed and not self._lives_on(machine):
            self._end_doomed(machine)

    def _event(self, machine: FollowedMachine, event: Event) -> str | None:
        """None, or why it cannot be as it was."""
        datagram = b""
        if event.kind == START:
            if not machine.waits_for_start():
                return "it was started, and here nobody has killed it and asked for that"
            self._wall_offsets[machine.replica] = event.number
        elif machine.state == "dead":
            return "it is dead here"
        elif event.kind == DELIVER:
            made = self._arrival(machine.replica, event.digest)
            if made is None:
                return _NEVER_SENT
            datagram = made.datagram
        if not machine.take(event, datagram):
            return "what the core gives back is not what it had given back"
        return None

    def _arrival(self, host: int, digest: bytes) -> Made | None:
        key = (host, digest)
        made = self._made.get(key)
        if made is None and digest in self._said:
            made = self._made[key] = Made(host, 0, self._said[digest], is_taken=True)
        if made is None:
            return None
        made.arrived = True
        self._wanted[key] -= 1
        if self._wanted[key] == 0:
            del self._made[key]
        return made

    def _part(self, where: str, why: str) -> None:
        """Leave the record for good."""
        self.parted = Parted(self.now_ns(), where, why)
        self.following = False
        if self._interception is not None:
            self._interception.delays = True
        for replica in range(self.n):
            machine = self._machine(replica)
            if machine.doomed:
                self._end_doomed(machine)
            machine.leave_the_record(self._virtual.restart_ns)
        for (target, _), made in self._made.items():
            if not (made.arrived or made.is_taken):
                self._under_way(made.source, target, made.nth, made.datagram)
        self._made.clear()
        for at_ns, timer in self._held:
            self.scheduler.at(at_ns, self._call, timer)
        self._held.clear()

    def told(self) -> dict[str, object]:
        """For ``run.json``."""
        parted = self.parted
        return {
            "source": self._schedule.source,
            "items": self._items,
            "followed": self.followed,
            "parted": None
            if parted is None
            else {"time_ns": parted.t_ns, "where": parted.where, "why": parted.why},
        }

    def words(self) -> str:
        """For people: how far the record was followed."""
        said = f"the recorded order of {self._schedule.source} was followed"
        if self.parted is None:
            return f"{said} to its end: {self.followed} turns and arrivals"
        at_s = (self.parted.t_ns - self._schedule.begin_ns) / 1e9
        return (
            f"{said} for {self.followed} of {self._items} turns and arrivals, until {at_s:.6f} s: "
            f"{self.parted.where}: {self.parted.why}. From there on the plan's own network decides"
        )

    # Datagrams

    def _transmit(self, source: int, target: int, datagram: bytes) -> None:
        key = (target, digest_of(datagram))
        if self.following and self._wanted.get(key, 0) > 0 and key not in self._made:
            self._made[key] = Made(source, 0, datagram, is_taken=True)
        super()._transmit(source, target, datagram)

    def _on_link(self, source: int, target: int, datagram: bytes) -> None:
        nth, is_cut = self.links.give(source, target)
        if self.following:
            key = (target, digest_of(datagram))
            if self._wanted.get(key, 0) > 0:
                self._made[key] = Made(source, nth, datagram)
        elif not is_cut:
            self._under_way(source, target, nth, datagram)

    def tamper(self, owner: str, rules: Sequence[Mapping[str, object]]) -> None:
        """See ``Machinery``. Rules come into force a moment after that was asked for: when they did in the
        record. They end when that was proved, which is a little late, for what they make of a packet travels
        only if it did in the record."""
        at_ns = self._rules_ns.get((owner, IN_FORCE if rules else UNDONE), 0)
        if self.following and at_ns > self.now_ns():
            self.scheduler.at(at_ns, super().tamper, owner, rules)
        else:
            super().tamper(owner, rules)

    # Replicas

    def _lives_on(self, machine: FollowedMachine) -> bool:
        """Has the record more turns of this life?"""
        return self.following and self._turns_left[machine.replica, machine.incarnation] > 0

    def kill(self, replica: int) -> None:
        """See ``Machinery``."""
        machine = self._machine(replica)
        if machine.state != "dead" and self._lives_on(machine):
            machine.doomed = True
        else:
            super().kill(replica)

    def _end_doomed(self, machine: FollowedMachine) -> None:
        machine.doomed = False
        if machine.kill():
            self._add_exit(machine.replica, None, SIGKILL, True, ())
        if machine.restart_wanted:
            machine.restart_wanted = False
            self.restart(machine.replica)

    def restart(self, replica: int, *, silent: bool = False) -> None:
        """See ``Machinery``. One about to die starts when it is dead."""
        if self._machine(replica).doomed:
            self._machine(replica).restart_wanted = True
        else:
            super().restart(replica, silent=silent)


_LONG_NS = 3600 * 10**9
_OVER = "the run goes on, and the record does not"
_NOT_ENDED = "what ended it then has not happened here"
_NEVER_SENT = "nobody has sent that datagram in this run"


def _words(event: Event) -> str:
    return f"timer {event.name}" if event.kind == TIMER else event.name or event.kind
