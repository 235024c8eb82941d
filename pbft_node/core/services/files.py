"""A file system with the operations of NFS: what the paper's BFS was, without a kernel.

Files and directories have numbers (``1`` is the root) that are never used again. Time stamps are those the
primary chose and all agreed on (section 4.6), in ns, but each later than the last one, so that a file that
changed never has the stamp it had before. As in BFS a read does not change the time of last access. Limits
make every result fit into a message and the whole into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..operations import decode_fields, encode_fields
from ..store import Store
from ..types import ClientId
from .file_volume import (
    DIRECTORY,
    FILE,
    MAX_ENTRIES,
    MAX_FILE_BYTES,
    MAX_TRANSFER_BYTES,
    Inode,
    Refused,
    Volume,
)
from .places import parse_natural
from .results import OK, UNKNOWN

MAX_LISTING_BYTES = 24 * 1024


class Files:
    """See ARCHITECTURE.md, services, for operations and results."""

    def execute(self, store: Store, client: ClientId, operation: bytes) -> bytes:
        """One operation; an ``error`` changed nothing."""
        fields = decode_fields(operation)
        known = _OPERATIONS.get((fields[0], len(fields) - 1)) if fields else None
        if known is None or fields is None:
            return UNKNOWN
        try:
            return known(Volume(store), fields[1:])
        except Refused as refusal:
            return encode_fields(b"error", refusal.reason)


def _getattr(volume: Volume, fields: Sequence[bytes]) -> bytes:
    return _attributes(volume.inode(_number(fields[0])))


def _setattr(volume: Volume, fields: Sequence[bytes]) -> bytes:
    inode, (_, attribute, value) = volume.inode(_number(fields[0])), fields
    if attribute == b"mode":
        inode.mode = _mode(value)
    elif attribute == b"size":
        _check(inode.kind == FILE, b"isdir")
        _check(_number(value) <= MAX_FILE_BYTES, b"fbig")
        volume.resize(inode, _number(value))
    elif attribute == b"mtime":
        inode.modified = _number(value)
    else:
        raise Refused(b"inval")
    volume.changed(inode, contents=attribute == b"size")
    return _attributes(inode)


def _lookup(volume: Volume, fields: Sequence[bytes]) -> bytes:
    return _attributes(volume.named(volume.directory(_number(fields[0])), fields[1]))


def _create(volume: Volume, fields: Sequence[bytes]) -> bytes:
    return _make(volume, FILE, fields)


def _mkdir(volume: Volume, fields: Sequence[bytes]) -> bytes:
    return _make(volume, DIRECTORY, fields)


def _make(volume: Volume, kind: int, fields: Sequence[bytes]) -> bytes:
    mode = _mode(fields[2])
    directory = volume.directory(_number(fields[0]))
    _check(volume.entry(directory, fields[1]) is None, b"exist")
    return _attributes(volume.make(directory, fields[1], kind, mode))


def _write(volume: Volume, fields: Sequence[bytes]) -> bytes:
    inode, offset, data = volume.file(_number(fields[0])), _number(fields[1]), fields[2]
    _check(len(data) <= MAX_TRANSFER_BYTES, b"inval")
    _check(offset + len(data) <= MAX_FILE_BYTES, b"fbig")
    volume.write(inode, offset, data)
    return _attributes(inode)


def _read(volume: Volume, fields: Sequence[bytes]) -> bytes:
    inode, offset, length = volume.file(_number(fields[0])), _number(fields[1]), _number(fields[2])
    _check(length <= MAX_TRANSFER_BYTES, b"inval")
    return _attributes(inode, volume.read(inode, offset, length))


def _readdir(volume: Volume, fields: Sequence[bytes]) -> bytes:
    """Names above ``fields[1]`` in ascending order, as many as fit; ``end`` when no more follow."""
    listed: list[bytes] = []
    size = 0
    for name, number in volume.entries(volume.directory(_number(fields[0])), fields[1]):
        text = b"%d" % number
        size += len(name) + len(text) + 8
        if size > MAX_LISTING_BYTES:
            return encode_fields(b"more", *listed)
        listed += [name, text]
    return encode_fields(b"end", *listed)


def _remove(volume: Volume, fields: Sequence[bytes]) -> bytes:
    return _unlink(volume, FILE, fields)


def _rmdir(volume: Volume, fields: Sequence[bytes]) -> bytes:
    return _unlink(volume, DIRECTORY, fields)


def _unlink(volume: Volume, kind: int, fields: Sequence[bytes]) -> bytes:
    directory = volume.directory(_number(fields[0]))
    inode = volume.named(directory, fields[1])
    _check(inode.kind == kind, b"notdir" if kind == DIRECTORY else b"isdir")
    _check(inode.kind == FILE or inode.size == 0, b"notempty")
    volume.unlink(directory, fields[1], inode)
    return OK


def _rename(volume: Volume, fields: Sequence[bytes]) -> bytes:
    """A file to anywhere, also over another file; a directory within its own directory only (``xdev``): so
    no directory can come to lie below itself."""
    source, target = volume.directory(_number(fields[0])), volume.directory(_number(fields[2]))
    if target.number == source.number:
        target = source
    inode, replaced = volume.named(source, fields[1]), volume.entry(target, fields[3])
    if inode.number == replaced:
        return OK
    _check(inode.kind == FILE or source is target, b"xdev")
    other = None if replaced is None else volume.inode(replaced)
    _check(other is None or (other.kind == FILE and inode.kind == FILE), b"exist")
    _check(source is target or other is not None or target.size < MAX_ENTRIES, b"nospc")
    volume.rename(source, fields[1], target, fields[3], inode, other)
    return OK


def _statfs(volume: Volume, fields: Sequence[bytes]) -> bytes:
    return encode_fields(b"ok", *(b"%d" % number for number in volume.usage()))


def _attributes(inode: Inode, *data: bytes) -> bytes:
    kind = b"file" if inode.kind == FILE else b"directory"
    numbers = (b"%d" % inode.number, kind, b"%o" % inode.mode, b"%d" % inode.size)
    return encode_fields(b"ok", *numbers, b"%d" % inode.modified, b"%d" % inode.changed, *data)


def _mode(text: bytes) -> int:
    """Permissions in octal, as in ``644``."""
    if not 1 <= len(text) <= 4 or text.strip(b"01234567"):
        raise Refused(b"inval")
    return int(text, 8)


def _number(text: bytes) -> int:
    number = parse_natural(text)
    if number is None:
        raise Refused(b"inval")
    return number


def _check(holds: bool, reason: bytes) -> None:
    if not holds:
        raise Refused(reason)


_OPERATIONS: dict[tuple[bytes, int], Callable[[Volume, Sequence[bytes]], bytes]] = {
    (b"getattr", 1): _getattr,
    (b"setattr", 3): _setattr,
    (b"lookup", 2): _lookup,
    (b"create", 3): _create,
    (b"mkdir", 3): _mkdir,
    (b"write", 3): _write,
    (b"read", 3): _read,
    (b"readdir", 2): _readdir,
    (b"remove", 2): _remove,
    (b"rmdir", 2): _rmdir,
    (b"rename", 4): _rename,
    (b"statfs", 0): _statfs,
}
