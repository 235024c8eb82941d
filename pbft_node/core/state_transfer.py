"""Section 5.3, fetching a state that the log no longer reaches.

A replica that lacks messages others have dropped asks for a stable checkpoint. What it gets is trusted as
far as the quorum of signatures on its digest: the offer (STATE-META) must match the digest, each chunk must
match the offer. Any source will do, and another is tried with every STATUS tick; chunks already verified
are kept as long as their offer is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .certificates import checkpoint_proof_problem
from .checkpoints import Checkpoints
from .codec import encode_index, encode_state_meta
from .frames import MessageType
from .messages import FetchChunk, FetchState, StateChunk, StateMeta
from .pages import digest_of_page, image_of, store_digest
from .snapshots import Snapshot, state_digest, take_snapshot
from .types import Digest, ReplicaId, SeqNum

CHUNKS_UNDER_WAY = 8
PATIENCE_TICKS = 4
"""STATUS ticks without a new chunk before another offer is looked for."""

FIRST_SOURCE = ReplicaId(0)


@dataclass(slots=True)
class Transfer:
    """A state on its way."""

    offer: StateMeta | None = None
    chunks: dict[int, bytes] = field(default_factory=dict)
    asked: int = 0
    """Chunks below this index were asked for."""
    source: ReplicaId = FIRST_SOURCE
    idle_ticks: int = 0


class StateTransfer(Checkpoints):
    """Behind, or wrong: become the state a quorum vouches for."""

    transfer: Transfer | None = None

    def fetching_state(self) -> bool:
        """Suspicion of the primary rests meanwhile; what is decided is executed all the same."""
        return self.transfer is not None

    def own_state_is_wrong(self, seq: SeqNum, own: Digest, proved: Digest) -> None:
        """A quorum vouches for another state than ours: stop serving it and fetch theirs."""
        reason = f"own state at {seq} is {own.hex()}, a quorum vouches for {proved.hex()}"
        self.trace("alarm", reason=reason)
        self.state_is_wrong = True
        self.start_transfer()

    def start_transfer(self) -> None:
        """Ask everybody for a stable checkpoint above what we executed."""
        if self.transfer is None:
            self.transfer = Transfer()
            self.trace("state-transfer", seq=self.executed, digest="", step="started")
        self.ask_for_offers()

    def ask_for_offers(self) -> None:
        """FETCH-STATE to all."""
        self.broadcast(MessageType.FETCH_STATE, 0, self.wanted_above(), b"")

    def wanted_above(self) -> SeqNum:
        """Offers must be above this number; a wrong state may be replaced by a proved one of the same
        number."""
        return self.stable if self.state_is_wrong else self.executed

    # ------------------------------------------------------------ serving

    def on_fetch_state(self, message: FetchState) -> None:
        """Offer the stable checkpoint, if it is news."""
        if self.stable > message.seq and not self.state_is_wrong:
            self.offer_state(message.replica)

    def offer_state(self, peer: ReplicaId) -> None:
        """STATE-META: proof and chunk digests."""
        snapshot = self.snapshots[self.stable]
        digests = (*snapshot.service.page_digests, *snapshot.clients.page_digests)
        body = encode_state_meta(self.stable_proof, len(snapshot.service.pages), digests)
        self.send(peer, MessageType.STATE_META, 0, self.stable, body)

    def on_fetch_chunk(self, message: FetchChunk) -> None:
        """Hand out a chunk; of a state already dropped, offer its successor instead."""
        snapshot = self.snapshots.get(message.seq)
        if snapshot is None:
            if self.stable > message.seq and not self.state_is_wrong:
                self.offer_state(message.replica)
            return
        pages = (*snapshot.service.pages, *snapshot.clients.pages)
        if message.index < len(pages):
            body = encode_index(message.index, pages[message.index])
            self.send(message.replica, MessageType.STATE_CHUNK, 0, message.seq, body)

    # ------------------------------------------------------------ fetching

    def on_state_meta(self, message: StateMeta) -> None:
        """Take the first proved offer; a later one only when the first has run dry."""
        transfer = self.transfer
        if transfer is None or message.seq <= self.wanted_above():
            return
        if transfer.offer is not None and (message.seq <= transfer.offer.seq or not transfer.idle_ticks):
            return
        problem = self.offer_problem(message)
        if problem is not None:
            self.reject(message.replica, "STATE-META", problem)
            return
        self.transfer = Transfer(message, source=message.replica)
        self.ask_for_chunks()

    def offer_problem(self, message: StateMeta) -> str | None:
        """The offer must be what a quorum signed."""
        problem = checkpoint_proof_problem(self.cluster, self.seal, message.seq, message.proof)
        if problem is not None:
            return problem
        if not message.proof or message.proof[0].digest != offered_digest(message):
            return "page digests that are not those of the proof"
        return None

    def ask_for_chunks(self) -> None:
        """Keep some chunks under way."""
        transfer = self.transfer
        assert transfer is not None
        assert transfer.offer is not None
        total = len(transfer.offer.chunk_digests)
        if len(transfer.chunks) == total:
            self.install_state()
            return
        while transfer.asked < total and transfer.asked - len(transfer.chunks) < CHUNKS_UNDER_WAY:
            self.ask_for_chunk(transfer, transfer.asked)
            transfer.asked += 1

    def ask_for_chunk(self, transfer: Transfer, index: int) -> None:
        """FETCH-CHUNK to the present source."""
        assert transfer.offer is not None
        seq = transfer.offer.seq
        self.send(transfer.source, MessageType.FETCH_CHUNK, 0, seq, encode_index(index))

    def on_state_chunk(self, message: StateChunk) -> None:
        """A chunk counts if it is the one the offer describes."""
        transfer = self.transfer
        if transfer is None or transfer.offer is None or message.seq != transfer.offer.seq:
            return
        if message.index in transfer.chunks or message.index >= len(transfer.offer.chunk_digests):
            return
        if digest_of_page(message.data) != transfer.offer.chunk_digests[message.index]:
            self.reject(message.replica, "STATE-CHUNK", f"chunk {message.index} is not the one proved")
            return
        transfer.chunks[message.index] = message.data
        transfer.idle_ticks = 0
        self.ask_for_chunks()

    def transfer_tick(self) -> None:
        """With every STATUS: ask again for what is missing, from the next source."""
        transfer = self.transfer
        if transfer is None:
            return
        if not self.state_is_wrong and not self.still_behind():
            self.end_transfer()
            return
        transfer.idle_ticks += 1
        if transfer.offer is None or transfer.idle_ticks > PATIENCE_TICKS:
            self.ask_for_offers()
        if transfer.offer is None:
            return
        transfer.source = self.next_source(transfer.source)
        missing = [i for i in range(transfer.asked) if i not in transfer.chunks]
        for index in missing[:CHUNKS_UNDER_WAY]:
            self.ask_for_chunk(transfer, index)

    def next_source(self, source: ReplicaId) -> ReplicaId:
        """Round robin over the others."""
        following = (source + 1) % self.cluster.n
        return ReplicaId(following if following != self.me else (following + 1) % self.cluster.n)

    def install_state(self) -> None:
        """All chunks are there: become that state, keep it, vouch for it, go on."""
        transfer = self.transfer
        assert transfer is not None
        assert transfer.offer is not None
        offer = transfer.offer
        if offer.seq <= self.wanted_above():
            self.end_transfer()
            return
        pages = [transfer.chunks[i] for i in range(len(offer.chunk_digests))]
        service, clients = pages[: offer.length_bytes], pages[offer.length_bytes :]
        snapshot = take_snapshot(offer.seq, image_of(service), image_of(clients))
        assert snapshot.digest == offer.proof[0].digest, "pages that match one by one match together"
        self.become(snapshot)
        self.snapshots = {
            n: s for n, s in self.snapshots.items() if n > offer.seq and not self.state_is_wrong
        }
        self.snapshots[offer.seq] = snapshot
        self.state_is_wrong = False
        self.trace("state-transfer", seq=offer.seq, digest=snapshot.digest.hex(), step="finished")
        self.make_stable(offer.seq, offer.proof)
        self.announce_checkpoint(snapshot)
        self.end_transfer()

    def become(self, snapshot: Snapshot) -> None:
        """Go on from that state. Raises Malformed when its pages are none."""
        self.store.become(snapshot.service)
        self.time_ns = self.store.time_ns = self.clients.become(snapshot.clients)
        self.executed = snapshot.seq

    def end_transfer(self) -> None:
        """Back to normal: drop what the new state answered, execute what is known above it."""
        self.transfer = None
        for client in list(self.pending):
            last = self.clients.get(client)
            if last is not None and last.timestamp >= self.pending[client].request.timestamp:
                del self.pending[client]
        self.restart_waiting()
        self.execute_ready()

    def still_behind(self) -> bool:
        """See ``retransmission``."""
        raise NotImplementedError


def offered_digest(offer: StateMeta) -> Digest | None:
    """The digest of the state these pages make up."""
    digests, count = offer.chunk_digests, offer.length_bytes
    if not 0 < count < len(digests):
        return None
    return state_digest(store_digest(digests[:count]), store_digest(digests[count:]))
