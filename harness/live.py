"""The live world: real processes in their own network namespaces, kernel UDP, packet filter, real time.

It runs inside the sandbox (see ``sandbox``) and implements ``World``. Everything happens in one epoll loop;
nothing here waits for a replica except setting up and tearing down, both with deadlines.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness import sandbox
from harness.adapter import ReplicaProgram
from harness.disks import fill_disk, harm_log, make_read_only, make_writable
from harness.errors import HarnessError
from harness.firewall import COUNTERS_AGE_NS, Firewall
from harness.interception import LiveInterception
from harness.live_twins import LiveTwins
from harness.loop import EventLoop, Timer
from harness.moved_clocks import MovedClocks
from harness.processes import ReplicaProcess
from harness.topology import CLIENTS, Topology, client_address, replica_address
from harness.world import Exit, Who
from nemesis.faults.tampering import CAPABILITY
from nemesis.machinery import Link, ProcessState
from nemesis.sides import Side
from pbft_node.clock import ClockFile

CLIENT_BUFFER_BYTES = 4 * 1024 * 1024
DATAGRAM_BYTES = 65535
DATAGRAMS_PER_TURN = 64
READY_NS = 20_000_000_000
READY_POLL_S = 0.005
GRACE_NS = 1_000_000_000
"""For SIGTERM, when tearing down."""
DEATH_NS = 10_000_000_000
"""For SIGKILL; longer means a process stuck in the kernel."""


class LiveWorld:
    """See ``World``. ``folder`` is the run folder. Without ``interception`` nothing is intercepted, without
    ``twins`` nobody gets one."""

    name = "live"
    capabilities: frozenset[str] = frozenset({"kill", "pause", "cut", "disks"})

    def __init__(
        self,
        *,
        n: int,
        f: int,
        folder: Path,
        programs: Sequence[ReplicaProgram],
        interception: LiveInterception | None = None,
        twins: LiveTwins | None = None,
    ) -> None:
        assert len(programs) == n, f"{len(programs)} programs for {n} replicas"
        self.n, self.f, self.folder = n, f, folder
        self._loop = EventLoop()
        self._replicas = [ReplicaProcess(i, program, self._exits_add) for i, program in enumerate(programs)]
        self._restart_wanted: set[int] = set()
        self._addresses = [replica_address(i) for i in range(n)]
        self._topology: Topology | None = None
        self._firewall: Firewall | None = None
        self._interception, self._twins = interception, twins
        parts = {CAPABILITY: interception, "twins": twins}
        self.capabilities |= {name for name, part in parts.items() if part is not None}
        self._counters: tuple[int, Mapping[Link, int]] | None = None
        self._socket: socket.socket | None = None
        self._buffer = bytearray(DATAGRAM_BYTES)
        self._receive: Callable[[bytes], None] = lambda datagram: None
        self._primary: Callable[[], int] = lambda: 0
        self._exits: list[Exit] = []
        self._read_only: set[int] = set()
        self._clock_files: dict[int, ClockFile] = {}
        traces = [program.folder / "trace.jsonl" for program in programs]
        self._clocks = MovedClocks(traces, lambda to, setting: self._clock_files[to].write(setting))
        if all(program.clock is not None for program in programs):
            self.capabilities = self.capabilities | {"clocks"}
        self._tearing_down = False
        self.unsent = 0
        """Datagrams that ``send`` could not give to the kernel (its buffer was full): lost by the harness."""

    # Life

    def set_up(self) -> None:
        """See ``World``."""
        if not sandbox.inside():
            raise HarnessError("a live run needs the sandbox", "Start it through sandbox.run_inside.")
        try:
            if self._interception is not None:
                self._interception.start()
            self._topology = Topology(self.n, () if self._twins is None else self._twins.doubled)
            self._topology.build()
            self._firewall = Firewall(self.n)
            self._firewall.install()
            self._socket = self._topology.open_udp(CLIENTS, client_address(), CLIENT_BUFFER_BYTES)
            self._listen(self._socket, False)
            if self._twins is not None:
                by = (self._topology, self._firewall, self._loop, self._interception)
                self._listen(self._twins.set_up(*by, CLIENT_BUFFER_BYTES), True)
            for replica in self._replicas:
                if replica.program.clock is not None:
                    self._clock_files[replica.replica] = ClockFile(replica.program.clock, create=True)
                self._start(replica)
            if self._interception is not None:
                self._interception.begin(self._loop, self._firewall, self)
            self._await_ready()
        except BaseException:
            with contextlib.suppress(HarnessError):
                self.tear_down()
            raise

    def tear_down(self) -> None:
        """See ``World``."""
        self._tearing_down = True
        self._restart_wanted.clear()
        try:
            if self._interception is not None:
                self._interception.close()
            self._end_replicas()
            for replica in self._replicas:
                self.mend_disk(replica.replica)
                replica.remove_sockets()
            for file in self._clock_files.values():
                file.close()
            self._clock_files.clear()
        finally:
            if self._twins is not None:
                self._twins.close()
            if self._socket is not None:
                self._loop.remove_reader(self._socket.fileno())
                self._socket.close()
                self._socket = None
            self._loop.close()
            if self._firewall is not None:
                self._firewall.remove()
            if self._topology is not None:
                self._topology.remove()
                self._topology = None

    def _await_ready(self) -> None:
        """Every replica listens, or one is dead, or the deadline passes."""
        deadline_ns = self.now_ns() + READY_NS
        waiting = list(self._replicas)
        while waiting:
            waiting = [replica for replica in waiting if not replica.listens()]
            for replica in self._replicas:
                if replica.reap():
                    raise HarnessError(f"replica {replica.replica} did not come up: {_told(self._exits[-1])}")
            if waiting and self.now_ns() >= deadline_ns:
                names = ", ".join(str(replica.replica) for replica in waiting)
                raise HarnessError(
                    f"replica {names} did not listen on port {waiting[0].program.ready_port} "
                    f"within {READY_NS // 10**9} s",
                    f"See {waiting[0].program.folder / 'stderr.log'}.",
                )
            if waiting:
                time.sleep(READY_POLL_S)

    def _end_replicas(self) -> None:
        for number in (signal.SIGTERM, signal.SIGCONT):
            for replica in self._processes():
                replica.signal(number, expect_exit=True)
        self._await_death(GRACE_NS)
        for replica in self._processes():
            replica.signal(signal.SIGKILL, expect_exit=True)
        left = self._await_death(DEATH_NS)
        if left:
            pids = ", ".join(str(replica.pid) for replica in left)
            raise HarnessError(f"processes {pids} survive SIGKILL: they are stuck in the kernel")

    def _processes(self) -> list[ReplicaProcess]:
        return [*self._replicas, *(() if self._twins is None else self._twins.processes())]

    def _await_death(self, patience_ns: int) -> list[ReplicaProcess]:
        """Those that live on."""
        deadline_ns = self.now_ns() + patience_ns
        while True:
            alive = [replica for replica in self._processes() if not replica.reap()]
            left_ns = deadline_ns - self.now_ns()
            if not alive or left_ns <= 0:
                return alive
            descriptors = [replica.pidfd for replica in alive if replica.pidfd is not None]
            poll = select.poll()
            for descriptor in descriptors:
                poll.register(descriptor, select.POLLIN)
            poll.poll(left_ns / 1e6)

    # Time and datagrams

    def now_ns(self) -> int:
        """See ``Machinery``: CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def call_at(self, at_ns: int, callback: Callable[[], None], who: Who | None = None) -> Timer:
        """See ``World``."""
        return self._loop.call_at(at_ns, callback)

    def on_datagram(self, callback: Callable[[bytes], None]) -> None:
        """See ``World``."""
        self._receive = callback

    def send(self, replica: int, datagram: bytes) -> None:
        """See ``World``."""
        assert self._socket is not None, "set_up first"
        way = None if self._twins is None else self._twins.way(replica, datagram)
        try:
            (way or self._socket).sendto(datagram, self._addresses[replica])
        except (BlockingIOError, InterruptedError):
            self.unsent += 1

    def run(self, until: Callable[[], bool], deadline_ns: int) -> bool:
        """See ``World``."""
        return self._loop.run(until, deadline_ns)

    def stop(self, reason: str) -> None:
        """See ``World``. Safe in a signal handler."""
        self._loop.stop(reason)

    @property
    def stopped(self) -> str | None:
        """See ``World``."""
        return self._loop.stopped

    def lag(self) -> tuple[int, int]:
        """See ``World``."""
        worst_ns, late = (0, 0) if self._interception is None else self._interception.lag()
        return max(self._loop.worst_lag_ns, worst_ns), self._loop.late_calls + late

    def _listen(self, opened: socket.socket, of_twins: bool) -> None:
        self._loop.add_reader(opened.fileno(), lambda: self._readable(opened, of_twins))

    def _readable(self, opened: socket.socket, of_twins: bool) -> None:
        """``of_twins``: what came by the clients' second host."""
        twins = self._twins
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                length, address = opened.recvfrom_into(self._buffer)
            except BlockingIOError:
                return
            datagram = bytes(memoryview(self._buffer)[:length])
            if twins is None or twins.hears(address, datagram, of_twins):
                self._receive(datagram)
            self._loop.ask()
            if self._loop.ended():
                return

    # Replicas

    def kill(self, replica: int) -> None:
        """See ``Machinery``."""
        self._replicas[replica].signal(signal.SIGKILL, expect_exit=True)

    def restart(self, replica: int, *, silent: bool = False) -> None:
        """See ``Machinery``. One about to die starts when it is dead; one that runs is left alone."""
        process = self._replicas[replica]
        if process.reap():
            self._start(process, silent)
        elif process.doomed:
            self._restart_wanted.add(replica)

    def pause(self, replica: int) -> None:
        """See ``Machinery``."""
        self._replicas[replica].signal(signal.SIGSTOP)

    def resume(self, replica: int) -> None:
        """See ``Machinery``."""
        self._replicas[replica].signal(signal.SIGCONT)
        if self._interception is not None:
            self._interception.resumed(replica)

    def process(self, replica: int) -> ProcessState:
        """See ``Machinery``."""
        return self._replicas[replica].state()

    def exits(self) -> tuple[Exit, ...]:
        """See ``World``."""
        return tuple(self._exits)

    def on_order(self, callback: Callable[[str, int], None]) -> None:
        """See ``World``."""
        if self._interception is not None:
            self._interception.ordered = callback

    def primary_from(self, source: Callable[[], int]) -> None:
        """See ``World``."""
        self._primary = source

    def tamper(self, owner: str, rules: Sequence[Mapping[str, object]]) -> None:
        """See ``Machinery``."""
        assert self._interception is not None, "this world intercepts nothing"
        self._interception.set_rules(owner, rules)

    def tampered(self, owner: str) -> Mapping[str, object]:
        """See ``Machinery``."""
        assert self._interception is not None, "this world intercepts nothing"
        return self._interception.report(owner)

    def primary_hint(self) -> int:
        """See ``Machinery``."""
        return self._primary() % self.n

    def _start(self, replica: ReplicaProcess, silent: bool = False) -> None:
        assert self._topology is not None, "set_up first"
        replica.start(self._topology.inside(f"r{replica.replica}"), silent=silent)
        assert replica.pidfd is not None
        self._loop.add_reader(replica.pidfd, lambda: _reap(replica))

    def _exits_add(self, ended: Exit) -> None:
        """While the pidfd is still open."""
        replica = self._replicas[ended.replica]
        if replica.pidfd is not None:
            self._loop.remove_reader(replica.pidfd)
        self._exits.append(ended)
        if ended.replica in self._restart_wanted and not self._tearing_down:
            self._restart_wanted.discard(ended.replica)
            self.call_at(self.now_ns(), lambda: self.restart(ended.replica))

    def expect_exits(self, replica: int, codes: frozenset[int]) -> None:
        """See ``Machinery``."""
        self._replicas[replica].expected_codes = codes

    def harm_log(self, replica: int, mode: str, keep: float) -> Mapping[str, object]:
        """See ``Machinery``."""
        return harm_log(self._log(replica), mode, keep)

    def break_disk(self, replica: int, how: str) -> None:
        """See ``Machinery``. Read-only is found out by who opens the log, so a new life is begun."""
        pid = self._replicas[replica].pid
        if how == "full" and pid is not None:
            fill_disk(pid)
        elif how == "read-only" and replica not in self._read_only:
            make_read_only(self._log(replica))
            self._read_only.add(replica)
            self.kill(replica)
            self.restart(replica)

    def mend_disk(self, replica: int) -> None:
        """See ``Machinery``."""
        if replica in self._read_only:
            self._read_only.discard(replica)
            make_writable(self._log(replica))

    def _log(self, replica: int) -> Path:
        return self._replicas[replica].program.folder / "wal"

    def move_clock(self, replica: int, *, wall_ns: int, jump_ns: int, rate: int) -> None:
        """See ``Machinery``."""
        self._clocks.move(replica, self.now_ns(), wall_ns, jump_ns, rate)

    def told_clock(self, replica: int) -> Mapping[str, object] | None:
        """See ``Machinery``."""
        return self._clocks.told(replica)

    def start_twin(self, replica: int, *, peers: frozenset[int], clients: str, log: str) -> None:
        """See ``Machinery``."""
        assert self._twins is not None, "nobody gets a twin here"
        self._twins.start(replica, Side.of(peers, clients), copy=log == "copy")

    def stop_twin(self, replica: int) -> None:
        """See ``Machinery``."""
        assert self._twins is not None, "nobody gets a twin here"
        self._twins.stop(replica)

    def twin(self, replica: int) -> ProcessState | None:
        """See ``Machinery``."""
        assert self._twins is not None, "nobody gets a twin here"
        return self._twins.state(replica, self.now_ns())

    # Links

    def cut(self, owner: str, links: frozenset[Link]) -> None:
        """See ``Machinery``."""
        assert self._firewall is not None, "set_up first"
        self._counters = None
        self._firewall.cut(owner, links)

    def blocked(self) -> Mapping[Link, int]:
        """See ``Machinery``. The counters are at most 50 ms old."""
        assert self._firewall is not None, "set_up first"
        now_ns = self.now_ns()
        if self._counters is None or now_ns - self._counters[0] > COUNTERS_AGE_NS:
            self._counters = (now_ns, self._firewall.blocked())
        return self._counters[1]


def _reap(replica: ReplicaProcess) -> None:
    replica.reap()


def _told(ended: Exit) -> str:
    how = f"signal {ended.signal}" if ended.signal is not None else f"exit code {ended.code}"
    return "\n  ".join((f"it ended with {how}", *ended.last_lines))
