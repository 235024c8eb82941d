"""How a run is going, on stderr: one live line on a terminal, a plain line every few seconds elsewhere.

stdout stays free for results. ``NO_COLOR`` and ``TERM=dumb`` are honoured. Nothing here can fail the run: a
closed stderr ends the progress, not the work.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from harness.world import World

if TYPE_CHECKING:
    from rich.live import Live

LIVE_NS = 200_000_000
PLAIN_NS = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Status:
    """Of a run, at a moment."""

    phase: str
    elapsed_ns: int
    ok: int
    fail: int
    info: int
    view: int
    faults: tuple[str, ...]
    """Ids of the active ones."""

    def text(self) -> str:
        """One line."""
        faults = ", ".join(self.faults) or "none"
        return (
            f"{self.elapsed_ns / 1e9:5.1f} s  {self.phase:<11}  operations {self.ok} ok {self.fail} fail "
            f"{self.info} info  view {self.view}  faults: {faults}"
        )


class Progress(Protocol):
    """Told about phases; asks for the status when it likes."""

    def begin(self, world: World, status: Callable[[], Status]) -> None:
        """The world is up: its clock and timers can be used."""

    def phase(self, name: str) -> None:
        """A new phase began."""

    def end(self) -> None:
        """Nothing more to tell. Idempotent."""


class Silent:
    """Tells nothing."""

    def begin(self, world: World, status: Callable[[], Status]) -> None:
        """See ``Progress``."""

    def phase(self, name: str) -> None:
        """See ``Progress``."""

    def end(self) -> None:
        """See ``Progress``."""


class Lines:
    """A line at every phase and every few seconds; on a terminal (``live``), one line that is rewritten."""

    def __init__(self, stream: TextIO, live: bool) -> None:
        self._stream = stream
        self._live: Live | None = live_line(stream) if live else None
        self._interval_ns = LIVE_NS if live else PLAIN_NS
        self._status: Callable[[], Status] | None = None
        self._world: World | None = None
        self._over = False

    def begin(self, world: World, status: Callable[[], Status]) -> None:
        """See ``Progress``."""
        self._world, self._status = world, status
        if self._live is not None:
            with contextlib.suppress(OSError, ValueError):
                self._live.start()
        self._world.call_at(self._world.now_ns() + self._interval_ns, self._tick)

    def phase(self, name: str) -> None:
        """See ``Progress``."""
        if self._status is None:
            self._say(f"{'':7}  {name}")
        else:
            self._show(self._status())

    def end(self) -> None:
        """See ``Progress``."""
        self._over = True
        if self._live is not None:
            with contextlib.suppress(OSError, ValueError):
                self._live.stop()
            self._live = None

    def _tick(self) -> None:
        if self._over or self._world is None or self._status is None:
            return
        self._show(self._status())
        self._world.call_at(self._world.now_ns() + self._interval_ns, self._tick)

    def _show(self, status: Status) -> None:
        if self._live is None:
            self._say(status.text())
        elif not self._over:
            try:
                from rich.text import Text

                style = "bold red" if status.faults else "green"
                self._live.update(
                    Text(status.text(), style=style, no_wrap=True, overflow="ellipsis"), refresh=True
                )
            except (OSError, ValueError):
                self._over = True

    def _say(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._over = True


def make_progress(quiet: bool, stream: TextIO | None = None) -> Progress:
    """What suits this stderr."""
    stream = stream or sys.stderr
    if quiet:
        return Silent()
    return Lines(stream, live=stream.isatty() and os.environ.get("TERM", "dumb") != "dumb")


def live_line(stream: TextIO) -> Live:
    """One line at the bottom of a terminal, to be started and updated."""
    from rich.console import Console
    from rich.live import Live

    return Live(
        console=Console(file=stream),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
