"""When the calls of clients and nemesis were made in the recorded run (``World.call_at``'s ``who``).

A recorded call is later than it was due, by as much as the harness lagged. What was due and has no record
was not called in that run: it was cancelled just in time, or the run went on without it.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.schedule.record import Called
from harness.world import Who


class Timetable:
    """Times by who is called."""

    def __init__(self, calls: Iterable[Called]) -> None:
        self._times: dict[Who, list[int]] = {}
        for call in calls:
            self._times.setdefault(call.who, []).append(call.t_ns)
        self._made: dict[Who, int] = {}
        self.client_times = sorted(
            t_ns for who, times in self._times.items() if who[0] in ("timer", "invoke") for t_ns in times
        )

    def when(self, who: Who, due_ns: int, now_ns: int) -> int | None:
        """When to make the call; None: not while the record is followed."""
        times = self._times.get(who, ())
        nth = self._made.get(who, 0)
        if nth >= len(times):
            return due_ns if who[0] == "fault" else None
        if who[0] == "timeout" and times[nth] < due_ns:  # given up earlier, for another reason
            return None
        return times[nth] if times[nth] >= now_ns else due_ns

    def made(self, who: Who) -> None:
        """The call was made."""
        self._made[who] = self._made.get(who, 0) + 1
