"""Execution in sequence order, exactly once, and the client table.

A batch is executed when every lower number has been: duplicates inside and between batches are skipped by
the client table, which is part of the checkpointed state. A decided batch whose content is unknown is
fetched by its digest.
"""

from __future__ import annotations

from .codec import encode_batch
from .digests import NULL_DIGEST
from .frames import MessageType
from .messages import NULL_BATCH, Batch, BatchBody, FetchBatch, Request
from .normal_case import NormalCase
from .records import RecordType
from .snapshots import LastReply
from .types import Digest, SeqNum


class Execution(NormalCase):
    """What a decision does to the service."""

    asked_batch: Digest | None = None
    """The batch asked for since the last STATUS."""

    def execute_ready(self) -> None:
        """Execute decided batches as long as the next number's is known."""
        while not self.silent and not self.state_is_wrong:
            seq = SeqNum(self.executed + 1)
            digest = self.decided.get(seq)
            if digest is None:
                return
            batch = self.batch_of(digest)
            if batch is None:
                self.fetch_batch(digest)
                return
            self.execute(seq, digest, batch)

    def batch_of(self, digest: Digest) -> Batch | None:
        """The batch, if its content is known; the null request always is."""
        return NULL_BATCH if digest == NULL_DIGEST else self.batches.get(digest)

    def execute(self, seq: SeqNum, digest: Digest, batch: Batch) -> None:
        """Apply one batch."""
        assert seq == self.executed + 1, f"number {seq} after {self.executed}"
        self.time_ns = max(self.time_ns, batch.time_ns)
        self.store.time_ns = self.time_ns
        outcomes = [self.execute_request(request) for request in batch.requests]
        self.executed = seq
        self.trace("executed", seq=seq, digest=digest.hex(), requests=outcomes)
        if seq % self.cluster.checkpoint_interval == 0:
            self.take_checkpoint(seq)

    def execute_request(self, request: Request) -> list[object]:
        """Once only, then reply; gives the request's line of the trace."""
        last = self.clients.get(request.client)
        fresh = last is None or request.timestamp > last.timestamp
        if fresh:
            result = self.service.execute(self.store, request.client, request.operation)
            reply = LastReply(request.timestamp, result)
            self.clients[request.client] = reply
            self.send_reply(request.client, reply, whole=self.sends_whole(request, result))
            self.progress_made(request)
        outcome = "executed" if fresh else "duplicate"
        return [request.client, request.timestamp, request.digest.hex(), outcome]

    def progress_made(self, request: Request) -> None:
        """A request waits no longer. Fast enough, and timeouts are back to normal."""
        waiting = self.pending.get(request.client)
        if waiting is None or waiting.request.timestamp > request.timestamp:
            return
        if self.active and self.now_ns - waiting.since_ns < self.cluster.request_timeout_ns // 2:
            self.failed_views = 0
        del self.pending[request.client]

    # ------------------------------------------------------------ batches by digest

    def fetch_batch(self, digest: Digest) -> None:
        """Ask everyone for a batch; asked again with every STATUS until it comes."""
        if self.asked_batch == digest:
            return
        self.asked_batch = digest
        if self.traces_debug:
            self.trace("batch-fetch", digest=digest.hex(), step="asked")
        self.broadcast(MessageType.FETCH_BATCH, 0, 0, digest)

    def on_fetch_batch(self, message: FetchBatch) -> None:
        """Hand out a batch."""
        batch = self.batches.get(message.digest)
        if batch is None:
            return
        body = encode_batch(batch)
        if self.bytes_served.take(message.replica, len(body), self.now_ns):
            self.send(message.replica, MessageType.BATCH, 0, 0, body)

    def on_batch(self, message: BatchBody) -> None:
        """A batch is worth its digest: take it only if some slot or decision waits for it."""
        digest = message.batch.digest
        if digest not in self.batches and self.wants_batch(digest):
            self.learn_batch(digest, message.batch)

    def wants_batch(self, digest: Digest) -> bool:
        """The digest was decided, or the NEW-VIEW proposed it."""
        if any(wanted == digest for wanted in self.decided.values()):
            return True
        return any(s.pre_prepare is not None and s.pre_prepare.digest == digest for s in self.slots.values())

    def learn_batch(self, digest: Digest, batch: Batch) -> None:
        """Keep a batch, whatever number in the window it belongs to, and go on executing."""
        self.keep_batch(digest, batch, self.high_watermark)
        self.persist(RecordType.BATCH, encode_batch(batch))
        if self.traces_debug:
            self.trace("batch-fetch", digest=digest.hex(), step="learned")
        self.execute_ready()

    def missing_batch(self) -> Digest | None:
        """The one execution waits for."""
        digest = self.decided.get(SeqNum(self.executed + 1))
        return digest if digest is not None and self.batch_of(digest) is None else None

    def take_checkpoint(self, seq: SeqNum) -> None:
        """See ``checkpoints``."""
        raise NotImplementedError
