"""The world ``sim`` with its order taken from a record instead of a model.

While the record is followed, datagrams go nowhere by themselves: what a core or a client sends is kept when
the record has it arrive later, and lost otherwise. That goes for what the plan's rules on packets make of it,
and for what it was before: which of both arrived, the record knows. Turns, arrivals, starts, and the calls of
clients and nemesis happen when they happened. Each event's outcome must be the recorded one; at the first
that is not, or for which a datagram was never sent here, the run leaves the record, says so, and goes on with
the plan's own virtual network: what was under way then, arrives by it.

Of a replica and its twin the record knows which of the two a datagram reached, so one that was sent to either
is kept for both. The halves part when this run's nemesis says so, which is a little before they did.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.schedule.extent import Extent, Parted, place_of
from harness.schedule.followed_machine import FollowedMachine
from harness.schedule.kept import Kept, Made
from harness.schedule.record import (
    DELIVER,
    IN_FORCE,
    LOOK,
    START,
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
)
from harness.schedule.timetable import Timetable
from harness.virtual.host import Host
from harness.virtual.machine import SIGKILL, Machine
from harness.virtual.scheduler import VirtualTimer
from harness.virtual.settings import CLIENTS, Virtual
from harness.virtual.twins import HostOfTwin
from harness.virtual.world import VirtualWorld
from harness.world import Who
from nemesis.packets.scene import Scene
from pbft_node.core.types import is_client


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
        twin_host: HostOfTwin | None = None,
    ) -> None:
        super().__init__(
            name="sim",
            n=n,
            f=f,
            seed=seed,
            virtual=virtual,
            host=host,
            scene=scene,
            folder=folder,
            twin_host=twin_host,
        )
        if self._interception is not None:
            self._interception.delays = False  # the record says when things arrived
        self.scheduler.now_ns = schedule.begin_ns
        self.following = True
        self._schedule = schedule
        items = [item for item in schedule.items if not isinstance(item, Called | Said)]
        self.extent = Extent(schedule.source, schedule.begin_ns, len(items))
        self._left: Iterator[Item] = iter(items)
        self._timetable = Timetable(item for item in schedule.items if isinstance(item, Called))
        self._rules_ns = {
            (str(item.who[1]), str(item.who[-1])): item.t_ns
            for item in schedule.items
            if isinstance(item, Called) and item.who[0] == "fault" and item.who[-1] in (IN_FORCE, UNDONE)
        }
        self._kept = Kept(schedule)
        self._held: list[tuple[int, VirtualTimer]] = []
        """Calls that were not made in the recorded run, with when they are due."""
        self._looks: dict[Who, VirtualTimer] = {}
        """Of faults that wait for something, when they look the next time."""
        self._turns_left: dict[tuple[int, str], Counter[int]] = defaultdict(Counter)
        """By replica and twin: of which life so many."""
        for item in items:
            if isinstance(item, Turn):
                self._turns_left[item.replica, item.twin][item.life] += 1
        self._doubles: dict[str, FollowedMachine] = {}
        """Twins, by the name of their folder."""
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

    def _new_machine(self, replica: int) -> Machine:
        machine = super()._new_machine(replica)
        assert isinstance(machine, FollowedMachine)
        machine.turns_left = self._turns_left[replica, ""]
        return machine

    def _new_twin(self, replica: int, name: str, copies: bool) -> Machine:
        """While the record is followed, it says how much of the log there was to be copied, and when."""
        machine = super()._new_twin(replica, name, copies and not self.following)
        assert isinstance(machine, FollowedMachine)
        machine.twin, machine.copies, machine.following = name, copies, self.following
        machine.turns_left = self._turns_left[replica, name]
        self._doubles[name] = machine
        return machine

    def _machine(self, replica: int, twin: str = "") -> FollowedMachine:
        machine = self._doubles[twin] if twin else self._machines[replica]
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
        if who[-1] == LOOK:
            self._looks[who] = timer
        when_ns = self._timetable.when(who, at_ns, self.scheduler.now_ns)
        if when_ns is None:
            self._held.append((at_ns, timer))
        else:
            self.scheduler.at(when_ns, self._call, timer)
        return timer

    def _look(self) -> None:
        """Let the nemesis see at once what it waits for: in the record it has seen it by now."""
        looks, self._looks = self._looks, {}
        for timer in looks.values():
            timer()

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
                datagram = self._kept.arrival(CLIENTS, digest)
                if datagram is None:
                    self._part(f"an arrival at the clients ({name})", _NEVER_SENT)
                else:
                    self._receive(datagram)
            case Stopped(t_ns, replica, twin):
                if not twin or twin in self._doubles:
                    self._machine(replica, twin).host.stop(t_ns)
            case Ends(_, why):
                self._part("the end of the record", why)
            case Called() | Said():
                raise AssertionError("calls are in the timetable")
        self.scheduler.look = True
        if self.following:
            self.extent.followed += 1
            self._next()

    def _turn(self, turn: Turn) -> None:
        if turn.twin and turn.twin not in self._doubles:
            self._look()
            if turn.twin not in self._doubles:
                self._part(f"the start of the twin {turn.twin}", _NO_TWIN)
                return
        machine = self._machine(turn.replica, turn.twin)
        for nth, event in enumerate(turn.events):
            why = self._event(machine, event)
            if why is not None:
                self._part(place_of(turn, nth), why)
                return
        machine.end(turn)
        machine.turns_left[turn.life] -= 1
        if machine.doomed and not machine.lives_on():
            self._end_doomed(machine)

    def _event(self, machine: FollowedMachine, event: Event) -> str | None:
        """None, or why it cannot be as it was."""
        datagram = b""
        if event.kind == START:
            if not machine.waits_for_start():
                return "it was started, and here nobody has killed it and asked for that"
            if machine.twin and event.records:
                self._copy_log(machine)
            elif not machine.twin:
                self._wall_offsets[machine.replica] = event.number
        elif machine.state == "dead":
            return "it is dead here"
        elif event.kind == DELIVER:
            arrived = self._kept.arrival(machine.replica, event.digest)
            if arrived is None:
                return _NEVER_SENT
            datagram = arrived
        if not machine.take(event, datagram):
            return "what the core gives back is not what it had given back"
        return None

    def _copy_log(self, machine: FollowedMachine) -> None:
        """For a twin that is about to begin."""
        machine.host.begin_as(self._machine(machine.replica).host)

    def _part(self, where: str, why: str) -> None:
        """Leave the record for good."""
        self.extent.parted = Parted(self.now_ns(), where, why)
        self.following = False
        if self._interception is not None:
            self._interception.delays = True
        for machine in [*map(self._machine, range(self.n)), *self._doubles.values()]:
            machine.following = False
            if machine.copies and machine.waits_for_start():
                self._copy_log(machine)
            if machine.doomed:
                self._end_doomed(machine)
            machine.leave_the_record(self._virtual.restart_ns)
        assert self._twins is not None, "this world has twins"
        for made in self._kept.let_go():
            self._twins.speaking = made.by_twin
            self._under_way(made.source, made.target, made.nth, made.datagram)
        self._twins.speaking = False
        for at_ns, timer in self._held:
            self.scheduler.at(at_ns, self._call, timer)
        self._held.clear()

    # Datagrams

    def send(self, replica: int, datagram: bytes) -> None:
        """See ``World``."""
        self._take(CLIENTS, replica, datagram)
        super().send(replica, datagram)

    def _send(self, replica: int, sends: Sequence[tuple[int, bytes]]) -> None:
        for to, datagram in sends:  # also to whom a twin's side is cut off from here, and was not quite yet
            self._take(replica, CLIENTS if is_client(to) else to, datagram)
        super()._send(replica, sends)

    def _take(self, source: int, target: int, datagram: bytes) -> None:
        """Sent, and maybe not on the wire: that is seen when it is there."""
        if self.following:
            self._kept.sent(Made(source, target, 0, datagram, is_taken=True))

    def _on_link(self, source: int, target: int, datagram: bytes) -> None:
        nth, is_cut = self.links.give(source, target)
        if self.following:
            assert self._twins is not None, "this world has twins"
            if self._twins.at_work:
                self._twins.route(source, target, datagram)  # counts who hears whom
            self._kept.sent(Made(source, target, nth, datagram, by_twin=self._twins.speaking))
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

    def _end_doomed(self, machine: FollowedMachine) -> None:
        machine.doomed = False
        if machine.kill() and not machine.twin:
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
_NO_TWIN = "here nobody has asked for a twin"
_NEVER_SENT = "nobody has sent that datagram in this run"
