"""Section 5.2, retransmission driven by the receiver: STATUS says what a replica has, others send what it
lacks.

Nothing else is ever retransmitted (clients retry for themselves), so loss, duplication and reordering need
no other treatment. A STATUS is a hint, never a proof: answers are bounded per peer and interval, and
everything sent in answer is checked like any other message.
"""

from __future__ import annotations

from .codec import encode_batch, encode_status
from .frames import MessageType
from .messages import HAS_BATCH, IS_COMMITTED, IS_PREPARED, Status
from .new_views import NewViews
from .slots import Slot
from .state import STATUS_TIMER
from .types import ReplicaId, SeqNum

SLOTS_SHOWN = 64
OTHER_PARAMETERS = "its cluster parameters differ from ours: compare 'cluster' in the two configurations"
SLOTS_SENT = 16
"""Sequence numbers helped with in answer to one STATUS."""


class Retransmission(NewViews):
    """STATUS and the answers to it."""

    asked_ns: int = 0
    """When STATUS was last sent."""
    stuck_at: SeqNum | None = None
    """Where execution stood at the last tick, if it was behind then."""

    def on_status_timer(self) -> None:
        """Say what we have, and ask again for what we wait for."""
        self.ask_status()
        self.relay_oldest()
        self.transfer_tick()
        self.consider_transfer()
        self.asked_batch = None
        missing = self.missing_batch()
        if missing is not None:
            self.fetch_batch(missing)
        busy = self.lacks_something()
        self.set_timer(STATUS_TIMER, self.cluster.status_busy_ns if busy else self.cluster.status_idle_ns)

    def lacks_something(self) -> bool:
        """Whether to ask often."""
        return bool(not self.active or self.pending or self.fetching_state() or self.still_behind())

    def still_behind(self) -> bool:
        """Some number is decided, or some peer has executed one, that this replica has not executed."""
        known = max([self.stable, self.provably_behind() or 0, *self.decided])
        return known > self.executed or self.behind_others()

    def consider_transfer(self) -> None:
        """Behind a proved checkpoint (or f+1 peers' stable one) for a whole tick without moving: fetch the
        state."""
        behind = self.provably_behind() is not None or self.log_is_gone()
        if behind and self.stuck_at == self.executed and not self.fetching_state():
            self.start_transfer()
        self.stuck_at = self.executed if behind else None

    def log_is_gone(self) -> bool:
        """f+1 peers have dropped the messages this replica would need next."""
        ahead = [status for status in self.peers.values() if status.stable > self.executed]
        return len(ahead) >= self.cluster.weak

    # ------------------------------------------------------------ STATUS

    def beyond_window(self, seq: SeqNum) -> None:
        """An authentic message for a number above H: others are ahead, so say what we lack, once an
        interval."""
        if seq > self.high_watermark and self.now_ns - self.asked_ns >= self.cluster.status_busy_ns:
            self.ask_status()

    def ask_status(self) -> None:
        """Multicast STATUS."""
        self.asked_ns = self.now_ns
        held = [] if self.active else list(self.view_changes_for(self.view))
        body = encode_status(
            self.parameters,
            self.active,
            self.log_view,
            self.needs_nothing_up_to(),
            held,
            self.slot_flags(),
            self.suspects_primary(),
        )
        self.broadcast(MessageType.STATUS, self.view, self.stable, body)

    def needs_nothing_up_to(self) -> SeqNum:
        """What was executed needs no more votes (but see ``silence``)."""
        return self.executed

    def slot_flags(self) -> bytes:
        """A byte for each number above that, as far as the log reaches."""
        done = self.needs_nothing_up_to()
        last = min(max(self.slots, default=done), done + SLOTS_SHOWN)
        return bytes(self.flags_of(SeqNum(seq)) for seq in range(done + 1, last + 1))

    def flags_of(self, seq: SeqNum) -> int:
        """What we hold of one number."""
        slot = self.slots.get(seq)
        flags = IS_COMMITTED if seq in self.decided else 0
        if slot is not None and slot.pre_prepare is not None:
            flags |= HAS_BATCH if self.batch_of(slot.pre_prepare.digest) is not None else 0
            flags |= IS_PREPARED if slot.prepared else 0
            flags |= IS_COMMITTED if slot.committed else 0
        return flags

    def on_status(self, message: Status) -> None:
        """Send a peer what it lacks and we have."""
        if message.parameters != self.parameters:
            self.reject(message.replica, "STATUS", OTHER_PARAMETERS)
            return
        self.peers[message.replica] = message
        if not self.may_help(message.replica):
            return
        before = self.effects_so_far()
        self.help_with_view(message)
        if message.stable < self.stable and self.is_my_turn(message.replica):
            for vote in self.stable_proof:
                self.send_raw(message.replica, vote.raw)
        self.help_with_slots(message)
        self.help_with_checkpoints(message)
        if self.traces_debug:
            self.trace(
                "helped",
                replica=message.replica,
                view=message.view,
                active=message.active,
                stable=message.stable,
                executed=message.executed,
                datagrams=self.effects_so_far() - before,
            )

    def may_help(self, peer: ReplicaId) -> bool:
        """At most one answer to a peer in half a busy interval."""
        last = self.helped_ns.get(peer)
        if last is not None and self.now_ns - last < self.cluster.status_busy_ns // 2:
            return False
        self.helped_ns[peer] = self.now_ns
        self.helped_times[peer] = self.helped_times.get(peer, 0) + 1
        return True

    def is_my_turn(self, peer: ReplicaId) -> bool:
        """What proves itself anybody could send: the primary does, and one other at a time."""
        return self.primary == self.me or (self.helped_times[peer] + self.me) % self.cluster.n == 0

    def help_with_view(self, message: Status) -> None:
        """A peer that waits for our view, or is in an earlier one, gets our VIEW-CHANGE or NEW-VIEW."""
        waits = message.view < self.view or (message.view == self.view and not message.active)
        if not waits:
            return
        knows_ours = message.view == self.view and self.me in message.view_changes
        if not self.active and not knows_ours:
            self.send_raw(message.replica, self.view_changes[self.me].raw)
        could_enter = message.view < self.log_view or (message.view == self.log_view and not message.active)
        if self.new_view is not None and could_enter and self.is_my_turn(message.replica):
            self.send_raw(message.replica, self.new_view.raw)

    def help_with_checkpoints(self, message: Status) -> None:
        """Our own votes for checkpoints above the peer's stable one."""
        for seq in sorted(self.checkpoint_votes):
            vote = self.checkpoint_votes[seq].get(self.me)
            if vote is not None and seq > message.stable:
                self.send_raw(message.replica, vote.raw)

    def help_with_slots(self, message: Status) -> None:
        """The next numbers the peer has to execute: what was decided, else our votes and the proposal."""
        first = message.executed + 1
        highest = max([*self.slots, *self.decided], default=0)
        for number in range(first, min(highest, message.executed + SLOTS_SENT) + 1):
            seq = SeqNum(number)
            flags = message.slots[number - first] if number - first < len(message.slots) else 0
            if seq in self.decided and not flags & IS_COMMITTED:
                self.send(message.replica, MessageType.DECIDED, 0, seq, self.decided[seq])
            slot = self.slots.get(seq)
            if slot is not None and message.active and message.log_view == self.log_view:
                self.help_with_slot(message.replica, slot, flags)

    def help_with_slot(self, peer: ReplicaId, slot: Slot, flags: int) -> None:
        """One number of this view: anybody may pass on the primary's signed proposal; votes are our own."""
        proposal = slot.pre_prepare
        if proposal is None:
            return
        batch = self.batch_of(proposal.digest)
        if batch is not None and not flags & HAS_BATCH and self.is_my_turn(peer):
            body = encode_batch(batch)
            if self.bytes_served.take(peer, len(body), self.now_ns):
                self.send_raw(peer, proposal.raw + body)
        vote = slot.prepares.get(self.me)
        if vote is not None and not flags & IS_PREPARED:
            self.send_raw(peer, vote.raw)
        digest = slot.commits.get(self.me)
        if digest is not None and not flags & IS_COMMITTED:
            self.send(peer, MessageType.COMMIT, slot.view, slot.seq, digest)

    # ------------------------------------------------------------ later phases

    def suspects_primary(self) -> bool:
        """See ``slow_primary``."""
        raise NotImplementedError
