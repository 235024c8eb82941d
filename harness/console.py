"""What people and scripts read: results on stdout, everything else on stderr.

Neither decides what a run is worth. A reader that went away (``traitor run | head``), a terminal that was
closed or a full disk behind a redirection ends the talking, not the work, and hides no exit code.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys

_READER_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)
_trouble: list[str] = []


def open_missing() -> None:
    """A standard stream that our caller closed becomes /dev/null: else the next file takes its number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - for as long as we live
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def say(text: str) -> None:
    """A result: lines on stdout. When they cannot be written, ``lost_results`` tells why."""
    _write(text + "\n")


def lost_results() -> str | None:
    """Flush. None: results went out, or nobody wants them any more. Else what the system said."""
    _write("")
    return _trouble[0] if _trouble else None


def tell(text: str) -> None:
    """Anything but a result: lines on stderr, if anybody is there to read them."""
    with contextlib.suppress(OSError, ValueError):
        print(printable(text), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Hostile text for a terminal; lines stay."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _write(text: str) -> None:
    try:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in _READER_GONE:
            _trouble.append(error.strerror or str(error))
        with contextlib.suppress(OSError, ValueError):  # Python would complain again when it closes stdout
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
