"""The socket: what cannot leave is lost and counted, what cannot be bound is explained."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from pbft_node.config import ClientAddress
from pbft_node.errors import MachineError
from pbft_node.transport import PEER_SHARE, AddressBook, UdpTransport, _cannot_bind


def test_transport_loses_and_counts_what_cannot_leave() -> None:
    transport = UdpTransport(("127.0.0.1", 0), AddressBook([("127.0.0.1", 9), ("255.255.255.255", 9)]))
    try:
        transport.send(7, b"to nobody")
        transport.send(999, b"to nobody")
        transport.send(0, bytes(70_000))
        transport.send(1, b"broadcast needs permission")
        transport.send(0, b"fine, though nobody listens")
        assert transport.lost == {"unknown receiver": 2, "EMSGSIZE": 1, "EACCES": 1}
        assert transport.receive(10) == []
    finally:
        transport.close()


@pytest.mark.parametrize(
    "code", [errno.EAGAIN, errno.ENOBUFS, errno.ECONNREFUSED, errno.EPERM, errno.ENETUNREACH]
)
def test_transport_survives_every_send_error(code: int) -> None:
    class Broken:
        def sendto(self, data: bytes, address: object) -> int:
            raise OSError(code, os.strerror(code))

        def recv(self, size: int) -> bytes:
            raise OSError(code, os.strerror(code))

    transport = UdpTransport(("127.0.0.1", 0), AddressBook([("127.0.0.1", 9)]))
    transport.close()
    transport._socket = Broken()  # type: ignore[assignment]
    transport.send(0, b"m")
    assert transport.lost == {errno.errorcode[code]: 1}
    assert transport.receive(5) == []


def test_receive_respects_its_limit() -> None:
    transport = UdpTransport(("127.0.0.1", 0), AddressBook([]))
    try:
        address = transport._socket.getsockname()
        for number in range(10):
            transport._socket.sendto(b"%d" % number, address)
        assert transport.receive(4) == [b"0", b"1", b"2", b"3"]
        assert len(transport.receive(100)) == 6
        assert transport.receive(100) == []
    finally:
        transport.close()


# ---------------------------------------------------------------- one peer's flood is its own


def peer() -> socket.socket:
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.bind(("127.0.0.1", 0))
    return own


@pytest.fixture
def surrounded() -> Iterator[tuple[UdpTransport, socket.socket, socket.socket, socket.socket]]:
    """A replica's transport with small buffers, two peers and a stranger."""
    with peer() as first, peer() as second, peer() as stranger:
        peers = [first.getsockname(), second.getsockname()]
        transport = UdpTransport(("127.0.0.1", 0), AddressBook([]), peers, buffer_bytes=64 * 1024)
        yield transport, first, second, stranger
        transport.close()


def test_a_flood_fills_its_own_buffer_only(
    surrounded: tuple[UdpTransport, socket.socket, socket.socket, socket.socket],
) -> None:
    transport, first, second, stranger = surrounded
    address = transport._socket.getsockname()
    for _ in range(1000):
        first.sendto(bytes(1000), address)
    for number in range(10):
        second.sendto(b"second %d" % number, address)
        stranger.sendto(b"stranger %d" % number, address)
    got = [data for _ in range(100) for data in transport.receive(100)]
    assert 0 < got.count(bytes(1000)) < 1000, "the flood was larger than its buffer"
    expected = {b"second %d" % number for number in range(10)} | {b"stranger %d" % n for n in range(10)}
    assert expected <= set(got)


def test_in_one_buffer_a_flood_drowns_the_others() -> None:
    """What the test above would see without a socket for each."""
    with peer() as first, peer() as second:
        transport = UdpTransport(("127.0.0.1", 0), AddressBook([]), buffer_bytes=64 * 1024)
        address = transport._socket.getsockname()
        for _ in range(1000):
            first.sendto(bytes(1000), address)
        second.sendto(b"second" * 200, address)
        got = [data for _ in range(100) for data in transport.receive(100)]
        transport.close()
    assert b"second" * 200 not in got


def test_each_source_gets_its_share_of_a_turn(
    surrounded: tuple[UdpTransport, socket.socket, socket.socket, socket.socket],
) -> None:
    transport, first, second, stranger = surrounded
    address = transport._socket.getsockname()
    for number in range(30):
        stranger.sendto(b"s%d" % number, address)
        first.sendto(b"f%d" % number, address)
    second.sendto(b"second", address)
    got = transport.receive(30)
    assert [data[:1] for data in got[:10]] == [b"f"] * 10, "peers come first"
    assert got[10] == b"second"
    assert len(got) == 21
    assert transport.receive(30, ready=[transport._peers[1].fileno()]) == []
    assert len(transport.receive(30, ready=[transport._peers[0].fileno()])) == 20, "alone, it has the turn"


def test_what_arrives_before_a_socket_is_connected_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = peer()

    class Late(socket.socket):
        def connect(self, address: object) -> None:
            sender.sendto(b"in between", self.getsockname())
            super().connect(address)

    monkeypatch.setattr(
        "pbft_node.transport._new_socket",
        lambda: Late(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK),
    )
    with peer() as other, sender:
        peers = [other.getsockname()]
        transport = UdpTransport(("127.0.0.1", 0), AddressBook([]), peers)
        assert transport.receive(10) == [b"in between"]
        transport.close()


def test_a_peer_from_elsewhere_is_heard(
    surrounded: tuple[UdpTransport, socket.socket, socket.socket, socket.socket],
) -> None:
    """From another port, or again from its own by somebody who sends raw packets: nobody looks."""
    transport, first, _, _ = surrounded
    address = transport._socket.getsockname()
    with peer() as elsewhere:
        elsewhere.sendto(b"from another port", address)
        first.sendto(b"from its own", address)
        assert transport.receive(10) == [b"from its own", b"from another port"]


def test_a_second_process_cannot_take_the_port(
    surrounded: tuple[UdpTransport, socket.socket, socket.socket, socket.socket],
) -> None:
    transport, first, _, _ = surrounded
    address = transport._socket.getsockname()
    with pytest.raises(MachineError, match="in use"):
        UdpTransport(address, AddressBook([]), [first.getsockname()])
    greedy = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    greedy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with pytest.raises(OSError, match="in use"):
        greedy.bind(address)
    greedy.close()


def test_a_peer_without_a_route_comes_in_with_the_strangers() -> None:
    transport = UdpTransport(("127.0.0.1", 0), AddressBook([]), [("192.0.2.1", 7000)])
    assert transport.filenos() == [transport.fileno()]
    transport.close()


def test_a_peer_that_is_down_costs_nothing() -> None:
    """The kernel reports it to the socket that is connected there; that is no reason to stop reading."""
    with peer() as own:
        address = own.getsockname()
    transport = UdpTransport(("127.0.0.1", 0), AddressBook([address]), [address])
    transport.send(0, b"nobody there")
    transport.receive(10)
    with peer() as other:
        other.sendto(b"still here", transport._socket.getsockname())
        assert transport.receive(10) == [b"still here"]
    transport.close()


def test_large_datagrams_and_buffers() -> None:
    transport = UdpTransport(("127.0.0.1", 0), AddressBook([]))
    try:
        transport._book = AddressBook([transport._socket.getsockname()])
        transport.send(0, bytes(65_507))
        assert transport.receive(1) == [bytes(65_507)]
        assert transport.buffer_bytes >= 100_000
    finally:
        transport.close()


def test_addresses_of_client_blocks() -> None:
    blocks = [ClientAddress(1100, 1199, ("127.0.0.1", 2)), ClientAddress(1000, 1049, ("127.0.0.1", 1))]
    book = AddressBook([("127.0.0.1", 7)], blocks)
    found = {
        principal: book.find(principal) for principal in (-1, 0, 1, 999, 1000, 1049, 1050, 1100, 1199, 1200)
    }
    known = {principal: address and address[1] for principal, address in found.items()}
    assert known == {
        -1: None,
        0: 7,
        1: None,
        999: None,
        1000: 1,
        1049: 1,
        1050: None,
        1100: 2,
        1199: 2,
        1200: None,
    }


@pytest.mark.parametrize(
    ("address", "words"),
    [(("127.0.0.1", 0), "in use by another process"), (("192.0.2.1", 7000), "no such address")],
)
def test_port_that_cannot_be_had(address: tuple[str, int], words: str) -> None:
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("127.0.0.1", 0))
    try:
        wanted = address if address[1] else taken.getsockname()
        with pytest.raises(MachineError, match=words):
            UdpTransport(wanted, AddressBook([]))
    finally:
        taken.close()


def test_privileged_port_is_explained() -> None:
    denied = _cannot_bind(("127.0.0.1", 80), OSError(errno.EACCES, "Permission denied"))
    assert "no permission" in denied
    assert "127.0.0.1:80" in denied
    assert "Some error" in _cannot_bind(("127.0.0.1", 80), OSError(errno.EIO, "Some error"))


def test_a_peer_has_a_small_part_of_a_turn(
    surrounded: tuple[UdpTransport, socket.socket, socket.socket, socket.socket],
) -> None:
    """Also where it is the only one: what came meanwhile for the others is read in the next turn."""
    transport, first, _, stranger = surrounded
    address = transport._socket.getsockname()
    for _ in range(PEER_SHARE + 10):
        first.sendto(b"f", address)
        stranger.sendto(b"s", address)
    got = transport.receive(1000)
    assert got.count(b"f") == PEER_SHARE
    assert got.count(b"s") == PEER_SHARE + 10
