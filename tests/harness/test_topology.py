"""The star of namespaces: addresses, what it builds, what it leaves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.topology import (
    CLIENTS,
    MOST_REPLICAS,
    Topology,
    client_address,
    host_address,
    host_names,
    replica_address,
)


def test_addresses_are_distinct_and_ports_are_not() -> None:
    addresses = [replica_address(i) for i in range(MOST_REPLICAS)]
    hosts = {host for host, _ in addresses} | {client_address()[0]}
    assert len(hosts) == MOST_REPLICAS + 1
    assert len({port for _, port in addresses}) == 1
    assert host_address("r3") == replica_address(3)[0]
    assert host_address(CLIENTS) == client_address()[0]
    assert host_names(2) == ("r0", "r1", "clients")


def links() -> str:
    return subprocess.run(["ip", "addr"], capture_output=True, text=True, check=True).stdout


@pytest.mark.sandbox
@pytest.mark.parametrize("n", [4, 31])
def test_every_host_reaches_every_other_and_nothing_is_left(in_sandbox: None, n: int) -> None:
    before = links()
    topology = Topology(n)
    topology.build()
    sockets = [topology.open_udp(f"r{i}", replica_address(i), 1 << 20) for i in range(n)]
    sockets.append(topology.open_udp(CLIENTS, client_address(), 1 << 22))
    addresses = [*(replica_address(i) for i in range(n)), client_address()]
    for opened in sockets:
        opened.settimeout(5)
    for sender, opened in enumerate(sockets):
        for address in addresses:
            opened.sendto(b"%d" % sender, address)
    for opened in sockets:
        got = {opened.recvfrom(100) for _ in sockets}
        assert got == {(b"%d" % i, address) for i, address in enumerate(addresses)}
        opened.close()
    topology.remove()
    assert links() == before
    assert not list(Path("/run/netns").iterdir())
    topology.remove()
    topology.build()
    topology.remove()


@pytest.mark.sandbox
def test_a_large_datagram_is_one_packet_and_settings_are_explicit(in_sandbox: None) -> None:
    topology = Topology(4)
    topology.build()
    with topology.inside("r1"):
        assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "0\n"
        assert Path("/proc/sys/net/ipv4/conf/eth0/rp_filter").read_text() == "0\n"
        assert Path("/proc/thread-self/net/dev").read_text().count("eth0") == 1
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "1\n"
    assert Path("/proc/sys/net/ipv4/conf/r1/rp_filter").read_text() == "0\n"
    assert "mtu 65535" in links()
    sender = topology.open_udp("r0", replica_address(0), 1 << 20)
    receiver = topology.open_udp("r1", replica_address(1), 1 << 20)
    receiver.settimeout(5)
    sender.sendto(bytes(65000), replica_address(1))
    assert len(receiver.recv(65535)) == 65000
    sender.close()
    receiver.close()
    topology.remove()


@pytest.mark.sandbox
def test_what_is_there_already_is_an_error(in_sandbox: None) -> None:
    topology = Topology(4)
    topology.build()
    with pytest.raises(HarnessError, match=r"already assigned|File exists"):
        Topology(4).build()
    holder = topology.open_udp("r0", replica_address(0), 1 << 20)
    with pytest.raises(HarnessError, match="Address already in use"):
        topology.open_udp("r0", replica_address(0), 1 << 20)
    holder.close()
    topology.remove()
