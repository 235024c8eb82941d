"""``packets.pcapng`` of a run folder: what rules did to packets, on the disk before anything else happens."""

from __future__ import annotations

from pathlib import Path

from harness.recorder import LineFile
from harness.scene import places
from nemesis.packets.activation import Activation
from nemesis.packets.capture import FILE_NAME, MOST_BYTES, Capture


class CaptureFile:
    """The sink of a run's ``Engine``. Raises HarnessError where the disk does not take it."""

    def __init__(self, folder: Path, n: int, most_bytes: int = MOST_BYTES) -> None:
        self._file = LineFile(folder / FILE_NAME)
        self._capture = Capture(self._file.write, places(n), most_bytes)

    def __call__(self, one: Activation) -> None:
        """A rule did something."""
        self._capture(one)

    def close(self) -> None:
        """The counts, and the file. Idempotent."""
        try:
            self._capture.close()
        finally:
            self._file.close()
