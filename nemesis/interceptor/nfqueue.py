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

from nemesis.interceptor.lots import Lots

BUFFER_BYTES = 8 * 1024 * 1024
MAXLEN = 65_536
PACKETS_AT_ONCE = 64
HEAD_BYTES = 20 + 8 + 28
"""IP and UDP headers without options, and the part of a PBFT header that says what a message is."""
ACCEPT, DROP = 1, 0
PATIENCE_NS = 5_000_000
"""How long ``Heads.read`` waits at the most, but for the kernel's rounding."""

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
_VERDICT_HDR, _PAYLOAD = 2, 10
_ANSWER_S = 5.0
_WHOLE_BYTES = 0xFFFF
_SMALL_BYTES, _LARGE_BYTES = 512, 1 << 17
"""Of a message about a head, and about a whole packet."""

_HEADER = struct.Struct("=IHHIIBB")
_NUMBER = struct.Struct(">H")
_ATTRIBUTE = struct.Struct("=HH")
_LENGTH_AND_KIND = struct.Struct("=IH").unpack_from
_HEAD = struct.Struct("4s12x8s13xB6x8s8x")
_HEAD_AT, _HEAD_BYTES = _HEAD.unpack_from, _HEAD.size
_LEAST_BYTES = 32 + _HEAD_BYTES
"""Of a message with a head: headers and the packet's number come before it."""
_MARKED = _ATTRIBUTE.pack(_HEAD.size, _PAYLOAD)
_ADDRESSES = slice(12, 20)
_ID, _ID_AT = struct.Struct(">I").unpack_from, 24
_WORD = struct.Struct(">I").pack
_TAIL = struct.Struct("=HH").unpack_from


class Lost(Exception):
    """A packet was lost by the interceptor, or the kernel refused a verdict. The run is void."""


Head = tuple[bytes, bytes, int, bytes]
"""Of a packet, what rules ask for first: the attribute it came in, source and target address, type, view. All
but the addresses are empty when it is too short for a PBFT header. A plain tuple, as there is one for every
packet, and fit for a key."""
Waiting = tuple[int, bytes]
"""A packet in the kernel: its number, and its bytes from the IP header on."""


class Queue:
    """One queue; of every packet so many bytes are copied, in so many messages at once."""

    def __init__(self, number: int, copied_bytes: int, at_once: int, message_bytes: int) -> None:
        self.number = number
        self.seen = 0
        """Packets."""
        self.last = 0
        """Number of the last of them; they have consecutive ones."""
        self._number = _NUMBER.pack(number)
        self._verdicts = {kind: self._verdict_head(kind) for kind in (_VERDICT, _VERDICT_BATCH)}
        self._accept = self._verdicts[_VERDICT_BATCH] + _WORD(ACCEPT)
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
        try:
            self._open(copied_bytes)
            self._send = self._socket.send
            self._lots = Lots(self._socket, at_once, message_bytes)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """What waits is dropped by the kernel, and so is what comes."""
        self._socket.close()

    def fileno(self) -> int:
        """Readable when packets wait."""
        return self._socket.fileno()

    def verdict(self, packet: int, what: int) -> None:
        """Of one packet: ACCEPT or DROP."""
        self._say(_VERDICT, what, packet)

    def accept_up_to(self, packet: int) -> None:
        """Of all that wait, up to this one."""
        self._send(self._accept + _WORD(packet))

    def accept(self) -> None:
        """Of all that were read."""
        self._send(self._accept + _WORD(self.last))

    def pass_on(self, packet: int, to: int) -> None:
        """Into another queue."""
        self._say(_VERDICT, _TO_QUEUE | to << 16, packet)

    # Netlink

    def _say(self, message: int, what: int, packet: int) -> None:
        self._send(self._verdicts[message] + _WORD(what) + _WORD(packet))

    def _came(self, count: int, last: int) -> None:
        """So many packets were read, and that is the number of the last. Raises Lost when there were more."""
        missing = last - self.last - count & 0xFFFFFFFF
        if missing:
            raise Lost(
                f"queue {self.number}: {missing} packets are missing of those from {self.last + 1} to {last}"
                ": the interceptor did not keep up"
            )
        self.last = last
        self.seen += count

    def _verdict_head(self, kind: int) -> bytes:
        size = _HEADER.size + 2 + 12
        header = _HEADER.pack(size, kind, _REQUEST, 0, 0, 0, 0)
        return header + self._number + _ATTRIBUTE.pack(12, _VERDICT_HDR)

    def _other(self, message: bytes) -> None:
        if _TAIL(message, 4)[0] == _ERROR and (error := struct.unpack_from("=i", message, 16)[0]):
            raise Lost(f"queue {self.number}: the kernel refused a verdict: error {-error}")

    def _open(self, copied_bytes: int) -> None:
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
            _attribute(2, struct.pack(">IB", copied_bytes, _COPY_PACKET)),
            _attribute(3, struct.pack(">I", MAXLEN)),
            _attribute(4, struct.pack(">I", _F_GSO | _F_FAIL_OPEN)),
            _attribute(5, struct.pack(">I", _F_GSO)),
        )
        opened.setblocking(True)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, PATIENCE_NS // 1000))

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


class Heads(Queue):
    """In which every packet waits, and only heads are read."""

    def __init__(self, number: int) -> None:
        super().__init__(number, HEAD_BYTES, PACKETS_AT_ONCE, _SMALL_BYTES)
        self._memory = self._lots.memory

    def read(self) -> list[Head]:
        """Those that came, in order; at most ``PACKETS_AT_ONCE``."""
        return self._found(self._lots.read())

    def wait(self) -> list[Head]:
        """The same, but it waits up to ``PATIENCE_NS`` (and the kernel's rounding) for the first."""
        return self._found(self._lots.wait())

    def _found(self, messages: int) -> list[Head]:
        """One loop, run for every packet: what need not be done is not. Numbers only rise, so if the last is
        right, none is missing."""
        memory, size, last_at = self._memory, _SMALL_BYTES, 0
        found: list[Head] = []
        for at in range(0, messages * size, size):
            length, kind = _LENGTH_AND_KIND(memory, at)
            if kind != _QUEUE:
                self._other(self._lots.message(at // size))
                continue
            last_at = at
            if length >= _LEAST_BYTES:
                head = _HEAD_AT(memory, at + length - _HEAD_BYTES)  # where it always is, at the end
                if head[0] == _MARKED:
                    found.append(head)
                    continue
            found.append(_short(self._lots.message(at // size)))
        if found:
            self._came(len(found), _ID(memory, last_at + _ID_AT)[0])
        return found


class Wholes(Queue):
    """To which packets are passed on that somebody wants whole."""

    def __init__(self, number: int) -> None:
        super().__init__(number, _WHOLE_BYTES, 1, _LARGE_BYTES)

    def read(self) -> Waiting | None:
        """The next, if there is one."""
        if not self._lots.read():
            return None
        message = self._lots.message(0)
        if _TAIL(message, 4)[0] != _QUEUE:
            self._other(message)
            return None
        self._came(1, _ID(message, _ID_AT)[0])
        return self.last, _payload(message)


def head_of(data: bytes) -> Head:
    """Of the bytes of a packet, as it is read."""
    if len(data) < HEAD_BYTES:
        return b"", data[_ADDRESSES], 0, b""
    return _HEAD.unpack(_MARKED + data[:HEAD_BYTES])


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


def _payload(message: bytes) -> bytes:
    return dict(_attributes(message)).get(_PAYLOAD, b"")


def _short(message: bytes) -> Head:
    """Of a packet that ends before the PBFT header does."""
    return b"", _payload(message)[_ADDRESSES], 0, b""
