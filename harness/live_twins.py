"""Twins of a live run: second processes under a replica's identity ("Twins", Bano et al., OPODIS 2021).

Each identity that the plan doubles has a second host, with the same address (``topology``), and so have the
clients. While a twin is at work, routes by incoming interface let either instance and its side talk with each
other, and nobody else with it; what arrives by the wrong way is dropped by the router before any rule of a
fault sees it. Clients are one host: what they send to a twin leaves from their second host, and an answer
that a client should not hear, from the wrong instance, is dropped as it comes in. A twin's process is started
long before it is wanted, and waits: it must come up before the peers of its side lose patience with their
primary. Everything is a child of the harness, as replicas are, or a thing of the sandbox's network: both die
with it.
"""

from __future__ import annotations

import shutil
import signal
import socket
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from harness.adapter import Adapter, ReplicaProgram
from harness.divergence import Divergence
from harness.errors import HarnessError, disk_hint
from harness.firewall import COUNTERS_AGE_NS, Firewall
from harness.interception import LiveInterception
from harness.loop import EventLoop
from harness.processes import ReplicaProcess, last_lines
from harness.topology import CLIENTS, Topology, client_address, replica_address, second
from harness.twin_folders import twin_folder
from harness.world import Exit
from nemesis.machinery import ProcessState
from nemesis.sides import Side
from pbft_node.clock import ClockFile

BACK_BYTES = 512 << 10
"""Of the first instance's trace, what is looked at of before it had a twin."""
AT_ONCE_BYTES = 512 << 10
"""Of a trace at one look; there are 50 looks a second."""
_WAITS = """
import sys
from pbft_node import __main__, node
sys.exit(__main__.main(sys.argv[1:]) if sys.stdin.readline() else 0)
"""


@dataclass(slots=True)
class _Twin:
    """One at work, until it is dead."""

    folder: str
    process: ReplicaProcess
    side: Side
    told: Divergence
    clock: ClockFile | None
    stopping: bool = False


class Maker(Protocol):
    """Writes what twins need."""

    def program(self, replica: int, name: str) -> ReplicaProgram:
        """Of a twin in a folder of that name, which is made: it waits for a line on its stdin."""

    def copy_log(self, replica: int, name: str) -> None:
        """Let it begin with a copy of its replica's log."""


class TwinMaker:
    """Of ``pbft_node``. ``copies``: a log outlives its process, so a copy of it says something."""

    def __init__(self, adapter: Adapter, folder: Path, *, copies: bool) -> None:
        self._adapter = adapter
        self._folder = folder / "replicas"
        self._copies = copies

    def program(self, replica: int, name: str) -> ReplicaProgram:
        """See ``Maker``: everything is imported, nothing is read."""
        program = self._adapter.prepare(replica, self._folder / name)
        interpreter, *arguments = program.argv
        return replace(
            program, argv=(interpreter, "-P", "-c", _WAITS, *arguments[arguments.index("--config") :])
        )

    def copy_log(self, replica: int, name: str) -> None:
        """See ``Maker``. The log of a replica that goes on writing is whole up to some record, and maybe half
        a record, which the twin takes for a torn write: as after a crash."""
        path = self._folder / name / "wal"
        if self._copies:
            try:
                shutil.copyfile(self._folder / str(replica) / "wal", path)
            except OSError as error:
                raise HarnessError(
                    f"cannot copy the log to {path}: {error.strerror}", disk_hint(error)
                ) from None


class LiveTwins:
    """Of one run. ``doubled``: who may get a twin."""

    def __init__(self, folder: Path, doubled: Collection[int], maker: Maker) -> None:
        self.doubled = frozenset(doubled)
        self._folder = folder / "replicas"
        self._maker = maker
        self._waiting: dict[int, tuple[str, ReplicaProcess]] = {}
        """Of those without a twin, the next one: its folder's name, and its process."""
        self._at_work: dict[int, _Twin] = {}
        self._names: Counter[int] = Counter()
        self._numbers = {replica_address(replica): replica for replica in self.doubled}
        self._socket: socket.socket | None = None
        self._counters: tuple[int, Mapping[str, Mapping[str, int]]] = (0, {})

    # Life

    def set_up(
        self,
        topology: Topology,
        firewall: Firewall,
        loop: EventLoop,
        interception: LiveInterception | None,
        buffer_bytes: int,
    ) -> socket.socket:
        """The topology is built. What clients get by their second host comes from this socket."""
        self._topology, self._firewall, self._loop = topology, firewall, loop
        self._interception = interception
        self._socket = topology.open_udp(second(CLIENTS), client_address(), buffer_bytes)
        for replica in sorted(self.doubled):
            self._get_ready(replica)
        return self._socket

    def _get_ready(self, replica: int) -> None:
        """The next twin's process, which waits."""
        self._names[replica] += 1
        nth = self._names[replica]
        name = twin_folder(replica, nth)
        process = ReplicaProcess(replica, self._maker.program(replica, name), self._ended)
        process.start(self._topology.inside(second(f"r{replica}")), waits=True)
        assert process.pidfd is not None
        self._loop.add_reader(process.pidfd, lambda: _reap(process))
        self._waiting[replica] = name, process

    def processes(self) -> list[ReplicaProcess]:
        """Those that may live."""
        return [
            *(twin.process for twin in self._at_work.values()),
            *(one for _, one in self._waiting.values()),
        ]

    def close(self) -> None:
        """All are dead: let go of everything but their files. Idempotent."""
        for twin in self._at_work.values():
            self._end(twin)
        self._at_work.clear()
        for name, _ in self._waiting.values():
            shutil.rmtree(self._folder / name, ignore_errors=True)
        self._waiting.clear()
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def start(self, replica: int, side: Side, *, copy: bool) -> None:
        """See ``Machinery.start_twin``."""
        assert replica not in self._at_work, "it has a twin already"
        if replica not in self.doubled:
            raise HarnessError(f"replica {replica} has no second host: the plan gives it no twin")
        name, process = self._waiting.pop(replica)
        traces = (self._folder / place / "trace.jsonl" for place in (str(replica), name))
        told = Divergence(*traces, back=BACK_BYTES, at_once=AT_ONCE_BYTES)
        path = process.program.clock
        clock = None if path is None else ClockFile(path, create=True)
        self._at_work[replica] = _Twin(f"replicas/{name}", process, side, told, clock)
        self._divide()
        if copy:
            self._maker.copy_log(replica, name)
        process.let_go()

    def stop(self, replica: int) -> None:
        """See ``Machinery.stop_twin``. It is there until it is dead."""
        twin = self._at_work.get(replica)
        if twin is None:
            return
        twin.stopping = True
        if twin.process.reap():
            self._gone(replica)
        else:
            twin.process.signal(signal.SIGKILL, expect_exit=True)

    def _ended(self, ended: Exit) -> None:
        """While its pidfd is still open."""
        twin = self._at_work.get(ended.replica)
        process = self._waiting[ended.replica][1] if twin is None else twin.process
        if process.pidfd is not None:
            self._loop.remove_reader(process.pidfd)
        if twin is not None and twin.stopping:
            self._loop.call_at(ended.time_ns, lambda: self._gone(ended.replica, twin))

    def _gone(self, replica: int, twin: _Twin | None = None) -> None:
        """It is dead, and everybody talks with the first instance again."""
        if twin is None or self._at_work.get(replica) is twin:
            self._end(self._at_work.pop(replica))
            self._divide()
            self._get_ready(replica)

    def _end(self, twin: _Twin) -> None:
        twin.process.remove_sockets()
        if twin.clock is not None:
            twin.clock.close()

    def _divide(self) -> None:
        """Who talks with whom, now; counting begins anew with a change of that, and after it."""
        sides = {replica: twin.side for replica, twin in self._at_work.items()}
        hosts = [f"r{replica}" for replica in sides]
        self._firewall.count(())
        self._topology.divide(sides)
        self._firewall.count([*hosts, *map(second, hosts)])
        if self._interception is not None:
            self._interception.divide(sides)
        self._counters = 0, {}

    # What faults ask

    def state(self, replica: int, now_ns: int) -> ProcessState | None:
        """See ``Machinery.twin``."""
        twin = self._at_work.get(replica)
        if twin is None:
            return None
        state = twin.process.state()
        detail: dict[str, object] = {
            "folder": twin.folder,
            "heard_by": self._heard(replica, now_ns),
            "diverged": twin.told.look(),
        }
        if state.pid is None and not twin.stopping:
            detail["last_lines"] = list(last_lines(twin.process.program.folder / "stderr.log", 0)[-3:])
        return replace(state, detail={**state.detail, **detail})

    def _heard(self, replica: int, now_ns: int) -> Mapping[str, Mapping[str, int]]:
        if now_ns - self._counters[0] > COUNTERS_AGE_NS:
            self._counters = now_ns, self._firewall.counted()
        names = {"first": f"r{replica}", "twin": second(f"r{replica}")}
        return {name: self._counters[1].get(interface, {}) for name, interface in names.items()}

    # Clients

    def way(self, replica: int, datagram: bytes) -> socket.socket | None:
        """What a client's datagram to a replica leaves by, if that is not its usual way."""
        twin = self._at_work.get(replica)
        return self._socket if twin is not None and twin.side.asked_by(datagram) else None

    def hears(self, address: tuple[str, int], datagram: bytes, of_twins: bool) -> bool:
        """Is the client that this is for one that talks with that instance? ``of_twins``: it came by the
        second host."""
        twin = self._at_work.get(self._numbers.get(address, -1))
        return twin is None or twin.side.answers(datagram) in (None, of_twins)


def _reap(process: ReplicaProcess) -> None:
    process.reap()
