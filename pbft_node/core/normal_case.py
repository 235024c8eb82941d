"""Section 4.2, normal-case operation: PRE-PREPARE, PREPARE, COMMIT.

The primary assigns numbers; a backup accepts one digest per (v, n) and says so in PREPARE; a quorum of them
is the certificate *prepared*; a quorum of COMMITs decides. Votes that arrive before their view is entered
wait in ``early``.
"""

from __future__ import annotations

from .codec import encode_batch, encode_certificate
from .frames import MessageType
from .messages import Batch, Commit, Decided, Message, Prepare, PrePrepare, Request
from .reads import Reads
from .records import RecordType, committed_record
from .slots import Slot, prepared_certificate
from .types import Digest, ReplicaId, SeqNum, View

MAX_EARLY = 512
"""Votes kept per replica for views to come."""
MAX_EARLY_BYTES = 1024 * 1024
"""Of their batches, per replica: a pipeline full of them, twice."""
MAX_BAD_BATCHES = 4
"""From one primary in one view; then none of its batches is looked at, and the request timer replaces it."""


class NormalCase(Reads):
    """Three phases per sequence number."""

    # ------------------------------------------------------------ PRE-PREPARE

    def on_pre_prepare(self, message: PrePrepare) -> None:
        """Accept the primary's proposal for (v, n), or say why not."""
        problem = self.proposal_problem(message)
        if problem is None and self.is_early(message.view):
            self.keep_early(message.primary, message)
            return
        if problem is None and (message.view != self.view or not self.active):
            return
        problem = problem or self.pre_prepare_problem(message)
        if problem is not None:
            self.reject(message.primary, "PRE-PREPARE", problem)
            return
        if not self.in_window(message.seq):
            self.beyond_window(message.seq)
            return
        slot = self.slot(message.seq)
        if slot.pre_prepare is None:
            self.accept_pre_prepare(slot, message)
        else:
            self.take_batch(message)

    def proposal_problem(self, message: PrePrepare) -> str | None:
        """What no primary of any view does."""
        primary, limit = self.cluster.primary(message.view), self.cluster.batch_limit
        if message.primary != primary:
            return f"from replica {message.primary}, but the primary of view {message.view} is {primary}"
        if message.batch is None:
            return "without its batch"
        requests = message.batch.requests
        if len(requests) > limit:
            return f"a batch of {len(requests)} requests: the limit is {limit}"
        size = sum(len(request.raw) for request in requests)
        if len(requests) > 1 and size > self.cluster.batch_bytes:
            return f"a batch of {size} bytes: the limit is {self.cluster.batch_bytes}"
        return None

    def pre_prepare_problem(self, message: PrePrepare) -> str | None:
        """The conditions of section 4.2 that a correct primary never breaks."""
        found = self.slots.get(message.seq)
        if found is not None and found.pre_prepare is not None and found.pre_prepare.digest != message.digest:
            return f"a second digest for view {message.view}, number {message.seq}"
        if not self.follows_new_view(message):
            return f"number {message.seq} is settled otherwise by the NEW-VIEW of view {message.view}"
        assert message.batch is not None
        ahead_ns = message.batch.time_ns - self.wall_ns()
        if ahead_ns > self.cluster.clock_tolerance_ns:
            return f"its time is {ahead_ns} ns ahead of ours"
        return self.request_problem(message, message.batch)

    def request_problem(self, message: PrePrepare, batch: Batch) -> str | None:
        """Every request is its client's. What O names was prepared: a correct replica found it to be so."""
        if self.new_view is not None and message.seq <= self.settled:
            return None
        if self.bad_batches >= MAX_BAD_BATCHES:
            return f"after {self.bad_batches} batches with requests that nobody signed"
        for request in batch.requests:
            if not self.is_authentic(request):
                self.bad_batches += (
                    self.cluster.client_auth == "sign"
                )  # a MAC is wrong by a client's lie, too
                return f"a request that client {request.client} did not sign"
        return None

    def is_authentic(self, request: Request) -> bool:
        """The same bytes are checked once: those that wait here came from the client, and were."""
        waiting = self.pending.get(request.client)
        known = waiting is not None and waiting.request.raw == request.raw
        return known or self.seal.authentic_request(request.client, request.raw)

    def follows_new_view(self, message: PrePrepare) -> bool:
        """Section 4.4: new numbers begin behind max-s; up to it only O counts, wherever the window was then.

        Otherwise a lying primary could order something else under a number below min-s for one that lags.
        """
        if message.seq > self.settled or self.new_view is None:
            return True
        order = self.new_view.pre_prepares
        return any((p.seq, p.digest) == (message.seq, message.digest) for p in order)

    def accept_pre_prepare(self, slot: Slot, message: PrePrepare) -> None:
        """Log it, then multicast <PREPARE, v, n, d, i>."""
        assert message.batch is not None
        slot.pre_prepare = message
        if message.primary == self.me:  # its own, shown to it again by others: that number is taken
            self.next_seq = max(self.next_seq, SeqNum(message.seq + 1))
        self.keep_batch(message.digest, message.batch, message.seq)
        for request in message.batch.requests:
            self.note_pending(request)
        self.persist(RecordType.PRE_PREPARE, message.raw + encode_batch(message.batch))
        self.trace_accepted(message, len(message.batch.requests))
        self.send_prepare(slot)
        self.check_prepared(slot)
        self.check_committed(slot)
        self.execute_ready()

    def take_batch(self, message: PrePrepare) -> None:
        """A PRE-PREPARE known by digest (from a NEW-VIEW) arrives with its batch."""
        if message.batch is not None and message.digest not in self.batches:
            self.learn_batch(message.digest, message.batch)

    def trace_accepted(self, message: PrePrepare, requests: int) -> None:
        """The backup's side of ``pre-prepare``: a vote."""
        if not self.may_vote:
            return
        self.trace(
            "pre-prepare",
            view=message.view,
            seq=message.seq,
            digest=message.digest.hex(),
            requests=requests,
            role="primary" if message.primary == self.me else "backup",
        )

    # ------------------------------------------------------------ PREPARE

    def send_prepare(self, slot: Slot) -> None:
        """A backup's vote for the PRE-PREPARE it accepted; the primary sends none."""
        if self.primary == self.me or not self.may_vote:
            return
        assert slot.pre_prepare is not None
        vote = self.own_prepare(slot)
        slot.prepares[self.me] = vote
        self.broadcast_raw(vote.raw)

    def own_prepare(self, slot: Slot) -> Prepare:
        """<PREPARE, v, n, d, i>: the same bytes whenever it is made."""
        assert slot.pre_prepare is not None
        digest = slot.pre_prepare.digest
        raw = self.seal.signed(MessageType.PREPARE, slot.view, slot.seq, digest)
        return Prepare(slot.view, slot.seq, digest, self.me, raw)

    def on_prepare(self, message: Prepare) -> None:
        """Count a backup's vote."""
        if self.is_early(message.view):
            self.keep_early(message.replica, message)
            return
        if message.view != self.view or not self.active:
            return
        if not self.in_window(message.seq):
            self.beyond_window(message.seq)
            return
        if message.replica == self.primary:
            self.reject(message.replica, "PREPARE", "from the primary, whose PRE-PREPARE is its vote")
            return
        slot = self.slot(message.seq)
        known = slot.prepares.get(message.replica)
        if known is not None:
            if known.digest != message.digest:
                self.reject(message.replica, "PREPARE", f"a second digest for number {message.seq}")
            return
        slot.prepares[message.replica] = message
        self.check_prepared(slot)

    def check_prepared(self, slot: Slot) -> None:
        """prepared(m, v, n, i) becomes true: keep the certificate, then multicast COMMIT."""
        if slot.prepared:
            return
        certificate = prepared_certificate(slot, self.cluster)
        if certificate is None:
            return
        slot.prepared = True
        self.certificates[slot.seq] = certificate
        digest = certificate.pre_prepare.digest
        self.persist(RecordType.PREPARED, encode_certificate(certificate))
        self.send_commit(slot, digest)
        self.check_committed(slot)

    # ------------------------------------------------------------ COMMIT

    def send_commit(self, slot: Slot, digest: Digest) -> None:
        """<COMMIT, v, n, d, i>."""
        if not self.may_vote:
            return
        self.trace("prepared", view=slot.view, seq=slot.seq, digest=digest.hex())
        slot.commits[self.me] = digest
        self.broadcast(MessageType.COMMIT, slot.view, slot.seq, digest)

    def on_commit(self, message: Commit) -> None:
        """Count a vote, also while a view change is under way: a decision of the last view stays one."""
        if self.is_early(message.view):
            self.keep_early(message.replica, message)
            return
        if message.view != self.log_view:
            return
        if not self.in_window(message.seq):
            self.beyond_window(message.seq)
            return
        slot = self.slot(message.seq)
        known = slot.commits.get(message.replica)
        if known is not None:
            if known != message.digest:
                self.reject(message.replica, "COMMIT", f"a second digest for number {message.seq}")
            return
        slot.commits[message.replica] = message.digest
        self.check_committed(slot)

    def check_committed(self, slot: Slot) -> None:
        """A quorum of COMMITs for one digest.

        f+1 of them are correct and prepared: this is the paper's committed(m, v, n), so it may be acted
        upon even by a replica that is not prepared itself.
        """
        if slot.committed:
            return
        digest = slot.committed_digest(self.cluster.quorum)
        if digest is None:
            return
        slot.committed = True
        self.decide(slot.view, slot.seq, digest)

    def on_decided(self, message: Decided) -> None:
        """f+1 say so, one of them is correct: how a replica catches up with a decision it took no part in."""
        if not self.in_window(message.seq) or message.seq in self.decided:
            return
        claims = self.decision_claims.setdefault(message.seq, {})
        if claims.setdefault(message.replica, message.digest) != message.digest:
            self.reject(message.replica, "DECIDED", f"a second digest for number {message.seq}")
            return
        if list(claims.values()).count(message.digest) >= self.cluster.weak:
            self.decide(self.log_view, message.seq, message.digest)
            return
        slot = self.slot(message.seq)  # what is decided is worth a COMMIT, whoever says it
        slot.commits.setdefault(message.replica, message.digest)
        self.check_committed(slot)

    def decide(self, view: View, seq: SeqNum, digest: Digest) -> None:
        """Number ``seq`` orders the batch ``digest``, for ever."""
        known = self.decided.get(seq)
        if known is not None and known != digest:
            self.trace("alarm", reason=f"number {seq} was decided as {known.hex()}, now as {digest.hex()}")
            return
        self.trace("committed", view=view, seq=seq, digest=digest.hex())
        if known is None and seq > self.stable:
            self.decided[seq] = digest
            self.persist_record(committed_record(seq, digest))
            self.execute_ready()

    # ------------------------------------------------------------ views to come

    def is_early(self, view: View) -> bool:
        """Of a view not yet entered."""
        return view > self.view or (view == self.view and not self.active)

    def keep_early(self, sender: ReplicaId, message: Message) -> None:
        """Keep a vote until its view is entered: the NEW-VIEW may be slower than the votes that follow it."""
        kept = self.early.setdefault(sender, [])
        kept.append(message)
        size = self.early_bytes.get(sender, 0) + batch_bytes(message)
        while len(kept) > MAX_EARLY or (size > MAX_EARLY_BYTES and len(kept) > 1):
            size -= batch_bytes(kept.pop(0))
        self.early_bytes[sender] = size

    def replay_early(self) -> None:
        """The view is entered: count what waited for it."""
        waiting = self.early
        self.early, self.early_bytes = {}, {}
        self.at_hand = b""
        for sender in sorted(waiting):
            for message in waiting[sender]:
                match message:
                    case PrePrepare():
                        self.on_pre_prepare(message)
                    case Prepare():
                        self.on_prepare(message)
                    case Commit():
                        self.on_commit(message)

    # ------------------------------------------------------------ later phases

    def beyond_window(self, seq: SeqNum) -> None:
        """See ``retransmission``."""
        raise NotImplementedError

    def execute_ready(self) -> None:
        """See ``execution``."""
        raise NotImplementedError

    def learn_batch(self, digest: Digest, batch: Batch) -> None:
        """See ``execution``."""
        raise NotImplementedError


def batch_bytes(message: Message) -> int:
    """What a message carries beside a vote."""
    batch = message.batch if isinstance(message, PrePrepare) else None
    return sum(len(request.raw) for request in batch.requests) if batch is not None else 0
