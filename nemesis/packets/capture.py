"""What rules did to packets, as a pcapng file that Wireshark and scapy read.

Every packet that a rule touched stands there as it was, and after it every packet that was put on the wire
in its place, with the IPv4 and UDP headers it would have between the hosts of a live run. The comment says
what became of it, which rule did it, and what the rule said of it:

    altered | f0/1 equivocate | told r2 digest ab12… instead of 34cd…

Times are the run's own clock, as in all other files of it, and the moment of the decision: a packet that is
delayed says by how much. The file has a bound; when that is reached it says so in a last comment and only
counts. Nothing but the activations decides its bytes. Format: draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from socket import inet_aton

from nemesis.packets.activation import Activation
from nemesis.packets.packet import Packet

FILE_NAME = "packets.pcapng"
MOST_BYTES = 256 << 20
LINKTYPE_IPV4 = 228
"""The packet begins with its IPv4 header."""
_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_COMMENT, _NAME, _RESOLUTION, _DROPPED = 1, 2, 9, 5
_RECEIVED = 4
_NANOSECONDS = b"\x09"
_PSEUDO = struct.Struct(">4s4sBBHHHHH")
_IP_BYTES, _UDP_BYTES = 20, 8
_MOST_UDP = 65_535 - _IP_BYTES
_UDP = 17
_DO_NOT_FRAGMENT = 0x4000
_HOPS_LEFT = 63
_COMMENT_BYTES = 2_000
_RESERVE_BYTES = 4_096
"""For the last comment and the count."""
_FULL = "the capture is full with this packet, of which only the headers are kept: what follows is counted"

Places = Mapping[str, tuple[str, int]]
"""Host -> IPv4 address and UDP port."""


class Capture:
    """The sink of an ``Engine``. ``write`` gets a whole block each time, and appends it to the file."""

    def __init__(
        self, write: Callable[[bytes], object], places: Places, most_bytes: int = MOST_BYTES
    ) -> None:
        self._write = write
        self._places = {host: (inet_aton(address), port) for host, (address, port) in places.items()}
        self._room = max(0, most_bytes - _RESERVE_BYTES)
        self._full = self._closed = False
        self._last_ns = 0
        self.written = 0
        """Packets."""
        self.left_out = 0
        """Packets for which there was no room."""
        section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _option(4, b"traitor") + _END
        self._put(_block(_SECTION, section))
        head = struct.pack("<HHI", LINKTYPE_IPV4, 0, 0)
        names = _option(_NAME, b"interceptor") + _option(_RESOLUTION, _NANOSECONDS) + _END
        self._put(_block(_INTERFACE, head + names))

    def __call__(self, one: Activation) -> None:
        """Something was done to a packet, or one was made up."""
        for packet, what in _scenes(one):
            self._add(packet, one.time_ns, f"{what} | {one.owner}/{one.rule} {one.action} | {one.note}")

    def close(self) -> None:
        """The counts, last. Idempotent. A file without them is whole, too."""
        if not self._closed:
            self._closed = True
            counts = _option(_RECEIVED, struct.pack("<Q", self.written + self.left_out))
            counts += _option(_DROPPED, struct.pack("<Q", self.left_out))
            if self.left_out:
                counts = _option(_COMMENT, f"full: {self.left_out} packets are left out".encode()) + counts
            self._put(_block(_STATISTICS, struct.pack("<I", 0) + _moment(self._last_ns) + counts + _END))

    def _add(self, packet: Packet, time_ns: int, comment: str) -> None:
        self._last_ns = time_ns
        if self._full:
            self.left_out += 1
            return
        whole = self._datagram(packet)
        block = _packet_block(whole, len(whole), time_ns, comment)
        if len(block) > self._room:
            self._full = True
            head = whole[: _IP_BYTES + _UDP_BYTES]
            block = _packet_block(head, len(whole), time_ns, f"{_FULL}\n{comment}")
        self.written += 1
        self._put(block)

    def _put(self, block: bytes) -> None:
        self._write(block)
        self._room -= len(block)

    def _datagram(self, packet: Packet) -> bytes:
        """Longer than IP allows, it is cut short there, as nobody could send it."""
        (source, source_port), (target, target_port) = (
            self._places[packet.source],
            self._places[packet.target],
        )
        data = packet.data[: _MOST_UDP - _UDP_BYTES]
        length = _UDP_BYTES + len(data)
        pseudo = _PSEUDO.pack(source, target, 0, _UDP, length, source_port, target_port, length, 0)
        whole_sum = int.from_bytes(pseudo + data + b"\0" * (len(data) % 2), "big")
        head = _ip_head(source, target, _IP_BYTES + length)
        ports = struct.pack(">HHHH", source_port, target_port, length, _ones_complement(whole_sum))
        return head + (_with_bad_checksum(ports) if packet.spoilt else ports) + data


def _scenes(one: Activation) -> Iterator[tuple[Packet, str]]:
    """The packets of an activation, each with what became of it."""
    was = one.was
    if was is None:
        for packet in one.now:
            yield packet, f"{'let go' if one.keeps else 'injected'}{_late(packet)}"
        return
    same = len(one.now) == 1 and one.now[0][:3] == was[:3]
    if same and one.now[0].delay_ns:
        yield was, _late(one.now[0]).strip()
        return
    if not one.now:
        yield was, "held back" if one.keeps else "dropped"
        return
    yield was, "was"
    for packet in one.now:
        what = "spoilt" if packet.spoilt else "altered" if packet.data != was.data else "sent"
        yield packet, f"{what}{_late(packet)}"


def _late(packet: Packet) -> str:
    return f" delayed {packet.delay_ns / 1e6:.3f} ms" if packet.delay_ns > 0 else ""


def _ip_head(source: bytes, target: bytes, length: int) -> bytes:
    front = struct.pack(">BBHHHBB", 0x45, 0, length, 0, _DO_NOT_FRAGMENT, _HOPS_LEFT, _UDP)
    checksum = _ones_complement(int.from_bytes(front + source + target, "big"))
    return front + struct.pack(">H", checksum) + source + target


def _ones_complement(words: int) -> int:
    """RFC 1071, of all 16-bit words read as one number: 2**16 is 1 modulo 2**16 - 1. Never 0, which means
    "no checksum" in UDP."""
    return 0xFFFF - words % 0xFFFF


def _with_bad_checksum(ports: bytes) -> bytes:
    return ports[:-1] + bytes([ports[-1] ^ 0xFF])


_END = struct.pack("<HH", 0, 0)


def _moment(time_ns: int) -> bytes:
    return struct.pack("<II", time_ns >> 32 & 0xFFFFFFFF, time_ns & 0xFFFFFFFF)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def _packet_block(kept: bytes, size: int, time_ns: int, comment: str) -> bytes:
    said = comment.encode(errors="replace")[:_COMMENT_BYTES].decode(errors="ignore").encode()
    head = struct.pack("<I", 0) + _moment(time_ns) + struct.pack("<II", len(kept), size)
    return _block(_PACKET, head + kept + b"\0" * (-len(kept) % 4) + _option(_COMMENT, said) + _END)
