"""Lies that rest on what the liars know, about view changes, new views and state.

The liars of a rule share what they know: what one was told all know. The same message to the same receiver
becomes the same lie whenever it is sent again, whatever was learned meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from nemesis.lies.forgery import Forger
from nemesis.lies.knowledge import Knowledge
from nemesis.lies.lie import Lie
from nemesis.lies.opened import Opened, Opener, sent
from nemesis.packets.chance import Slot
from nemesis.packets.packet import Header, Packet, host, replica_of
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.digests import DIGEST_BYTES, digest_of
from pbft_node.core.frames import HEADER_BYTES, MessageType
from pbft_node.core.messages import Message

_FRAGMENT = int(MessageType.FRAGMENT)
_PRE_PREPARE = int(MessageType.PRE_PREPARE)
BODY = slice(HEADER_BYTES, HEADER_BYTES + DIGEST_BYTES)
"""Where a proposal and a vote have their digest."""
MOST_REMEMBERED = 512
"""Lies told, for when the same message is sent again."""


class Say(NamedTuple):
    """A message instead of another, or beside it."""

    data: bytes
    delay_ns: int = 0
    drip_ns: int = 0
    """Between its datagrams, when it takes several."""
    speaker: int | None = None
    """Another liar than the one whose message it is about."""


Says = Sequence[Say] | None
"""None: the strategy has nothing to say about this message."""


class KnowingLie(Lie):
    """See the module. ``answer`` is left to the subclass."""

    passes_on: ClassVar[bool] = True
    """A liar that passes on what another liar of the rule said tells the same lie."""
    learns: ClassVar[frozenset[MessageType]] = frozenset()
    """Of messages from and to liars, in any number of datagrams."""

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self.knowledge = Knowledge()
        self.cluster = scene.cluster
        self.lies = 0
        """How often something else was said than the truth, or withheld."""
        self.truth = b""
        """The bytes of the message that ``answer`` is about."""
        self._learned = frozenset(int(kind) for kind in self.learns)
        self._listener = Opener(self._learned)
        self._remembered: dict[tuple[int, str, bytes], Sequence[Packet]] = {}

    # ------------------------------------------------------------ for subclasses

    def answer(self, message: Message, forger: Forger, target: int) -> Says:
        """What a liar says to a replica instead of ``message``."""
        raise NotImplementedError

    def forger(self, liar: int) -> Forger:
        """That liar at work, with the others of the rule."""
        return Forger(self.signer(liar), {one: self.signer(one) for one in self.replicas})

    def names(self, *but: int) -> list[int]:
        """All replicas, less these, ascending."""
        return [replica for replica in range(self.cluster.n) if replica not in but]

    def other_half(self, target: int) -> bool:
        """Is it one of the second half of those who are lied to?"""
        others = self.names(*self.replicas)
        return target in others and others.index(target) >= (len(others) + 1) // 2

    def packets(self, says: Sequence[Say], source: int, target: int) -> list[Packet]:
        """As datagrams, each sealed by who speaks."""
        packets: list[Packet] = []
        for say in says:
            speaker = source if say.speaker is None else say.speaker
            pieces = sent(host(speaker), host(target), target, say.data, self.signer(speaker))
            packets += [
                piece._replace(delay_ns=say.delay_ns + nth * say.drip_ns) for nth, piece in enumerate(pieces)
            ]
        return packets

    # ------------------------------------------------------------ as a tamperer

    def wants(self, source: str, target: str, type_: int) -> bool:
        """See ``Tamperer``."""
        near = source in self.liars or target in self.liars
        return super().wants(source, target, type_) or (
            near and (type_ in self._learned or type_ in (_FRAGMENT, _PRE_PREPARE))
        )

    def handle(self, packet: Packet, header: Header, now_ns: int) -> Sequence[Packet] | None:
        """See ``Tamperer``."""
        if header.type == _PRE_PREPARE:
            self.knowledge.proposed(header.view, header.seq, packet.data[BODY])
        self._learn(packet, header)
        if packet.target in self.liars:
            return None
        return super().handle(packet, header, now_ns)

    def lie(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Lie``."""
        target, liar = replica_of(opened.packet.target), opened.frame.sender
        if target is None or liar not in self.replicas:
            return None
        key = liar, opened.packet.target, digest_of(b"told", opened.packet.data)
        known = self._remembered.get(key)
        if known is None:
            self.truth = opened.packet.data
            says = self.answer(opened.message, self.forger(liar), target)
            if says is None:
                return None
            known = self.packets(says, liar, target)
            if len(self._remembered) >= MOST_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[key] = known
        self.lies += 1
        header = opened.header
        self.said = f"{self.strategy}: {header.name} {header.view}/{header.seq} to {opened.packet.target}"
        return known

    def report(self) -> Mapping[str, object]:
        """See ``Tamperer``."""
        return {"strategy": self.strategy, "lies": self.lies}

    def _learn(self, packet: Packet, header: Header) -> None:
        if header.type in self._learned or header.type == _FRAGMENT:
            opened = self._listener.open(packet, header)
            if isinstance(opened, Opened):
                self.knowledge.learn(opened.message)
