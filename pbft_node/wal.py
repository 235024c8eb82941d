"""The write-ahead log: what a replica promised, on disk before the promise leaves.

    header   8s magic, H version, H flags, 16s cluster id, I replica, I salt, I crc
    record   4s marker, I length, Q index, I header crc, I payload crc, payload

Integers are big-endian; both crcs of a record cover the salt and its index. The salt comes from the
replica's secret, so that no peer can put bytes into a payload that look like a record of this log. What
``open_log`` returns is what was appended, in order, from the first record on; else it refuses with
``LogError``, with a ``LostLogError`` where ``start_over`` may follow. A bad record at the very end is a torn
write that promised nothing yet, and is cut off; a bad record with a good one behind it is damage, and going
on would forget promises.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from .errors import LogError, LostLogError, MachineError, UnwritableLogError

MAGIC = b"PBFTWAL\n"
VERSION = 1
MARKER = b"\xf5REC"
HEADER = struct.Struct(">8sHH16sII")
RECORD = struct.Struct(">4sIQII")
HEADER_BYTES = HEADER.size + 4
MAX_RECORD_BYTES = 64 * 1024 * 1024
MAX_LOST_LOGS = 100
FLAG_VOLATILE = 1
"""The replica ran with ``durability: none``: what it promised is not in here."""

_COVERED = struct.Struct(">IQ")
_INDEX = struct.Struct(">Q")
_CRC = struct.Struct(">I")
_ADVICE = (
    "This replica stops rather than forget its promises; the cluster goes on without it while at most f are "
    "down. If the log cannot be mended, start it with --silent (or lost_log = 'silent' in its config): it "
    "then has no vote until it has caught up. Do not start it with an empty or older log: it could "
    "contradict itself, which is a Byzantine fault"
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a log's bytes say."""

    records: tuple[bytes, ...]
    end: int
    """Where the last good record ends."""
    salt: int
    volatile: bool


class Log:
    """An open log. Appends wait in memory for ``sync``; any failure to write is a LogError and final."""

    def __init__(
        self, path: Path, descriptor: int, identity: tuple[bytes, int, int], durability: str, index: int
    ) -> None:
        self.path = path
        self._descriptor = descriptor
        self._identity = identity
        self._start = _crc_start(identity[2])
        self._durability = durability
        self._index = index
        self._waiting: list[bytes] = []
        self._replaces_all = False
        """What waits begins a new file (``compact``)."""
        self.refuses = 0
        """The errno with which everything written fails: for a harness that models a full or broken disk."""
        self.writes = self.write_ns = 0
        """Group commits, and the time they took."""

    def append(self, record: bytes) -> None:
        """Durable after the next ``sync``."""
        assert len(record) <= MAX_RECORD_BYTES, (
            f"record of {len(record)} bytes, the limit is {MAX_RECORD_BYTES}"
        )
        if self._durability != "none":
            self._waiting.append(_record(record, self._index, self._start))
            self._index += 1

    def sync(self) -> None:
        """Everything appended reaches the disk (``fsync``), or the kernel (``write``), in one write."""
        if not self._waiting:
            return
        data = b"".join(self._waiting)
        self._waiting.clear()
        begin_ns = time.monotonic_ns()
        try:
            if self.refuses:
                raise OSError(self.refuses, os.strerror(self.refuses))
            if self._replaces_all:
                self._replaces_all = False
                descriptor = _replace(self.path, data, sync=self._durability == "fsync")
                os.close(self._descriptor)
                self._descriptor = descriptor
            else:
                _write_all(self._descriptor, data)
                if self._durability == "fsync":
                    os.fdatasync(self._descriptor)
        except OSError as error:
            raise _cannot_write(self.path, error) from None
        self.writes += 1
        self.write_ns += time.monotonic_ns() - begin_ns

    def size_bytes(self) -> int:
        """Of the file now."""
        return os.fstat(self._descriptor).st_size

    def compact(self, records: Sequence[bytes]) -> None:
        """With the next ``sync``: replace everything, also what waits, by ``records`` and what is appended
        after them. A crash leaves the old log or the new one."""
        self._waiting.clear()
        if self._durability == "none":
            return
        self._replaces_all = True
        self._waiting.append(image(*self._identity, records))
        self._index = len(records)

    def close(self) -> None:
        """Let go of the file; what waits is lost, as in a crash."""
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class Opened:
    """A log and what it remembered."""

    log: Log
    records: tuple[bytes, ...]
    cut_bytes: int
    """Length of the torn write that was cut off; 0 when there was none."""


def salt_of(secret: bytes) -> int:
    """A salt that only the owner of ``secret`` knows."""
    return int.from_bytes(blake2b(b"traitor-pbft/1/log-salt", key=secret, digest_size=4).digest(), "big")


def initialise(path: Path, cluster_id: bytes, replica: int, salt: int) -> None:
    """Write the log of a replica that never ran. Raises LogError when there is one already."""
    if path.exists():
        raise LogError(
            f"{path}: there is a log already: choose another folder. A replica that ran must keep its log"
        )
    os.close(_replace(path, _header(cluster_id, replica, salt, 0), sync=True))


def open_log(path: Path, cluster_id: bytes, replica: int, durability: str) -> Opened:
    """Lock, read and repair the log. Raises LogError, or MachineError when another process has it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise LostLogError(f"{path}: the log is missing. {_ADVICE}") from None
    except OSError as error:
        raise MachineError(
            f"{path}: cannot open the log: {error.strerror}. Mend the file's owner or mode"
        ) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LogError(f"{path}: the log is no regular file. Correct 'log' in the config")
    try:
        _lock(descriptor, path)
        _temporary(path).unlink(missing_ok=True)
        data = _read_all(descriptor)
        contents = parse(data, path, cluster_id, replica)
        if contents.volatile:
            raise LostLogError(
                f"{path}: this replica ran with durability 'none' and its promises died with it. {_ADVICE}"
            )
        identity = (cluster_id, replica, contents.salt)
        if len(data) > contents.end:
            os.ftruncate(descriptor, contents.end)
            os.fsync(descriptor)
        os.lseek(descriptor, contents.end, os.SEEK_SET)
        if durability == "none":
            volatile = _header(*identity, FLAG_VOLATILE) + data[HEADER_BYTES : contents.end]
            marked = _replace(path, volatile, sync=False)
            os.close(descriptor)
            descriptor = marked
    except OSError as error:
        os.close(descriptor)
        raise _cannot_write(path, error) from None
    except BaseException:
        os.close(descriptor)
        raise
    log = Log(path, descriptor, identity, durability, len(contents.records))
    return Opened(log, contents.records, len(data) - contents.end)


def image(
    cluster_id: bytes, replica: int, salt: int, records: Sequence[bytes], *, volatile: bool = False
) -> bytes:
    """The bytes of a log with these records."""
    start = _crc_start(salt)
    parts = [_header(cluster_id, replica, salt, FLAG_VOLATILE if volatile else 0)]
    parts.extend(_record(record, index, start) for index, record in enumerate(records))
    return b"".join(parts)


def start_over(
    path: Path, identity: tuple[bytes, int, int], durability: str, records: Sequence[bytes]
) -> tuple[Opened, Path | None]:
    """After a ``LostLogError``: a log of just ``records``, and where what was left of the old one is kept.

    ``identity``: cluster id, replica, salt. There is no moment at which a log lies there that says less.
    """
    aside = None
    volatile = durability == "none"  # then the header alone says that all is lost
    data = image(*identity, () if volatile else records, volatile=volatile)
    try:
        with contextlib.suppress(FileNotFoundError):
            aside = _keep_aside(path)
        descriptor = _replace(path, data, sync=not volatile)
    except OSError as error:
        raise _cannot_write(path, error) from None
    log = Log(path, descriptor, identity, durability, len(records))
    return Opened(log, tuple(records), 0), aside


def _keep_aside(path: Path) -> Path | None:
    """A second name for a damaged log: nothing is ever deleted. None for one that holds no record."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _lock(descriptor, path)
        if os.fstat(descriptor).st_size <= HEADER_BYTES:
            return None
        for number in range(1, MAX_LOST_LOGS + 1):
            aside = path.with_name(f"{path.name}.lost-{number}")
            with contextlib.suppress(FileExistsError):
                os.link(path, aside)
                return aside
    finally:
        os.close(descriptor)
    raise LogError(f"{path}: {MAX_LOST_LOGS} lost logs are kept beside it: look into why, and remove them")


def parse(data: bytes, path: Path, cluster_id: bytes, replica: int) -> Contents:
    """Take a log's bytes apart; ``path`` is for messages. Raises LogError."""
    salt, flags = _check_header(data, path, cluster_id, replica)
    start = _crc_start(salt)
    records: list[bytes] = []
    position = HEADER_BYTES
    while (found := _good_record(data, position, start)) and found[0] == len(records):
        records.append(data[position + RECORD.size : found[1]])
        position = found[1]
    behind = position
    while behind >= 0:
        if found := _good_record(data, behind, start):
            raise LostLogError(
                f"{path}: record {len(records)} at byte {position} is damaged or missing, but behind it "
                f"record {found[0]} at byte {behind} is whole, so this is no torn write. {_ADVICE}"
            )
        behind = data.find(MARKER, behind + 1)
    return Contents(tuple(records), position, salt, bool(flags & FLAG_VOLATILE))


def _good_record(data: bytes, position: int, start: int) -> tuple[int, int] | None:
    """(index, where it ends) of the record at ``position``, if one is there and whole."""
    if position + RECORD.size > len(data):
        return None
    marker, length, index, header_crc, payload_crc = RECORD.unpack_from(data, position)
    if marker != MARKER or zlib.crc32(_COVERED.pack(length, index), start) != header_crc:
        return None
    end = position + RECORD.size + length
    if end > len(data):
        return None
    payload = memoryview(data)[position + RECORD.size : end]
    return (index, end) if zlib.crc32(payload, zlib.crc32(_INDEX.pack(index), start)) == payload_crc else None


def _check_header(data: bytes, path: Path, cluster_id: bytes, replica: int) -> tuple[int, int]:
    """(salt, flags) of a header that is whole and ours."""
    if len(data) < HEADER_BYTES or _CRC.unpack_from(data, HEADER.size)[0] != zlib.crc32(data[: HEADER.size]):
        raise LostLogError(f"{path}: the log's header ({len(data)} bytes in the file) is damaged. {_ADVICE}")
    magic, version, flags, its_cluster, its_replica, salt = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise LogError(
            f"{path}: this is no log of a replica (it begins with {magic!r}). Correct 'log' in the config"
        )
    if version != VERSION or flags & ~FLAG_VOLATILE:
        raise LogError(
            f"{path}: version {version}, flags {flags}; this program reads {VERSION}: use its writer"
        )
    if (its_cluster, its_replica) != (cluster_id, replica):
        raise LogError(
            f"{path}: the log of replica {its_replica} of cluster {its_cluster.hex()}, but this is "
            f"replica {replica} of cluster {cluster_id.hex()}. Correct 'log' in the config"
        )
    return salt, flags


def _header(cluster_id: bytes, replica: int, salt: int, flags: int) -> bytes:
    content = HEADER.pack(MAGIC, VERSION, flags, cluster_id, replica, salt)
    return content + _CRC.pack(zlib.crc32(content))


def _record(payload: bytes, index: int, start: int) -> bytes:
    header_crc = zlib.crc32(_COVERED.pack(len(payload), index), start)
    payload_crc = zlib.crc32(payload, zlib.crc32(_INDEX.pack(index), start))
    return RECORD.pack(MARKER, len(payload), index, header_crc, payload_crc) + payload


def _crc_start(salt: int) -> int:
    return zlib.crc32(_CRC.pack(salt))


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _replace(path: Path, data: bytes, *, sync: bool) -> int:
    """Put a file of these bytes in ``path``'s place, atomically. Its descriptor, locked, at the end."""
    temporary = _temporary(path)
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write_all(descriptor, data)
        if sync:
            os.fsync(descriptor)
        os.rename(temporary, path)
        if sync:
            _sync_folder(path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        current = os.fstat(descriptor).st_ino == os.stat(path).st_ino
    except BlockingIOError:
        current = False
    if not current:
        raise MachineError(
            f"{path}: another process has this log open: stop that replica first, or use its own folder"
        )


def _read_all(descriptor: int) -> bytes:
    pieces = []
    while piece := os.read(descriptor, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _cannot_write(path: Path, error: OSError) -> UnwritableLogError:
    return UnwritableLogError(
        f"{path}: cannot use the log: {error.strerror}. What is not in the log may not be promised, so this "
        "replica stops. Make space or mend the disk, then start it again"
    )
