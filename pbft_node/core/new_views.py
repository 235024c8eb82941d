"""Section 4.4, the second half of a view change: NEW-VIEW, validated in full by every backup.

The new primary shows a quorum of VIEW-CHANGEs (V) and the proposals that follow from them (O). A backup
computes O again from V and enters the view only if it is exactly that; it runs the agreement again for
every number in O and executes only what it had not executed.
"""

from __future__ import annotations

from .certificates import max_s, min_s, new_order, new_view_problem
from .codec import encode_new_view
from .frames import MessageType
from .messages import NewView, PrePrepare, ViewChange
from .records import RecordType
from .state import NEW_VIEW_TIMER
from .types import Digest, SeqNum
from .view_changes import ViewChanges


class NewViews(ViewChanges):
    """NEW-VIEW messages."""

    def announce_new_view(self) -> None:
        """The new primary multicasts <NEW-VIEW, v+1, V, O>."""
        changes = self.chosen_view_changes()
        order = tuple(self.new_proposal(seq, digest) for seq, digest in new_order(changes))
        raw = self.seal.signed(MessageType.NEW_VIEW, self.view, 0, encode_new_view(changes, order))
        message = NewView(self.view, self.me, changes, order, raw)
        self.persist(RecordType.NEW_VIEW, raw)
        self.broadcast_raw(raw)
        self.enter_view(message)

    def chosen_view_changes(self) -> tuple[ViewChange, ...]:
        """V: our own and the first others, exactly a quorum."""
        held = self.view_changes_for(self.view)
        others = [change for replica, change in held.items() if replica != self.me]
        own = [held[self.me]] if self.me in held else []  # silent, it has none (see ``silence``)
        chosen = [*own, *others][: self.cluster.quorum]
        return tuple(sorted(chosen, key=lambda change: change.replica))

    def new_proposal(self, seq: SeqNum, digest: Digest) -> PrePrepare:
        """An element of O: <PRE-PREPARE, v+1, n, d>; its batch is known by digest or fetched."""
        raw = self.seal.signed(MessageType.PRE_PREPARE, self.view, seq, digest)
        return PrePrepare(self.view, seq, digest, self.me, raw)

    def on_new_view(self, message: NewView) -> None:
        """Enter the view if its proof holds in every part."""
        if message.view < self.view or (message.view == self.view and self.active):
            return
        if message.primary == self.me and self.may_vote:
            self.reject(message.primary, "NEW-VIEW", "this replica's own, sent by somebody else")
            return
        if not self.proofs_read.take(message.primary, 1, self.now_ns):
            return
        problem = new_view_problem(self.cluster, self.seal, message)
        if problem is not None:
            self.reject(message.primary, "NEW-VIEW", problem)
            return
        self.persist(RecordType.NEW_VIEW, message.raw)
        self.enter_view(message)

    def enter_view(self, message: NewView) -> None:
        """Take up the new view: log O, vote for it, then go on where the old view ended."""
        self.view = self.log_view = message.view
        self.active = True
        self.new_view = message
        self.slots = {}
        self.proposed = {}
        self.bad_batches = 0
        self.view_changes = {r: c for r, c in self.view_changes.items() if c.view > message.view}
        self.cancel_timer(NEW_VIEW_TIMER)
        lowest, highest = min_s(message.view_changes), max_s(message.view_changes)
        self.trace("new-view", view=message.view, primary=message.primary, min_s=lowest, max_s=highest)
        self.settled = highest
        self.next_seq = SeqNum(max(highest, self.stable) + 1)
        for proposal in message.pre_prepares:
            if self.in_window(proposal.seq):
                self.accept_new_proposal(proposal)
        self.adopt_checkpoints(message)
        if lowest > self.executed:
            self.start_transfer()
        self.hand_over_requests()
        self.replay_early()
        self.execute_ready()

    def adopt_checkpoints(self, message: NewView) -> None:
        """The stable checkpoints proved in V count as votes seen, whatever a liar among them said before."""
        for change in message.view_changes:
            for vote in change.checkpoint_proof:
                if vote.seq > self.stable:
                    self.checkpoint_votes.setdefault(vote.seq, {})[vote.replica] = vote
        for seq in sorted(n for n in self.checkpoint_votes if n > self.high_watermark)[:-1]:
            del self.checkpoint_votes[seq]  # the highest tells how far behind we are; many views, many others
        for seq in sorted(self.checkpoint_votes):
            self.check_stable(seq)

    def accept_new_proposal(self, proposal: PrePrepare) -> None:
        """An element of O, accepted as if pre-prepared now; the NEW-VIEW record already holds it."""
        batch = self.batch_of(proposal.digest)
        message = PrePrepare(
            proposal.view, proposal.seq, proposal.digest, proposal.primary, proposal.raw, batch
        )
        slot = self.slot(proposal.seq)
        slot.pre_prepare = message
        self.trace_accepted(message, 0 if batch is None else len(batch.requests))
        for request in () if batch is None else batch.requests:
            self.proposed[request.client] = max(
                self.proposed.get(request.client, request.timestamp), request.timestamp
            )
        if batch is None and proposal.seq > self.executed:
            self.fetch_batch(proposal.digest)
        self.send_prepare(slot)

    def hand_over_requests(self) -> None:
        """What waited for the old primary waits for the new one, with its full time."""
        self.restart_waiting()
        if self.primary != self.me:
            for waiting in self.pending.values():
                self.send_raw(self.primary, waiting.request.raw)
