"""A tamperer: one rule at work. It is told of packets, of time and of what replicas traced, and says what
shall be on the wire instead.

To add one: a class in a file, and a line in ``registry``. Subclass ``Tampering`` for a rule that acts on
single packets it matches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from nemesis.packets.chance import Chance, Copies, Slot
from nemesis.packets.match import Match, problem_of, read_match
from nemesis.packets.packet import Header, Packet
from nemesis.packets.scene import Scene

if TYPE_CHECKING:
    from nemesis.packets.activation import Activation

RuleData = Mapping[str, object]
"""``{"action": name, "match": {…}, …}``, JSON: it stands in plans and crosses sockets."""
LIES, NETWORK = 0, 1
"""Stages: what a liar says comes first, and then the network does its worst to it."""


class Uncounted(tuple[Packet, ...]):
    """What travels instead although nothing was done: pieces of a message that were held until it was whole.
    It is no activation."""

    __slots__ = ()


HELD = Uncounted()
"""Nothing yet."""


class Tamperer(Protocol):
    """See the module."""

    @property
    def stage(self) -> int:
        """LIES or NETWORK."""

    @property
    def listens(self) -> bool:
        """Does it want to hear what replicas trace?"""

    def wants(self, source: str, target: str, type_: int) -> bool:
        """May it ever do something to such packets? Constant: answers are remembered."""

    def handle(self, packet: Packet, header: Header, now_ns: int) -> Sequence[Packet] | None:
        """What travels instead, now or later; empty: nothing; None: it has nothing to do with it, or (for
        pieces of a message) an ``Uncounted``. Delays are its own: those of earlier rules are added."""

    def due_ns(self) -> int | None:
        """When it wants to be called again."""

    def tick(self, now_ns: int) -> Sequence[Packet]:
        """It is time: packets nobody sent."""

    def heard(self, replica: int, event: Mapping[str, object], now_ns: int) -> Sequence[Packet]:
        """A line of a replica's trace (see ARCHITECTURE.md), before anything that event sent is handled."""

    def left(self) -> Sequence[Packet]:
        """It is over: what it holds back still."""

    @property
    def keeps(self) -> bool:
        """Does it send later what it does not send at once? Then that is held, and not dropped."""

    def note(self) -> str:
        """In words, what it did to the last packet it handled; for the capture's comment."""

    def report(self) -> Mapping[str, object]:
        """JSON for the receipt, beside what the engine counts."""


@runtime_checkable
class Composite(Protocol):
    """A tamperer made of rules, which counts for itself what they did."""

    def take_activations(self) -> Sequence[Activation]:
        """Since it was asked last, in order."""


@runtime_checkable
class Walling(Protocol):
    """A tamperer that may stand in the way of what was held back before."""

    def stops(self, packet: Packet) -> bool:
        """Is this packet, which leaves only now, lost?"""


class Tampering:
    """The part that is the same for rules about single packets. ``act`` is left to the subclass."""

    action: ClassVar[str]
    stage: ClassVar[int] = NETWORK
    listens: ClassVar[bool] = False
    keeps: ClassVar[bool] = False
    keys: ClassVar[tuple[str, ...]] = ()
    """Of its data, beside ``action`` and ``match``."""

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        """``data`` has no ``problem``; ``name`` is unique in the run."""
        match = data.get("match", {})
        assert isinstance(match, Mapping)
        self.match: Match = read_match(match)
        self.scene = scene
        self.chance = Chance(scene.seed, name)
        self.copies = Copies()
        self.said = ""

    @classmethod
    def problem(cls, data: RuleData, n: int) -> str | None:
        """Why this is no such rule, or None. Whatever JSON it is."""
        for key in data:
            if key not in ("action", "match", *cls.keys):
                return f"{cls.action}: unknown key {key!r:.80}: known are {', '.join(('match', *cls.keys))}"
        return problem_of(data.get("match", {}), n)

    def act(self, packet: Packet, header: Header, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """A packet it matches."""
        raise NotImplementedError

    def wants(self, source: str, target: str, type_: int) -> bool:
        """See ``Tamperer``."""
        match = self.match
        return (
            (match.sources is None or source in match.sources)
            and (match.targets is None or target in match.targets)
            and (match.types is None or type_ in match.types)
        )

    def handle(self, packet: Packet, header: Header, now_ns: int) -> Sequence[Packet] | None:
        """See ``Tamperer``."""
        if not self.match.header(packet, header, self.scene.n):
            return None
        slot = self.copies.slot(packet, header)
        return self.act(packet, header, slot, now_ns) if self.match.slot(slot, self.chance) else None

    def due_ns(self) -> int | None:
        """See ``Tamperer``."""
        return None

    def tick(self, now_ns: int) -> Sequence[Packet]:
        """See ``Tamperer``."""
        return ()

    def heard(self, replica: int, event: Mapping[str, object], now_ns: int) -> Sequence[Packet]:
        """See ``Tamperer``."""
        return ()

    def left(self) -> Sequence[Packet]:
        """See ``Tamperer``."""
        return ()

    def note(self) -> str:
        """See ``Tamperer``."""
        return self.said or self.action

    def report(self) -> Mapping[str, object]:
        """See ``Tamperer``."""
        return {}
