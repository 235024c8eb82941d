"""What the nemesis does to the log of a replica that is dead, and to the disk of one that runs.

``harm_log`` changes the file in place, as a power failure, rotten media or a restored backup would; a test
compares with what ``pbft_node.wal`` says of such a file. The rest is for ``live``: a limit on the length of
files stands for a full disk (a write is cut short, then refused), a read-only bind mount for a disk that the
kernel took away; both live inside the sandbox and die with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from collections.abc import Mapping
from pathlib import Path

from harness.errors import HarnessError
from pbft_node.wal import HEADER_BYTES, RECORD

TORN, BIT_ROT, ROLLBACK = "torn", "bit-rot", "rollback"
FULL_BYTES = 65_536
"""No file may be longer on a full disk. What a replica says on standard error is far less."""
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MNT_DETACH = 1, 32, 4096, 2
_libc = ctypes.CDLL(None, use_errno=True)


def harm_log(path: Path, mode: str, keep: float) -> Mapping[str, object]:
    """What was done, for a receipt. ``keep``: of a rolled-back log, the share of its records that is left."""
    try:
        with path.open("r+b") as file:
            data = file.read()
            spans = _records(data)
            if mode == TORN:
                return _tear(file.fileno(), data, spans)
            if mode == BIT_ROT:
                return _flip(file.fileno(), data, spans)
            left = int(len(spans) * keep)
            end = spans[left][0] if left < len(spans) else len(data)
            os.ftruncate(file.fileno(), end)
            return {"lost_records": len(spans) - left, "left_records": left, "cut_bytes": len(data) - end}
    except OSError as error:
        raise HarnessError(
            f"cannot harm {path}: {error.strerror}", "Leave a run's folder alone until the run ends."
        ) from None


def _records(data: bytes) -> list[tuple[int, int]]:
    """Where each begins and ends."""
    spans, at = [], HEADER_BYTES
    while at + RECORD.size <= len(data):
        end = at + RECORD.size + int(RECORD.unpack_from(data, at)[1])
        if end > len(data):
            break
        spans.append((at, end))
        at = end
    return spans


def _tear(descriptor: int, data: bytes, spans: list[tuple[int, int]]) -> Mapping[str, object]:
    """A write was under way: half of a record more."""
    start, end = spans[-1] if spans else (0, HEADER_BYTES)
    torn = data[start : start + (end - start) // 2]
    os.pwrite(descriptor, torn, len(data))
    return {"torn_bytes": len(torn), "records": len(spans)}


def _flip(descriptor: int, data: bytes, spans: list[tuple[int, int]]) -> Mapping[str, object]:
    """One bit, of a record that has a whole one behind it; of the header where there is none."""
    if len(spans) < 2:
        record, at = None, HEADER_BYTES // 2
    else:
        record = (len(spans) - 1) // 2
        start, end = spans[record]
        at = (start + RECORD.size + end) // 2 if end > start + RECORD.size else start + RECORD.size - 1
    os.pwrite(descriptor, bytes([data[at] ^ 4]), at)
    return {"flipped_byte": at, "record": record, "records": len(spans)}


def fill_disk(pid: int) -> None:
    """Of this process: nothing it writes finds room any more."""
    with contextlib.suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (FULL_BYTES, hard))


def make_read_only(path: Path) -> None:
    """For whoever opens it from now on. Raises HarnessError."""
    name = os.fsencode(path.resolve())
    _mount(name, _MS_BIND, path)
    _mount(name, _MS_BIND | _MS_REMOUNT | _MS_RDONLY, path)


def make_writable(path: Path) -> None:
    """Undo that."""
    if _libc.umount2(os.fsencode(path.resolve()), _MNT_DETACH) != 0:
        raise HarnessError(f"cannot unmount {path}: {os.strerror(ctypes.get_errno())}")


def _mount(name: bytes, flags: int, path: Path) -> None:
    if _libc.mount(name, name, None, flags, None) != 0:
        raise HarnessError(f"cannot make {path} read-only: {os.strerror(ctypes.get_errno())}")
