"""Votes and proposals with a wrong field, signed by their liar: what the checks of section 4.2 are there for.

A digest nobody has seen, another view, a number outside the watermarks, a proposal by who is no primary, a
PREPARE of the primary, another's name over the liar's own key, a PREPARE whose bytes call themselves COMMIT,
a batch under a digest that is not its own. A correct replica rejects them, or counts them for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from nemesis.lies.alternatives import later, other_digest
from nemesis.lies.groups import WHOM, is_lied_to
from nemesis.lies.lie import BACKUP, PRIMARY, Lie, Option, Strategy
from nemesis.lies.opened import Opened, peer_of, proposal, resealed, sent
from nemesis.packets.chance import Slot
from nemesis.packets.packet import CLIENTS, Packet
from pbft_node.core.codec import encode_batch
from pbft_node.core.frames import Frame, MessageType
from pbft_node.core.messages import NULL_BATCH, Batch, Message, PrePrepare
from pbft_node.core.types import MAX_SEQUENCE, MAX_VIEW

_TYPE_OFFSET = 5
NUMBERS = ("next", "previous", "low", "stable", "high", "far", "last")
"""n+1; n-1; n-L, surely at or below h; the last checkpoint below n; n+L+1, surely above h+L; n+2**31; the
highest number there is."""


class WrongField(Lie):
    """See the module."""

    action = "wrong-field"
    strategies = MappingProxyType(
        {
            "digest": Strategy("votes for a digest that nobody has seen", BACKUP),
            "view": Strategy("names a view 'by' away: -1, 1, n, 1000"),
            "number": Strategy("names another number: " + ", ".join(NUMBERS)),
            "gaps": Strategy("as primary, leaves every second number out", PRIMARY),
            "usurp": Strategy("proposes although it is not the primary", BACKUP),
            "own-prepare": Strategy("as primary, adds a PREPARE to its own proposal", PRIMARY),
            "sender": Strategy("votes in the names of all others, too, with its own key"),
            "relabel": Strategy("sends a PREPARE whose bytes say COMMIT, and the other way round"),
            "body": Strategy("as primary, sends a batch under another's digest", PRIMARY),
        }
    )
    options = MappingProxyType(
        {
            "whom": Option("who is lied to", WHOM),
            "by": Option("views away", (1, -1, 4, 1000), -1, 1 << 40),
            "number": Option("which number instead", NUMBERS),
        }
    )
    says = frozenset({MessageType.PRE_PREPARE, MessageType.PREPARE, MessageType.COMMIT})
    hears = frozenset({MessageType.PRE_PREPARE})

    def lie(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Lie``."""
        if opened.packet.target == CLIENTS:
            return None
        if not is_lied_to(self, opened.header.view, opened.packet.target, str(self.chosen["whom"])):
            return None
        message = opened.message
        if isinstance(message, PrePrepare):
            return self._propose(opened, message) if message.batch is not None else None
        return self._vote(opened)

    def _propose(self, opened: Opened, message: PrePrepare) -> Sequence[Packet] | None:
        batch, target = message.batch, opened.packet.target
        assert batch is not None
        signer = self.signer(opened.replica)
        match self.strategy:
            case "view":
                return self._proposal(opened, self._view(message.view), message.seq, batch)
            case "number":
                return self._proposal(opened, message.view, self._number(message.seq), batch)
            case "gaps":
                return self._proposal(opened, message.view, min(2 * message.seq, MAX_SEQUENCE), batch)
            case "body":
                other = later(batch, 1) if batch.requests else NULL_BATCH
                self.said = f"a batch {other.digest.hex()[:8]} under digest {message.digest.hex()[:8]}"
                data = proposal(signer, target, message.view, message.seq, message.digest, other)
                return tuple(Packet(opened.packet.source, target, piece) for piece in data)
            case "own-prepare":
                self.said = "a PREPARE beside its own proposal"
                vote = self.sealed(
                    opened.replica, target, MessageType.PREPARE, message.view, message.seq, message.digest
                )
                return (*opened.pieces, vote)
        return None

    def _vote(self, opened: Opened) -> Sequence[Packet] | None:
        frame, target, signer = opened.frame, opened.packet.target, self.signer(opened.replica)
        match self.strategy:
            case "digest":
                self.said = f"a vote for an unseen digest at {frame.seq}"
                return resealed(opened, signer, body=other_digest(frame.body, "unseen"))
            case "view":
                self.said = f"a vote for view {self._view(frame.view)} instead of {frame.view}"
                return resealed(opened, signer, view=self._view(frame.view))
            case "number":
                self.said = f"a vote for number {self._number(frame.seq)} instead of {frame.seq}"
                return resealed(opened, signer, seq=self._number(frame.seq))
            case "usurp":
                return self._usurp(opened) if frame.type is MessageType.PREPARE else None
            case "sender":
                self.said = f"votes for {frame.seq} in the names of others"
                names = [i for i in range(self.scene.n) if i != opened.replica]
                forged = [signer.posing_as(i).again(peer_of(opened.packet), frame) for i in names]
                return (*opened.pieces, *(Packet(opened.packet.source, target, data) for data in forged))
            case "relabel":
                prepare = frame.type is MessageType.PREPARE
                other = MessageType.COMMIT if prepare else MessageType.PREPARE
                self.said = f"a {frame.type.name} that calls itself {other.name}"
                data = bytearray(opened.packet.data)
                data[_TYPE_OFFSET] = other
                return (*opened.pieces, opened.packet._replace(data=bytes(data)))
        return None

    def _usurp(self, opened: Opened) -> Sequence[Packet]:
        """A proposal of its own for the number it votes for, before its vote."""
        frame, target = opened.frame, opened.packet.target
        true = self.memory.batch(opened.message.digest) if hasattr(opened.message, "digest") else None
        batch = NULL_BATCH if true is None else later(true, 1)
        self.said = f"a proposal for {frame.seq} by who is not primary of {frame.view}"
        data = proposal(self.signer(opened.replica), target, frame.view, frame.seq, batch.digest, batch)
        return (*(Packet(opened.packet.source, target, piece) for piece in data), *opened.pieces)

    def _proposal(self, opened: Opened, view: int, seq: int, batch: Batch) -> Sequence[Packet]:
        self.said = (
            f"a proposal for view {view}, number {seq} instead of {opened.frame.view}, {opened.frame.seq}"
        )
        signer = self.signer(opened.replica)
        raw = signer.seal.signed(MessageType.PRE_PREPARE, view, seq, batch.digest)
        packet = opened.packet
        return sent(packet.source, packet.target, opened.peer, raw + encode_batch(batch), signer)

    def _view(self, view: int) -> int:
        by = self.chosen["by"]
        assert isinstance(by, int)
        return min(max(view + by, 0 if view else 1), MAX_VIEW)

    def _number(self, seq: int) -> int:
        interval, window = self.scene.cluster.checkpoint_interval, self.scene.cluster.window
        numbers = {
            "next": seq + 1,
            "previous": seq - 1,
            "low": seq - window,
            "stable": (seq - 1) // interval * interval,
            "high": seq + window + 1,
            "far": seq + (1 << 31),
            "last": MAX_SEQUENCE,
        }
        return min(max(numbers[str(self.chosen["number"])], 0), MAX_SEQUENCE)

    def overheard(self, packet: Packet, message: Message, frame: Frame, now_ns: int) -> None:
        """Batches to propose in others' stead."""
        if isinstance(message, PrePrepare) and message.batch is not None:
            self.memory.learn(message.digest, message.batch)
