"""VIEW-CHANGEs for no reason (section 4.5.2): every 40 ms, for the next view, the one after, one far ahead.

A correct replica follows f+1 others, never f; and its own timers do not hear what f say. C and P are what the
liar's process said last, or nothing at all: then the message is as valid as at the beginning of the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from nemesis.lies.lie import Strategy
from nemesis.lies.strategic import KnowingLie, Say
from nemesis.packets.packet import Packet
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import ViewChange

EVERY_NS = 40_000_000
_AHEAD: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"next": (1,), "after-next": (2,), "far": (1000,), "all": (1, 2, 1000)}
)


class ViewChangeSpam(KnowingLie):
    """See the module. The process's own messages pass as they are."""

    action = "spam-view-changes"
    says: ClassVar[frozenset[MessageType]] = frozenset()
    learns: ClassVar[frozenset[MessageType]] = frozenset({MessageType.VIEW_CHANGE})
    strategies: ClassVar[Mapping[str, Strategy]] = MappingProxyType(
        {
            "next": Strategy("For the next view."),
            "after-next": Strategy("For the view after the next."),
            "far": Strategy("For a view a thousand ahead."),
            "all": Strategy("For each of these in turn."),
        }
    )

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._due_ns = 0
        self._turn = 0

    def due_ns(self) -> int | None:
        """See ``Tamperer``."""
        return self._due_ns

    def tick(self, now_ns: int) -> Sequence[Packet]:
        """See ``Tamperer``."""
        self._due_ns = now_ns + EVERY_NS
        ahead = _AHEAD[self.strategy]
        view = self.scene.phase.settled + ahead[self._turn % len(ahead)]
        self._turn += 1
        packets: list[Packet] = []
        for liar in self.replicas:
            message = self.spontaneous(liar, view)
            for target in self.names(*self.replicas):
                packets += self.packets([Say(message.raw)], liar, target)
        self.lies += len(packets)
        self.said = f"{self.strategy}: VIEW-CHANGE to {view} for no reason"
        return packets

    def spontaneous(self, liar: int, view: int) -> ViewChange:
        """With what its process said last, as far as that can be said for this view."""
        forger = self.forger(liar)
        held = self.knowledge.view_changes
        said = [held[at][liar] for at in sorted(held) if at <= view and liar in held[at]]
        if not said:
            return forger.view_change(view, 0, (), ())
        last = said[-1]
        return forger.view_change(view, last.stable, last.checkpoint_proof, last.prepared)
