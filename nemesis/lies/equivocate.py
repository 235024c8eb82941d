"""Equivocation: different receivers are told different things about the same view and number.

**Coherent** (the default), whatever liars say later about that (view, number) to a receiver agrees with what
it was told: PREPAREs, COMMITs, DECIDEDs, the proposal sent again, and CHECKPOINTs, where every receiver hears
its own digest back. Quorum intersection is what holds against this; against the incoherent kind a check for
second digests is enough. ``eager`` liars vote at once for what they told, prepared or not. With ``dethrone``
they vote for no proposal of a primary that is none of them, until the view changes to one that is: with f+1
of them it does, and each half of the others then has a quorum of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from nemesis.lies.alternatives import OTHERS, other_digest, other_result, versions
from nemesis.lies.groups import SPLITS, group_of
from nemesis.lies.lie import BACKUP, PRIMARY, Lie, Option, Strategy
from nemesis.lies.memory import Told
from nemesis.lies.opened import Opened, proposal, resealed
from nemesis.packets.chance import Slot
from nemesis.packets.packet import CLIENTS, Packet, host
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.client_codec import encode_read_reply, encode_reply
from pbft_node.core.digests import result_digest
from pbft_node.core.frames import RESULT_DIGEST, Frame, MessageType
from pbft_node.core.messages import Checkpoint, Message, PrePrepare, Reply, Request
from pbft_node.core.types import SeqNum

_FOLLOWS = (MessageType.PREPARE, MessageType.COMMIT, MessageType.DECIDED)
MOST_RESULTS = 64
MOST_ECHOED = 4096


class Equivocate(Lie):
    """See the module."""

    action = "equivocate"
    strategies = MappingProxyType(
        {
            "proposals": Strategy("As primary, proposes different batches for one number.", PRIMARY),
            "votes": Strategy("Votes PREPARE and COMMIT for another digest to some.", BACKUP),
            "checkpoints": Strategy("Announces another checkpoint digest to some."),
            "replies": Strategy("Replies another result to some clients."),
        }
    )
    options = MappingProxyType(
        {
            "split": Option("who is told what", SPLITS),
            "other": Option("the other batch", OTHERS),
            "coherent": Option("later words to a receiver agree with earlier ones", (True, True, False)),
            "eager": Option("vote for what was told at once, prepared or not", (False, True)),
            "dethrone": Option("no votes for a primary that does not lie", (False, False, True)),
        }
    )
    says = frozenset({MessageType.PRE_PREPARE, MessageType.CHECKPOINT, MessageType.REPLY, *_FOLLOWS})
    hears = frozenset({MessageType.REQUEST, MessageType.PRE_PREPARE, MessageType.CHECKPOINT})
    passes_on = True

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self.coherent = self.chosen["coherent"] is True
        self.eager = self.chosen["eager"] is True
        self.dethrone = self.chosen["dethrone"] is True
        self._results: list[bytes] = []
        self._echoed: dict[tuple[int, str, int], bytes] = {}

    def matches(self, opened: Opened, slot: Slot) -> bool:
        """One decision for all receivers of a (view, number); what follows from a lie is not asked again."""
        if opened.frame.type in _FOLLOWS and self.strategy != "votes":
            return True
        if not self.match.header(opened.packet, opened.header, self.scene.n):
            return self._is_follow_up(opened)
        what = f"{opened.header.type}/{opened.header.view}/{opened.header.seq}"
        if opened.frame.type in _FOLLOWS:
            what = f"votes/{opened.header.view}/{opened.header.seq}"
        return self.chance.happens(self.match.share, "match", what) or self._is_follow_up(opened)

    def lie(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Lie``."""
        message = opened.message
        if isinstance(message, PrePrepare):
            return self._propose(opened, message) if message.batch is not None else None
        if not opened.own:
            return None
        if opened.frame.type in _FOLLOWS:
            return self._vote(opened)
        if isinstance(message, Checkpoint):
            return self._checkpoint(opened, message)
        if isinstance(message, Reply) and self.strategy == "replies":
            return self._reply(opened, message)
        return None

    # PRE-PREPARE

    def _propose(self, opened: Opened, message: PrePrepare) -> Sequence[Packet] | None:
        """The first telling, and every later one to the same receiver; also what liars pass on of one
        another."""
        view, seq, target = message.view, message.seq, opened.packet.target
        if host(message.primary) not in self.liars or self.strategy != "proposals" or target == CLIENTS:
            return None
        batch = message.batch
        assert batch is not None
        self.memory.learn(message.digest, batch)
        told = self.memory.told(view, seq, target)
        first = told is None
        if told is None:
            group = group_of(self, view, target, str(self.chosen["split"]))
            made = versions(batch, str(self.chosen["other"]), self.memory.requests(), group + 1)[group]
            raw = self.signer(message.primary).seal.signed(MessageType.PRE_PREPARE, view, seq, made.digest)
            told = self.memory.tell(view, seq, target, Told(made.digest, made, raw))
        if first and self.eager:
            self._vote_at_once(view, seq, target, told)
        if told.digest == message.digest or told.batch is None or not (first or self.coherent):
            return None
        self.said = f"told {target} batch {told.digest.hex()[:8]} for {message.digest.hex()[:8]}"
        data = proposal(self.signer(message.primary), target, view, seq, told.digest, told.batch)
        return tuple(Packet(opened.packet.source, target, piece) for piece in data)

    def _vote_at_once(self, view: int, seq: int, target: str, told: Told) -> None:
        if target in self.liars:
            return
        for liar in self.replicas:
            if liar != view % self.scene.n:
                self.say([self.sealed(liar, target, MessageType.PREPARE, view, seq, told.digest)])
            self.say([self.sealed(liar, target, MessageType.COMMIT, view, seq, told.digest)])

    # PREPARE, COMMIT, DECIDED

    def _vote(self, opened: Opened) -> Sequence[Packet] | None:
        header, target = opened.header, opened.packet.target
        if target in self.liars or target == CLIENTS:
            return None
        decided = opened.frame.type is MessageType.DECIDED
        if self.dethrone and not decided and host(header.view % self.scene.n) not in self.liars:
            self.said = f"no vote for a batch of r{header.view % self.scene.n}"
            return ()
        view = self._view_told(header.seq, target) if decided else header.view
        told = self.memory.told(view, header.seq, target)
        if told is None and self.strategy == "votes" and not decided:
            told = self._first_vote(opened)
        elif not self.coherent:
            return None if self.strategy != "votes" or decided else self._incoherent_vote(opened)
        if told is None or told.digest == opened.frame.body:
            return None
        self.said = f"told {target} {told.digest.hex()[:8]} for {opened.frame.body.hex()[:8]}"
        return resealed(opened, self.signer(opened.replica), body=told.digest)

    def _first_vote(self, opened: Opened) -> Told:
        header, target, digest = opened.header, opened.packet.target, opened.frame.body
        if not group_of(self, header.view, target, str(self.chosen["split"])):
            return self.memory.tell(header.view, header.seq, target, Told(digest))  # type: ignore[arg-type]
        batch = self.memory.batch(digest)  # type: ignore[arg-type]
        if batch is None:
            other = Told(other_digest(digest, "vote"))
        else:
            made = versions(batch, str(self.chosen["other"]), self.memory.requests(), 2)[1]
            other = Told(made.digest, made)
        return self.memory.tell(header.view, header.seq, target, other)

    def _incoherent_vote(self, opened: Opened) -> Sequence[Packet] | None:
        """Another digest each time, to whoever it is."""
        salt = f"{opened.header.type}/{opened.packet.target}"
        if not self.chance.happens(0.5, "incoherent", f"{opened.header.seq}/{salt}"):
            return None
        self.said = f"told {opened.packet.target} something else again"
        body = other_digest(opened.frame.body, salt)
        return resealed(opened, self.signer(opened.replica), body=body)

    def _view_told(self, seq: int, target: str) -> int:
        """The last view in which that receiver was told something about the number."""
        views = [view for view, number in self.memory.numbers() if number == seq]
        return max((view for view in views if self.memory.told(view, seq, target)), default=0)

    # CHECKPOINT, REPLY

    def _checkpoint(self, opened: Opened, message: Checkpoint) -> Sequence[Packet] | None:
        target = opened.packet.target
        if self.strategy == "checkpoints":
            if not group_of(self, 0, target, str(self.chosen["split"])):
                return None
            digest = other_digest(message.digest, "" if self.coherent else opened.packet.source + target)
        elif self.coherent and (heard := self.memory.announcement(message.seq, target)) is not None:
            digest = heard
        else:
            return None
        self._echo(opened.replica, target, message.seq, digest)
        if digest == message.digest:
            return None
        self.said = f"told {target} checkpoint {digest.hex()[:8]} for {message.digest.hex()[:8]}"
        return resealed(opened, self.signer(opened.replica), body=digest)

    def _echo(self, liar: int, target: str, seq: int, digest: bytes) -> bool:
        """That liar says this to that receiver; False: it did already."""
        if self._echoed.get((liar, target, seq)) == digest:
            return False
        if len(self._echoed) >= MOST_ECHOED:
            del self._echoed[next(iter(self._echoed))]
        self._echoed[liar, target, seq] = digest
        return True

    def _reply(self, opened: Opened, message: Reply) -> Sequence[Packet] | None:
        if message.result is not None and len(message.result) <= 1 << 16:
            self._results = [*self._results[1 - MOST_RESULTS :], message.result]
        if message.client % 2 == 0:
            return None
        lie = other_result(message.result or b"", self._results)
        shown = result_digest(lie) if opened.frame.flags & RESULT_DIGEST else lie
        state = message.state
        body = (
            encode_reply(message.client, shown)
            if state is None
            else encode_read_reply(message.client, SeqNum(state), shown)
        )
        self.said = f"told client {message.client} another result than its own"
        return resealed(opened, self.signer(opened.replica), body=body)

    # What liars hear

    def overheard(self, packet: Packet, message: Message, frame: Frame, now_ns: int) -> None:
        """Requests and batches to lie with; and the digest a receiver wants to hear back."""
        if isinstance(message, Request) and not message.read_only:
            self.memory.saw(message)
        elif isinstance(message, PrePrepare) and message.batch is not None:
            self.memory.learn(message.digest, message.batch)
        elif isinstance(message, Checkpoint) and frame.sender == self._number(packet.source):
            self.memory.announced(message.seq, packet.source, message.digest)
            liar = self._number(packet.target)
            if (
                self.coherent
                and self.eager
                and self.strategy == "proposals"
                and self._echo(liar, packet.source, message.seq, message.digest)
            ):
                kind, seq = MessageType.CHECKPOINT, message.seq
                self.say([self.sealed(liar, packet.source, kind, 0, seq, message.digest)])

    def _number(self, name: str) -> int:
        return int(name[1:]) if name[1:].isdecimal() else -1

    def _is_follow_up(self, opened: Opened) -> bool:
        """Something was told already, and this has to agree with it."""
        header, target = opened.header, opened.packet.target
        return self.coherent and self.memory.told(header.view, header.seq, target) is not None
