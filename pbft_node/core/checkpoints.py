"""Section 4.3, garbage collection: checkpoints, their proofs, watermarks, and the log cut behind them.

Every K numbers the state is digested and announced. A quorum of CHECKPOINTs with one digest is a proof: the
checkpoint is stable, everything at or below it is dropped, and the log on disk is rewritten from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from .codec import encode_batch, encode_certificate, encode_frames
from .effects import Compact
from .execution import Execution
from .frames import MessageType
from .messages import Checkpoint
from .records import LOST_LOG, RecordType, committed_record, record
from .snapshot_records import snapshot_records
from .snapshots import Snapshot, take_snapshot
from .types import Digest, SeqNum


class Checkpoints(Execution):
    """From CHECKPOINT votes to a shorter log."""

    log_slack_bytes: int = 1024 * 1024
    """How much longer than twice a rewritten log the log may be at a stable checkpoint."""

    def take_checkpoint(self, seq: SeqNum) -> None:
        """Digest the state after ``seq``, make it durable and announce it; all that costs what changed."""
        snapshot = take_snapshot(seq, self.store.image(), self.clients.image(self.time_ns))
        self.snapshots[seq] = snapshot
        self.persist_snapshot(snapshot)
        self.announce_checkpoint(snapshot)
        self.check_stable(seq)

    def persist_snapshot(self, snapshot: Snapshot, proof: Sequence[Checkpoint] = ()) -> None:
        """Log what differs from the snapshot logged last; with a proof it is stable at once."""
        for data in snapshot_records(snapshot, self.logged_snapshot, proof):
            self.persist_record(data)
        self.logged_snapshot = snapshot

    def announce_checkpoint(self, snapshot: Snapshot) -> None:
        """<CHECKPOINT, n, d, i>, also for a state that was fetched: its proof lacks nobody then."""
        if not self.may_vote:
            return
        vote = self.own_checkpoint(snapshot)
        self.checkpoint_votes.setdefault(snapshot.seq, {})[self.me] = vote
        self.trace("checkpoint", seq=snapshot.seq, digest=snapshot.digest.hex())
        self.broadcast_raw(vote.raw)

    def own_checkpoint(self, snapshot: Snapshot) -> Checkpoint:
        """The same bytes whenever it is made."""
        raw = self.seal.signed(MessageType.CHECKPOINT, 0, snapshot.seq, snapshot.digest)
        return Checkpoint(snapshot.seq, snapshot.digest, self.me, raw)

    def on_checkpoint(self, message: Checkpoint) -> None:
        """Count a vote for a checkpoint inside the window."""
        seq = message.seq
        if seq % self.cluster.checkpoint_interval or seq == 0:
            self.reject(message.replica, "CHECKPOINT", f"at {seq}, where no checkpoint is taken")
            return
        if not self.stable < seq <= self.stable + self.cluster.window:
            return
        votes = self.checkpoint_votes.setdefault(seq, {})
        known = votes.get(message.replica)
        if known is not None and known.digest == message.digest:
            return
        if known is not None:  # the latest counts: it may be the one in a proof that others hold
            self.reject(message.replica, "CHECKPOINT", f"a second digest for {seq}")
        votes[message.replica] = message
        self.check_stable(seq)

    def check_stable(self, seq: SeqNum) -> None:
        """A quorum vouches for one digest: adopt it if it is ours, raise the alarm if ours differs."""
        proof = self.checkpoint_proof(seq)
        own = self.snapshots.get(seq)
        if self.silent or not proof or own is None or seq <= self.stable:
            return
        if own.digest == proof[0].digest:
            self.make_stable(seq, proof)
        else:
            self.own_state_is_wrong(seq, own.digest, proof[0].digest)

    def checkpoint_proof(self, seq: SeqNum) -> tuple[Checkpoint, ...]:
        """A quorum of matching CHECKPOINTs by replica, or nothing."""
        votes = self.checkpoint_votes.get(seq, {})
        by_digest: dict[Digest, list[Checkpoint]] = {}
        for replica in sorted(votes):
            vote = votes[replica]
            by_digest.setdefault(vote.digest, []).append(vote)
        for matching in by_digest.values():
            if len(matching) >= self.cluster.quorum:
                return tuple(matching[: self.cluster.quorum])
        return ()

    def provably_behind(self) -> SeqNum | None:
        """The highest checkpoint a quorum vouches for that this replica has not executed."""
        for seq in sorted(self.checkpoint_votes, reverse=True):
            if seq > self.executed and self.checkpoint_proof(seq):
                return seq
        return None

    def make_stable(self, seq: SeqNum, proof: Sequence[Checkpoint]) -> None:
        """h = n: drop everything at or below it, in memory, and on disk when that has become worth it."""
        assert seq in self.snapshots, f"stable checkpoint {seq} is a state this replica does not hold"
        assert seq <= self.executed, f"stable checkpoint {seq} above the {self.executed} executed"
        self.drop_below(seq, proof)
        if self.log_is_long():
            self.rewrite_log()
        else:
            self.persist(RecordType.STABLE, encode_frames([vote.raw for vote in proof]))

    def drop_below(self, seq: SeqNum, proof: Sequence[Checkpoint]) -> None:
        """Forget what the stable checkpoint at ``seq`` stands for."""
        previous = self.stable
        self.stable = seq
        self.stable_proof = tuple(proof)
        self.slots = {n: slot for n, slot in self.slots.items() if n > seq}
        self.certificates = {n: c for n, c in self.certificates.items() if n > seq}
        self.decided = {n: d for n, d in self.decided.items() if n > seq}
        self.decision_claims = {n: claims for n, claims in self.decision_claims.items() if n > seq}
        self.checkpoint_votes = {n: votes for n, votes in self.checkpoint_votes.items() if n > seq}
        self.snapshots = {n: s for n, s in self.snapshots.items() if n >= seq or n == previous}
        self.next_seq = max(self.next_seq, SeqNum(seq + 1))
        self.drop_unused_batches()
        digest = self.snapshots[seq].digest.hex()
        self.trace("stable", seq=seq, digest=digest, high=self.high_watermark)

    def drop_unused_batches(self) -> None:
        """Keep the batches that a number above the stable checkpoint refers to, in any view."""
        used = {slot.pre_prepare.digest for slot in self.slots.values() if slot.pre_prepare is not None}
        used.update(certificate.pre_prepare.digest for certificate in self.certificates.values())
        used.update(self.decided.values())
        used.update(digest for digest, seq in self.batch_numbers.items() if seq > self.stable)
        self.batches = {digest: batch for digest, batch in self.batches.items() if digest in used}
        self.batch_numbers = {digest: self.batch_numbers[digest] for digest in self.batches}

    def log_is_long(self) -> bool:
        """As much was appended as a rewritten log takes, and a little: so a byte of the log is rewritten
        about once, and on average a checkpoint costs what changed."""
        return self.log_bytes > 2 * self.rewritten_bytes + self.log_slack_bytes

    def rewrite_log(self) -> None:
        """Replace the log by what of it still matters."""
        records = self.log_records()
        self.log_bytes = self.rewritten_bytes = sum(map(len, records))
        self.logged_snapshot = self.snapshots[max(self.snapshots)] if self.snapshots else None
        self.emit(Compact(records))

    def log_records(self) -> tuple[bytes, ...]:
        """The log, rewritten: every promise still open, from the stable checkpoint on."""
        records = [] if self.may_leave else list(LOST_LOG)
        before = None
        for seq in sorted(n for n in self.snapshots if n >= self.stable):
            records += snapshot_records(self.snapshots[seq], before)
            before = self.snapshots[seq]
        if self.stable_proof:
            proof = encode_frames([vote.raw for vote in self.stable_proof])
            records.append(record(RecordType.STABLE, proof))
        records += [record(RecordType.BATCH, encode_batch(batch)) for batch in self.batches.values()]
        if self.new_view is not None:
            records.append(record(RecordType.NEW_VIEW, self.new_view.raw))
        for seq in sorted(self.slots):
            message = self.slots[seq].pre_prepare
            if message is not None and message.batch is not None:
                records.append(record(RecordType.PRE_PREPARE, message.raw + encode_batch(message.batch)))
        for seq in sorted(self.certificates):
            records.append(record(RecordType.PREPARED, encode_certificate(self.certificates[seq])))
        records += [committed_record(seq, self.decided[seq]) for seq in sorted(self.decided)]
        if not self.active:
            records.append(record(RecordType.VIEW_CHANGE, self.view_changes[self.me].raw))
        return tuple(records)

    def own_state_is_wrong(self, seq: SeqNum, own: Digest, proved: Digest) -> None:
        """See ``state_transfer``."""
        raise NotImplementedError
