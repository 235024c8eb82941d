"""Lies about checkpoints (section 4.3): wrong digests, numbers where none is taken, none at all, old ones.

A checkpoint is stable when a quorum announces one digest. A liar can deny its voice, or lend it to something
that is none; neither may keep the correct ones from moving the watermarks, or move them.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from nemesis.lies.alternatives import other_digest
from nemesis.lies.groups import WHOM, is_lied_to
from nemesis.lies.lie import Lie, Option, Strategy
from nemesis.lies.opened import Opened, resealed
from nemesis.packets.chance import Slot
from nemesis.packets.packet import CLIENTS, Packet
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import Checkpoint
from pbft_node.core.types import MAX_SEQUENCE

MOST_OLD = 8


class CheckpointLie(Lie):
    """See the module."""

    action = "checkpoint-lie"
    strategies = MappingProxyType(
        {
            "digest": Strategy("announces a wrong digest"),
            "both": Strategy("announces a wrong digest, and then the true one"),
            "future": Strategy("announces the next checkpoints, too, before they are taken"),
            "odd": Strategy("announces a number where no checkpoint is taken"),
            "far": Strategy("announces number 2**40"),
            "withhold": Strategy("announces nothing"),
            "old": Strategy("announces its old checkpoints again"),
            "flood": Strategy("announces every checkpoint 20 times"),
        }
    )
    options = MappingProxyType({"whom": Option("who is lied to", WHOM)})
    says = frozenset({MessageType.CHECKPOINT})

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._old: dict[str, list[Packet]] = {}

    def lie(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Lie``."""
        message, target = opened.message, opened.packet.target
        if not isinstance(message, Checkpoint) or target == CLIENTS:
            return None
        link = f"{opened.packet.source}>{target}"
        old = self._old.setdefault(link, [])
        self._old[link] = [*old[1 - MOST_OLD :], opened.packet]
        if not is_lied_to(self, 0, target, str(self.chosen["whom"])):
            return None
        signer, seq = self.signer(opened.replica), message.seq
        wrong = other_digest(message.digest, "checkpoint")
        self.said = f"{self.strategy} checkpoint {seq} to {target}"
        match self.strategy:
            case "digest":
                return resealed(opened, signer, body=wrong)
            case "both":
                return (*resealed(opened, signer, body=wrong), *opened.pieces)
            case "future":
                step = self.scene.cluster.checkpoint_interval
                steps = self.scene.cluster.window // step + 1
                ahead = [min(seq + step * k, MAX_SEQUENCE) for k in range(1, steps + 1)]
                return (
                    *opened.pieces,
                    *(packet for n in ahead for packet in resealed(opened, signer, seq=n, body=wrong)),
                )
            case "odd":
                return (*opened.pieces, *resealed(opened, signer, seq=seq + 1))
            case "far":
                return (*opened.pieces, *resealed(opened, signer, seq=1 << 40))
            case "withhold":
                return ()
            case "old":
                return (*opened.pieces, *old) if old else None
            case _:
                return opened.pieces * 20
