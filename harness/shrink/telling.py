"""How shrinking is going, on stderr: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TextIO

from harness.progress import live_line
from harness.shrink.search import Progress
from harness.shrink.sizes import size_of

_WIDTH = 16
_LIVE_S, _PLAIN_S = 0.1, 5.0


class Bar:
    """Shows a search. Nothing here can fail it: a closed stderr ends the telling."""

    def __init__(self, quiet: bool, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        is_terminal = self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._live = live_line(self._stream) if is_terminal and not quiet else None
        self._quiet = quiet
        self._began = time.monotonic()
        self._shown = 0.0
        if self._live is not None:
            with contextlib.suppress(OSError, ValueError):
                self._live.start()

    def show(self, progress: Progress, moves: int) -> None:
        """Now and then; ``moves`` are in a round."""
        now = time.monotonic()
        if self._quiet or now - self._shown < (_LIVE_S if self._live else _PLAIN_S):
            return
        self._shown = now
        text = f"{now - self._began:5.0f} s  {described(progress, moves)}"
        try:
            if self._live is None:
                self._stream.write(text + "\n")
                self._stream.flush()
            else:
                from rich.text import Text

                self._live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)
        except (OSError, ValueError):
            self._quiet = True

    def end(self) -> None:
        """Nothing more to tell. Idempotent."""
        if self._live is not None:
            with contextlib.suppress(OSError, ValueError):
                self._live.stop()
            self._live = None
        self._quiet = True


def described(progress: Progress, moves: int) -> str:
    """One line: how far the round is, what is tried, and what is left."""
    done = round(_WIDTH * progress.place / max(1, moves))
    bar = "#" * done + "-" * (_WIDTH - done)
    counts = f"{progress.tried} tried, {progress.accepted} accepted"
    return f"[{bar}] round {progress.round}, {progress.move}: {size_of(progress.best).text()}  ({counts})"
