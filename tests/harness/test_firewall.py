"""Cuts: exact, combined from several owners, atomic under traffic, and counted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness import commands
from harness.errors import HarnessError
from harness.firewall import BACKENDS, CHAIN, Backend, Firewall, choose_backend
from harness.topology import Topology, replica_address
from nemesis.machinery import Link

FLOOD = """
import socket, sys, time
flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + float(sys.argv[3])
sent = 0
while time.monotonic() < end:
    for _ in range(50):
        flood.sendto(b"flood", (sys.argv[1], int(sys.argv[2])))
    sent += 50
print(sent)
"""
N = 4


class Net:
    """A topology with a socket on each replica's host."""

    def __init__(self) -> None:
        self.topology = Topology(N)
        self.topology.build()
        self.firewall = Firewall(N)
        self.sockets = [self.topology.open_udp(f"r{i}", replica_address(i), 1 << 20) for i in range(N)]

    def passes(self, source: int, target: int) -> bool:
        """Is a datagram delivered? One from a link never cut, sent after it, bounds the wait."""
        self.sockets[source].sendto(b"probe", replica_address(target))
        self.sockets[3].sendto(b"end", replica_address(target))
        self.sockets[target].settimeout(5)
        got = []
        while b"end" not in got:
            got.append(self.sockets[target].recv(100))
        return b"probe" in got

    def close(self) -> None:
        for opened in self.sockets:
            opened.close()
        self.firewall.remove()
        self.topology.remove()


def usable(name: str) -> Backend:
    backend = next(backend for backend in BACKENDS if backend.name == name)
    if commands.find(backend.restore) is None:
        pytest.skip(f"{backend.restore} is not installed")
    return backend


def links(*pairs: str) -> frozenset[Link]:
    return frozenset(Link(*pair.split(">")) for pair in pairs)


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["iptables-legacy", "iptables-nft"])
def test_cuts_of_several_owners(in_sandbox: None, name: str) -> None:
    net = Net()
    net.firewall.install(usable(name))
    cut, blocked = net.firewall.cut, net.firewall.blocked
    assert blocked() == {}
    cut("a", links("r0>r1", "r1>r2"))
    assert not net.passes(0, 1)
    assert net.passes(1, 0), "only the direction asked for"
    assert blocked() == {Link("r0", "r1"): 1, Link("r1", "r2"): 0}
    cut("b", links("r0>r1", "r2>r0"))
    assert not net.passes(0, 1)
    assert blocked()[Link("r0", "r1")] == 2, "counters survive a change"
    cut("a", frozenset())
    assert net.passes(1, 2)
    assert not net.passes(0, 1), "b still blocks it"
    assert not net.passes(2, 0)
    cut("b", links("r2>r0"))
    assert net.passes(0, 1)
    assert blocked() == {Link("r2", "r0"): 1}
    cut("b", frozenset())
    cut("nobody", frozenset())
    assert blocked() == {}
    assert net.passes(2, 0)
    cut("b", links("r2>r0"))
    assert blocked() == {Link("r2", "r0"): 0}, "since it was cut"
    net.close()


@pytest.mark.sandbox
def test_only_our_own_chain_is_touched_and_it_is_first(in_sandbox: None) -> None:
    net = Net()
    backend = choose_backend()
    foreign = "*filter\n:FOREIGN - [0:0]\n-A FOREIGN -s 10.9.9.9/32 -j DROP\n-A FORWARD -j FOREIGN\nCOMMIT\n"
    commands.call(backend.restore, ["--noflush"], foreign)

    def rules() -> list[str]:
        lines = commands.call(backend.save, ["-t", "filter"]).splitlines()
        return [line for line in lines if line.startswith("-A")]

    before = rules()
    net.firewall.install()
    net.firewall.cut("a", links("r0>r1"))
    assert rules()[0] == f"-A FORWARD -j {CHAIN}"
    net.firewall.remove()
    net.firewall.remove()
    assert rules() == before
    net.close()


@pytest.mark.sandbox
def test_a_partition_is_rewritten_without_a_leak_under_traffic(in_sandbox: None) -> None:
    net = Net()
    net.firewall.install()
    net.firewall.cut("a", links("r0>r1", "r0>r2"))
    host, port = replica_address(1)
    with net.topology.inside("r0"):
        flood = subprocess.Popen(
            [sys.executable, "-c", FLOOD, host, str(port), "1.5"], stdout=subprocess.PIPE, text=True
        )
    shapes = (links("r0>r1", "r1>r0"), links("r0>r1", "r0>r3", "r2>r1"), links("r0>r1", "r0>r2"))
    rewrites = 0
    while flood.poll() is None:
        net.firewall.cut("a", shapes[rewrites % 3])
        rewrites += 1
    sent = int(flood.communicate(timeout=10)[0])
    assert rewrites >= 5
    assert sent >= 100
    net.sockets[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        net.sockets[1].recv(100)
    assert net.firewall.blocked()[Link("r0", "r1")] == sent, "every one was dropped and counted"
    net.close()


def test_a_failing_tool_is_a_harness_error_that_shows_what_it_said() -> None:
    with pytest.raises(HarnessError, match="exit code"):
        commands.call("sh", ["-c", "echo broken >&2; exit 3"])
    with pytest.raises(HarnessError, match="no-such-tool is not installed") as caught:
        commands.call("no-such-tool", [])
    assert "apt-get install" in caught.value.hint
