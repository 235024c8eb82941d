"""The socket: what cannot leave is lost and counted, what cannot be bound is explained."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from pbft_node.config import ClientAddress
from pbft_node.errors import MachineError
from pbft_node.transport import AddressBook, UdpTransport, _cannot_bind


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
