"""Lies in STATUS (section 5.2): progress the liar lacks, progress it denies, and far too often.

A STATUS is a hint. Whoever believes it sends what was sent before, so a liar can only waste bandwidth, and
answers are bounded; no vote, no view and no state may follow from one liar's word.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from nemesis.lies.lie import Lie, Option, Strategy
from nemesis.lies.opened import Opened, resealed
from nemesis.packets.chance import Slot
from nemesis.packets.packet import Packet
from pbft_node.core.codec import encode_status
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import Status
from pbft_node.core.types import MAX_SEQUENCE, MAX_VIEW, ReplicaId, SeqNum, View

_FAR = 1 << 40


class SpamStatus(Lie):
    """See the module."""

    action = "spam-status"
    strategies = MappingProxyType(
        {
            "ahead": Strategy("claims to have executed and made stable what nobody has"),
            "behind": Strategy("claims to have nothing at all"),
            "naked": Strategy("claims to hold none of the messages it has"),
            "full": Strategy("claims to have decided everything under way"),
            "view": Strategy("claims to be in a view far ahead"),
            "leaving": Strategy("claims to wait for the NEW-VIEW of its view"),
            "suspects": Strategy("always suspects the primary"),
            "stranger": Strategy("names other cluster parameters"),
            "flood": Strategy("says it 'times' times"),
        }
    )
    options = MappingProxyType({"times": Option("how often it is said", (1, 5, 20), 1, 100)})
    says = frozenset({MessageType.STATUS})

    def lie(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Lie``."""
        status = opened.message
        if not isinstance(status, Status):
            return None
        self.said = f"{self.strategy} in a STATUS to {opened.packet.target}"
        return self._told(opened, status) * self._times()

    def _times(self) -> int:
        times = self.chosen["times"]
        assert isinstance(times, int)
        return max(times, 2) if self.strategy == "flood" else times

    def _told(self, opened: Opened, status: Status) -> tuple[Packet, ...]:
        active, executed, slots = status.active, status.executed, status.slots
        parameters, suspects = status.parameters, status.suspects
        held, view, stable, log_view = status.view_changes, status.view, status.stable, status.log_view
        match self.strategy:
            case "ahead":
                executed, stable = SeqNum(_FAR), SeqNum(_FAR)
            case "behind":
                executed, stable, slots = SeqNum(0), SeqNum(0), b""
            case "naked":
                slots = b""
            case "full":
                slots = b"\xff" * 64
            case "view":
                view = log_view = View(min(view + 1000, MAX_VIEW))
            case "leaving":
                active, suspects, held = False, False, tuple(ReplicaId(i) for i in range(self.scene.n))
            case "suspects":
                suspects = active
            case "stranger":
                parameters = bytes(len(parameters))
        body = encode_status(parameters, active, log_view, executed, held, slots, suspects)
        signer = self.signer(opened.replica)
        return resealed(opened, signer, view=view, seq=min(stable, MAX_SEQUENCE), body=body)
