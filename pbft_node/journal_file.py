"""The file under a journal: a header and frames, appended with one write each, so that a kill at any moment
leaves whole frames and at most one torn one at the end.

    header   8s magic, H version, H of what, 16s cluster id, I replica, I crc
    frame    4s marker, B type, B flags, H entries, I length, I payload crc, I header crc, payload

Integers are big-endian. Frames: TURN (what it holds is its writer's business), CUT (a torn frame of Q bytes
was here when the next life began, and was cut off), LIMIT (the file may grow to Q bytes; nothing follows),
END (the life ended in order, at Q ns). Nothing is synced: it survives the process, not a power failure.

Reading trusts nothing: ``scan`` never raises for what is in a file, it says where and why the good part ends.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO, Literal

from .errors import MachineError

MAGIC = b"PBFTJRN\n"
VERSION = 1
OF_REPLICA = 1
OF_CLIENTS = 2
"""What reached the clients' host of a run: no replica's journal, the same file."""
MARKER = b"\xf5JRN"
HEADER = struct.Struct(">8sHH16sI")
HEADER_BYTES = HEADER.size + 4
FRAME = struct.Struct(">4sBBHIII")
MAX_FRAME_BYTES = 64 * 1024 * 1024
MAX_ENTRIES = 65_535
"""Of a frame."""
LIMIT_BYTES = 1024 * 1024 * 1024
MIN_LIMIT_BYTES = 64 * 1024
MAX_DAMAGED = 100
BEGINS = 1
"""Flag of a TURN: its first entry begins a life."""
GOES_ON = 2
"""Flag of a TURN: the turn was large and goes on in the next frame."""

_COVERED = struct.Struct(">4sBBHII")
_CRC = struct.Struct(">I")
_NUMBER = struct.Struct(">Q")
_CHUNK = 1024 * 1024


class FrameType(IntEnum):
    """Of a frame."""

    TURN = 1
    CUT = 2
    LIMIT = 3
    END = 4


_NUMBERED = (FrameType.CUT, FrameType.LIMIT, FrameType.END)
"""Their payload is one number."""
_NOTE_BYTES = FRAME.size + _NUMBER.size


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose journal it is."""

    of: int
    """OF_REPLICA or OF_CLIENTS."""
    cluster_id: bytes
    replica: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """Where the good part of a journal ends, and why."""

    why: Literal["whole", "torn", "limit", "damaged"]
    """``torn``: the process died while it wrote the last frame, of which nothing had left it.
    ``damaged``: what follows no writer wrote."""
    offset: int
    reason: str
    """A sentence for people."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame."""

    offset: int
    type: FrameType
    flags: int
    entries: int
    payload: bytes

    @property
    def number(self) -> int:
        """Of a CUT, LIMIT or END."""
        return int(_NUMBER.unpack(self.payload)[0])


class JournalError(Exception):
    """A file that is no journal, or cannot be read. The message says what to do."""


class FrameFile:
    """A journal open for appending. ``report`` hears what its owner should know."""

    def __init__(self, path: Path, identity: Identity, limit: int, report: Callable[[str], None]) -> None:
        self._path = path
        self._identity = identity
        self._limit = limit
        self._report = report
        self._size = self.lives = 0
        """``lives``: begun before this one."""
        self.full = False
        try:
            self._descriptor = _open(path)
        except OSError as error:
            raise self._failed(error) from None
        try:
            self._begin()
        except OSError as error:
            os.close(self._descriptor)
            raise self._failed(error) from None
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, type_: FrameType, flags: int, entries: int, payload: bytes) -> None:
        """One frame, handed to the kernel when this returns; MachineError when it cannot. At the limit it
        says so in the file, and takes nothing more."""
        if self.full:
            return
        if self._size + FRAME.size + len(payload) + _NOTE_BYTES > self._limit:
            self._write(encode_frame(FrameType.LIMIT, 0, 0, _NUMBER.pack(self._limit)))
            self.full = True
            self._report(
                f"{self._path}: the journal has reached its limit of {self._limit} bytes and ends here; all "
                "else goes on. It can be replayed up to here (a replica's limit is 'journal_bytes')"
            )
            return
        self._write(encode_frame(type_, flags, entries, payload))

    def note(self, type_: FrameType, number: int) -> None:
        """A CUT or END."""
        self.append(type_, 0, 0, _NUMBER.pack(number))

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _begin(self) -> None:
        found = _Tail(self._descriptor, self._identity, self._path)
        if found.damage is not None:
            self._keep_aside(found.damage)
            found = _Tail(self._descriptor, self._identity, self._path)
        self.full, self.lives, self._size = found.full, found.lives, found.end
        torn = found.size - found.end
        if torn:
            os.ftruncate(self._descriptor, found.end)
        if found.end == 0:
            self._write(encode_header(self._identity))
        elif self.full:
            self._report(f"{self._path}: the journal is at its limit: this life is not in it")
        elif torn:
            self.note(FrameType.CUT, torn)
            self._report(f"{self._path}: cut off a torn frame of {torn} bytes; nothing of it had left")

    def _keep_aside(self, damage: str) -> None:
        """Evidence is never overwritten, and a replica does not stop for it either."""
        for number in range(1, MAX_DAMAGED + 1):
            aside = self._path.with_name(f"{self._path.name}.damaged-{number}")
            with contextlib.suppress(FileExistsError):
                os.link(self._path, aside)
                os.unlink(self._path)
                os.close(self._descriptor)
                self._descriptor = _open(self._path)
                self._report(f"{self._path}: {damage}. It is kept as {aside.name}; a new one begins")
                return
        raise MachineError(
            f"{self._path}: {MAX_DAMAGED} damaged journals are kept beside it: look into why, and remove them"
        )

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise self._failed(error) from None
        self._size += len(data)

    def _failed(self, error: OSError) -> MachineError:
        return MachineError(
            f"{self._path}: cannot write the journal: {error.strerror}. Make space, or set 'journal' to null"
        )


class _Tail:
    """Where the next frame of our own file goes. Headers are checked all, of payloads the last one only: a
    start must be quick."""

    def __init__(self, descriptor: int, identity: Identity, path: Path) -> None:
        self.size = os.fstat(descriptor).st_size
        self.end = self.lives = 0
        self.full = False
        self.damage: str | None = None
        expected = encode_header(identity)
        head = os.pread(descriptor, HEADER_BYTES, 0)
        if head != expected[: len(head)]:
            self._other_header(head, path)
        elif len(head) == HEADER_BYTES:
            self.end = HEADER_BYTES
            if self.size > self.end:
                with mmap.mmap(descriptor, self.size, access=mmap.ACCESS_READ) as data:
                    self._hop(data)

    def _other_header(self, head: bytes, path: Path) -> None:
        """Somebody else's file is left alone; one of ours with a damaged header is kept aside."""
        try:
            other = decode_header(head)
        except ValueError as problem:
            self.damage = str(problem)
        else:
            raise MachineError(
                f"{path}: this is the journal of {_name(other)}. Correct 'journal' in the config"
            )

    def _hop(self, data: mmap.mmap) -> None:
        while self.end < self.size and not self.full:
            head = data[self.end : self.end + FRAME.size]
            try:
                type_, flags, _, length, crc = decode_frame(head)
            except ValueError as problem:
                self.damage = f"at byte {self.end} {problem}"
                return
            except EOFError:
                return
            start = self.end + FRAME.size
            if start + length > self.size:
                return
            if start + length == self.size and zlib.crc32(data[start : self.size]) != crc:
                self.damage = f"the last frame, at byte {self.end}, does not match its checksum"
                return
            self.lives += type_ is FrameType.TURN and bool(flags & BEGINS)
            self.full = type_ is FrameType.LIMIT
            self.end = start + length


class Scan:
    """The frames of a journal of hostile bytes, in order; ``ending`` once they are through."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self.ending: Ending | None = None
        with open_to_read(path) as file:
            try:
                self.identity = decode_header(file.read(HEADER_BYTES))
            except ValueError as problem:
                raise JournalError(
                    f"{path}: {problem}: this is no journal, or one of another version"
                ) from None

    def frames(self) -> Iterator[Frame]:
        """Whole ones only."""
        offset = HEADER_BYTES
        with open_to_read(self.path) as file:
            file.seek(offset)
            while self.ending is None:
                try:
                    frame = read_frame(file, offset)
                except EOFError as end:
                    self._end("torn" if end.args else "whole", offset, str(end) or "every frame is whole")
                    return
                except ValueError as problem:
                    self._end("damaged", offset, f"at byte {offset} {problem}")
                    return
                offset += FRAME.size + len(frame.payload)
                if offset > self._max_bytes:
                    self._end("damaged", frame.offset, f"more than {self._max_bytes} bytes are not read")
                    return
                yield frame
                if frame.type is FrameType.LIMIT:
                    self._end("limit", frame.offset, f"it had reached its limit of {frame.number} bytes")

    def damaged(self, frame: Frame, problem: str) -> None:
        """Whoever takes the payloads apart found this one wanting: the good part ends before it."""
        self._end("damaged", frame.offset, f"the frame at byte {frame.offset} {problem}")

    def _end(self, why: Literal["whole", "torn", "limit", "damaged"], offset: int, reason: str) -> None:
        self.ending = Ending(why, offset, reason)


def open_to_read(path: Path) -> BinaryIO:
    """A regular file, or JournalError. A pipe in its place holds nobody up."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise JournalError(f"{path}: cannot open the journal: {error}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise JournalError(f"{path}: the journal is no regular file")
    return os.fdopen(descriptor, "rb", buffering=_CHUNK)


def read_frame(file: BinaryIO, offset: int) -> Frame:
    """The frame at the file's position, which is ``offset``. Raises EOFError (with the reason where the file
    ends within a frame, without where it ends before one), ValueError, JournalError."""
    try:
        head = file.read(FRAME.size)
        if not head:
            raise EOFError
        type_, flags, entries, length, crc = decode_frame(head)
        payload = file.read(length)
    except OSError as error:
        raise JournalError(f"{file.name}: cannot read the journal: {error.strerror}") from None
    if len(payload) < length:
        raise EOFError(
            f"the frame at byte {offset} is cut off: {len(payload)} of its {length} bytes are there"
        )
    if zlib.crc32(payload) != crc:
        raise ValueError("is a frame that does not match its checksum")
    if type_ in _NUMBERED and length != _NUMBER.size:
        raise ValueError(f"is a note of {length} bytes")
    return Frame(offset, type_, flags, entries, payload)


def encode_header(identity: Identity) -> bytes:
    """The first bytes of a journal."""
    content = HEADER.pack(MAGIC, VERSION, identity.of, identity.cluster_id, identity.replica)
    return content + _CRC.pack(zlib.crc32(content))


def decode_header(data: bytes) -> Identity:
    """Inverse of ``encode_header``. Raises ValueError."""
    if len(data) < HEADER_BYTES or _CRC.unpack_from(data, HEADER.size)[0] != zlib.crc32(data[: HEADER.size]):
        raise ValueError("its header is damaged")
    magic, version, of, cluster_id, replica = HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION or of not in (OF_REPLICA, OF_CLIENTS):
        raise ValueError(f"it begins with {magic!r}, version {version}, of {of}")
    return Identity(of, cluster_id, replica)


def encode_frame(type_: FrameType, flags: int, entries: int, payload: bytes) -> bytes:
    """A whole frame."""
    assert len(payload) <= MAX_FRAME_BYTES, f"a frame of {len(payload)} bytes"
    covered = _COVERED.pack(MARKER, type_, flags, entries, len(payload), zlib.crc32(payload))
    return b"".join((covered, _CRC.pack(zlib.crc32(covered)), payload))


def decode_frame(head: bytes) -> tuple[FrameType, int, int, int, int]:
    """(type, flags, entries, length, crc) of a frame's header. Raises ValueError, and EOFError where it may
    be the beginning of one."""
    if len(head) < FRAME.size:
        if head[: len(MARKER)] == MARKER[: len(head)]:
            raise EOFError(f"{len(head)} bytes of a frame's header are there")
        raise ValueError("no frame begins")
    marker, type_, flags, entries, length, crc, own = FRAME.unpack(head)
    if marker != MARKER or zlib.crc32(head[: _COVERED.size]) != own:
        raise ValueError("no frame begins")
    if type_ not in FrameType._value2member_map_ or flags & ~(BEGINS | GOES_ON) or length > MAX_FRAME_BYTES:
        raise ValueError(f"is a frame of type {type_}, flags {flags}, {length} bytes: none that is known")
    return FrameType(type_), flags, entries, length, crc


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MachineError(f"{path}: the journal is no regular file. Correct 'journal' in the config")
    return descriptor


def _name(identity: Identity) -> str:
    whose = f"replica {identity.replica}" if identity.of == OF_REPLICA else "clients"
    return f"{whose} of cluster {identity.cluster_id.hex()}"
