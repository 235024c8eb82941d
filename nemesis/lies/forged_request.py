"""Batches with requests that nobody made, or that should not be there, or at a wrong time.

The liar has its own key and no client's: a request it makes up is unsigned, or signed with its own key under
the client's name, or is a client's with another operation under the old signature. Correct replicas reject
the batch as a whole. A request twice in a batch, or in two batches, is legal and takes effect once; a time
too far ahead is rejected, one that lies back is not taken back (section 4.6).
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from nemesis.lies.groups import WHOM, is_lied_to
from nemesis.lies.lie import BACKUP, PRIMARY, Option, Strategy
from nemesis.lies.proposing import Proposing
from nemesis.packets.packet import Packet
from pbft_node.core.codec import decode
from pbft_node.core.frames import HEADER_BYTES, SIGNED, Frame, Malformed, MessageType, header_and_body
from pbft_node.core.messages import Batch, Message, PrePrepare, Request
from pbft_node.core.types import FIRST_CLIENT_ID, MAX_TIME_NS, MAX_TIMESTAMP

UNKNOWN_CLIENT = 2**32 - 1
MOST_RELAYED = 4
_SECOND_NS = 1_000_000_000
_NO_SIGNATURE = bytes(64)


class ForgedRequest(Proposing):
    """See the module."""

    action = "forged-request"
    strategies = MappingProxyType(
        {
            "unsigned": Strategy("adds an operation without a signature in a client's name", PRIMARY),
            "own-key": Strategy("adds an operation in a client's name, signed with its own key", PRIMARY),
            "unknown-client": Strategy("adds an operation of a client that does not exist", PRIMARY),
            "altered": Strategy("alters an operation and keeps its signature", PRIMARY),
            "duplicate": Strategy("orders every request of a batch twice in it", PRIMARY),
            "again": Strategy("orders requests of earlier batches again", PRIMARY),
            "huge": Strategy("makes a batch of more requests than allowed", PRIMARY),
            "ahead": Strategy("puts the time far ahead", PRIMARY),
            "back": Strategy("puts the time back to 1970", PRIMARY),
            "relay-altered": Strategy("relays altered requests to the primary", BACKUP),
            "relay-old": Strategy("relays executed requests to the primary again and again", BACKUP),
        }
    )
    options = MappingProxyType({"whom": Option("who is lied to", WHOM)})

    def group(self, view: int, target: str) -> int:
        """See ``Proposing``."""
        if self.strategies[self.strategy].role == BACKUP:
            return 0
        return int(is_lied_to(self, view, target, str(self.chosen["whom"])))

    def make(self, message: PrePrepare, batch: Batch, group: int) -> Batch:
        """See ``Proposing``."""
        requests = batch.requests
        signer = self.signer(self.replicas[0])
        client, timestamp = (
            (requests[-1].client, requests[-1].timestamp) if requests else (FIRST_CLIENT_ID, 0)
        )
        timestamp = min(timestamp + 1, MAX_TIMESTAMP)
        operation = requests[-1].operation if requests else b"forged"
        match self.strategy:
            case "unsigned":
                content = header_and_body(MessageType.REQUEST, SIGNED, 0, client, 0, timestamp, operation)
                return _with(batch, _request(content + _NO_SIGNATURE))
            case "own-key" | "unknown-client":
                who = client if self.strategy == "own-key" else UNKNOWN_CLIENT
                seal = signer.posing_as(who).seal
                return _with(batch, _request(seal.signed(MessageType.REQUEST, 0, timestamp, operation)))
            case "altered" if requests:
                return replace(batch, requests=(*requests[:-1], _altered(requests[-1])))
            case "duplicate":
                return replace(batch, requests=(*requests, *requests))
            case "again":
                here = {request.digest for request in requests}
                others = [one for one in self.memory.requests() if one.digest not in here]
                return replace(batch, requests=(*others[-4:], *requests)) if batch.time_ns else batch
            case "huge" if requests:
                most = self.scene.cluster.batch_limit + 1
                times = -(-most // len(requests))
                return replace(batch, requests=(requests * times)[: max(most, len(requests))])
            case "ahead" if requests:
                ahead_ns = 10 * self.scene.cluster.clock_tolerance_ns + _SECOND_NS
                return replace(batch, time_ns=min(batch.time_ns + ahead_ns, MAX_TIME_NS))
            case "back" if requests:
                return replace(batch, time_ns=1)
        return batch

    def overheard(self, packet: Packet, message: Message, frame: Frame, now_ns: int) -> None:
        """A backup relays when it hears of a batch, to who proposed it."""
        old = self.memory.requests()
        super().overheard(packet, message, frame, now_ns)
        if not isinstance(message, PrePrepare) or message.batch is None or not message.batch.requests:
            return
        if packet.source in self.liars or self.strategies[self.strategy].role != BACKUP:
            return
        number = f"{message.view}/{message.seq}/{packet.target}"
        if self.strategy == "relay-altered":
            relayed = [_altered(message.batch.requests[0])]
        else:
            first = self.chance.below(max(len(old), 1), "old", number)
            relayed = list(old[first : first + MOST_RELAYED])
        if self.chance.happens(self.match.share, "relay", number):
            self.say([Packet(packet.target, packet.source, request.raw) for request in relayed])


def _request(raw: bytes) -> Request:
    """Of a frame that decodes, whoever signed it."""
    message, _ = decode(raw)
    assert isinstance(message, Request)
    return message


def _altered(request: Request) -> Request:
    """One byte of its operation is another; an empty one gets a new timestamp instead."""
    data = bytearray(request.raw)
    at = HEADER_BYTES + len(request.operation) - 1 if request.operation else 27
    data[at] ^= 1
    try:
        return _request(bytes(data))
    except Malformed:  # timestamp 0
        data[at] ^= 3
        return _request(bytes(data))


def _with(batch: Batch, request: Request) -> Batch:
    """Beside the honest ones; a batch with requests has a time."""
    return Batch((*batch.requests, request), batch.time_ns or 1)
