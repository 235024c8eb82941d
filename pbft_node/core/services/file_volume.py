"""How the ``files`` service lays out a file system in a store: inodes, directory entries, blocks, a head.

    h                            next number, latest time stamp, inodes in use, bytes in use
    i NUMBER                     kind, mode, size, times (a directory's size is its count of entries)
    d NUMBER, name               number of the entry
    b NUMBER, BLOCK              up to ``BLOCK_BYTES``; a missing block, or the missing end of one, is zeros

Callers check first and change then: a refusal leaves nothing half done.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ..store import Store
from .places import NUMBER_LIMIT, number_key

FILE, DIRECTORY = 1, 2
ROOT = 1
BLOCK_BYTES = 8 * 1024
"""As the transfers of NFS version 2."""
MAX_TRANSFER_BYTES = 24 * 1024
"""Of one read or write: both fit into one request and one reply."""
MAX_NAME_BYTES = 255
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_INODES = 65_536
MAX_ENTRIES = 4096
"""Of one directory: a listing begins with a search."""
MAX_VOLUME_BYTES = 256 * 1024 * 1024
"""Sum of all files' sizes."""
_HEAD = struct.Struct(">QQIQ")
_INODE = struct.Struct(">BHQQQ")
_FORBIDDEN_NAMES = (b"", b".", b"..")


class Refused(Exception):
    """The operation cannot be done; ``reason`` is the name of NFS for it."""

    def __init__(self, reason: bytes) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Inode:
    """A file or a directory."""

    number: int
    kind: int
    mode: int
    size: int
    modified: int
    """When its contents changed last."""
    changed: int
    """When anything about it changed last."""


class Volume:
    """One operation's look at the file system. Nothing is kept between operations but the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # ------------------------------------------------------------ looking

    def inode(self, number: int) -> Inode:
        """Raises Refused(stale) when there is none."""
        packed = self._store.get(b"i" + number_key(number))
        if packed is None:
            if number == ROOT:
                return Inode(ROOT, DIRECTORY, 0o755, 0, 0, 0)
            raise Refused(b"stale")
        return Inode(number, *_INODE.unpack(packed))

    def directory(self, number: int) -> Inode:
        """Raises Refused(stale, notdir)."""
        inode = self.inode(number)
        if inode.kind != DIRECTORY:
            raise Refused(b"notdir")
        return inode

    def file(self, number: int) -> Inode:
        """Raises Refused(stale, isdir)."""
        inode = self.inode(number)
        if inode.kind != FILE:
            raise Refused(b"isdir")
        return inode

    def entry(self, directory: Inode, name: bytes) -> int | None:
        """What a name stands for. Raises Refused(inval, nametoolong)."""
        if name in _FORBIDDEN_NAMES or b"/" in name or b"\0" in name:
            raise Refused(b"inval")
        if len(name) > MAX_NAME_BYTES:
            raise Refused(b"nametoolong")
        packed = self._store.get(_entries(directory) + name)
        return None if packed is None else int.from_bytes(packed, "big")

    def named(self, directory: Inode, name: bytes) -> Inode:
        """Raises Refused(inval, nametoolong, noent)."""
        number = self.entry(directory, name)
        if number is None:
            raise Refused(b"noent")
        return self.inode(number)

    def entries(self, directory: Inode, after: bytes) -> Iterator[tuple[bytes, int]]:
        """Names above ``after`` and what they stand for, ascending."""
        prefix = _entries(directory)
        for key, packed in self._store.scan(prefix):
            name = key[len(prefix) :]
            if name > after:
                yield name, int.from_bytes(packed, "big")

    def read(self, inode: Inode, offset: int, length: int) -> bytes:
        """Up to the end of the file."""
        end = min(inode.size, offset + length)
        parts = []
        while offset < end:
            block, start = divmod(offset, BLOCK_BYTES)
            stop = min(BLOCK_BYTES, start + end - offset)
            parts.append(self._block(inode, block)[start:stop].ljust(stop - start, b"\0"))
            offset += stop - start
        return b"".join(parts)

    def usage(self) -> tuple[int, int, int, int]:
        """Inodes in use, the most there can be; bytes in use, the most there can be."""
        _, _, inodes, size = self._head()
        return inodes, MAX_INODES, size, MAX_VOLUME_BYTES

    # ------------------------------------------------------------ changing

    def make(self, directory: Inode, name: bytes, kind: int, mode: int) -> Inode:
        """A new file or directory under a free name."""
        number, clock, inodes, size = self._head()
        if inodes >= MAX_INODES or directory.size >= MAX_ENTRIES or number >= NUMBER_LIMIT:
            raise Refused(b"nospc")
        self._store.put(b"h", _HEAD.pack(number + 1, clock, inodes + 1, size))
        inode = Inode(number, kind, mode, 0, 0, 0)
        self._store.put(_entries(directory) + name, number_key(number))
        directory.size += 1
        self.changed(directory, inode, contents=True)
        return inode

    def write(self, inode: Inode, offset: int, data: bytes) -> None:
        """Put ``data`` at ``offset``; a gap before it reads as zeros. No data: nothing but the time."""
        if data:
            self._account(inode, max(inode.size, offset + len(data)))
        position = 0
        while position < len(data):
            block, start = divmod(offset + position, BLOCK_BYTES)
            part = data[position : position + BLOCK_BYTES - start]
            if len(part) < BLOCK_BYTES:
                old = self._block(inode, block)
                part = old[:start].ljust(start, b"\0") + part + old[start + len(part) :]
            position += min(BLOCK_BYTES - start, len(data) - position)
            self._store.put(_blocks(inode) + number_key(block), part)
        self.changed(inode, contents=True)

    def resize(self, inode: Inode, size: int) -> None:
        """Cut off, or grow by zeros. What is cut off never shows again."""
        before = inode.size
        self._account(inode, size)
        if size >= before:
            return
        last, keep = divmod(size, BLOCK_BYTES)
        for block in range(last + (keep > 0), -(-before // BLOCK_BYTES)):
            self._store.delete(_blocks(inode) + number_key(block))
        if keep and self._store.get(_blocks(inode) + number_key(last)) is not None:
            self._store.put(_blocks(inode) + number_key(last), self._block(inode, last)[:keep])

    def unlink(self, directory: Inode, name: bytes, inode: Inode) -> None:
        """Take a name away, and with it what it stood for: there are no hard links."""
        self._store.delete(_entries(directory) + name)
        directory.size -= 1
        self._drop(inode)
        self.changed(directory, contents=True)

    def rename(
        self, source: Inode, name: bytes, target: Inode, new_name: bytes, inode: Inode, replaced: Inode | None
    ) -> None:
        """``source`` and ``target`` are the same object when they are the same directory."""
        if replaced is not None:
            self.unlink(target, new_name, replaced)
        self._store.delete(_entries(source) + name)
        self._store.put(_entries(target) + new_name, number_key(inode.number))
        source.size -= 1
        target.size += 1
        self.changed(source, contents=True)
        self.changed(target, contents=True)
        self.changed(inode, contents=False)

    def changed(self, *inodes: Inode, contents: bool) -> None:
        """Stamp and keep them: one moment for all, and later than every moment before."""
        number, clock, count, size = self._head()
        clock = max(clock + 1, self._store.time_ns)
        self._store.put(b"h", _HEAD.pack(number, clock, count, size))
        for inode in inodes:
            inode.changed = clock
            if contents:
                inode.modified = clock
            packed = _INODE.pack(inode.kind, inode.mode, inode.size, inode.modified, inode.changed)
            self._store.put(b"i" + number_key(inode.number), packed)

    # ------------------------------------------------------------ inside

    def _head(self) -> tuple[int, int, int, int]:
        packed = self._store.get(b"h")
        return (ROOT + 1, 0, 1, 0) if packed is None else _HEAD.unpack(packed)

    def _block(self, inode: Inode, block: int) -> bytes:
        return self._store.get(_blocks(inode) + number_key(block)) or b""

    def _account(self, inode: Inode, size: int) -> None:
        """Set a file's size. Raises Refused(nospc) before anything changed."""
        number, clock, count, used = self._head()
        if used + size - inode.size > MAX_VOLUME_BYTES:
            raise Refused(b"nospc")
        self._store.put(b"h", _HEAD.pack(number, clock, count, used + size - inode.size))
        inode.size = size

    def _drop(self, inode: Inode) -> None:
        if inode.kind == FILE:
            self.resize(inode, 0)
        number, clock, count, used = self._head()
        self._store.put(b"h", _HEAD.pack(number, clock, count - 1, used))
        self._store.delete(b"i" + number_key(inode.number))


def _entries(directory: Inode) -> bytes:
    return b"d" + number_key(directory.number)


def _blocks(inode: Inode) -> bytes:
    return b"b" + number_key(inode.number)
