"""A place for run folders that nobody keeps: in memory where there is room, and gone afterwards.

The folder is locked for as long as its process lives. A process that was killed cannot remove it, so whoever
makes one next removes those of the same user that nobody holds any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.errors import HarnessError

PREFIX = "traitor-scratch-"
MEMORY = Path("/dev/shm")
ROOM_BYTES = 256 << 20
"""A place with less left is not used."""
_TRIES = 10


@contextlib.contextmanager
def scratch_folder(places: tuple[Path, ...] | None = None) -> Iterator[Path]:
    """An empty folder, removed at the end. Raises HarnessError when no place has room for one."""
    place = _place((MEMORY, Path(tempfile.gettempdir())) if places is None else places)
    _remove_abandoned(place)
    folder, descriptor = _locked(place)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def room_bytes(folder: Path) -> int:
    """What may still be written there."""
    seen = os.statvfs(folder)
    return seen.f_bavail * seen.f_frsize


def _place(places: tuple[Path, ...]) -> Path:
    for place in places:
        with contextlib.suppress(OSError):
            if os.access(place, os.W_OK | os.X_OK) and room_bytes(place) >= ROOM_BYTES:
                return place
    listed = " and ".join(str(place) for place in places)
    raise HarnessError(
        f"no scratch space: {listed} cannot be written to, or have less than {ROOM_BYTES >> 20} MiB left",
        "Free some space, or name another place: TMPDIR=DIR.",
    )


def _locked(place: Path) -> tuple[Path, int]:
    """A new folder and the descriptor that holds it."""
    for _ in range(_TRIES):
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        except OSError as error:
            raise HarnessError(
                f"cannot make a folder in {place}: {error.strerror}", "Free some space."
            ) from None
        descriptor = _hold(folder)
        if descriptor is not None:
            return folder, descriptor
    raise HarnessError(f"folders made in {place} vanish again", "Is something cleaning up there?")


def _hold(folder: Path) -> int | None:
    """Its lock, unless somebody else has it or removed it before we had it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _remove_abandoned(place: Path) -> None:
    for folder in place.glob(f"{PREFIX}*"):
        try:
            ours = folder.lstat().st_uid == os.getuid()
        except OSError:
            continue
        descriptor = _hold(folder) if ours else None
        if descriptor is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)
