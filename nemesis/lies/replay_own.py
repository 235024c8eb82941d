"""Replays of a liar's own messages: many times, late, of old numbers and views, to whom they were not meant.

Nothing is signed anew. Votes count once per sender, for their own view and number, and, with MACs, for their
own receiver only.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from nemesis.lies.lie import Lie, Option, Strategy
from nemesis.lies.opened import Opened
from nemesis.packets.chance import Slot
from nemesis.packets.packet import CLIENTS, Packet, host
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.frames import MessageType

MOST_KEPT = 256
"""Messages per link, spread over the whole past: when full, every second one is forgotten."""
MOST_BYTES = 4096
"""A longer one is not kept."""


class ReplayOwn(Lie):
    """See the module."""

    action = "replay-own"
    strategies = MappingProxyType(
        {
            "storm": Strategy("says everything 'times' times"),
            "old": Strategy("says 'times' old messages again with every new one, of earlier views if it can"),
            "late": Strategy("says everything once, and again 'times' tenths of a second later"),
            "astray": Strategy("says to everybody what was meant for one"),
        }
    )
    options = MappingProxyType({"times": Option("how often", (2, 5, 10, 20), 1, 100)})
    says = frozenset(
        {
            MessageType.PRE_PREPARE,
            MessageType.PREPARE,
            MessageType.COMMIT,
            MessageType.CHECKPOINT,
            MessageType.DECIDED,
            MessageType.VIEW_CHANGE,
            MessageType.REPLY,
        }
    )

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        times = self.chosen["times"]
        assert isinstance(times, int)
        self._times = times
        self._kept: dict[tuple[str, str], list[tuple[int, Packet]]] = {}

    def lie(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Lie``."""
        packet, pieces = opened.packet, opened.pieces
        match self.strategy:
            case "storm":
                self.said = f"{self._times} times the same"
                return pieces * self._times
            case "late":
                again = (one._replace(delay_ns=self._times * 100_000_000) for one in pieces)
                self.said = f"the same again {self._times * 100} ms later"
                return (*pieces, *again)
            case "astray":
                if packet.target == CLIENTS:
                    return None
                others = (host(i) for i in range(self.scene.n) if host(i) != packet.source)
                self.said = f"to everybody what was meant for {packet.target}"
                return tuple(one._replace(target=other) for other in others for one in pieces)
        old = self._past(opened, slot)
        self._keep(opened)
        if not old:
            return None
        self.said = f"{len(old)} old messages again"
        return (*pieces, *old)

    def _past(self, opened: Opened, slot: Slot) -> Sequence[Packet]:
        """Some of what was said on this link before."""
        kept = self._kept.get((opened.packet.source, opened.packet.target), [])
        kept = [one for one in kept if one[0] < opened.header.view] or kept
        if not kept:
            return ()
        first = self.chance.below(len(kept), "past", slot.text())
        return [kept[(first + k) % len(kept)][1] for k in range(min(self._times, len(kept)))]

    def _keep(self, opened: Opened) -> None:
        if len(opened.packet.data) > MOST_BYTES:
            return
        link = opened.packet.source, opened.packet.target
        kept = self._kept.setdefault(link, [])
        kept.append((opened.header.view, opened.packet))
        if len(kept) > MOST_KEPT:
            self._kept[link] = kept[::2]
