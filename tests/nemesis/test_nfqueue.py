"""Messages of NFQUEUE as the kernel writes them, through a socket of ours: heads, gaps, refusals."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from nemesis.interceptor import nfqueue
from nemesis.interceptor.nfqueue import HEAD_BYTES, Heads, Lost, Queue, Wholes, head_of

PACKET = bytes(range(100))


def queued(number: int, packet: bytes, *, extra: bytes = b"") -> bytes:
    """``extra``: further attributes, which come before the payload."""
    body = b"\x02\x00\x00\x01" + _attribute(1, struct.pack(">IHBx", number, 0x800, 2)[:7]) + extra
    body += _attribute(10, packet)
    return struct.pack("=IHHII", 16 + len(body), 3 << 8, 0, 0, 0) + body


def refused(error: int) -> bytes:
    return struct.pack("=IHHIIi", 36, 2, 0, 0, 0, -error) + bytes(16)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The other end of the next queue's socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    monkeypatch.setattr(nfqueue.socket, "socket", lambda *_: ours)
    monkeypatch.setattr(Queue, "_open", lambda *_: None)
    with ours, theirs:
        yield theirs


def test_heads_wherever_they_stand_in_a_message(kernel: socket.socket) -> None:
    queue = Heads(1)
    for number, extra in enumerate((b"", _attribute(13, bytes(4)), _attribute(5, bytes(4)) * 2), 1):
        kernel.send(queued(number, PACKET[:HEAD_BYTES], extra=extra))
    assert queue.read() == [head_of(PACKET)] * 3
    mark, addresses, kind, view = head_of(PACKET)
    assert (addresses, kind, view) == (PACKET[12:20], PACKET[33], PACKET[40:48])
    assert mark
    assert (queue.seen, queue.last, queue.read()) == (3, 3, [])


@pytest.mark.parametrize("length", [0, 19, 20, 28, 33, 34, 55])
def test_a_packet_too_short_for_a_header_has_addresses_only(kernel: socket.socket, length: int) -> None:
    queue = Heads(1)
    kernel.send(queued(1, PACKET[:length]))
    kernel.send(queued(2, PACKET[:HEAD_BYTES]))
    assert queue.read() == [(b"", PACKET[12:20][: max(0, length - 12)], 0, b""), head_of(PACKET)]
    assert head_of(PACKET[:length]) == (b"", PACKET[12 : min(20, length)], 0, b"")


@pytest.mark.parametrize("numbers", [(2,), (1, 3), (1, 2, 5, 6)])
def test_a_number_left_out_is_a_packet_lost(kernel: socket.socket, numbers: tuple[int, ...]) -> None:
    queue = Heads(1)
    for number in numbers:
        kernel.send(queued(number, PACKET[:HEAD_BYTES]))
    with pytest.raises(Lost, match="missing"):
        queue.read()


def test_a_whole_packet_and_one_lost_of_those(kernel: socket.socket) -> None:
    queue = Wholes(2)
    kernel.send(queued(1, b"\x45" * 60_000))
    assert queue.read() == (1, b"\x45" * 60_000)
    assert queue.read() is None
    kernel.send(queued(3, PACKET))
    with pytest.raises(Lost, match="1 packets are missing of those from 2 to 3"):
        queue.read()


def test_numbers_begin_again_after_the_highest(kernel: socket.socket) -> None:
    queue = Heads(1)
    queue.last = 0xFFFFFFFE
    for number in (0xFFFFFFFF, 0):
        kernel.send(queued(number, PACKET[:HEAD_BYTES]))
    assert len(queue.read()) == 2
    assert queue.last == 0


def test_a_verdict_that_the_kernel_refuses_voids_the_run(kernel: socket.socket) -> None:
    queue = Heads(1)
    kernel.send(refused(0))
    kernel.send(queued(1, PACKET[:HEAD_BYTES]))
    assert len(queue.read()) == 1
    kernel.send(refused(2))
    with pytest.raises(Lost, match="refused a verdict: error 2"):
        queue.read()


def test_all_that_was_read_is_let_go_in_one_message(kernel: socket.socket) -> None:
    queue = Heads(7)
    for number in (1, 2, 3):
        kernel.send(queued(number, PACKET[:HEAD_BYTES]))
    queue.read()
    queue.accept()
    verdict = kernel.recv(100)
    assert struct.unpack("=IHH", verdict[:8]) == (len(verdict), 3 << 8 | 3, 1)
    assert struct.unpack(">HII", verdict[18:20] + verdict[24:]) == (7, 1, 3)
    queue.accept_up_to(3)
    assert kernel.recv(100) == verdict
