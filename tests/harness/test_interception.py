"""Interception in a live world, with replicas that only echo: rules, cuts, and how it ends when it fails."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import interception
from harness.adapter import ReplicaProgram
from harness.errors import HarnessError
from harness.firewall import Firewall
from harness.interception import LiveInterception
from harness.live import LiveWorld
from harness.scene import places
from harness.topology import CLIENTS, Topology, client_address, replica_address
from nemesis.faults import KINDS
from nemesis.interceptor.emitter import Emitter
from nemesis.interceptor.opening import opening_data
from nemesis.machinery import Link
from nemesis.packets.packet import Packet
from pbft_node.core.cluster import Cluster
from pbft_node.genesis import ClientBlock, make_genesis

SECOND_NS = 1_000_000_000
ECHO = str(Path(__file__).with_name("echo_replica.py"))

pytestmark = [pytest.mark.sandbox, pytest.mark.interception]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LiveWorld]:
    from harness import sandbox

    programs = []
    for i in range(4):
        folder = tmp_path / "replicas" / str(i)
        folder.mkdir(parents=True)
        programs.append(ReplicaProgram((sys.executable, "-S", ECHO, str(i), "7000"), folder, {}, folder))
    genesis = make_genesis(
        Cluster(bytes(16), 4),
        1,
        [replica_address(i) for i in range(4)],
        [ClientBlock(1000, 1009, *client_address())],
    )
    opening = opening_data(genesis, 1, [], places(4), [], (1, 2), None)
    made = LiveWorld(
        n=4, f=1, folder=tmp_path, programs=programs, interception=LiveInterception(tmp_path, opening)
    )
    if sandbox.inside():
        made.set_up()
    yield made
    made.tear_down()


class Talk:
    """With the replicas."""

    def __init__(self, world: LiveWorld) -> None:
        self.world = world
        self.inbox: list[bytes] = []
        self.asked = [0] * 4
        world.on_datagram(self.inbox.append)

    def until(self, condition: Callable[[], object], what: str) -> None:

        def tick() -> None:
            self.world.call_at(self.world.now_ns() + 2_000_000, tick)

        tick()
        assert self.world.run(lambda: bool(condition()), self.world.now_ns() + 10 * SECOND_NS), what

    def answers(self, replica: int) -> bool:
        """Does it answer this question within a tenth of a second? What comes late answers no other."""
        self.inbox.clear()
        self.asked[replica] += 1
        number = self.asked[replica]
        self.world.send(replica, b"echo %d" % number)
        return self.world.run(
            lambda: b"echo %d %d" % (replica, number) in self.inbox, self.world.now_ns() + SECOND_NS // 10
        )


def test_rules_act_and_go_and_without_the_interceptor_nothing_passes(
    in_sandbox: None, world: LiveWorld, tmp_path: Path
) -> None:
    talk = Talk(world)
    kind = KINDS["drop"]
    params = {"match": {"from": ["r1"], "to": ["clients"]}}
    assert "packets" in world.capabilities
    talk.until(lambda: talk.answers(1) and talk.answers(2), "everything passes")
    kind.start(world, "drop-1", params)
    talk.until(lambda: world.tampered("drop-1")["in_force"], "in force")
    assert not talk.answers(1)
    talk.until(lambda: talk.answers(2), "the others answer")
    talk.until(lambda: kind.observe(world, "drop-1", params), "the lost answer is reported")
    receipt = kind.observe(world, "drop-1", params)
    assert receipt is not None
    assert 1 <= int(str(receipt.evidence["dropped"])) <= talk.asked[1], "each lost answer is counted once"
    kind.stop(world, "drop-1", params)
    assert kind.stopped(world, "drop-1", params) is None, "asked for is not done"
    talk.until(lambda: kind.stopped(world, "drop-1", params), "undone")
    talk.until(lambda: talk.answers(1), "it answers again")
    world.tamper("drop-2", [{"action": "drop", "match": {"from": ["r3"]}}])
    talk.until(lambda: world.tampered("drop-2")["in_force"], "in force")
    os.kill(interceptor_of(world), signal.SIGKILL)
    with pytest.raises(HarnessError, match="the network stopped: the interceptor was ended by SIGKILL"):
        world.run(lambda: False, world.now_ns() + 10 * SECOND_NS)
    with pytest.raises(HarnessError, match="SIGKILL"):
        talk.answers(1)
    assert talk.inbox == [], "nobody gives verdicts: fail closed"
    world.tamper("drop-2", [])
    assert world.tampered("drop-2")["in_force"], "nobody can prove that it is undone"
    world.tear_down()
    assert (tmp_path / "interceptor.log").read_bytes() == b""


def interceptor_of(world: LiveWorld) -> int:
    assert world._interception is not None
    assert world._interception._process is not None
    return world._interception._process.pid


DELAY_NS = SECOND_NS
"""Within it the harness is to hear that a packet is held, and to cut its link."""
ACTIONS = """
from types import MappingProxyType
from nemesis.packets import registry
from nemesis.packets.scene import Order
from nemesis.packets.tamperer import Tampering

class Orders(Tampering):
    action = "order"
    keys = ("what",)

    def __init__(self, data, name, scene):
        super().__init__(data, name, scene)
        self.what = data["what"]

    def act(self, packet, header, slot, now_ns):
        self.scene.orders.append(Order(self.what, int(packet.source[1:]), "order-1"))
        return [packet]

class Delay(Tampering):
    action = "delay-test"

    def act(self, packet, header, slot, now_ns):
        return [packet._replace(delay_ns=1_000_000_000)]

registry.ACTIONS = MappingProxyType({**registry.ACTIONS, "order": Orders, "delay-test": Delay})
"""


@pytest.fixture
def more_actions(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the interceptor, whatever else is registered there."""
    folder = tmp_path_factory.mktemp("actions")
    (folder / "sitecustomize.py").write_text(ACTIONS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", ""))))


def test_orders_are_carried_out_and_a_cut_takes_what_is_held(
    in_sandbox: None, more_actions: None, world: LiveWorld
) -> None:
    talk = Talk(world)
    talk.until(lambda: talk.answers(1), "it answers")

    def rule(**data: object) -> None:
        match = {"from": ["r1"], "to": ["clients"]}
        world.tamper("order-1", [{**data, "match": match}] if data else [])
        talk.until(lambda: world.tampered("order-1")["in_force"] is bool(data), "in force, or not")

    rule(action="order", what="pause")
    talk.answers(1)
    talk.until(lambda: world.process(1).state == "stopped", "paused by its own answer")
    rule()
    world.resume(1)
    talk.until(lambda: talk.answers(1), "what was held is let go, and it goes on")
    rule(action="delay-test")
    talk.inbox.clear()
    sent_ns = world.now_ns()
    world.send(1, b"echo hello")
    talk.until(lambda: world.tampered("order-1")["held"] == 1, "held")
    talk.until(lambda: talk.inbox, "it comes")
    assert world.now_ns() - sent_ns >= DELAY_NS
    talk.until(lambda: world.tampered("order-1")["held"] == 0, "nothing is held any more")
    world.send(1, b"echo hello")
    talk.until(lambda: world.tampered("order-1")["held"] == 1, "held again")
    cut = frozenset({Link("r1", "clients")})
    world.cut("cut-1", cut)
    talk.inbox.clear()
    talk.until(lambda: world.tampered("order-1")["held"] == 0, "its time is over")
    talk.until(lambda: world.blocked() == dict.fromkeys(cut, 1), "the cut counted it")
    assert talk.inbox == []
    world.cut("cut-1", frozenset())
    rule()  # until then "in force" could mean the rule before
    rule(action="order", what="kill")
    talk.answers(1)
    talk.until(lambda: world.process(1).state == "dead" and world.exits(), "killed by its own answer")
    assert [(ended.replica, ended.signal, ended.expected) for ended in world.exits()] == [(1, 9, True)]
    world.tear_down()
    assert world._interception is not None
    statistics = world._interception.statistics
    assert statistics is not None
    assert (statistics["orders"], statistics.get("cut")) == (2, 1), statistics


def test_a_pause_that_ended_before_it_was_seen_is_carried_out(
    in_sandbox: None, world: LiveWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interception, "ORDER_NS", SECOND_NS // 5)
    talk = Talk(world)
    talk.until(lambda: talk.answers(1), "it answers")
    assert world._interception is not None
    world._interception._carry_out(7, "pause", 1)
    world.resume(1)
    talk.until(lambda: talk.answers(1), "it goes on")
    world.run(lambda: False, world.now_ns() + 2 * interception.ORDER_NS)


def test_a_lost_packet_voids_the_run(in_sandbox: None, world: LiveWorld) -> None:
    """Stopped for so long that its buffer overflows, then told to go on: it sees the gap."""
    talk = Talk(world)
    talk.until(lambda: talk.answers(1), "it answers")
    os.kill(interceptor_of(world), signal.SIGSTOP)
    for _ in range(30_000):
        world.send(1, b"got nothing")
    os.kill(interceptor_of(world), signal.SIGCONT)
    with pytest.raises(HarnessError, match=r"\d+ packets are missing of those from \d+ to \d+"):
        talk.until(lambda: talk.answers(1) and False, "the gap is seen")


def test_a_cut_takes_what_is_put_on_the_wire_again(in_sandbox: None) -> None:
    topology, firewall = Topology(2), Firewall(2)
    topology.build()
    firewall.install()
    firewall.queue(1)
    emitter = Emitter({name: places(2)[name] for name in ("r0", "r1", CLIENTS)})
    target = topology.open_udp("r1", replica_address(1), 1 << 16)
    target.settimeout(5)
    emitter.send(Packet("r0", "r1", b"one"))
    assert target.recvfrom(100) == (b"one", replica_address(0)), "in the name of its source"
    firewall.cut("test", frozenset({Link("r0", "r1")}))
    emitter.send(Packet("r0", "r1", b"two"))
    emitter.send(Packet(CLIENTS, "r1", b"three"))
    assert target.recv(100) == b"three"
    assert firewall.blocked() == {Link("r0", "r1"): 1}
    firewall.cut("test", frozenset())
    large = bytes(range(250)) * 260
    emitter.send(Packet("r0", "r1", large))
    assert target.recv(65_535) == large
    for packet in (Packet("r0", "r1", bytes(65_536)), Packet("r0", "r9", b"")):
        emitter.send(packet)
    assert emitter.counts == {"emitted": 3, "cut": 1, "too large": 1, "no such host": 1}
    source = topology.open_udp("r0", replica_address(0), 1 << 16)
    source.sendto(b"nobody lets it through", replica_address(1))
    target.settimeout(0.05)
    with pytest.raises(TimeoutError):
        target.recv(100)
    assert firewall.stop_queueing() == 1
    firewall.remove()
    for opened in (source, target):
        opened.close()
    emitter.close()
    topology.remove()
    assert socket.if_nameindex()[0][1] == "lo"


def test_the_kernel_drops_what_is_spoilt(in_sandbox: None) -> None:
    """Of any length, odd and even, and with sums that carry."""
    topology, firewall = Topology(2), Firewall(2)
    topology.build()
    firewall.install()
    emitter = Emitter({name: places(2)[name] for name in ("r0", "r1")})
    target = topology.open_udp("r1", replica_address(1), 1 << 16)
    target.settimeout(5)
    spoilt = [bytes(range(size)) for size in range(40)] + [b"\xff" * size for size in (1, 2, 999, 65_507)]
    for data in spoilt:
        emitter.send(Packet("r0", "r1", data, spoilt=True))
    emitter.send(Packet("r0", "r1", b"sound"))
    assert target.recv(65_535) == b"sound"
    assert emitter.counts == {"emitted": len(spoilt) + 1}
    target.close()
    emitter.close()
    firewall.remove()
    topology.remove()
