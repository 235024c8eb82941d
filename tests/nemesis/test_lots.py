"""Many messages of a socket in one call."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from nemesis.interceptor.lots import Lots

SIZE = 16


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        yield one, other


def test_all_that_came_in_order_and_no_more_than_there_is_room_for(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    source, far = ends
    lots = Lots(source, 3, SIZE)
    for length in (4, 0, 2, 5):
        far.send(bytes([length]) * length)
    assert lots.wait() == 3
    assert [lots.message(i) for i in range(3)] == [b"\4" * 4, b"", b"\2" * 2]
    assert lots.memory[:4] == b"\4" * 4
    assert lots.read() == 1
    assert lots.message(0) == b"\5" * 5
    assert lots.read() == 0


def test_what_is_too_long_is_cut_off_and_spoils_no_neighbour(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    source, far = ends
    lots = Lots(source, 2, SIZE)
    far.send(b"a" * 3 * SIZE)
    far.send(b"b")
    assert lots.read() == 2
    assert [lots.message(0), lots.message(1)] == [b"a" * SIZE, b"b"]


def test_it_waits_as_long_as_the_socket_does(ends: tuple[socket.socket, socket.socket]) -> None:
    source, _ = ends
    source.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 30_000))
    lots = Lots(source, 2, SIZE)
    began = time.monotonic()
    assert lots.wait() == 0
    assert time.monotonic() - began >= 0.03
    began = time.monotonic()
    assert lots.read() == 0
    assert time.monotonic() - began < 0.03


def test_a_socket_that_cannot_be_read_is_an_error() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as source,
        pytest.raises(OSError, match="connected"),
    ):
        Lots(source, 2, SIZE).read()
