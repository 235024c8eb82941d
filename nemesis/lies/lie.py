"""The part that is the same for all lies: whose traffic, which strategy, opening and matching.

``{"action": …, "replicas": [0], "strategy": …, "match": {…}, …}``. A lie acts on what the processes of its
``replicas`` send in their own name; each of them must have a signer in the scene. It may also listen to what
is sent *to* them, as they would themselves, and say something of its own later (``say``). A subclass names
its strategies and options as data, so that plans are drawn, checked and documented from one place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from nemesis.lies.memory import Memory
from nemesis.lies.opened import Opened, Opener, sent
from nemesis.lies.signer import Signer
from nemesis.packets.chance import Slot
from nemesis.packets.packet import Header, Packet, host, replica_of
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import LIES, RuleData, Tampering, Uncounted
from pbft_node.core.codec import decode
from pbft_node.core.frames import Frame, Malformed, MessageType
from pbft_node.core.messages import Message

_FRAGMENT = int(MessageType.FRAGMENT)
MOST_TO_SAY = 4096
ANY, PRIMARY, BACKUP = "any", "primary", "backup"


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to lie."""

    text: str
    """What it does, in a sentence."""
    role: str = ANY
    """Whose messages it is about: who is no primary has nothing to do in a strategy of primaries."""


@dataclass(frozen=True, slots=True)
class Option:
    """A further parameter of a lie."""

    text: str
    drawn: tuple[object, ...]
    """What a plan draws from; the first is the value when none is given."""
    lowest: int | None = None
    highest: int | None = None
    """Other whole numbers that are allowed, too."""
    also: tuple[object, ...] = ()
    """Allowed, but not drawn: plans seldom give them anything to do."""

    def problem(self, name: str, value: object) -> str | None:
        """Why it is no value of it, or None."""
        if any(value == one and type(value) is type(one) for one in (*self.drawn, *self.also)):
            return None
        if self.lowest is not None and self.highest is not None:
            whole = isinstance(value, int) and not isinstance(value, bool)
            if whole and self.lowest <= value <= self.highest:  # type: ignore[operator]
                return None
            return f"{name} = {value!r:.80}: give a whole number from {self.lowest} to {self.highest}"
        known = ", ".join(self.values())
        return f"{name} = {value!r:.80}: choose one of {known}"

    def values(self) -> tuple[str, ...]:
        """Those with names, as JSON writes them."""
        every = dict.fromkeys((*self.drawn, *self.also))
        return tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in every)


class Lie(Tampering):
    """See the module. ``lie`` is left to the subclass."""

    stage = LIES
    strategies: ClassVar[Mapping[str, Strategy]]
    options: ClassVar[Mapping[str, Option]] = {}
    says: ClassVar[frozenset[MessageType]]
    """The liars' messages it is about."""
    hears: ClassVar[frozenset[MessageType]] = frozenset()
    """What of the messages to liars it listens to."""
    passes_on: ClassVar[bool] = False
    """It is also about what liars pass on of others."""

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        replicas = data["replicas"]
        assert isinstance(replicas, list)
        missing = [replica for replica in replicas if replica not in scene.signers]
        if missing:
            raise ValueError(
                f"{self.action}: replica {missing[0]} is not compromised in this run: nobody can sign for it"
            )
        self.replicas: tuple[int, ...] = tuple(sorted(replicas))
        self.liars = frozenset(host(replica) for replica in replicas)
        self.strategy = str(data["strategy"])
        self.chosen: Mapping[str, object] = {
            name: data.get(name, option.drawn[0]) for name, option in self.options.items()
        }
        self.memory: Memory = scene.told
        self._said = frozenset(int(kind) for kind in self.says)
        self._heard = frozenset(int(kind) for kind in self.hears)
        self._opener = Opener(self._said)
        self._to_say: list[Packet] = []
        self._now_ns = 0

    @classmethod
    def problem(cls, data: RuleData, n: int) -> str | None:
        """See ``Tampering``."""
        known = {"replicas", "strategy", *cls.options}
        rest = {key: value for key, value in data.items() if key not in known}
        return (
            problem_of_replicas(data.get("replicas"), n)
            or _problem_of_strategy(cls.strategies, data.get("strategy"))
            or next(
                (
                    problem
                    for name, option in cls.options.items()
                    if name in data and (problem := option.problem(name, data[name])) is not None
                ),
                None,
            )
            or super().problem(rest, n)
        )

    # For the subclass

    def matches(self, opened: Opened, slot: Slot) -> bool:
        """Is this message one the rule is about?"""
        header = self.match.header(opened.packet, opened.header, self.scene.n)
        return header and self.match.slot(slot, self.chance)

    def lie(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """A message of a liar that the rule matches. None: it travels as it is."""
        raise NotImplementedError

    def overheard(self, packet: Packet, message: Message, frame: Frame, now_ns: int) -> None:
        """A message to a liar, of a type in ``hears``. It travels as it is."""

    def signer(self, replica: int) -> Signer:
        """Of a liar."""
        return self.scene.signers[replica]

    def say(self, packets: Sequence[Packet]) -> None:
        """Send these as well, at once."""
        self._to_say.extend(packets[: MOST_TO_SAY - len(self._to_say)])

    def sealed(self, liar: int, target: str, kind: MessageType, view: int, seq: int, body: bytes) -> Packet:
        """A small message by that liar to a replica."""
        peer = replica_of(target)
        assert peer is not None
        (packet,) = sent(
            host(liar), target, peer, self.signer(liar).seal.for_peer(peer, kind, view, seq, body),
            self.signer(liar),
        )  # fmt: skip
        return packet

    def others(self, liar: int) -> tuple[str, ...]:
        """Every replica that does not lie here, for a liar to talk to."""
        return tuple(host(i) for i in range(self.scene.n) if i != liar and host(i) not in self.liars)

    # As a tamperer

    def wants(self, source: str, target: str, type_: int) -> bool:
        """See ``Tamperer``."""
        if source in self.liars:
            return type_ in self._said or type_ == _FRAGMENT
        return target in self.liars and type_ in self._heard

    def handle(self, packet: Packet, header: Header, now_ns: int) -> Sequence[Packet] | None:
        """See ``Tamperer``."""
        self._now_ns = now_ns
        if packet.source not in self.liars:
            if packet.target in self.liars and header.type in self._heard:
                self._listen(packet, now_ns)
            return Uncounted((packet,)) if self._to_say else None  # so that who runs the engine asks again
        opened = self._opener.open(packet, header)
        if opened is None or isinstance(opened, Uncounted):
            return opened
        if not (opened.own or self.passes_on):
            return opened.untouched()
        slot = self.copies.slot(opened.packet, opened.header)
        if not self.matches(opened, slot):
            return opened.untouched()
        self.said = ""
        became = self.lie(opened, slot, now_ns)
        return opened.untouched() if became is None else became

    def due_ns(self) -> int | None:
        """See ``Tamperer``."""
        return self._now_ns if self._to_say else None

    def tick(self, now_ns: int) -> Sequence[Packet]:
        """See ``Tamperer``."""
        self._now_ns = now_ns
        packets, self._to_say = self._to_say, []
        return packets

    def _listen(self, packet: Packet, now_ns: int) -> None:
        try:
            message, frame = decode(packet.data)
        except Malformed:
            return
        self.overheard(packet, message, frame, now_ns)


def problem_of_replicas(value: object, n: int) -> str | None:
    """Why these are no liars, or None. Whatever JSON it is."""
    if not isinstance(value, list) or not value:
        return f"replicas = {value!r:.80}: give a list of the replicas that lie, such as [0]"
    for replica in value:
        if not isinstance(replica, int) or isinstance(replica, bool) or not 0 <= replica < n:
            return f"replica {replica!r:.80} does not exist: the replicas are 0 … {n - 1}"
    if len(set(value)) < len(value):
        return f"replicas = {value!r:.80}: a replica is named twice"
    return None


def _problem_of_strategy(known: Mapping[str, Strategy], value: object) -> str | None:
    if isinstance(value, str) and value in known:
        return None
    return f"strategy = {value!r:.80}: choose one of {', '.join(known)}"
