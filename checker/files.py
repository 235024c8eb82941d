"""Reading a file of a run folder, which may have been put there by anybody.

Only regular files are read: a FIFO would be waited for without end, a device like /dev/zero read without end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_regular(path: Path) -> bytes:
    """All of it. Raises OSError, also when it is no regular file."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(None, "it is not a regular file", str(path))
        return file.read()
