"""The timers of one replica or client: a heap of due times, one timer per name.

Setting a name again replaces it; the generation travels along, so that the core can tell a stale firing.
Entries that were replaced or cancelled stay in the heap until they surface, and the heap is rebuilt when
they outnumber the rest.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from .core.events import TimerFired

_SLACK = 64


class Timers:
    """Due times in nanoseconds of the driver's clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, str, int]] = []
        self._current: dict[str, tuple[int, int, str, int]] = {}
        self._order = 0

    def set(self, name: str, generation: int, due_ns: int) -> None:
        """(Re)start the timer of that name."""
        self._order += 1
        entry = (due_ns, self._order, name, generation)
        self._current[name] = entry
        heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._current) + _SLACK:
            self._heap = list(self._current.values())
            heapify(self._heap)

    def cancel(self, name: str) -> None:
        """Forget the timer, if it runs."""
        self._current.pop(name, None)

    def next_due_ns(self) -> int | None:
        """When the earliest timer is due; None when none runs."""
        self._drop_dead()
        return self._heap[0][0] if self._heap else None

    def take_due(self, now_ns: int) -> TimerFired | None:
        """Take the earliest timer if it is due by now; ties go in the order they were set."""
        self._drop_dead()
        if not self._heap or self._heap[0][0] > now_ns:
            return None
        _, _, name, generation = heappop(self._heap)
        del self._current[name]
        return TimerFired(name, generation)

    def _drop_dead(self) -> None:
        while self._heap and self._current.get(self._heap[0][2]) is not self._heap[0]:
            heappop(self._heap)
