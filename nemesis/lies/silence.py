"""Selective silence: to whom, of what, when. What is not said needs no key, and nobody can prove it.

Starving f correct replicas of the primary's messages, never sending the bodies of batches, or voting for odd
numbers only: a quorum goes on without, and whoever was left out catches up from the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from nemesis.lies.lie import PRIMARY, Lie, Option, Strategy
from nemesis.lies.opened import Opened
from nemesis.packets.chance import Slot
from nemesis.packets.packet import CLIENTS, Packet, host
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import PrePrepare

_PHASES = frozenset({MessageType.PRE_PREPARE, MessageType.PREPARE, MessageType.COMMIT})
_BODIES = frozenset({MessageType.PRE_PREPARE, MessageType.BATCH})
_STATES = frozenset({MessageType.STATE_META, MessageType.STATE_PARTS})
_VIEWS = frozenset({MessageType.VIEW_CHANGE, MessageType.NEW_VIEW})
TYPES = {
    "any": frozenset(MessageType) - {MessageType.FRAGMENT},
    "phases": _PHASES,
    "proposals": frozenset({MessageType.PRE_PREPARE}),
    "votes": frozenset({MessageType.PREPARE, MessageType.COMMIT, MessageType.DECIDED}),
    "replies": frozenset({MessageType.REPLY}),
    "checkpoints": frozenset({MessageType.CHECKPOINT}),
    "help": frozenset({MessageType.STATUS, MessageType.DECIDED, MessageType.BATCH, *_STATES}),
    "views": _VIEWS,
    "relays": frozenset({MessageType.REQUEST}),
}
MOST_FIRSTS = 4096


class Silence(Lie):
    """See the module."""

    action = "silence"
    strategies = MappingProxyType(
        {
            "types": Strategy("never says messages of these types"),
            "odd": Strategy("says nothing about odd numbers"),
            "after-first": Strategy("says the first thing of each view, and nothing more"),
            "starve": Strategy("says nothing to f correct replicas"),
            "bodies": Strategy("as primary, proposes digests without their batches", PRIMARY),
        }
    )
    options = MappingProxyType(
        {"types": Option("of what", ("any", "phases", "votes", "replies"), also=tuple(TYPES))}
    )
    says = frozenset(MessageType) - {MessageType.FRAGMENT}
    passes_on = True

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._firsts: dict[tuple[int, int, str, str], int] = {}
        """By type, view, source and target; the oldest are forgotten."""

    def lie(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Lie``."""
        kind, target = opened.frame.type, opened.packet.target
        if self.strategy == "bodies":
            return self._bodiless(opened)
        if target in self.liars:
            return None
        if self.strategy == "starve":
            if target not in self._starved():
                return None
        elif kind not in TYPES[str(self.chosen["types"])]:
            return None
        if self.strategy == "odd" and not self._number(opened) % 2:
            return None
        if self.strategy == "after-first" and self._is_first(opened):
            return None
        self.said = f"no {kind.name} to {target}"
        return ()

    def _bodiless(self, opened: Opened) -> Sequence[Packet] | None:
        if opened.frame.type not in _BODIES or opened.packet.target == CLIENTS:
            return None
        self.said = f"no batch to {opened.packet.target}"
        if isinstance(opened.message, PrePrepare):
            return (opened.packet._replace(data=opened.frame.raw),)
        return ()

    def _number(self, opened: Opened) -> int:
        """Of a checkpoint, which one it is."""
        if opened.frame.type is MessageType.CHECKPOINT:
            return opened.header.seq // self.scene.cluster.checkpoint_interval
        return opened.header.seq

    def _is_first(self, opened: Opened) -> bool:
        """Of its type in its view, for that receiver."""
        header = opened.header
        key = header.type, header.view, opened.packet.source, opened.packet.target
        if key not in self._firsts and len(self._firsts) >= MOST_FIRSTS:
            del self._firsts[next(iter(self._firsts))]
        return self._firsts.setdefault(key, header.seq) == header.seq

    def _starved(self) -> frozenset[str]:
        honest = [i for i in range(self.scene.n) if host(i) not in self.liars]
        first = self.chance.below(len(honest), "starved", "")
        return frozenset(host(honest[(first + k) % len(honest)]) for k in range(self.scene.cluster.f))
