"""Is every replica healthy? An ordered operation that *all n* of them must answer alike, not just f+1.

New probes follow at intervals while earlier ones stay under way, each by a client of its own: a replica
that is behind catches up by what it sees ordered, and the first probe with n equal answers is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.sessions import Session, Sessions
from harness.world import Timer, World
from pbft_node.core.effects import Completed

INTERVAL_NS = 1_000_000_000
MOST_PROBES = 120


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes found."""

    deadline_ns: int
    reached: bool
    replies: dict[int, bool]
    """Replica -> whether it answered the best probe."""

    def detail(self) -> str:
        """For people; empty when all is well."""
        silent = [str(replica) for replica, replied in self.replies.items() if not replied]
        if self.reached:
            return ""
        if not silent:
            return "all replicas answered, but not all alike"
        return f"no answer from replica {', '.join(silent)}"


class HealthProbe:
    """Probes from ``start`` until it ``reached`` health or was stopped."""

    def __init__(self, world: World, sessions: Sessions, operation: bytes) -> None:
        self._world = world
        self._sessions = sessions
        self._operation = operation
        self._probes: list[Session] = []
        self._best: frozenset[int] = frozenset()
        self._timer: Timer | None = None
        self.reached = False

    def start(self) -> None:
        """Send the first probe, and others after it."""
        if len(self._probes) < MOST_PROBES:
            session = self._sessions.open_probe(self._completed)
            self._probes.append(session)
            now_ns = self._world.now_ns()
            session.carry_out(session.prepare(self._operation, now_ns, needed=self._world.n))
            who = ("probe", self._sessions.probes + 1)
            self._timer = self._world.call_at(now_ns + INTERVAL_NS, self.start, who)

    def stop(self, deadline_ns: int) -> Health:
        """No more probes. What was found."""
        if self._timer is not None:
            self._timer.cancel()
        for session in self._probes:
            self._best = max(self._best, session.replied(), key=len)
            self._sessions.close(session)
        self._probes.clear()
        replies = {replica: replica in self._best for replica in range(self._world.n)}
        return Health(deadline_ns, self.reached, replies)

    def _completed(self, completed: Completed) -> None:
        self.reached = True
        self._best = frozenset(completed.replicas)
        if self._timer is not None:
            self._timer.cancel()
