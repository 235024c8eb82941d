"""Reads `packets.pcapng`: what rules did to packets, as any pcapng file of raw IPv4 and UDP.

Of the format (draft-ietf-opsawg-pcapng) sections, interfaces and enhanced packets are understood, the rest
is stepped over. The file is hostile: it is read block by block, a block has a bound, and what ends early or
contradicts itself ends the reading, with the reason in `why`. A packet cut short in the capture is left out.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PLACE = "packets.pcapng"
MOST_BLOCK_BYTES = 1 << 20
MOST_PACKETS = 5_000_000
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_MAGIC_LITTLE, _MAGIC_BIG = b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"
_RAW_IP, _IPV4 = 101, 228
_MICROSECONDS = 6
_RESOLUTION = 9
_UDP = 17
_COMMENT = 1
_MOST_INTERFACES = 64


class Packet(NamedTuple):
    """A UDP datagram of the capture."""

    number: int
    """Its place among all packets of the file, from 1, as capture viewers count."""
    time_ns: int
    data: bytes
    comment: str
    """What became of it: `was`, `altered`, `injected` …, and through which rule."""


class Capture:
    """A capture, from its first packet to its last, once. Raises OSError when it cannot be opened."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(None, "it is not a regular file", str(path))
        self._file = os.fdopen(descriptor, "rb", buffering=1 << 20)
        self._order = "<"
        self._interfaces: list[tuple[int, int]] = []
        """Of the section: link type, and ten to how many a second has ticks."""
        self.why = ""
        """Why the reading ended before the end; empty: it did not."""

    def packets(self) -> Iterator[Packet]:
        """Every whole UDP datagram over IPv4."""
        number = 0
        for kind, body in self._blocks():
            if kind == _INTERFACE:
                self._interface(body)
            elif kind == _PACKET:
                number += 1
                if number > MOST_PACKETS:
                    self.why = f"it has more than {MOST_PACKETS} packets"
                    return
                found = self._packet(number, body)
                if found is not None:
                    yield found

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        while head := self._file.read(8):
            if len(head) < 8:
                self.why = "it ends in the middle of a block"
                return
            if head[:4] == _SECTION.to_bytes(4, "big"):  # reads the same in both orders
                magic = self._file.read(4)
                if magic not in (_MAGIC_LITTLE, _MAGIC_BIG):
                    self.why = "a section begins with no byte-order magic"
                    return
                self._order = "<" if magic == _MAGIC_LITTLE else ">"
                self._interfaces = []
                skipped = 4
            else:
                skipped = 0
            kind, length = struct.unpack(f"{self._order}II", head)
            if length < 12 + skipped or length % 4 or length > MOST_BLOCK_BYTES:
                self.why = f"a block says that it has {length} bytes"
                return
            rest = self._file.read(length - 8 - skipped)
            if len(rest) < length - 8 - skipped:
                self.why = "it ends in the middle of a block"
                return
            if rest[-4:] != head[4:]:
                self.why = "a block's two lengths differ"
                return
            yield kind, rest[:-4]

    def _interface(self, body: bytes) -> None:
        if len(body) < 8 or len(self._interfaces) >= _MOST_INTERFACES:
            return
        (link,) = struct.unpack_from(f"{self._order}H", body)
        digits = _MICROSECONDS
        for code, value in self._options(body[8:]):
            if code == _RESOLUTION and len(value) == 1 and value[0] <= 18:
                digits = value[0]
        self._interfaces.append((link, digits))

    def _packet(self, number: int, body: bytes) -> Packet | None:
        if len(body) < 20:
            return None
        which, high, low, kept, size = struct.unpack_from(f"{self._order}IIIII", body)
        if which >= len(self._interfaces) or kept != size or kept > len(body) - 20:
            return None
        link, digits = self._interfaces[which]
        data = _datagram(body[20 : 20 + kept]) if link in (_RAW_IP, _IPV4) else None
        if data is None:
            return None
        ticks = high << 32 | low
        time_ns = ticks * 10 ** (9 - digits) if digits <= 9 else ticks // 10 ** (digits - 9)
        comment = ""
        for code, value in self._options(body[20 + kept + -kept % 4 :]):
            if code == _COMMENT and not comment:
                comment = value.decode("utf-8", "replace")
        return Packet(number, time_ns, data, comment)

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        at = 0
        while at + 4 <= len(data):
            code, length = struct.unpack_from(f"{self._order}HH", data, at)
            if not code or at + 4 + length > len(data):
                return
            yield code, data[at + 4 : at + 4 + length]
            at += 4 + length + -length % 4


def _datagram(packet: bytes) -> bytes | None:
    """The payload of an IPv4 packet with UDP in it, neither in pieces nor cut short. Checksums are not
    compared: what is in it proves itself by a signature, or not at all."""
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] != _UDP:
        return None
    head = (packet[0] & 15) * 4
    total = int.from_bytes(packet[2:4], "big")
    if int.from_bytes(packet[6:8], "big") & 0x3FFF or not head + 8 <= total <= len(packet) or head < 20:
        return None
    length = int.from_bytes(packet[head + 4 : head + 6], "big")
    return packet[head + 8 : head + length] if 8 <= length <= total - head else None
