"""What ends a search before it is done: Ctrl-C (and SIGTERM, SIGHUP), or the end of its budget.

The first signal ends it in order, at a moment when trials can be put away; a second one at once.
"""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any

from harness.shrink.trials import OutOfBudget

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """Somebody ended the search. The argument is how."""


class Stop:
    """A context: while it lasts, signals are for it."""

    def __init__(self, budget_s: float) -> None:
        self.signalled: str | None = None
        self.budget_s = budget_s
        self._deadline = time.monotonic() + budget_s
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup keeps its meaning
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raises Interrupted or OutOfBudget when it is time."""
        if self.signalled is not None:
            raise Interrupted(self.signalled)
        if time.monotonic() > self._deadline:
            raise OutOfBudget

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.signalled is not None:
            raise KeyboardInterrupt
        self.signalled = f"stopped by {signal.Signals(number).name}"
