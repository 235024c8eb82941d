"""The virtual clock: a heap of calls that are due, and a time that jumps from one to the next.

The order is written: by time, and of calls due at the same time the one asked for first comes first.
Nothing else decides, so the same calls give the same run.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from harness.errors import HarnessError

MAX_UNDER_WAY = 500_000
"""Calls to come. More is a storm (messages that breed messages), and a run that has one ends."""


class VirtualTimer:
    """See ``world.Timer``."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never call it."""
        self._callback = None

    def __call__(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Scheduler:
    """Time is ns since the world began."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.look = False
        """Something happened that whoever waits in ``go_on`` wants to look at."""
        self._order = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = []

    def at(self, due_ns: int, call: Callable[..., None], *arguments: object) -> None:
        """Call then; now, after what is due now already, if that is past."""
        heap = self._heap
        if len(heap) >= MAX_UNDER_WAY:
            raise HarnessError(
                f"{MAX_UNDER_WAY} datagrams and timers under way at {self.now_ns / 1e9:g} s of virtual time: "
                "messages breed messages",
                "Look at the traces for what the replicas send without end; lower --rate if it is the load.",
            )
        self._order += 1
        if due_ns < self.now_ns:
            due_ns = self.now_ns
        heappush(heap, (due_ns, self._order, call, arguments))

    def step(self, deadline_ns: int) -> bool:
        """Make the next call, if it is due by then; else the clock stands at the deadline. Was there one?"""
        heap = self._heap
        if not heap or heap[0][0] > deadline_ns:
            self.now_ns = max(self.now_ns, deadline_ns)
            return False
        self.now_ns, _, call, arguments = heappop(heap)
        call(*arguments)
        return True

    def go_on(self, deadline_ns: int) -> bool:
        """``step`` until ``look``; False when no more calls are due by then."""
        heap = self._heap
        while not self.look:
            if not heap or heap[0][0] > deadline_ns:
                self.now_ns = max(self.now_ns, deadline_ns)
                return False
            self.now_ns, _, call, arguments = heappop(heap)
            call(*arguments)
        return True

    def clear(self) -> None:
        """Forget what is to come."""
        self._heap.clear()
