"""The part that is the same for lies about proposals: who is told which batch, and all that follows from it.

A proposal is remade once per group of receivers and number, and what a receiver was told stands: sent again,
or passed on by another liar, it is the same. Coherent, the liars' PREPAREs, COMMITs and DECIDEDs to that
receiver agree with it, whatever their processes believe. Where the primary is none of them, a liar with
such a strategy proposes its version all the same, and is no primary. A subclass says which group a receiver
belongs to (0: the truth), and what each of the others is told.
"""

from __future__ import annotations

from collections.abc import Sequence

from nemesis.lies.lie import PRIMARY, Lie
from nemesis.lies.memory import Told
from nemesis.lies.opened import Opened, proposal, resealed
from nemesis.packets.chance import Slot
from nemesis.packets.packet import CLIENTS, Packet, header_of, host, replica_of
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.frames import Frame, MessageType
from pbft_node.core.messages import Batch, Message, PrePrepare, Request

FOLLOWS = (MessageType.PREPARE, MessageType.COMMIT, MessageType.DECIDED)
MOST_MADE = 512


class Proposing(Lie):
    """See the module. ``group`` and ``make`` are left to the subclass."""

    says = frozenset({MessageType.PRE_PREPARE, *FOLLOWS})
    hears = frozenset({MessageType.REQUEST, MessageType.PRE_PREPARE})
    passes_on = True

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self.coherent = self.chosen.get("coherent", True) is True
        self.eager = self.chosen.get("eager", False) is True
        self._made: dict[tuple[int, int, int], Batch] = {}

    def group(self, view: int, target: str) -> int:
        """0: that receiver is told the truth."""
        raise NotImplementedError

    def make(self, message: PrePrepare, batch: Batch, group: int) -> Batch:
        """What that group is told instead, for good."""
        raise NotImplementedError

    def speak(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """Any other message of a liar's own, in ``says``."""
        return None

    def matches(self, opened: Opened, slot: Slot) -> bool:
        """One decision for all receivers of a (view, number); what follows from a lie is not asked again."""
        view, seq = opened.header.view, opened.header.seq
        told = self.memory.told(view, seq, opened.packet.target) is not None
        if opened.frame.type in FOLLOWS or (self.coherent and told):
            return True
        if not self.match.header(opened.packet, opened.header, self.scene.n):
            return False
        return self.chance.happens(self.match.share, "match", f"{opened.header.type}/{view}/{seq}")

    def lie(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Lie``."""
        if isinstance(opened.message, PrePrepare):
            return self._propose(opened, opened.message)
        if not opened.own:
            return None
        if opened.frame.type in FOLLOWS:
            return self.vote(opened)
        return self.speak(opened, slot, now_ns)

    def overheard(self, packet: Packet, message: Message, frame: Frame, now_ns: int) -> None:
        """Requests and batches to lie with."""
        if isinstance(message, Request) and not message.read_only:
            self.memory.saw(message)
        elif isinstance(message, PrePrepare) and message.batch is not None:
            self.memory.learn(message.digest, message.batch)
            leads = self.strategies[self.strategy].role == PRIMARY
            if (
                leads
                and host(message.primary) not in self.liars
                and frame.sender == replica_of(packet.source)
            ):
                self._usurp(packet, message, message.batch)

    # PRE-PREPARE

    def _propose(self, opened: Opened, message: PrePrepare) -> Sequence[Packet] | None:
        view, seq, target = message.view, message.seq, opened.packet.target
        batch = message.batch
        if host(message.primary) not in self.liars or target == CLIENTS or batch is None:
            return None
        self.memory.learn(message.digest, batch)
        told = self.memory.told(view, seq, target)
        first = told is None
        if told is None:
            told = self._tell(message, batch, target)
        if first and self.eager and target not in self.liars:
            self._vote_at_once(view, seq, target, told)
        if told.digest == message.digest or told.batch is None or not (first or self.coherent):
            return None
        self.said = f"told {target} batch {told.digest.hex()[:8]} for {message.digest.hex()[:8]}"
        data = proposal(self.signer(message.primary), target, view, seq, told.digest, told.batch)
        return tuple(Packet(opened.packet.source, target, piece) for piece in data)

    def _tell(self, message: PrePrepare, batch: Batch, target: str) -> Told:
        """For the first time."""
        group = self.group(message.view, target)
        if not group:
            return self.memory.tell(
                message.view, message.seq, target, Told(message.digest, batch, message.raw)
            )
        made = self._version(message, batch, group)
        digest = made.digest
        seal = self.signer(message.primary).seal
        raw = seal.signed(MessageType.PRE_PREPARE, message.view, message.seq, digest)
        return self.memory.tell(message.view, message.seq, target, Told(digest, made, raw))

    def _version(self, message: PrePrepare, batch: Batch, group: int) -> Batch:
        key = message.view, message.seq, group
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= MOST_MADE:
                del self._made[next(iter(self._made))]
            made = self._made[key] = self.make(message, batch, group)
        return made

    def _usurp(self, packet: Packet, message: PrePrepare, batch: Batch) -> None:
        """A liar that does not lead proposes all the same, in the place of who does."""
        liar = replica_of(packet.target)
        if liar is None or not self.match.header(packet, header_of(packet.data), self.scene.n):
            return
        view, seq = message.view, message.seq
        if not self.chance.happens(self.match.share, "usurp", f"{view}/{seq}/{liar}"):
            return
        for target in self.others(liar):
            if group := self.group(view, target):
                made = self._version(message, batch, group)
                data = proposal(self.signer(liar), target, view, seq, made.digest, made)
                self.say([Packet(host(liar), target, piece) for piece in data])

    def _vote_at_once(self, view: int, seq: int, target: str, told: Told) -> None:
        for liar in self.replicas:
            if liar != view % self.scene.n:
                self.say([self.sealed(liar, target, MessageType.PREPARE, view, seq, told.digest)])
            self.say([self.sealed(liar, target, MessageType.COMMIT, view, seq, told.digest)])

    # PREPARE, COMMIT, DECIDED

    def vote(self, opened: Opened) -> Sequence[Packet] | None:
        """It agrees with what was told."""
        header, target = opened.header, opened.packet.target
        if target in self.liars or target == CLIENTS or not self.coherent:
            return None
        decided = opened.frame.type is MessageType.DECIDED
        view = self.memory.last_view(header.seq, target) if decided else header.view
        return self.agree(opened, self.memory.told(view, header.seq, target))

    def agree(self, opened: Opened, told: Told | None) -> Sequence[Packet] | None:
        """The same message about the digest that was told."""
        if told is None or told.digest == opened.frame.body:
            return None
        self.said = f"told {opened.packet.target} {told.digest.hex()[:8]} for {opened.frame.body.hex()[:8]}"
        return resealed(opened, self.signer(opened.replica), body=told.digest)
