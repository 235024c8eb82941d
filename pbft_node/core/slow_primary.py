"""A primary that is slow, but never so slow that the request timer fires, is replaced (Aardvark's rule).

While requests wait here, a backup looks ``LOOKS_PER_TIMEOUT`` times in a request timeout at the oldest one
the primary has not ordered although it could: its pipeline and the window have room, and every number below
is proposed. A look is *late* when that request waited longer than patience allows: a factor times what the
best of the last n views gave, or the best time of this one, or half of what agreement on a proposal takes,
which the primary has no hand in; never less than one interval of looks. With ``LATE_LOOKS`` of the last
``LOOKS`` late the primary is under suspicion. Time counts, not numbers: batches of its friends make no
primary faster.

A suspicion is a vote and nothing else: it travels in STATUS, and only who suspects and sees f others do so
(or leave the view) asks for the next view. One backup's error costs nothing. Patience doubles with each such
view change until a primary is as fast as the rule demands, so a machine that became slower as a whole stops
changing views after a few.
"""

from __future__ import annotations

from dataclasses import dataclass

from .authentication import Keyring
from .cluster import Cluster
from .messages import Batch, NewView, PrePrepare, Status, ViewChange
from .retransmission import Retransmission
from .services import Service
from .slots import Slot
from .types import ClientId, Digest, ReplicaId, SeqNum, Timestamp, View

PACE_TIMER = "pace"
LOOKS_PER_TIMEOUT = 8
LOOKS = 32
LATE_LOOKS = 12
_WINDOW = (1 << LOOKS) - 1


@dataclass(slots=True)
class Pace:
    """What one backup saw of one view."""

    looks: int = 0
    late: int = 0
    """A bit for each of the last ``LOOKS`` looks, the latest lowest: late by plain patience."""
    too_late: int = 0
    """Late by doubled patience, too."""
    in_order_ns: int = 0
    """When the latest number executed and all below it were proposed."""
    agreed_ns: int = 0
    """Sum of the times from there to execution."""
    agreed: int = 0
    """Of so many numbers."""
    waited_ns: int = 0
    """Sum over the looks since the last full window of what the oldest request owed had waited."""
    best_ns: int | None = None
    """The mean of that in the best window of ``LOOKS``."""
    had_room: bool = False
    """At the last look the primary could propose."""

    def add(self, late: bool, too_late: bool, waited_ns: int) -> None:
        """One look."""
        self.looks += 1
        self.late = (self.late << 1 | late) & _WINDOW
        self.too_late = (self.too_late << 1 | too_late) & _WINDOW
        self.waited_ns += waited_ns
        if self.full():
            mean = self.waited_ns // LOOKS
            self.best_ns = mean if self.best_ns is None else min(mean, self.best_ns)
            self.waited_ns = 0

    def full(self) -> bool:
        """A window of looks is complete."""
        return self.looks % LOOKS == 0


class SlowPrimary(Retransmission):
    """Pace, suspicion, votes."""

    def __init__(self, cluster: Cluster, me: ReplicaId, keys: Keyring, service: Service) -> None:
        super().__init__(cluster, me, keys, service)
        self.pace = Pace()

    past_paces: tuple[int, ...] = ()
    """The best pace of each of the last n views that were watched long enough."""
    slow_changes = 0
    """View changes for slowness in a row that did not help."""

    # ------------------------------------------------------------ looking

    def watch_oldest(self) -> None:
        """Beside the request timer: looks, as long as something waits."""
        super().watch_oldest()
        if self.pending and PACE_TIMER not in self._due_ns and self.judges_primary():
            self.set_timer(PACE_TIMER, self.look_interval_ns())

    def judges_primary(self) -> bool:
        """A backup that may leave its view does, where the rule is not switched off."""
        watches = self.active and self.may_leave and self.primary != self.me
        return watches and self.cluster.slow_primary_factor > 0

    def look_interval_ns(self) -> int:
        """The finest difference the rule sees."""
        return max(1, self.cluster.request_timeout_ns // LOOKS_PER_TIMEOUT)

    def on_pace_timer(self, late_ns: int) -> None:
        """Look, unless what we would see is our own lag."""
        if not self.judges_primary():
            return
        if late_ns > self.look_interval_ns() or self.lags_itself():
            self.pace.had_room = False
            return
        self.look()
        self.check_suspicions()

    def lags_itself(self) -> bool:
        """Whoever is behind, or fetches, cannot know what the primary did in time."""
        return self.fetching_state() or self.behind_others() or self.missing_batch() is not None

    def look(self) -> None:
        """One look at the oldest request the primary owes a number."""
        pace, suspected = self.pace, self.suspects_primary()
        room, waited_ns = self.owed_ns()
        waited_ns = waited_ns if room and pace.had_room else 0
        pace.had_room = room
        patience_ns = self.patience_ns()
        late = patience_ns is not None and waited_ns > patience_ns
        too_late = patience_ns is not None and waited_ns > patience_ns << min(self.slow_changes, 20)
        pace.add(late, too_late, waited_ns)
        if pace.full() and pace.late.bit_count() < LATE_LOOKS:
            self.slow_changes = 0
        if self.suspects_primary() and not suspected:
            self.ask_status()

    def owed_ns(self) -> tuple[bool, int]:
        """Whether the primary has room to propose, and how long the oldest request not yet ordered waited.

        A number counts as proposed when all below it are: nothing behind a hole can be executed.
        """
        ordered: dict[ClientId, Timestamp] = {}
        seq = SeqNum(self.executed + 1)
        while (slot := self.slots.get(seq)) is not None and slot.pre_prepare is not None:
            if seq - self.executed >= self.cluster.pipeline:
                return False, 0
            batch = self.batch_of(slot.pre_prepare.digest)
            for request in batch.requests if batch is not None else ():
                ordered[request.client] = max(
                    ordered.get(request.client, request.timestamp), request.timestamp
                )
            seq = SeqNum(seq + 1)
        if seq > self.high_watermark:
            return False, 0
        for client, waiting in self.pending.items():
            if ordered.get(client, 0) < waiting.request.timestamp:
                return True, self.now_ns - waiting.since_ns
        return True, 0

    def patience_ns(self) -> int | None:
        """How long a request may wait for its number; None as long as nothing tells what is usual."""
        known = list(self.past_paces)
        if self.pace.best_ns is not None:
            known.append(self.pace.best_ns)
        agreement_ns = self.agreement_ns()
        if agreement_ns is not None:
            known.append(agreement_ns // 2)
        if not known:
            return None
        return max(self.look_interval_ns(), self.cluster.slow_primary_factor * min(known))

    def agreement_ns(self) -> int | None:
        """From a proposal to its execution, in the mean of this view."""
        return self.pace.agreed_ns // self.pace.agreed if self.pace.agreed else None

    def accept_pre_prepare(self, slot: Slot, message: PrePrepare) -> None:
        """Agreement on it begins."""
        slot.accepted_ns = self.now_ns
        super().accept_pre_prepare(slot, message)

    def execute(self, seq: SeqNum, digest: Digest, batch: Batch) -> None:
        """Agreement on it ended."""
        slot = self.slots.get(seq)
        if slot is not None and slot.accepted_ns is not None:
            pace = self.pace
            pace.in_order_ns = max(pace.in_order_ns, slot.accepted_ns)
            pace.agreed_ns += self.now_ns - pace.in_order_ns
            pace.agreed += 1
        super().execute(seq, digest, batch)

    # ------------------------------------------------------------ suspicion

    def suspects_primary(self) -> bool:
        """Too late at many of the last looks."""
        return self.judges_primary() and self.pace.too_late.bit_count() >= LATE_LOOKS

    def check_suspicions(self) -> None:
        """f+1 suspect the primary, this replica among them: leave its view."""
        if not self.suspects_primary():
            return
        voters = {r for r, status in self.peers.items() if status.suspects and status.view == self.view}
        voters |= {r for r, change in self.view_changes.items() if change.view > self.view}
        if len((voters | {self.me}) - {self.primary}) < self.cluster.weak:
            return
        self.slow_changes += 1
        self.start_view_change(View(self.view + 1), "slow primary")

    def on_status(self, message: Status) -> None:
        """It may hold a vote."""
        super().on_status(message)
        self.check_suspicions()

    def on_view_change(self, message: ViewChange) -> None:
        """Whoever leaves the view does not trust its primary either."""
        super().on_view_change(message)
        self.check_suspicions()

    def enter_view(self, message: NewView) -> None:
        """A new primary begins without suspicion, with the best of the last n views to live up to."""
        if self.pace.best_ns is not None:
            self.past_paces = (*self.past_paces, self.pace.best_ns)[-self.cluster.n :]
        self.pace = Pace()
        super().enter_view(message)
