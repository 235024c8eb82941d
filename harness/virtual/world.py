"""A world whose time and network are calls of one scheduler: ``sim`` and ``lockstep``.

    client or replica --links--> cut? --network--> lost, late, twice? --scheduler--> machine or client

The two differ in the hosts only: objects of this process, or real processes. Everything that happens, happens
in one order that follows from the plan, so the same plan gives the same run in both, byte for byte.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.capture_file import CaptureFile
from harness.disks import harm_log
from harness.errors import HarnessError
from harness.moved_clocks import MovedClocks
from harness.virtual.host import Ended, Host
from harness.virtual.interception import Interception
from harness.virtual.links import Links
from harness.virtual.machine import SIGKILL, Machine
from harness.virtual.network import Network
from harness.virtual.scheduler import Scheduler, VirtualTimer
from harness.virtual.settings import CLIENTS, Virtual, host_name, host_number
from harness.virtual.twins import HostOfTwin, Twins
from harness.world import Exit, Who
from nemesis.machinery import Link, ProcessState
from nemesis.packets.packet import Packet
from nemesis.packets.scene import Order, Scene
from pbft_node.core.types import is_client

WALL_OFFSET_NS = 1_000_000_000 * 10**9
"""Virtual time 0 on the replicas' wall clocks: 2001-09-09 01:46:40 UTC."""
READY_NS = 20_000_000_000
NONCE_BYTES = 16


class VirtualWorld:
    """See ``World``. ``host`` makes the machine of a replica when the world is set up; ``release`` is called
    when the last of them is closed. ``scene``: what packet faults need; without it nothing is intercepted."""

    capabilities: frozenset[str] = frozenset({"kill", "pause", "cut"})
    _machine_kind: type[Machine] = Machine

    def __init__(
        self,
        *,
        name: str,
        n: int,
        f: int,
        seed: int,
        virtual: Virtual,
        host: Callable[[int], Host],
        release: Callable[[], None] = lambda: None,
        scene: Scene | None = None,
        folder: Path | None = None,
        twin_host: HostOfTwin | None = None,
    ) -> None:
        self.name = name
        self.n, self.f = n, f
        self.scheduler = Scheduler()
        self.links = Links(n)
        self._seed = seed
        self._virtual = virtual
        self.network = Network(seed, virtual, n)
        self._make_host = host
        self._release = release
        self._machines: list[Machine] = []
        self._receive: Callable[[bytes], None] = lambda datagram: None
        self._primary: Callable[[], int] = lambda: 0
        self._ordered: Callable[[str, int], None] = lambda owner, replica: None
        self._interception: Interception | None = None
        self._capture: CaptureFile | None = None
        if scene is not None and folder is not None:
            traces = [folder / "replicas" / str(replica) / "trace.jsonl" for replica in range(n)]
            self._capture = CaptureFile(folder, n)
            self._interception = Interception(
                scene, self.scheduler, self._put, self._carry_out, traces, self._capture
            )
            self.capabilities = self.capabilities | {"packets"}
        self._folder = folder
        self._twins: Twins | None = None
        if folder is not None and twin_host is not None:
            self._twins = Twins(folder, self._new_twin, self._send)
            self.capabilities = self.capabilities | {"twins"}
        self._make_twin = twin_host
        self._expected_codes: dict[int, frozenset[int]] = {}
        self._clocks: MovedClocks | None = None
        if folder is not None:
            traces = [folder / "replicas" / str(replica) / "trace.jsonl" for replica in range(n)]
            self._clocks = MovedClocks(traces, lambda to, setting: self._machines[to].move_clock(setting))
            self.capabilities = self.capabilities | {"clocks", "disks"}
        self._exits: list[Exit] = []
        self._torn_down = False
        self.stopped: str | None = None

    # Life

    def set_up(self) -> None:
        """See ``World``."""
        try:
            for replica in range(self.n):
                self._machines.append(self._new_machine(replica))
            for machine in self._machines:
                machine.boot(0)
            self._await_up()
        except BaseException:
            self.tear_down()
            raise

    def _await_up(self) -> None:
        deadline_ns = self.now_ns() + READY_NS
        while not all(machine.is_up() for machine in self._machines):
            for ended in self._exits:
                lines = "\n  ".join((f"it ended with exit code {ended.code}", *ended.last_lines))
                raise HarnessError(f"replica {ended.replica} did not come up: {lines}")
            if not self.scheduler.step(deadline_ns):
                raise HarnessError(f"the replicas did not come up within {READY_NS // 10**9} s")

    def tear_down(self) -> None:
        """See ``World``."""
        if not self._torn_down:
            self._torn_down = True
            self.scheduler.clear()
            try:
                for machine in self._machines:
                    machine.host.close()
                if self._twins is not None:
                    self._twins.close()
            finally:
                if self._interception is not None:
                    self._interception.close()
                self._release()
                if self._capture is not None:
                    self._capture.close()

    def _new_machine(self, replica: int) -> Machine:
        return self._machine_kind(
            replica,
            self._make_host(replica),
            self.scheduler,
            self._virtual.turn_ns,
            self._leave,
            self._replica_ended,
            self._birthright,
        )

    def _birthright(self, replica: int, incarnation: int) -> tuple[int, bytes]:
        """Wall clock and nonce of a life: nobody else's, and the same in every run of the plan."""
        return WALL_OFFSET_NS, self._nonce(str(replica), incarnation)

    def _nonce(self, folder: str, incarnation: int) -> bytes:
        name = f"traitor/{self._seed}/nonce/{folder}/{incarnation}"
        return hashlib.sha256(name.encode()).digest()[:NONCE_BYTES]

    # Time

    def now_ns(self) -> int:
        """See ``Machinery``: since the world began."""
        return self.scheduler.now_ns

    def call_at(self, at_ns: int, callback: Callable[[], None], who: Who | None = None) -> VirtualTimer:
        """See ``World``."""
        timer = VirtualTimer(callback)
        self.scheduler.at(at_ns, self._call, timer)
        return timer

    def _call(self, timer: VirtualTimer) -> None:
        timer()
        self.scheduler.look = True

    def run(self, until: Callable[[], bool], deadline_ns: int) -> bool:
        """See ``World``."""
        scheduler = self.scheduler
        while True:
            scheduler.look = False  # first: a signal may come at any moment
            if self.stopped is not None:
                return False
            if until():
                return True
            if not scheduler.go_on(deadline_ns):
                return False

    def stop(self, reason: str) -> None:
        """See ``World``. Safe in a signal handler."""
        if self.stopped is None:
            self.stopped = reason
            self.scheduler.look = True

    def lag(self) -> tuple[int, int]:
        """See ``World``: virtual time waits for the harness."""
        return 0, 0

    # Datagrams

    def on_datagram(self, callback: Callable[[bytes], None]) -> None:
        """See ``World``."""
        self._receive = callback

    def send(self, replica: int, datagram: bytes) -> None:
        """See ``World``."""
        self._transmit(CLIENTS, replica, datagram)

    def _leave(self, replica: int, sends: Sequence[tuple[int, bytes]]) -> None:
        """What a replica sent, addressed to principals."""
        if self._interception is not None:
            self._interception.turn_ended(replica)
        self._send(replica, sends)

    def _send(self, replica: int, sends: Sequence[tuple[int, bytes]]) -> None:
        if self._twins is not None and self._twins.at_work:
            sends = self._twins.let_out(replica, sends)
        for to, datagram in sends:
            if 0 <= to < self.n:
                self._transmit(replica, to, datagram)
            elif is_client(to):
                self._transmit(replica, CLIENTS, datagram)

    def _transmit(self, source: int, target: int, datagram: bytes) -> None:
        if self._interception is None or not self._interception.packet(
            Packet(host_name(source), host_name(target), datagram)
        ):
            self._on_link(source, target, datagram)

    def _put(self, packet: Packet) -> None:
        """What came of a packet, or was made up."""
        self._on_link(host_number(packet.source), host_number(packet.target), packet.data)

    def _on_link(self, source: int, target: int, datagram: bytes) -> None:
        nth, is_cut = self.links.give(source, target)
        if not is_cut:
            self._under_way(source, target, nth, datagram)

    def _under_way(self, source: int, target: int, nth: int, datagram: bytes) -> None:
        """The network has it."""
        scheduler = self.scheduler
        arrive: Callable[[bytes], None]
        arrive = self._arrive_at_clients if target == CLIENTS else self._machines[target].arrive
        if self._twins is not None and self._twins.at_work:
            arrive = self._twins.route(source, target, datagram) or arrive
        for delay_ns in self.network.fate(source, target, nth, len(datagram)):
            scheduler.at(scheduler.now_ns + delay_ns, arrive, datagram)

    def _arrive_at_clients(self, datagram: bytes) -> None:
        self._receive(datagram)
        self.scheduler.look = True

    # Replicas

    def on_order(self, callback: Callable[[str, int], None]) -> None:
        """See ``World``."""
        self._ordered = callback

    def _carry_out(self, order: Order) -> None:
        self._ordered(order.owner, order.replica)
        {"kill": self.kill, "restart": self.restart, "pause": self.pause, "resume": self.resume}[order.what](
            order.replica
        )

    def kill(self, replica: int) -> None:
        """See ``Machinery``."""
        if self._machines[replica].kill():
            self._add_exit(replica, None, SIGKILL, True, ())

    def restart(self, replica: int, *, silent: bool = False) -> None:
        """See ``Machinery``."""
        if self._machines[replica].state == "dead":
            self._machines[replica].boot(self._virtual.restart_ns, silent)

    def expect_exits(self, replica: int, codes: frozenset[int]) -> None:
        """See ``Machinery``."""
        self._expected_codes[replica] = codes

    def harm_log(self, replica: int, mode: str, keep: float) -> Mapping[str, object]:
        """See ``Machinery``."""
        assert self._folder is not None, "this world has no disks"
        self._machines[replica].host.write_log()
        return harm_log(self._folder / "replicas" / str(replica) / "wal", mode, keep)

    def break_disk(self, replica: int, how: str) -> None:
        """See ``Machinery``: a disk that turned read-only refuses a process that has its log open, too."""
        self._machines[replica].refuse_writes(errno.ENOSPC if how == "full" else errno.EROFS)

    def mend_disk(self, replica: int) -> None:
        """See ``Machinery``: a life that found its disk broken is over."""

    def pause(self, replica: int) -> None:
        """See ``Machinery``."""
        self._machines[replica].pause()

    def resume(self, replica: int) -> None:
        """See ``Machinery``."""
        self._machines[replica].resume()

    def process(self, replica: int) -> ProcessState:
        """See ``Machinery``. It has no pid: that would not be the same in another run."""
        return self._machines[replica].process()

    def exits(self) -> tuple[Exit, ...]:
        """See ``World``."""
        return tuple(self._exits)

    def _replica_ended(self, replica: int, ended: Ended) -> None:
        expected = ended.code in self._expected_codes.get(replica, ())
        self._add_exit(replica, ended.code, ended.signal, expected, ended.last_lines)
        self.scheduler.look = True

    def _add_exit(
        self, replica: int, code: int | None, signal: int | None, expected: bool, lines: tuple[str, ...]
    ) -> None:
        self._exits.append(Exit(replica, self.now_ns(), code, signal, expected, lines))

    def primary_from(self, source: Callable[[], int]) -> None:
        """See ``World``."""
        self._primary = source

    def primary_hint(self) -> int:
        """See ``Machinery``."""
        return self._primary() % self.n

    def move_clock(self, replica: int, *, wall_ns: int, jump_ns: int, rate: int) -> None:
        """See ``Machinery``."""
        assert self._clocks is not None, "this world moves no clocks"
        self._clocks.move(replica, self.now_ns(), wall_ns, jump_ns, rate)

    def told_clock(self, replica: int) -> Mapping[str, object] | None:
        """See ``Machinery``."""
        assert self._clocks is not None, "this world moves no clocks"
        return self._clocks.told(replica)

    # Twins

    def start_twin(self, replica: int, *, peers: frozenset[int], clients: str, log: str) -> None:
        """See ``Machinery``."""
        assert self._twins is not None, "this world has no twins"
        self._twins.start(replica, peers, clients, log == "copy", self._virtual.restart_ns)

    def stop_twin(self, replica: int) -> None:
        """See ``Machinery``."""
        assert self._twins is not None, "this world has no twins"
        self._twins.stop(replica)

    def twin(self, replica: int) -> ProcessState | None:
        """See ``Machinery``."""
        assert self._twins is not None, "this world has no twins"
        return self._twins.process(replica)

    def _new_twin(self, replica: int, name: str, copies: bool) -> Machine:
        assert self._make_twin is not None
        assert self._twins is not None
        twins = self._twins
        host = self._make_twin(replica, name, self._machines[replica].host if copies else None)

        def begin(_: int, incarnation: int) -> tuple[int, bytes]:
            return self._birthright(replica, incarnation)[0], self._nonce(name, incarnation)

        turn_ns = self._virtual.turn_ns
        return self._machine_kind(replica, host, self.scheduler, turn_ns, twins.leave, twins.ended, begin)

    # Links

    def cut(self, owner: str, links: frozenset[Link]) -> None:
        """See ``Machinery``."""
        self.links.cut(owner, links)

    def blocked(self) -> Mapping[Link, int]:
        """See ``Machinery``."""
        return self.links.blocked()

    # Packets

    def tamper(self, owner: str, rules: Sequence[Mapping[str, object]]) -> None:
        """See ``Machinery``."""
        assert self._interception is not None, "this world intercepts nothing"
        self._interception.set_rules(owner, rules)

    def tampered(self, owner: str) -> Mapping[str, object]:
        """See ``Machinery``."""
        assert self._interception is not None, "this world intercepts nothing"
        return self._interception.report(owner)
