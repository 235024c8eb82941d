"""Section 5.3, fetching a state that the log no longer reaches.

A replica that lacks messages others have dropped asks for a stable checkpoint. What it gets is trusted as
far as the quorum of signatures on its digest: an offer (STATE-META) shows what that digest is made of, and
every part is checked against the digest above it. Parts the replica holds already are not fetched; the others
come from all peers at once, and what came is of use for a later offer, too.
"""

from __future__ import annotations

from .certificates import checkpoint_proof_problem
from .checkpoints import Checkpoints
from .codec import encode_state_meta
from .digests import DIGEST_BYTES
from .effects import Halt
from .fetching import OFFERS_A_TICK, Transfer, offered_digest
from .frames import MAX_DATAGRAM_BYTES, Malformed, MessageType
from .messages import (
    SERVICE,
    Address,
    FetchParts,
    FetchState,
    Part,
    PartKind,
    StateMeta,
    StateParts,
    StoreOffer,
)
from .pages import EMPTY, GROUP_PAGES, PIECE_BYTES, Image, piece_digest, pieces_of
from .snapshots import Snapshot
from .state_codec import PART_OVERHEAD_BYTES, encode_addresses, encode_parts
from .types import Digest, ReplicaId, SeqNum

PATIENCE_TICKS = 4
"""STATUS ticks without a new part before another offer is asked for."""
ANSWER_BYTES = MAX_DATAGRAM_BYTES - 1024
"""Parts in one answer, together; a part is never larger."""


class StateTransfer(Checkpoints):
    """Behind, or wrong: become the state a quorum vouches for."""

    served_bytes_limit: int = 4 * 1024 * 1024
    """State handed out to one peer in a STATUS interval, at most."""

    def begin_with_the_initial_state(self) -> None:
        """Nothing under way."""
        super().begin_with_the_initial_state()
        self.transfer: Transfer | None = None
        self.served_interval = 0
        self.served_bytes: dict[ReplicaId, int] = {}
        """To each peer in this interval, and what it owes from those before."""

    def fetching_state(self) -> bool:
        """Suspicion of the primary rests meanwhile; what is decided is executed all the same."""
        return self.transfer is not None

    def own_state_is_wrong(self, seq: SeqNum, own: Digest, proved: Digest) -> None:
        """A quorum vouches for another state than ours: stop serving it and fetch theirs."""
        reason = f"own state at {seq} is {own.hex()}, a quorum vouches for {proved.hex()}"
        self.trace("alarm", reason=reason)
        self.state_is_wrong = True
        self.transfer = None  # one under way holds pages of the wrong state
        self.start_transfer()

    def start_transfer(self) -> None:
        """Ask everybody for a stable checkpoint above what we executed."""
        if self.transfer is None:
            others = [ReplicaId(replica) for replica in range(self.cluster.n) if replica != self.me]
            self.transfer = Transfer(others, self.own_images())
            self.trace("state-transfer", seq=self.executed, digest="", step="started")
        self.ask_for_offers()

    def own_images(self) -> list[Image]:
        """What need not be fetched: nothing, when a quorum contradicts our state."""
        if self.state_is_wrong:
            return [EMPTY]
        return [EMPTY, self.store.image(), self.clients.image(self.time_ns)]

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
        """STATE-META: the proof, and what its digest is made of."""
        snapshot = self.snapshots[self.stable]
        body = encode_state_meta(self.stable_proof, offer_of(snapshot.service), offer_of(snapshot.clients))
        if self.may_serve(peer, len(body)):
            self.send(peer, MessageType.STATE_META, 0, self.stable, body)

    def may_serve(self, peer: ReplicaId, size_bytes: int) -> bool:
        """State is handed out at a limited rate: a peer that asks for all of it, all the time, costs no more
        than that. What is larger than the limit is done for who owes nothing, and owed then."""
        interval = self.now_ns // self.cluster.status_busy_ns
        if interval != self.served_interval:
            paid = (interval - self.served_interval) * self.served_bytes_limit
            self.served_interval = interval
            self.served_bytes = {r: served - paid for r, served in self.served_bytes.items() if served > paid}
        served = self.served_bytes.get(peer, 0)
        if served and served + size_bytes > self.served_bytes_limit:
            return False
        self.served_bytes[peer] = served + size_bytes
        return True

    def on_fetch_parts(self, message: FetchParts) -> None:
        """Hand out parts; of a state already dropped, offer its successor instead."""
        if self.state_is_wrong:
            return
        snapshot = self.snapshots.get(message.seq)
        if snapshot is None:
            if self.stable > message.seq:
                self.offer_state(message.replica)
            return
        answer: list[Part] = []
        size_bytes = 0
        for address in message.addresses:
            if not self.may_serve(message.replica, work_of(snapshot, address)):
                break
            part = part_of(snapshot, address)
            if part is None:
                continue
            part_bytes = PART_OVERHEAD_BYTES + len(part.data)
            if answer and size_bytes + part_bytes > ANSWER_BYTES:
                self.send_parts(message.replica, message.seq, answer)
                answer, size_bytes = [], 0
            answer.append(part)
            size_bytes += part_bytes
        if answer:
            self.send_parts(message.replica, message.seq, answer)

    def send_parts(self, peer: ReplicaId, seq: SeqNum, parts: list[Part]) -> None:
        """STATE-PARTS."""
        self.send(peer, MessageType.STATE_PARTS, 0, seq, encode_parts(parts))

    # ------------------------------------------------------------ fetching

    def on_state_meta(self, message: StateMeta) -> None:
        """Go for the latest proved offer: what came for an earlier one is not lost."""
        transfer = self.transfer
        if transfer is None or message.seq <= self.wanted_above():
            return
        if transfer.offer is not None and message.seq <= transfer.offer.seq:
            return
        source = transfer.sources[message.replica]
        source.offers += 1
        if source.offers > OFFERS_A_TICK:
            return
        problem = self.offer_problem(message)
        if problem is not None:
            self.reject(message.replica, "STATE-META", problem)
            return
        transfer.take_offer(message)
        self.go_on_fetching(transfer)

    def offer_problem(self, message: StateMeta) -> str | None:
        """The offer must be what a quorum signed."""
        problem = checkpoint_proof_problem(self.cluster, self.seal, message.seq, message.proof)
        if problem is not None:
            return problem
        if not message.proof or message.proof[0].digest != offered_digest(message):
            return "digests that are not those of the proof"
        return None

    def go_on_fetching(self, transfer: Transfer) -> None:
        """FETCH-PARTS to whoever may be asked for more, until everything is here."""
        if transfer.complete():
            self.install_state(transfer)
            return
        assert transfer.offer is not None
        for source, addresses in transfer.questions():
            body = encode_addresses(addresses)
            self.send(source, MessageType.FETCH_PARTS, 0, transfer.offer.seq, body)

    def on_state_parts(self, message: StateParts) -> None:
        """A part counts if it is the one the offer describes; its source is asked for more."""
        transfer = self.transfer
        if transfer is None or transfer.offer is None or message.seq != transfer.offer.seq:
            return
        if transfer.sources[message.replica].lied:
            return
        for part in message.parts:
            problem = transfer.take_part(part)
            if problem is not None:
                self.reject(message.replica, "STATE-PARTS", problem)
                transfer.lied(message.replica)
                break
            transfer.answered(message.replica, part.address)
        self.go_on_fetching(transfer)

    def transfer_tick(self) -> None:
        """With every STATUS: ask again for what did not come, from the others."""
        transfer = self.transfer
        if transfer is None:
            return
        if not self.state_is_wrong and not self.still_behind():
            self.end_transfer()
            return
        transfer.tick()
        if transfer.offer is None or transfer.idle_ticks > PATIENCE_TICKS:
            self.ask_for_offers()
        if transfer.offer is not None:
            self.go_on_fetching(transfer)

    def install_state(self, transfer: Transfer) -> None:
        """All of it is here: become that state, keep it, vouch for it, go on."""
        offer = transfer.offer
        assert offer is not None
        if offer.seq <= self.wanted_above():
            self.end_transfer()
            return
        snapshot = transfer.snapshot()
        assert snapshot.digest == offer.proof[0].digest, "parts that match one by one match together"
        if self.state_is_wrong:
            self.store.become(EMPTY)  # or pages equal to ours by their digests would not be decoded again
        try:
            self.become(snapshot)
        except Malformed as problem:
            self.emit(Halt(f"the state a quorum vouches for at {offer.seq} does not decode: {problem}"))
            return
        was_wrong, self.state_is_wrong = self.state_is_wrong, False
        self.snapshots = {offer.seq: snapshot}  # those of a wrong state are wrong; the others are below
        self.trace("state-transfer", seq=offer.seq, digest=snapshot.digest.hex(), step="finished")
        self.drop_below(offer.seq, offer.proof)
        if was_wrong or self.log_is_long():
            self.rewrite_log()
        else:
            self.persist_snapshot(snapshot, offer.proof)
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


def offer_of(image: Image) -> StoreOffer:
    """What STATE-META tells of a store."""
    return StoreOffer(len(image.pages), image.group_digests)


def part_of(snapshot: Snapshot, address: Address) -> Part | None:
    """That part of the state, if there is such."""
    kind, store, number, piece = address
    image = snapshot.service if store == SERVICE else snapshot.clients
    if kind is PartKind.GROUP:
        first = number * GROUP_PAGES
        digests = image.page_digests[first : first + GROUP_PAGES]
        return Part(address, b"".join(digests)) if digests else None
    if number >= len(image.pages):
        return None
    page = image.pages[number]
    if kind is PartKind.PIECE:
        data = page[piece * PIECE_BYTES : (piece + 1) * PIECE_BYTES]
        return Part(address, data) if data else None
    if len(page) <= PIECE_BYTES:
        return Part(Address(PartKind.PAGE, store, number), page)
    digests_of_pieces = b"".join(piece_digest(data) for data in pieces_of(page))
    return Part(Address(PartKind.PIECES, store, number), digests_of_pieces)


def work_of(snapshot: Snapshot, address: Address) -> int:
    """Bytes gone through for a part, before it is made: all of a larger page, for the digests of its
    pieces."""
    image = snapshot.service if address.store == SERVICE else snapshot.clients
    if address.kind in (PartKind.PAGE, PartKind.PIECES) and address.number < len(image.pages):
        return PART_OVERHEAD_BYTES + len(image.pages[address.number])
    return PART_OVERHEAD_BYTES + (
        PIECE_BYTES if address.kind is PartKind.PIECE else GROUP_PAGES * DIGEST_BYTES
    )
