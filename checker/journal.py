"""Reads journals: what reached a replica, or the clients of a live run, exactly and in order.

The format is ARCHITECTURE.md's ("replicas/<id>/journal and clients.journal"); this is the judge's own reader.
A journal is hostile bytes and up to a gigabyte, so it is read frame by frame, and where its good part ends
is said: `whole`, `torn` (the process died while it wrote the last frame, of which nothing had left it), or
`limit` or `damaged`, and then things happened that it does not show. Only OSError and `Unreadable` leave it.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from checker.fields import Unreadable
from checker.wire import TYPE_OFFSET

OF_REPLICA, OF_CLIENTS = 1, 2
_MAGIC, _VERSION = b"PBFTJRN\n", 1
_HEADER = struct.Struct(">8sHH16sI")
_FRAME = struct.Struct(">4sBBHIII")
_CRC = struct.Struct(">I")
_NUMBER = struct.Struct(">Q")
_MARKER = b"\xf5JRN"
_TURN, _CUT, _LIMIT, _END = 1, 2, 3, 4
_BEGINS = 1
_RECEIVED = 2
_RAISED = 128
_ENTRY = struct.Struct(">QBI8s")
_CLIENTS_HEAD = struct.Struct(">QB")
_INVOKED = struct.Struct(">IBI")
_CLIENT = struct.Struct(">I")
_MOST_FRAME_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024

Why = Literal["whole", "torn", "limit", "damaged"]


class Began(NamedTuple):
    """A client began an operation (`clients.journal`)."""

    now_ns: int
    client: int
    needed: int
    """0: as many replies as the protocol asks for."""
    operation: bytes


class Arrived(NamedTuple):
    """A datagram reached the clients' host (`clients.journal`)."""

    now_ns: int
    datagram: bytes


class Journal:
    """A journal, from its first frame to its last, once. What is said of its end holds after that."""

    def __init__(self, path: Path) -> None:
        self._file = _open(path)
        head = self._file.read(_HEADER.size + _CRC.size)
        whole = len(head) == _HEADER.size + _CRC.size
        if not whole or zlib.crc32(head[: _HEADER.size]) != _CRC.unpack_from(head, _HEADER.size)[0]:
            self._file.close()
            raise Unreadable("its header is damaged")
        magic, version, self.of, self.cluster_id, self.replica = _HEADER.unpack_from(head)
        if magic != _MAGIC or version != _VERSION:
            self._file.close()
            raise Unreadable("it is no journal, or of another version")
        self.lives = 0
        self.until_ns = 0
        """The end of the last turn."""
        self.why: Why = "whole"

    def received(self, types: frozenset[int]) -> Iterator[bytes]:
        """Of a replica's: the datagrams of these types."""
        for _, datagram in self.received_at(types):
            yield datagram

    def received_at(self, types: frozenset[int]) -> Iterator[tuple[int, bytes]]:
        """The same, each with its time (ns)."""
        at_type = _ENTRY.size + TYPE_OFFSET
        for payload in self._turns():
            position, end = _NUMBER.size, len(payload)
            while position + _ENTRY.size <= end:
                now_ns, kind, length, _ = _ENTRY.unpack_from(payload, position)
                after = position + _ENTRY.size + length
                if after > end:
                    break
                if (
                    kind & ~_RAISED == _RECEIVED
                    and length > TYPE_OFFSET
                    and payload[position + at_type] in types
                ):
                    yield now_ns, payload[position + _ENTRY.size : after]
                position = after
            if position != end:
                self.why = "damaged"
                return

    def of_clients(self) -> Iterator[Began | Arrived]:
        """Of the clients': what is needed to see which operation was answered by whom."""
        for payload in self._turns():
            if len(payload) < _CLIENTS_HEAD.size:
                self.why = "damaged"
                return
            now_ns, kind = _CLIENTS_HEAD.unpack_from(payload)
            rest = payload[_CLIENTS_HEAD.size :]
            if kind == 1:
                yield Arrived(now_ns, rest)
            elif kind == 3 and len(rest) >= _INVOKED.size:
                client, _, needed = _INVOKED.unpack_from(rest)
                yield Began(now_ns, client, needed, rest[_INVOKED.size :])

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _turns(self) -> Iterator[bytes]:
        """Payloads of TURN frames, checksums compared."""
        while head := self._file.read(_FRAME.size):
            if len(head) < _FRAME.size:
                self.why = "torn" if head[:4] == _MARKER[: len(head)] else "damaged"
                return
            marker, kind, flags, _, length, crc, own = _FRAME.unpack(head)
            if marker != _MARKER or zlib.crc32(head[:-4]) != own or length > _MOST_FRAME_BYTES:
                self.why = "damaged"
                return
            payload = self._file.read(length)
            if len(payload) < length:
                self.why = "torn"
                return
            if zlib.crc32(payload) != crc:
                self.why = "damaged"
                return
            if kind == _LIMIT:
                self.why = "limit"
                return
            if kind == _TURN and length >= _NUMBER.size:
                self.lives += flags & _BEGINS
                self.until_ns = max(self.until_ns, _NUMBER.unpack_from(payload)[0])
                yield payload


def _open(path: Path) -> BinaryIO:
    """A regular file and nothing else: a FIFO would be waited for without end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(None, "it is not a regular file", str(path))
    return os.fdopen(descriptor, "rb", buffering=_CHUNK_BYTES)
