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
from nemesis.lies.lie import BACKUP, PRIMARY, Option, Strategy
from nemesis.lies.memory import Told
from nemesis.lies.opened import Opened, resealed
from nemesis.lies.proposing import FOLLOWS, Proposing
from nemesis.lies.replies import MOST_RESULTS, with_result
from nemesis.packets.chance import Slot
from nemesis.packets.packet import CLIENTS, Packet, host, replica_of
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.frames import Frame, MessageType
from pbft_node.core.messages import Batch, Checkpoint, Message, PrePrepare, Reply
from pbft_node.core.types import Digest

MOST_ECHOED = 4096


class Equivocate(Proposing):
    """See the module."""

    action = "equivocate"
    strategies = MappingProxyType(
        {
            "proposals": Strategy("as primary, proposes different batches for one number", PRIMARY),
            "votes": Strategy("votes PREPARE and COMMIT for another digest to some", BACKUP),
            "checkpoints": Strategy("announces another checkpoint digest to some"),
            "replies": Strategy("replies another result to some clients"),
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
    says = Proposing.says | {MessageType.CHECKPOINT, MessageType.REPLY}
    hears = Proposing.hears | {MessageType.CHECKPOINT}

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self.dethrone = self.chosen["dethrone"] is True
        self.split = str(self.chosen["split"])
        self.other = str(self.chosen["other"])
        self._results: list[bytes] = []
        self._echoed: dict[tuple[int, str, int], bytes] = {}

    def group(self, view: int, target: str) -> int:
        """See ``Proposing``."""
        return group_of(self, view, target, self.split) if self.strategy == "proposals" else 0

    def make(self, message: PrePrepare, batch: Batch, group: int) -> Batch:
        """See ``Proposing``."""
        return versions(batch, self.other, self.memory.requests(), group + 1)[group]

    def matches(self, opened: Opened, slot: Slot) -> bool:
        """See ``Proposing``; votes are asked for only where they are the lie."""
        if self.strategy == "votes" and opened.frame.type in FOLLOWS:
            header = opened.header
            if self.memory.told(header.view, header.seq, opened.packet.target) is not None:
                return True
            return self.match.header(opened.packet, header, self.scene.n) and self.chance.happens(
                self.match.share, "match", f"votes/{header.view}/{header.seq}"
            )
        return super().matches(opened, slot)

    # PREPARE, COMMIT, DECIDED

    def vote(self, opened: Opened) -> Sequence[Packet] | None:
        """See ``Proposing``."""
        header, target = opened.header, opened.packet.target
        if target in self.liars or target == CLIENTS:
            return None
        decided = opened.frame.type is MessageType.DECIDED
        if self.dethrone and not decided and host(header.view % self.scene.n) not in self.liars:
            self.said = f"no vote for a batch of r{header.view % self.scene.n}"
            return ()
        if self.strategy != "votes" or decided:
            return super().vote(opened)
        told = self.memory.told(header.view, header.seq, target)
        if told is None:
            return self.agree(opened, self._first_vote(opened))
        return self.agree(opened, told) if self.coherent else self._incoherent_vote(opened)

    def _first_vote(self, opened: Opened) -> Told:
        header, target, digest = opened.header, opened.packet.target, Digest(opened.frame.body)
        other = Told(digest)
        if group_of(self, header.view, target, self.split):
            batch = self.memory.batch(digest)
            if batch is None:
                other = Told(other_digest(digest, "vote"))
            else:
                made = versions(batch, self.other, self.memory.requests(), 2)[1]
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

    # CHECKPOINT, REPLY

    def speak(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Proposing``."""
        message = opened.message
        if isinstance(message, Checkpoint):
            return self._checkpoint(opened, message)
        if isinstance(message, Reply) and self.strategy == "replies":
            return self._reply(opened, message)
        return None

    def _checkpoint(self, opened: Opened, message: Checkpoint) -> Sequence[Packet] | None:
        target = opened.packet.target
        if self.strategy == "checkpoints":
            if not group_of(self, 0, target, self.split):
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
        if message.result is not None:
            self._results = [*self._results[1 - MOST_RESULTS :], message.result]
        if message.client % 2 == 0:
            return None
        lie = other_result(message.result or b"", self._results)
        self.said = f"told client {message.client} another result than its own"
        return with_result(opened, message, self.signer(opened.replica), lie)

    # What liars hear

    def overheard(self, packet: Packet, message: Message, frame: Frame, now_ns: int) -> None:
        """Beside what ``Proposing`` wants: the checkpoint digest a receiver wants to hear back."""
        super().overheard(packet, message, frame, now_ns)
        if not isinstance(message, Checkpoint) or frame.sender != replica_of(packet.source):
            return
        self.memory.announced(message.seq, packet.source, message.digest)
        liar = replica_of(packet.target)
        if (
            liar is not None
            and self.coherent
            and self.eager
            and self.strategy == "proposals"
            and self._echo(liar, packet.source, message.seq, message.digest)
        ):
            kind, seq = MessageType.CHECKPOINT, message.seq
            self.say([self.sealed(liar, packet.source, kind, 0, seq, message.digest)])
