"""Section 4.4, the first half of a view change: suspect the primary, say so with everything prepared, wait.

Liveness rules of section 4.5.2: the timer for the NEW-VIEW starts only with a quorum of VIEW-CHANGEs (else
a lone suspect would race through the views), doubles with every view that fails, and a replica joins f+1
others at the smallest view they ask for. A replica whose own lag is the reason it waits does not suspect
anybody.
"""

from __future__ import annotations

from .certificates import view_change_problem
from .codec import encode_view_change
from .frames import MessageType
from .messages import ViewChange
from .records import RecordType
from .state import NEW_VIEW_TIMER, REQUEST_TIMER
from .state_transfer import StateTransfer
from .types import ReplicaId, SeqNum, View


class ViewChanges(StateTransfer):
    """VIEW-CHANGE messages."""

    excused_at: SeqNum | None = None
    """Where execution stood when being behind last excused the primary."""

    # ------------------------------------------------------------ suspicion

    def on_request_timeout(self, late_ns: int) -> None:
        """The oldest request waited its time: leave the view, unless the fault is our own."""
        self.watched = None
        if not self.active or not self.pending:
            return
        if late_ns > self.timeout_ns(self.cluster.request_timeout_ns) or self.may_catch_up():
            self.restart_waiting()
            self.ask_status()
            return
        self.failed_views += 1
        self.start_view_change(View(self.view + 1), "request timeout")

    def on_new_view_timeout(self) -> None:
        """A quorum waits for the NEW-VIEW and it does not come: try the next view, more patiently."""
        if self.active:
            return
        self.failed_views += 1
        self.start_view_change(View(self.view + 1), "new-view timeout")

    def may_catch_up(self) -> bool:
        """Behind f+1 others, and not for a second timeout at the same number: f of them may be liars."""
        if not self.behind_others() or self.excused_at == self.executed:
            return False
        self.excused_at = self.executed
        return True

    def behind_others(self) -> bool:
        """f+1 replicas, so at least one correct, have executed more than this one."""
        ahead = [status for status in self.peers.values() if status.executed > self.executed]
        return len(ahead) >= self.cluster.weak

    # ------------------------------------------------------------ VIEW-CHANGE

    def start_view_change(self, view: View, reason: str) -> None:
        """Multicast <VIEW-CHANGE, v+1, n, C, P, i> and take no more part in the old view."""
        assert view > self.view, f"view change to {view} from {self.view}"
        if not self.may_leave:
            return
        self.view = view
        self.active = False
        self.watched = None
        self.cancel_timer(REQUEST_TIMER)
        self.cancel_timer(NEW_VIEW_TIMER)
        message = self.own_view_change(view)
        self.view_changes[self.me] = message
        self.persist(RecordType.VIEW_CHANGE, message.raw)
        self.trace("view-change", view=view, reason=reason, failed_views=self.failed_views)
        self.broadcast_raw(message.raw)
        self.join_view_change()
        self.check_view_changes()

    def own_view_change(self, view: View) -> ViewChange:
        """C proves the stable checkpoint; P holds every certificate above it, executed or not."""
        prepared = tuple(self.certificates[seq] for seq in sorted(self.certificates) if seq > self.stable)
        body = encode_view_change(self.stable_proof, prepared)
        raw = self.seal.signed(MessageType.VIEW_CHANGE, view, self.stable, body)
        return ViewChange(view, self.me, self.stable, self.stable_proof, prepared, raw)

    def on_view_change(self, message: ViewChange) -> None:
        """Keep each replica's latest, if it is valid in every part."""
        if message.view < self.view or (message.view == self.view and self.active):
            return
        known = self.view_changes.get(message.replica)
        if known is not None and known.view >= message.view:
            if known.view == message.view and known.raw != message.raw:
                self.reject(message.replica, "VIEW-CHANGE", f"a second one for view {message.view}")
            return
        if not self.proofs_read.take(message.replica, 1, self.now_ns):
            return
        problem = view_change_problem(self.cluster, self.seal, message)
        if problem is not None:
            self.reject(message.replica, "VIEW-CHANGE", problem)
            return
        self.view_changes[message.replica] = message
        if self.traces_debug:
            self.trace_received(message)
        self.join_view_change()
        self.check_view_changes()

    def trace_received(self, message: ViewChange) -> None:
        """The receiver's side of ``view-change``."""
        self.trace(
            "view-change-received",
            view=message.view,
            replica=message.replica,
            stable=message.stable,
            prepared=len(message.prepared),
            held=len(self.view_changes_for(message.view)),
        )

    def join_view_change(self) -> None:
        """f+1 replicas left for later views: at least one is correct, so follow them to the smallest."""
        later = [
            change.view
            for replica, change in self.view_changes.items()
            if replica != self.me and change.view > self.view
        ]
        if len(later) >= self.cluster.weak:
            self.start_view_change(min(later), "joined f+1")

    def check_view_changes(self) -> None:
        """A quorum for the view asked for: its primary announces it, the others begin to wait for that.

        T for the first view after one that worked, 2T for the one after it, and so on (section 4.5.2).
        """
        if self.active:
            return
        if self.primary == self.me and len(self.view_changes_for(self.view)) >= self.cluster.quorum:
            self.announce_new_view()
        elif self.quorum_left() and not self.timer_runs(NEW_VIEW_TIMER):
            patience = max(0, self.failed_views - 1)
            timeout = self.timeout_ns(self.cluster.view_change_timeout_ns, patience)
            self.set_timer(NEW_VIEW_TIMER, timeout)

    def quorum_left(self) -> bool:
        """A quorum asks for this view or a later one.

        The paper says for this one. But who asks for a later one by now sends its earlier VIEW-CHANGE no
        more, and where that was lost, and f others are dead, nobody here would ever go on: f that ask for
        more are too few to be followed.
        """
        asked = [change for change in self.view_changes.values() if change.view >= self.view]
        return len(asked) >= self.cluster.quorum

    def view_changes_for(self, view: View) -> dict[ReplicaId, ViewChange]:
        """The VIEW-CHANGEs for exactly this view, by replica."""
        return {
            r: self.view_changes[r] for r in sorted(self.view_changes) if self.view_changes[r].view == view
        }

    # ------------------------------------------------------------ later phases

    def announce_new_view(self) -> None:
        """See ``new_views``."""
        raise NotImplementedError

    def ask_status(self) -> None:
        """See ``retransmission``."""
        raise NotImplementedError
