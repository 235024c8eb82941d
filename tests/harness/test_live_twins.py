"""Twins in a live world: who reaches whom at the addresses that two hosts share, lives, and what is left."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from harness.adapter import ReplicaProgram
from harness.errors import HarnessError
from harness.firewall import Firewall
from harness.live import LiveWorld
from harness.live_twins import LiveTwins, TwinMaker
from harness.scene import places
from harness.topology import CLIENTS, Topology, client_address, division, replica_address, second
from nemesis.interceptor.emitter import Emitter
from nemesis.machinery import Link
from nemesis.packets.packet import Packet
from nemesis.sides import Side
from pbft_node.core.frames import HEADER, MessageType

ECHO = str(Path(__file__).with_name("echo_replica.py"))
CLIENTS_TWIN = second(CLIENTS)
BOTH = {0: Side(frozenset({2}), odd=True), 1: Side(frozenset({2, 3}), odd=False)}


def message(kind: MessageType, sender: int, client: int = 0) -> bytes:
    body = client.to_bytes(4, "big")
    return HEADER.pack(b"PBFT", 1, kind, 0, 0, sender, 0, 0, len(body)) + body


class Net:
    """Four replicas, of which 0 and 1 may get a twin, with a socket on every host."""

    def __init__(self) -> None:
        self.topology = Topology(4, {0, 1})
        self.topology.build()
        self.firewall = Firewall(4)
        self.firewall.install()
        self.sockets = {host: self._open(host) for host in self.topology.hosts}

    def _open(self, host: str) -> socket.socket:
        plain = host.removesuffix("-twin")
        address = client_address() if plain == CLIENTS else replica_address(int(plain[1:]))
        return self.topology.open_udp(host, address, 1 << 20)

    def send(self, source: str, target: str) -> None:
        address = client_address() if target == CLIENTS else replica_address(int(target[1:]))
        self.sockets[source].sendto(f"{source} to {target}".encode(), address)

    def heard(self) -> dict[str, set[str]]:
        """By host, all that came. The router carries a packet before the call that sends it returns."""
        found: dict[str, set[str]] = {}
        for host, opened in self.sockets.items():
            while True:
                try:
                    found.setdefault(host, set()).add(opened.recv(100).decode())
                except BlockingIOError:
                    break
        return found

    def met(self) -> set[tuple[str, str]]:
        """(source, host that got it), of a packet from every host to every address."""
        for source in self.sockets:
            for target in ("r0", "r1", "r2", "r3", CLIENTS):
                if not source.startswith(target):
                    self.send(source, target)
        return {(said.split()[0], host) for host, all_said in self.heard().items() for said in all_said}

    def close(self) -> None:
        for opened in self.sockets.values():
            opened.close()
        self.firewall.remove()
        self.topology.remove()


@pytest.fixture
def net() -> Iterator[Net | None]:
    from harness import sandbox

    made = Net() if sandbox.inside() else None
    yield made
    if made is not None:
        made.close()


ALWAYS = {("r2", "r3"), ("r3", "r2"), (CLIENTS, "r2"), (CLIENTS, "r3"), ("r2", CLIENTS), ("r3", CLIENTS)}
"""Nobody here has a twin."""
OF_0 = {("r1", "r0"), ("r3", "r0"), (CLIENTS, "r0"), ("r2", "r0-twin"), (CLIENTS_TWIN, "r0-twin")}


def both_ways(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return pairs | {(target, source) for source, target in pairs}


@pytest.mark.sandbox
def test_every_instance_meets_its_side_and_nobody_else(in_sandbox: None, net: Net) -> None:
    whole = both_ways({("r0", host) for host in ("r1", "r2", "r3", CLIENTS)} | {("r1", "r2"), ("r1", "r3")})
    whole |= both_ways({(CLIENTS, "r1")}) | ALWAYS
    whole |= {(CLIENTS_TWIN, f"r{replica}") for replica in range(4)}
    assert net.met() == whole, "no twin talks with anybody"
    net.topology.divide({0: BOTH[0]})
    met = net.met()
    assert {one for one in met if "r0" in one[0] or "r0" in one[1]} == both_ways(OF_0)
    assert met - both_ways(OF_0) == {one for one in whole if "r0" not in one}
    net.topology.divide(BOTH)
    met = net.met()
    of_1 = {("r0", "r1"), (CLIENTS, "r1"), ("r2", "r1-twin"), ("r3", "r1-twin"), (CLIENTS_TWIN, "r1-twin")}
    assert {one for one in met if "r1" in one[0] or "r1" in one[1]} == both_ways(
        of_1 | {("r0-twin", "r1-twin")}
    )
    net.topology.divide({})
    assert net.met() == whole


@pytest.mark.sandbox
def test_packets_are_counted_by_instance_and_cuts_hold_for_both(in_sandbox: None, net: Net) -> None:
    net.topology.divide({0: BOTH[0]})
    net.firewall.count(["r0", "r0-twin"])
    net.met()
    net.send("r0-twin", "r2")
    counted: Mapping[str, Mapping[str, int]] = net.firewall.counted()
    assert counted == {"r0": {"r1": 1, "r3": 1, CLIENTS: 1}, "r0-twin": {"r2": 2, CLIENTS: 1}}
    net.firewall.count(["r0"])
    assert net.firewall.counted() == {"r0": {"r1": 1, "r3": 1, CLIENTS: 1}}
    net.heard()
    net.firewall.cut("test", frozenset({Link("r0", "r1"), Link("r0", "r2")}))
    assert not {("r0", "r1"), ("r0-twin", "r2")} & net.met()
    net.firewall.count([])
    assert net.firewall.counted() == {}


@pytest.mark.sandbox
def test_what_is_put_on_the_wire_again_goes_to_the_right_instance(in_sandbox: None, net: Net) -> None:
    emitter = Emitter(places(4))
    net.topology.divide({0: BOTH[0]})
    for divided in (False, True):
        emitter.divide({0: BOTH[0]} if divided else {})
        for packet in (
            Packet("r1", "r0", b"from 1"),
            Packet("r2", "r0", b"from 2"),
            Packet(CLIENTS, "r0", message(MessageType.REQUEST, 1001)),
            Packet("r0", CLIENTS, message(MessageType.REPLY, 0, 1000)),
            Packet("r0", CLIENTS, message(MessageType.REPLY, 0, 1001)),
            Packet("r0", "r2", b"from 0"),
        ):
            emitter.send(packet)
        came = dict.fromkeys(("r0", "r0-twin", CLIENTS, CLIENTS_TWIN, "r2"), 0)
        for host in came:
            while True:
                try:
                    net.sockets[host].recv(100)
                except BlockingIOError:
                    break
                came[host] += 1
        expected = (1, 2, 1, 1, 1) if divided else (3, 0, 2, 0, 1)
        assert tuple(came.values()) == expected, came
    emitter.close()


@pytest.mark.sandbox
def test_nothing_is_left_of_a_divided_network(in_sandbox: None) -> None:
    def state() -> str:
        return "".join(
            subprocess.run(words, capture_output=True, text=True, check=True).stdout
            for words in (["ip", "rule"], ["ip", "addr"], ["ls", "/run/netns"], ["iptables-legacy-save"])
            if words[0] != "iptables-legacy-save" or shutil.which(words[0])
        ).split("# Generated")[0]

    before = state()
    net = Net()
    net.topology.divide(BOTH)
    net.firewall.count(["r0", "r0-twin"])
    assert "iif" in state()
    net.close()
    assert state() == before


def test_rules_of_all_sides_together() -> None:
    alone = set(division(4, [0], {0: BOTH[0]}))
    assert sum("blackhole" in rule for rule in alone) == 3, "three peers, each deaf to one instance"
    assert sum("blackhole" in rule for rule in division(4, BOTH, BOTH)) == 4, "1 talks with either one of 0"
    assert sum("r1-twin blackhole" in rule for rule in division(4, [0, 1], {0: BOTH[0]})) == 1
    assert list(division(4, [], {})) == []


# Lives


class Echoes:
    """A world of replicas that only echo. ``0-twin`` calls itself 10, the next one 20."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[str] = []
        self.copied: list[str] = []
        programs = [self._program(str(i), str(i)) for i in range(4)]
        self.world = LiveWorld(n=4, f=1, folder=folder, programs=programs, twins=LiveTwins(folder, [0], self))
        self.inbox: list[bytes] = []
        self.world.on_datagram(self.inbox.append)

    def _program(self, name: str, number: str) -> ReplicaProgram:
        own = self.folder / "replicas" / name
        own.mkdir(parents=True, exist_ok=True)
        return ReplicaProgram((sys.executable, "-S", ECHO, number, "7000"), own, dict(os.environ), own)

    def program(self, replica: int, name: str) -> ReplicaProgram:
        self.made.append(name)
        return self._program(name, str(len(self.made) * 10 + replica))

    def copy_log(self, replica: int, name: str) -> None:
        assert replica == 0
        self.copied.append(name)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        def tick() -> None:
            self.world.call_at(self.world.now_ns() + 2_000_000, tick)

        tick()
        assert self.world.run(condition, self.world.now_ns() + 10**10), what

    def reaches(self, number: int, asked: int = 2) -> None:
        """Replica 2 meets the twin; it passes on a question, and who answers it is counted."""
        self.inbox.clear()

        def passed() -> bool:
            self.world.send(asked, b"pass %s echo from %d" % (replica_address(0)[0].encode(), asked))
            self.world.send(0, b"count")
            return any(line.startswith(b"count %d " % number) for line in self.inbox)

        self.until(passed, f"{number} answers, not {self.inbox[-1:]}")


@pytest.mark.sandbox
def test_a_twin_lives_and_dies_beside_its_replica(in_sandbox: None, tmp_path: Path) -> None:
    echoes = Echoes(tmp_path)
    world = echoes.world
    assert "twins" in world.capabilities
    world.set_up()
    assert world.twin(0) is None
    with pytest.raises(HarnessError, match="the plan gives it no twin"):
        world.start_twin(1, peers=frozenset({2}), clients="odd", log="copy")
    first_pid = world.process(0).pid
    world.start_twin(0, peers=frozenset({2}), clients="odd", log="genesis")
    echoes.until(lambda: (twin := world.twin(0)) is not None and bool(twin.up), "it listens")
    twin = world.twin(0)
    assert twin is not None
    assert twin.pid not in (None, first_pid)
    assert twin.detail["folder"] == "replicas/0-twin"
    assert world.process(0).pid == first_pid
    echoes.reaches(0)
    assert "10" in (tmp_path / "replicas" / "0-twin" / "stderr.log").read_text()
    os.kill(twin.pid or 0, signal.SIGKILL)
    echoes.until(lambda: (twin := world.twin(0)) is not None and twin.state == "dead", "it died by itself")
    assert world.exits() == (), "its end is not its replica's"
    world.stop_twin(0)
    assert world.twin(0) is None
    world.start_twin(0, peers=frozenset({1}), clients="even", log="copy")
    echoes.until(lambda: (twin := world.twin(0)) is not None and bool(twin.up), "the next one listens")
    world.stop_twin(0)
    world.stop_twin(0)
    echoes.until(lambda: world.twin(0) is None, "it is dead, and gone")
    world.start_twin(0, peers=frozenset({1}), clients="even", log="copy")
    assert echoes.made == ["0-twin", "0-twin-2", "0-twin-3"]
    assert echoes.copied == ["0-twin-2", "0-twin-3"]
    twin = world.twin(0)
    assert twin is not None
    world.tear_down()
    assert not Path(f"/proc/{twin.pid}").exists()
    assert world.exits()[-1].replica in range(4)
    assert subprocess.run(["ip", "rule"], capture_output=True, text=True, check=True).stdout.count("iif") == 0
    assert not list(Path("/run/netns").iterdir())


@pytest.mark.sandbox
def test_a_twin_nobody_asked_for_waits_and_leaves_nothing(in_sandbox: None, tmp_path: Path) -> None:
    """Also one that died while it waited is no more than dead when it is asked for."""
    echoes = Echoes(tmp_path)
    world = echoes.world
    world.set_up()
    assert echoes.made == ["0-twin"]
    (waits,) = world._twins.processes() if world._twins is not None else ()
    pid = waits.pid
    assert pid is not None
    world.tear_down()
    assert not Path(f"/proc/{pid}").exists()
    assert sorted(path.name for path in (tmp_path / "replicas").iterdir()) == ["0", "1", "2", "3"]
    echoes = Echoes(tmp_path)
    world = echoes.world
    world.set_up()
    (waits,) = world._twins.processes() if world._twins is not None else ()
    os.kill(waits.pid or 0, signal.SIGKILL)
    echoes.until(waits.reap, "it is dead")
    world.start_twin(0, peers=frozenset({2}), clients="odd", log="copy")
    twin = world.twin(0)
    assert twin is not None
    assert (twin.state, twin.detail["exit_signal"]) == ("dead", signal.SIGKILL)
    assert world.exits() == ()
    world.stop_twin(0)
    assert world.twin(0) is None
    world.tear_down()


def test_a_twin_copies_the_log_that_outlives_a_process(tmp_path: Path) -> None:
    class Writes:
        name, capabilities = "writes", frozenset[str]()

        def prepare(self, replica: int, folder: Path) -> ReplicaProgram:
            folder.mkdir(parents=True)
            (folder / "wal").write_bytes(b"fresh")
            argv = ("python", "-P", "-m", "pbft_node", "--config", str(folder / "config.json"))
            return ReplicaProgram(argv, folder, {}, folder)

    place = tmp_path / "replicas"
    (place / "0").mkdir(parents=True)
    (place / "0" / "wal").write_bytes(b"promises")
    for nth, (copies, copy, log) in enumerate(
        [(True, True, b"promises"), (True, False, b"fresh"), (False, True, b"fresh")]
    ):
        maker = TwinMaker(Writes(), tmp_path, copies=copies)
        argv = maker.program(0, f"twin{nth}").argv
        assert argv[:3] == ("python", "-P", "-c")
        assert argv[4:] == ("--config", str(place / f"twin{nth}" / "config.json"))
        if copy:
            maker.copy_log(0, f"twin{nth}")
        assert (place / f"twin{nth}" / "wal").read_bytes() == log
    with pytest.raises(HarnessError, match="cannot copy the log"):
        TwinMaker(Writes(), tmp_path, copies=True).copy_log(1, "1-twin")
