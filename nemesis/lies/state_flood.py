"""Questions without end: what a liar that asks costs the others (sections 5.2 and 5.3).

Every 10 ms to each replica: for any state, for parts in huge numbers, for batches, for another view. Answers
are limited for each peer, so the others go on; what a flood costs them is in their resources, and in the
latency of the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from nemesis.lies.lie import Strategy
from nemesis.lies.strategic import KnowingLie
from nemesis.packets.packet import Header, Packet, host
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.codec import NONCE_BYTES
from pbft_node.core.digests import digest_of
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import CLIENTS, SERVICE, Address, PartKind
from pbft_node.core.state_codec import MAX_PARTS, encode_addresses

EVERY_NS = 10_000_000
BATCHES_AT_ONCE = 16
HIGHEST_NUMBER = 2**32 - 1
_CHECKPOINT = int(MessageType.CHECKPOINT)
_EACH = ("state", "parts", "batches", "views")


class StateFlood(KnowingLie):
    """See the module. The process's own messages pass as they are."""

    action = "flood-with-questions"
    says: ClassVar[frozenset[MessageType]] = frozenset()
    learns: ClassVar[frozenset[MessageType]] = frozenset()
    strategies: ClassVar[Mapping[str, Strategy]] = MappingProxyType(
        {
            "state": Strategy("FETCH-STATE, for anything above 0."),
            "parts": Strategy(
                "FETCH-PARTS, as many as fit in one, of numbers that are and numbers that cannot be."
            ),
            "batches": Strategy("FETCH-BATCH, for batches that were proposed and for some that never were."),
            "views": Strategy("QUERY-VIEW as if its log were lost, again and again, for the next view."),
            "all": Strategy("Each of these in turn."),
        }
    )

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._due_ns = 0
        self._turn = 0
        self._checkpoint = 0

    def wants(self, source: str, target: str, type_: int) -> bool:
        """See ``Tamperer``: it follows how far the others are."""
        return super().wants(source, target, type_) or (target in self.liars and type_ == _CHECKPOINT)

    def handle(self, packet: Packet, header: Header, now_ns: int) -> Sequence[Packet] | None:
        """See ``Tamperer``."""
        if header.type == _CHECKPOINT and packet.target in self.liars:
            self._checkpoint = max(self._checkpoint, header.seq)
        return super().handle(packet, header, now_ns)

    def due_ns(self) -> int | None:
        """See ``Tamperer``."""
        return self._due_ns

    def tick(self, now_ns: int) -> Sequence[Packet]:
        """See ``Tamperer``."""
        self._due_ns = now_ns + EVERY_NS
        self._turn += 1
        asks = _EACH[self._turn % len(_EACH)] if self.strategy == "all" else self.strategy
        packets = [
            packet
            for liar in self.replicas
            for target in self.names(*self.replicas)
            for packet in self._questions(asks, liar, target)
        ]
        self.lies += len(packets)
        self.said = f"{self.strategy}: {len(packets)} questions for nothing"
        return packets

    def _questions(self, asks: str, liar: int, target: int) -> list[Packet]:
        def ask(kind: MessageType, view: int, seq: int, body: bytes) -> Packet:
            return self.sealed(liar, host(target), kind, view, seq, body)

        match asks:
            case "state":
                return [ask(MessageType.FETCH_STATE, 0, 0, b"")]
            case "parts":
                # A checkpoint is stable, and its parts handed out, some time after it was announced.
                back = self.cluster.checkpoint_interval * (self._turn % 3)
                addresses = [_address(self._turn + nth) for nth in range(MAX_PARTS)]
                seq = max(0, self._checkpoint - back)
                return [ask(MessageType.FETCH_PARTS, 0, seq, encode_addresses(addresses))]
            case "batches":
                known = list(self.knowledge.digests)[-BATCHES_AT_ONCE:]
                made_up = bytes(digest_of(b"never proposed", self._turn.to_bytes(8, "big")))
                return [ask(MessageType.FETCH_BATCH, 0, 0, digest) for digest in [*known, made_up]]
            case _:
                nonce = digest_of(b"nonce", self._turn.to_bytes(8, "big"), bytes([liar % 256]))[:NONCE_BYTES]
                return [ask(MessageType.QUERY_VIEW, self.scene.phase.settled + 1, 0, nonce)]


def _address(nth: int) -> Address:
    """One after the other all kinds, of both stores, of the first numbers and of the last."""
    kinds = tuple(PartKind)
    store = (SERVICE, CLIENTS)[nth // len(kinds) % 2]
    number = nth // 8 if nth % 8 < 6 else HIGHEST_NUMBER - nth
    return Address(kinds[nth % len(kinds)], store, number, nth % 3)
