"""The one time axis every picture of a report shares.

Zero is where the load began. The range comes from what the harness wrote (phases, history, faults), never
from the replicas' traces: a lying clock may not squeeze the picture. Times travel to the browser as whole
ticks from the start of the range, small enough for exact arithmetic there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reports.untrusted import duration, listing, mapping, shown, time_ns

MAX_TICKS = 1 << 50


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run as the harness named it."""

    name: str
    start_ns: int
    end_ns: int
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Axis:
    """From when to when, and where zero is."""

    from_ns: int
    to_ns: int
    zero_ns: int
    tick_ns: int

    def ticks(self, at_ns: int) -> int:
        """Whole ticks from the start, never outside the range."""
        return (min(max(at_ns, self.from_ns), self.to_ns) - self.from_ns) // self.tick_ns

    def seconds(self, at_ns: int | None) -> str:
        """A point in time for people, counted from zero."""
        if at_ns is None:
            return "—"
        relative = at_ns - self.zero_ns
        if self.to_ns - self.from_ns < 1_000_000:
            return duration(relative)
        return f"{relative / 1e9:.3f} s"


def read_phases(run: Mapping[str, object]) -> list[Phase]:
    """The phases of run.json that have both ends, at most 100."""
    phases = []
    for entry in listing(run.get("phases"))[:100]:
        phase = mapping(entry)
        start, end = time_ns(phase.get("start_ns")), time_ns(phase.get("end_ns"))
        if start is not None and end is not None and start <= end:
            detail = shown(phase["detail"]) if phase.get("detail") else ""
            phases.append(Phase(shown(phase.get("name"), 30), start, end, phase.get("ok") is True, detail))
    return phases


def make_axis(phases: Iterable[Phase], history_ns: tuple[int, int] | None, fault_ns: Iterable[int]) -> Axis:
    """The range that holds all of these."""
    phases = list(phases)
    times = [t for phase in phases for t in (phase.start_ns, phase.end_ns)]
    times += history_ns or ()
    times += fault_ns
    start, end = (min(times), max(times)) if times else (0, 0)
    end = max(end, start + 1)
    load = next((phase.start_ns for phase in phases if phase.name == "load"), None)
    zero = load if load is not None else (history_ns[0] if history_ns else start)
    span = end - start
    tick = 1_000 if span >= 10_000_000_000 else 1
    while span // tick > MAX_TICKS:
        tick *= 1_000
    return Axis(start, end, zero, tick)
