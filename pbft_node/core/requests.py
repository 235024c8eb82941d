"""Section 4.1, the client's request: accept it once, answer it again, relay it to the primary, batch it.

Each client has one request outstanding; the client table remembers its last one with the reply. A backup
that gets a request relays it and watches it: the request timer always runs for the *oldest* waiting
request, so a primary cannot starve one client while it serves the others.
"""

from __future__ import annotations

from dataclasses import replace

from .codec import encode_batch
from .digests import DIGEST_BYTES
from .frames import MessageType
from .messages import Batch, PrePrepare, Request
from .records import RecordType
from .snapshots import LastReply
from .state import REQUEST_TIMER, ReplicaState, Waiting
from .types import ClientId, SeqNum

MAX_PENDING = 10_000
MAX_PENDING_BYTES = 32 * 1024 * 1024
ANSWERS_NS = 1_000_000_000
ANSWERS_BYTES = 8 * 1024 * 1024
"""A client may have so much said to it in ANSWERS_NS that costs it one small datagram: answers again, fast
reads. An honest one needs less than half of that for the longest results there are."""
ANSWER_BYTES = 1024
"""What an answer costs besides its result."""


class Requests(ReplicaState):
    """From a client's REQUEST to the primary's PRE-PREPARE."""

    state_is_wrong: bool = False
    """A quorum vouches for another state than ours: nothing is executed on it or answered from it (see
    ``state_transfer``)."""

    pending_bytes = 0
    pending_counted_ns = 0

    def on_request(self, request: Request) -> None:
        """Exactly once: an older one is dropped, the last one answered again, a newer one ordered."""
        step = self.take_request(request)
        if self.traces_debug:
            self.trace("request", client=request.client, timestamp=request.timestamp, step=step)

    def take_request(self, request: Request) -> str:
        """What was done with it, a word for the trace."""
        last = self.clients.get(request.client)
        if last is not None and request.timestamp < last.timestamp:
            return "dropped"
        if last is not None and request.timestamp == last.timestamp:
            if not self.may_answer_again(request.client):
                return "dropped"
            self.charge(request.client, len(last.result))
            self.send_reply(request.client, last)  # whole: whoever should have sent it may have failed
            return "answered again"
        if not self.note_pending(request):
            return "dropped"
        if self.primary != self.me and self.active and self.may_relay(request):
            self.send_raw(self.primary, request.raw)
            return "relayed"
        return "kept"

    def may_relay(self, request: Request) -> bool:
        """Once in half the time after which its client asks again.

        Two replicas in different views may each take the other for the primary, and would pass a request to
        and fro without end; where the network doubles messages, ever more of them.
        """
        waiting = self.pending[request.client]
        pause_ns = self.cluster.client_retry_ns // 2
        if waiting.relayed_ns is not None and self.now_ns - waiting.relayed_ns < pause_ns:
            return False
        relayed = self.pending[request.client] = replace(waiting, relayed_ns=self.now_ns)
        if self.watched is waiting:  # its timer runs on: who repeats a request must not put it off
            self.watched = relayed
        return True

    def note_pending(self, request: Request) -> bool:
        """Remember a request until it is executed. False when a later one of the client is known, or none
        fits."""
        last = self.clients.get(request.client)
        if last is not None and request.timestamp <= last.timestamp:
            return False
        known = self.pending.get(request.client)
        if known is not None and known.request.timestamp >= request.timestamp:
            return known.request.timestamp == request.timestamp
        if known is None and len(self.pending) >= MAX_PENDING:
            self.reject(request.client, "REQUEST", f"{MAX_PENDING} requests are waiting already")
            return False
        if not self.bytes_fit(len(request.raw)):
            self.reject(request.client, "REQUEST", f"{MAX_PENDING_BYTES} bytes of requests wait already")
            return False
        self.pending.pop(request.client, None)
        self.pending[request.client] = Waiting(request, self.now_ns)
        return True

    def bytes_fit(self, size: int) -> bool:
        """Beside the requests that wait. The sum is an upper bound, renewed at most once an interval."""
        if self.pending_bytes + size > MAX_PENDING_BYTES:
            if (
                self.now_ns - self.pending_counted_ns < self.cluster.status_busy_ns
                and self.pending_counted_ns
            ):
                return False
            self.pending_counted_ns = self.now_ns
            self.pending_bytes = sum(len(waiting.request.raw) for waiting in self.pending.values())
        if self.pending_bytes + size > MAX_PENDING_BYTES:
            return False
        self.pending_bytes += size
        return True

    def send_reply(self, client: ClientId, last: LastReply, *, whole: bool = True) -> None:
        """<REPLY, v, t, c, i, r>, the result itself or its digest."""
        if not self.silent and not self.state_is_wrong:
            reply = self.seal.reply(client, self.view, last.timestamp, last.result, whole=whole)
            self.send_raw(client, reply)

    def may_answer_again(self, client: ClientId) -> bool:
        """Whoever repeats a small datagram, the client or somebody who overheard it, buys no endless work."""
        since_ns, spent = self.answered.get(client, (self.now_ns, 0))
        return spent < ANSWERS_BYTES or self.now_ns - since_ns >= ANSWERS_NS

    def charge(self, client: ClientId, size: int) -> None:
        """An answer of ``size`` bytes is about to leave."""
        since_ns, spent = self.answered.pop(client, (self.now_ns, 0))
        if self.now_ns - since_ns >= ANSWERS_NS:
            since_ns, spent = self.now_ns, 0
        if len(self.answered) >= MAX_PENDING:
            del self.answered[next(iter(self.answered))]
        self.answered[client] = since_ns, spent + ANSWER_BYTES + size

    def sends_whole(self, request: Request, result: bytes) -> bool:
        """Section 5.1, digest replies: one replica sends a long result, the others what it must agree
        with."""
        named = request.replier in (None, self.me)
        return named or len(result) <= DIGEST_BYTES or not self.cluster.digest_replies

    # ------------------------------------------------------------ the primary proposes

    def propose(self) -> None:
        """As primary, order what waits: as many batches as the pipeline and the watermarks allow."""
        while self.pending and self.is_active_primary and self.may_propose():
            batch = self.next_batch()
            if not batch.requests:
                return
            self.pre_prepare(batch)

    def may_propose(self) -> bool:
        """Fewer than ``pipeline`` batches under way, and n <= H."""
        under_way = self.next_seq - 1 - self.executed
        return under_way < self.cluster.pipeline and self.next_seq <= self.stable + self.cluster.window

    def next_batch(self) -> Batch:
        """Waiting requests not yet proposed in this view, oldest first, within the limits of a batch."""
        batch: list[Request] = []
        size = 0
        for client, waiting in self.pending.items():
            request = waiting.request
            if self.proposed.get(client, 0) >= request.timestamp:
                continue
            size += len(request.raw)
            if batch and (size > self.cluster.batch_bytes or len(batch) >= self.cluster.batch_limit):
                break
            batch.append(request)
        return Batch(tuple(batch), self.proposed_time_ns())

    def proposed_time_ns(self) -> int:
        """Section 4.6: the primary chooses the time; never before one it chose or executed with."""
        self.latest_time_ns = max(self.latest_time_ns, self.time_ns, self.wall_ns())
        return self.latest_time_ns

    def pre_prepare(self, batch: Batch) -> None:
        """Assign the next number to a batch and multicast <<PRE-PREPARE, v, n, d>, m>."""
        seq = self.next_seq
        digest = batch.digest
        raw = self.seal.signed(MessageType.PRE_PREPARE, self.view, seq, digest)
        message = PrePrepare(self.view, seq, digest, self.me, raw, batch)
        slot = self.slot(seq)
        assert slot.pre_prepare is None, f"number {seq} was assigned already in view {self.view}"
        slot.pre_prepare = message
        self.keep_batch(digest, batch, seq)
        for request in batch.requests:
            self.proposed[request.client] = request.timestamp
        self.next_seq = SeqNum(seq + 1)
        data = raw + encode_batch(batch)
        self.persist(RecordType.PRE_PREPARE, data)
        self.trace(
            "pre-prepare",
            view=self.view,
            seq=seq,
            digest=digest.hex(),
            requests=len(batch.requests),
            role="primary",
        )
        self.broadcast_raw(data)

    # ------------------------------------------------------------ everybody watches

    def relay_oldest(self) -> None:
        """What waits for long may have been lost on its way to the primary, or found no place there, and its
        client may never send it again: nobody should be suspected for that."""
        oldest = next(iter(self.pending.values()), None)
        if oldest is None or not self.active or self.primary == self.me:
            return
        if self.now_ns - oldest.since_ns >= self.cluster.status_busy_ns:
            self.send_raw(self.primary, oldest.request.raw)

    def watch_oldest(self) -> None:
        """Section 4.4: the timer runs while this replica waits for a request, here for the oldest one.

        The primary's, too. Where a liar let one backup alone commit, only the others wait, and f+1 of them
        must ask for the next view; with n = 4 and one that asked already, the second is the primary.
        """
        oldest = None
        if self.pending and self.active and self.may_leave and not self.fetching_state():
            oldest = next(iter(self.pending.values()))
        if oldest is self.watched:
            return
        self.watched = oldest
        if oldest is None:
            self.cancel_timer(REQUEST_TIMER)
            return
        timeout = self.timeout_ns(self.cluster.request_timeout_ns)
        self.set_timer(REQUEST_TIMER, max(oldest.since_ns + timeout - self.now_ns, timeout // 8))

    def restart_waiting(self) -> None:
        """Every waiting request gets its full time again: a new view began, or this replica overslept."""
        for client in list(self.pending):
            self.pending[client] = Waiting(self.pending[client].request, self.now_ns)
        self.watched = None

    def fetching_state(self) -> bool:
        """A state transfer is under way (see ``state_transfer``)."""
        raise NotImplementedError
