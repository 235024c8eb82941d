"""A primary that is as slow as it can be without being replaced by the request timer.

``delay`` keeps every proposal back for most of the request timeout; ``drip`` lets one proposal out in such a
time; ``just-in-time`` counts from when the oldest request of the batch was asked for, which is what the
timer of the backups does. Nothing it says is wrong, only late: what holds against it is watching its pace.
A liar that does not lead keeps its votes back as long.
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
from pbft_node.core.frames import Frame, MessageType
from pbft_node.core.messages import Message, PrePrepare, Request

MOST_REMEMBERED = 4096


class SlowPrimary(Lie):
    """See the module."""

    action = "slow-primary"
    strategies = MappingProxyType(
        {
            "delay": Strategy("keeps every proposal back", PRIMARY),
            "drip": Strategy("lets one proposal out at a time", PRIMARY),
            "just-in-time": Strategy("proposes a request just before its timer fires", PRIMARY),
        }
    )
    options = MappingProxyType({"percent": Option("of the request timeout", (80, 85, 90, 95, 50), 1, 200)})
    says = frozenset({MessageType.PRE_PREPARE, MessageType.PREPARE, MessageType.COMMIT})
    hears = frozenset({MessageType.REQUEST})

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        percent = self.chosen["percent"]
        assert isinstance(percent, int)
        self._pause_ns = scene.cluster.request_timeout_ns * percent // 100
        self._leaves_ns: dict[tuple[int, int], int] = {}
        """When a number is let out; for all receivers the same."""
        self._asked_ns: dict[tuple[int, int], int] = {}
        """When the client's request came."""

    def lie(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Lie``."""
        message = opened.message
        if opened.packet.target == CLIENTS:
            return None
        if not isinstance(message, PrePrepare):
            if host(opened.header.view % self.scene.n) in self.liars:
                return None
            self.said = f"a vote {self._pause_ns // 1_000_000} ms late"
            return tuple(packet._replace(delay_ns=self._pause_ns) for packet in opened.pieces)
        key = message.view, message.seq
        if key not in self._leaves_ns:
            if len(self._leaves_ns) >= MOST_REMEMBERED:
                del self._leaves_ns[next(iter(self._leaves_ns))]
            self._leaves_ns[key] = self._leaves(message, now_ns)
        delay_ns = self._leaves_ns[key] - now_ns
        if delay_ns <= 0:
            return None
        self.said = f"number {message.seq} {delay_ns // 1_000_000} ms late"
        return tuple(packet._replace(delay_ns=delay_ns) for packet in opened.pieces)

    def _leaves(self, message: PrePrepare, now_ns: int) -> int:
        match self.strategy:
            case "drip":
                return max([now_ns, *(leaves + self._pause_ns for leaves in self._last(message.view))])
            case "just-in-time" if message.batch is not None:
                asked = [
                    self._asked_ns.get((request.client, request.timestamp), now_ns)
                    for request in message.batch.requests
                ]
                return min(asked, default=now_ns) + self._pause_ns
        return now_ns + self._pause_ns

    def _last(self, view: int) -> Sequence[int]:
        """When the last number of the view left or leaves, if there is one."""
        last = next(reversed(self._leaves_ns), None)
        return () if last is None or last[0] != view else (self._leaves_ns[last],)

    def overheard(self, packet: Packet, message: Message, frame: Frame, now_ns: int) -> None:
        """When a request was asked for, first."""
        if isinstance(message, Request) and not message.read_only:
            key = message.client, message.timestamp
            if key not in self._asked_ns:
                if len(self._asked_ns) >= MOST_REMEMBERED:
                    del self._asked_ns[next(iter(self._asked_ns))]
                self._asked_ns[key] = now_ns
