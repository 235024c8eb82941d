"""One epoll loop with a heap of timers: all that the harness does during a run happens in its callbacks.

No threads and no asyncio: the order of things is visible, and how late a due call was is measured here,
because a harness that cannot keep up must not blame the cluster. ``stop`` may be called from a signal
handler.
"""

from __future__ import annotations

import heapq
import os
import select
import time
from collections.abc import Callable

LATE_NS = 50_000_000
EVENTS_PER_ROUND = 64


class Timer:
    """See ``world.Timer``."""

    __slots__ = ("_callback", "due_ns")

    def __init__(self, due_ns: int, callback: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never call it."""
        self._callback = None

    def take(self) -> Callable[[], None] | None:
        """The callback, once."""
        callback, self._callback = self._callback, None
        return callback


class EventLoop:
    """Timers and readable descriptors."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[int, int, Timer]] = []
        self._order = 0
        self._until: Callable[[], bool] = lambda: False
        self._done = False
        self.stopped: str | None = None
        self.worst_lag_ns = 0
        self.late_calls = 0
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.add_reader(self._bell, lambda: None)

    def close(self) -> None:
        """Give the descriptors back. Idempotent."""
        if not self._epoll.closed:
            self._epoll.close()
            os.close(self._bell)
        self._readers.clear()
        self._timers.clear()

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> Timer:
        """See ``World.call_at``. Calls due at the same time come in the order they were asked for."""
        timer = Timer(at_ns, callback)
        self._order += 1
        heapq.heappush(self._timers, (at_ns, self._order, timer))
        return timer

    def add_reader(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call whenever the descriptor is readable (level triggered)."""
        self._readers[descriptor] = callback
        self._epoll.register(descriptor, select.EPOLLIN)

    def remove_reader(self, descriptor: int) -> None:
        """Before the descriptor is closed. Idempotent."""
        if self._readers.pop(descriptor, None) is not None and not self._epoll.closed:
            self._epoll.unregister(descriptor)

    def stop(self, reason: str) -> None:
        """See ``World.stop``. The first reason stays."""
        if self.stopped is None:
            self.stopped = reason
            os.eventfd_write(self._bell, 1)

    def run(self, until: Callable[[], bool], deadline_ns: int) -> bool:
        """See ``World.run``."""
        self._until, self._done = until, until()
        while not self.ended():
            if time.monotonic_ns() >= deadline_ns:
                return False
            self._call_due()
            if self.ended():
                break
            for descriptor, _ in self._epoll.poll(self._patience_s(deadline_ns), EVENTS_PER_ROUND):
                reader = self._readers.get(descriptor)
                if reader is not None:
                    reader()
                    self.ask()
                if self.ended():
                    break
        return self._done and self.stopped is None

    def ended(self) -> bool:
        """Should the current run return? A reader with more to give looks here after each callback."""
        return self._done or self.stopped is not None

    def ask(self) -> None:
        """Is the run's condition true now? Asked after every callback."""
        if not self._done:
            self._done = self._until()

    def _call_due(self) -> None:
        """What is due now. What becomes due meanwhile waits a round, so that readers get a turn."""
        newest = self._order
        limit_ns = time.monotonic_ns()
        while self._timers and self._timers[0][0] <= limit_ns and self._timers[0][1] <= newest:
            due_ns, _, timer = heapq.heappop(self._timers)
            callback = timer.take()
            if callback is None:
                continue
            late_ns = time.monotonic_ns() - due_ns
            self.worst_lag_ns = max(self.worst_lag_ns, late_ns)
            self.late_calls += late_ns > LATE_NS
            callback()
            self.ask()
            if self.ended():
                return

    def _patience_s(self, deadline_ns: int) -> float:
        next_ns = min(self._timers[0][0], deadline_ns) if self._timers else deadline_ns
        return max(0, next_ns - time.monotonic_ns()) / 1e9
