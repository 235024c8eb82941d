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
SLOTS_SENT = 16
"""Sequence numbers helped with in answer to one STATUS."""


class Retransmission(NewViews):
    """STATUS and the answers to it."""

    stuck_at: SeqNum | None = None
    """Where execution stood at the last tick, if it was behind then."""

    def on_status_timer(self) -> None:
        """Say what we have, and ask again for what we wait for."""
        self.ask_status()
        self.transfer_tick()
        self.consider_transfer()
        if not self.active:
            self.broadcast_raw(self.view_changes[self.me].raw)
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

    def ask_status(self) -> None:
        """Multicast STATUS."""
        body = encode_status(self.active, self.log_view, self.executed, self.slot_flags())
        self.broadcast(MessageType.STATUS, self.view, self.stable, body)

    def slot_flags(self) -> bytes:
        """A byte for each number above the last executed, as far as the log reaches."""
        highest = max(self.slots, default=self.executed)
        last = min(highest, self.executed + SLOTS_SHOWN)
        return bytes(self.flags_of(SeqNum(seq)) for seq in range(self.executed + 1, last + 1))

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
        self.peers[message.replica] = message
        if not self.may_help(message.replica):
            return
        self.help_with_view(message)
        if message.stable < self.stable:
            for vote in self.stable_proof:
                self.send_raw(message.replica, vote.raw)
        skipped_ours = message.log_view < self.log_view < message.view
        if message.log_view == self.log_view or skipped_ours:
            self.help_with_slots(message)
        self.help_with_checkpoints(message)

    def may_help(self, peer: ReplicaId) -> bool:
        """At most one answer to a peer in half a busy interval."""
        last = self.helped_ns.get(peer)
        if last is not None and self.now_ns - last < self.cluster.status_busy_ns // 2:
            return False
        self.helped_ns[peer] = self.now_ns
        return True

    def help_with_view(self, message: Status) -> None:
        """A peer in an earlier view, or waiting for this one, gets our proof of it."""
        waits_for_ours = message.view == self.view and not message.active
        if message.view > self.view or (message.view == self.view and not waits_for_ours):
            return
        if self.active and self.new_view is not None:
            self.send_raw(message.replica, self.new_view.raw)
        elif not self.active:
            self.send_raw(message.replica, self.view_changes[self.me].raw)
            if self.new_view is not None and message.log_view < self.log_view:
                self.send_raw(message.replica, self.new_view.raw)

    def help_with_checkpoints(self, message: Status) -> None:
        """Our own votes for checkpoints above the peer's stable one."""
        for seq in sorted(self.checkpoint_votes):
            vote = self.checkpoint_votes[seq].get(self.me)
            if vote is not None and seq > message.stable:
                self.send_raw(message.replica, vote.raw)

    def help_with_slots(self, message: Status) -> None:
        """The next numbers the peer has to execute: our votes, and the proposal if it lacks that."""
        first = message.executed + 1
        last = min(max(self.slots, default=0), message.executed + SLOTS_SENT)
        for number in range(first, last + 1):
            slot = self.slots.get(SeqNum(number))
            if slot is not None:
                index = number - first
                flags = message.slots[index] if index < len(message.slots) else 0
                self.help_with_slot(message, slot, flags)

    def help_with_slot(self, message: Status, slot: Slot, flags: int) -> None:
        """One number: anybody may pass on the primary's signed proposal; votes are our own."""
        proposal = slot.pre_prepare
        if proposal is None:
            return
        peer = message.replica
        if message.active and not flags & HAS_BATCH:
            batch = self.batch_of(proposal.digest)
            if batch is not None:
                self.send_raw(peer, proposal.raw + encode_batch(batch))
        own = slot.prepares.get(self.me)
        if message.active and not flags & IS_PREPARED and own is not None:
            self.send_raw(peer, own.raw)
        digest = slot.commits.get(self.me)
        if not flags & IS_COMMITTED and digest is not None:
            self.send(peer, MessageType.COMMIT, slot.view, slot.seq, digest)
