"""How far a record was followed, and where and why it was left."""

from __future__ import annotations

from dataclasses import dataclass

from harness.schedule.record import TIMER, Event, Turn


@dataclass(frozen=True, slots=True)
class Parted:
    """Where and why the run left the record."""

    t_ns: int
    where: str
    """``event 57 of replica 2 (COMMIT 1 0 12)``."""
    why: str


@dataclass(slots=True)
class Extent:
    """Of one run."""

    source: str
    """The run the record is of."""
    begin_ns: int
    items: int
    """Of the record, which can be carried out."""
    followed: int = 0
    """Of these, how many were."""
    parted: Parted | None = None

    def told(self) -> dict[str, object]:
        """For ``run.json``."""
        parted = self.parted
        return {
            "source": self.source,
            "items": self.items,
            "followed": self.followed,
            "parted": None
            if parted is None
            else {"time_ns": parted.t_ns, "where": parted.where, "why": parted.why},
        }

    def words(self) -> str:
        """For people."""
        said = f"the recorded order of {self.source} was followed"
        if self.parted is None:
            return f"{said} to its end: {self.followed} turns and arrivals"
        at_s = (self.parted.t_ns - self.begin_ns) / 1e9
        return (
            f"{said} for {self.followed} of {self.items} turns and arrivals, until {at_s:.6f} s: "
            f"{self.parted.where}: {self.parted.why}. From there on the plan's own network decides"
        )


def place_of(turn: Turn, nth: int) -> str:
    """Of its nth event, for people."""
    event = turn.events[nth]
    who = f"the twin {turn.twin}" if turn.twin else f"replica {turn.replica}"
    return f"event {turn.first + nth} of {who} ({_words(event)})"


def _words(event: Event) -> str:
    return f"timer {event.name}" if event.kind == TIMER else event.name or event.kind
