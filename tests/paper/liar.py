"""One replica that lies: it runs the protocol, and what it sends is changed on the way out, per receiver.

Every lie is well formed and sealed with its own keys: other batches for one number, other digests,
VIEW-CHANGEs that leave prepared numbers out, NEW-VIEWs that are valid and differ, false states, old words
again, silence.
All chance comes from one seeded stream.
"""

from __future__ import annotations

import random

from members import Members
from memory_cluster import MemoryCluster

from pbft_node.core.codec import decode, encode_batch
from pbft_node.core.digests import NULL_DIGEST
from pbft_node.core.effects import Effect, Send
from pbft_node.core.events import Event
from pbft_node.core.frames import HEADER_BYTES, MessageType, parse_frame
from pbft_node.core.messages import Batch, NewView, PrePrepare, ViewChange
from pbft_node.core.replica import Replica

VOTES = {MessageType.PREPARE, MessageType.COMMIT, MessageType.CHECKPOINT, MessageType.DECIDED}
GARBLED = {MessageType.REPLY, MessageType.BATCH, MessageType.STATE_PARTS, MessageType.STATE_META}


class Careless(Replica):
    """The liar's own machine: what others answer to its lies may break its assertions; it shrugs."""

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        try:
            return super().handle(event, now_ns)
        except AssertionError:
            return self.take_effects()


class Liar:
    """Let the ``on_send`` of a ``MemoryCluster`` ask this one about what its replica sends."""

    def __init__(self, cluster: MemoryCluster, index: int, stream: random.Random, boldness: float) -> None:
        self.cluster = cluster
        self.index = index
        self.stream = stream
        self.boldness = boldness
        self.cast = Members(cluster.cluster, 0)
        self.digests: list[bytes] = [NULL_DIGEST, b"\x13" * 32]
        self.said: list[Send] = []
        self.lies = 0

    def on_send(self, send: Send) -> list[Send]:
        if len(send.data) > 60_000 or self.stream.random() > self.boldness:
            self.remember(send)
            return [send]
        self.lies += 1
        match self.stream.randrange(6):
            case 0:
                return []
            case 1:
                return [send, *self.old_words(send)]
            case _:
                return [Send(send.to, self.lie(send.to, send.data))]

    def remember(self, send: Send) -> None:
        self.said = [*self.said[-100:], send]

    def old_words(self, send: Send) -> list[Send]:
        """Something said before, perhaps to somebody else."""
        if not self.said:
            return []
        old = self.stream.choice(self.said)
        return [Send(send.to if send.to < 1000 else old.to, old.data)]

    def lie(self, to: int, data: bytes) -> bytes:
        frame, _ = parse_frame(data)
        self.cast.to = to
        if frame.type in VOTES:
            self.digests = [*self.digests[:2], *self.digests[2:][-20:], frame.body]
            digest = self.stream.choice(self.digests)
            seq = frame.seq if self.stream.random() < 0.8 else frame.seq + self.stream.choice((-1, 1, 4))
            return self.cast.sealed(self.index, frame.type, frame.view, max(0, seq), digest)
        if frame.type is MessageType.PRE_PREPARE:
            return self.other_proposal(data)
        if frame.type is MessageType.VIEW_CHANGE:
            message, _ = decode(data)
            return self.other_view_change(message).raw if isinstance(message, ViewChange) else data
        if frame.type is MessageType.NEW_VIEW:
            message, _ = decode(data)
            return self.other_new_view(message).raw if isinstance(message, NewView) else data
        if frame.type is MessageType.STATUS:
            executed = self.stream.randrange(50)
            stable = executed // 4 * 4
            return self.cast.status(
                self.index, frame.view, stable=stable, executed=executed, suspects=executed % 2 == 0
            )
        if frame.type in GARBLED and len(frame.body) > 4:
            position = self.stream.randrange(4, len(frame.body))
            body = frame.body[:position] + b"?" + frame.body[position + 1 :]
            seal = self.cast.seal(self.index)
            return seal.for_peer(to, frame.type, frame.view, frame.seq, body, frame.flags)
        return data[:HEADER_BYTES] + data[HEADER_BYTES:][::-1]

    def other_proposal(self, data: bytes) -> bytes:
        """Another order of the requests, fewer of them, or none, under the same number; an own one only."""
        message, frame = decode(data)
        assert isinstance(message, PrePrepare)
        if frame.sender != self.index or message.batch is None:
            return data
        batch = list(message.batch.requests)
        self.stream.shuffle(batch)
        batch = batch[: self.stream.randint(0, len(batch))]
        seq = message.seq + (self.stream.random() < 0.2)
        other = self.cast.pre_prepare(seq, *batch, view=message.view, by=self.index)
        return other.raw + encode_batch(Batch(tuple(batch)))

    def other_view_change(self, message: ViewChange) -> ViewChange:
        """Leaves prepared numbers out, or forgets its stable checkpoint."""
        if message.replica != self.index:
            return message
        prepared = [c for c in message.prepared if self.stream.random() < 0.5]
        stable, proof = message.stable, message.checkpoint_proof
        window = self.cluster.cluster.window
        if self.stream.random() < 0.3 and all(c.pre_prepare.seq <= window for c in prepared):
            stable, proof = 0, ()
        return self.cast.view_change(message.view, self.index, *prepared, stable=stable, proof=proof)

    def other_new_view(self, message: NewView) -> NewView:
        """Valid: its own VIEW-CHANGE in V is another, and O follows from that."""
        if message.primary != self.index:
            return message
        changes = [
            self.other_view_change(change) if change.replica == self.index else change
            for change in message.view_changes
        ]
        return self.cast.new_view(message.view, *changes)
