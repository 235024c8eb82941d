"""NFQUEUE, spoken over AF_NETLINK: packets that wait in the kernel for a verdict of this process.

Two queues. In the first every packet waits, and only its head is copied here: the IP and UDP headers and the
PBFT header, which is all that most packets are looked at for. Those are let go in one message for many. A
packet that somebody wants whole is sent on to the second queue, from where it is read at once, whole: so a
burst of large datagrams does not fill the socket's buffer.

The kernel numbers the packets of a queue before it copies them to the socket. A number left out is a packet
lost for lack of room in the buffer: lost by the harness, so ``Lost`` is raised and the run is void. Nobody
listens any more then, and without ``--queue-bypass`` the kernel drops what comes: fail closed. The second way
to lose one, a queue longer than its ``maxlen``, needs 65536 packets waiting, more than the buffer holds.

Wire format: ``linux/netfilter/nfnetlink_queue.h``. Lengths and types are in native order, what netfilter
itself puts there is big-endian.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

BUFFER_BYTES = 8 * 1024 * 1024
MAXLEN = 65_536
PACKETS_AT_ONCE = 64
HEAD_BYTES = 20 + 8 + 28
"""IP and UDP headers without options, and the part of a PBFT header that says what a message is."""
ACCEPT, DROP = 1, 0

_NETFILTER = 12
_SOL_NETLINK, _NO_ENOBUFS = 270, 5
_SO_RCVBUFFORCE = 33
_QUEUE, _VERDICT, _CONFIG, _VERDICT_BATCH = 3 << 8, 3 << 8 | 1, 3 << 8 | 2, 3 << 8 | 3
_ERROR = 2
_REQUEST, _ACK = 1, 4
_TO_QUEUE = 3
_BIND = 1
_COPY_PACKET = 2
_F_FAIL_OPEN, _F_GSO = 1, 4
_PACKET_HDR, _VERDICT_HDR, _PAYLOAD, _CAP_LEN = 1, 2, 10, 13
_ANSWER_S = 5.0
_WHOLE_BYTES = 0xFFFF
_SMALL_BYTES, _LARGE_BYTES = 4096, 1 << 17

_HEADER = struct.Struct("=IHHIIBB")
_NUMBER = struct.Struct(">H")
_ATTRIBUTE = struct.Struct("=HH")
_KIND_AND_ID = struct.Struct(">4xH18xI").unpack_from
_QUEUE_THERE = int.from_bytes(struct.pack("=H", _QUEUE), "big")
_MARK, _HEAD = slice(-HEAD_BYTES - 4, -HEAD_BYTES), slice(-HEAD_BYTES, None)
_MARKED = _ATTRIBUTE.pack(HEAD_BYTES + 4, _PAYLOAD)
_ID = struct.Struct(">I").unpack_from
_TWO_WORDS = struct.Struct(">II").pack
_TAIL = struct.Struct("=HH").unpack_from


class Lost(Exception):
    """A packet was lost by the interceptor, or the kernel refused a verdict. The run is void."""


Waiting = tuple[int, bytes]
"""A packet in the kernel: its number, and its bytes from the IP header on, all of it or ``HEAD_BYTES``. A
plain tuple: there is one for every packet."""


class Queue:
    """One queue. ``whole``: packets are copied whole, not their heads."""

    def __init__(self, number: int, *, whole: bool) -> None:
        self.number = number
        self.seen = self.ran_dry = 0
        """Packets; and how often all that there were had been read."""
        self._whole = whole
        self._read_bytes = _LARGE_BYTES if whole else _SMALL_BYTES
        self._number = _NUMBER.pack(number)
        self._verdicts = {kind: self._verdict_head(kind) for kind in (_VERDICT, _VERDICT_BATCH)}
        self._last = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
        try:
            self._open()
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """What waits is dropped by the kernel, and so is what comes."""
        self._socket.close()

    def fileno(self) -> int:
        """Readable when packets wait."""
        return self._socket.fileno()

    def read(self, most: int = PACKETS_AT_ONCE) -> list[Waiting]:
        """Those that came, in order; at most so many."""
        found: list[Waiting] = []
        try:
            self._read(found, most)
        except BlockingIOError:
            self.ran_dry += 1
        self.seen += len(found)
        return found

    def verdict(self, packet: int, what: int) -> None:
        """Of one packet: ACCEPT or DROP."""
        self._say(_VERDICT, what, packet)

    def accept_up_to(self, packet: int) -> None:
        """Of all that wait, up to this one."""
        self._say(_VERDICT_BATCH, ACCEPT, packet)

    def pass_on(self, packet: int, to: int) -> None:
        """Into another queue."""
        self._say(_VERDICT, _TO_QUEUE | to << 16, packet)

    # Netlink

    def _say(self, message: int, what: int, packet: int) -> None:
        self._socket.send(self._verdicts[message] + _TWO_WORDS(what, packet))

    def _read(self, found: list[Waiting], most: int) -> None:
        """Raises BlockingIOError when there are no more. One loop: it is run for every packet."""
        receive, size, heads, last = self._socket.recv, self._read_bytes, not self._whole, self._last
        while len(found) < most:
            message = receive(size)
            kind, number = _KIND_AND_ID(message)
            if kind == _QUEUE_THERE and heads and message[_MARK] == _MARKED:
                data = message[_HEAD]  # the head of a long packet is where it always is, at the end
            elif kind == _QUEUE_THERE:
                number, data = _taken_apart(message)
            else:
                self._other(message)
                continue
            if number != last + 1 & 0xFFFFFFFF:
                raise Lost(
                    f"queue {self.number}: packet {last + 1} is missing, {number} came: "
                    "the interceptor did not keep up"
                )
            self._last = last = number
            found.append((number, data))

    def _verdict_head(self, kind: int) -> bytes:
        size = _HEADER.size + 2 + 12
        header = _HEADER.pack(size, kind, _REQUEST, 0, 0, 0, 0)
        return header + self._number + _ATTRIBUTE.pack(12, _VERDICT_HDR)

    def _other(self, message: bytes) -> None:
        if _TAIL(message, 4)[0] == _ERROR and (error := struct.unpack_from("=i", message, 16)[0]):
            raise Lost(f"queue {self.number}: the kernel refused a verdict: error {-error}")

    def _open(self) -> None:
        """Raises OSError."""
        opened = self._socket
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
        opened.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
        opened.bind((0, 0))
        opened.settimeout(_ANSWER_S)
        self._configure(_attribute(1, struct.pack(">BxH", _BIND, socket.AF_INET)))
        self._configure(
            _attribute(2, struct.pack(">IB", _WHOLE_BYTES if self._whole else HEAD_BYTES, _COPY_PACKET)),
            _attribute(3, struct.pack(">I", MAXLEN)),
            _attribute(4, struct.pack(">I", _F_GSO | _F_FAIL_OPEN)),
            _attribute(5, struct.pack(">I", _F_GSO)),
        )
        opened.setblocking(False)

    def _configure(self, *attributes: bytes) -> None:
        """With F_GSO the kernel computes no checksum for the copy; FAIL_OPEN is named in the mask only, so
        it is off."""
        body = b"".join(attributes)
        header = _HEADER.pack(_HEADER.size + 2 + len(body), _CONFIG, _REQUEST | _ACK, 0, 0, 0, 0)
        self._socket.send(header + self._number + body)
        answer = self._socket.recv(_SMALL_BYTES)
        kind, error = _TAIL(answer, 4)[0], struct.unpack_from("=i", answer, 16)[0]
        if kind != _ERROR or error:
            raise OSError(-error, f"the kernel refused queue {self.number}")


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(message: bytes) -> Iterator[tuple[int, bytes]]:
    at = 20
    while at + 4 <= len(message):
        length, kind = _TAIL(message, at)
        if length < 4:
            return
        yield kind & 0x3FFF, message[at + 4 : at + length]
        at += length + 3 & ~3


def _taken_apart(message: bytes) -> tuple[int, bytes]:
    found = dict(_attributes(message))
    return _ID(found[_PACKET_HDR], 0)[0], found.get(_PAYLOAD, b"")
