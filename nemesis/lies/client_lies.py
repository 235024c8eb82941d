"""Clients that lie: requests nobody honest asked for, round after round, from the clients' host.

They use the keys of a block of their own (``client_signer``); where the run has no such block the rule does
nothing. Bounded: so many ids, so much in a round, a round each ``every_ns``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nemesis.lies.client_requests import HOW, Round
from nemesis.packets.numbers import choice_problem, whole, whole_problem
from nemesis.packets.packet import CLIENTS, Packet, host
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import LIES, RuleData, Tampering

MOST_CLIENTS = 64
LEAST_EVERY_NS, MOST_EVERY_NS = 1_000_000, 1_000_000_000


class ClientLies(Tampering):
    """``how``: one of ``HOW``; ``clients``: how many ids; ``every_ns``: from round to round."""

    action = "client"
    stage = LIES
    keys = ("how", "clients", "every_ns")

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._how, self._clients = str(data["how"]), whole(data, "clients")
        self._every_ns = whole(data, "every_ns")
        self._next_ns: int | None = None
        self._sent = self._bytes = 0

    @classmethod
    def problem(cls, data: RuleData, n: int) -> str | None:
        """See ``Tampering``."""
        if "match" in data:
            return f"{cls.action}: there is nothing to match: it makes packets up"
        return (
            super().problem(data, n)
            or choice_problem(data, "how", tuple(HOW))
            or whole_problem(data, "clients", 1, MOST_CLIENTS)
            or whole_problem(data, "every_ns", LEAST_EVERY_NS, MOST_EVERY_NS)
        )

    def wants(self, source: str, target: str, type_: int) -> bool:
        """See ``Tamperer``."""
        return False

    def due_ns(self) -> int | None:
        """See ``Tamperer``."""
        if self.scene.clients is None:
            return None
        return 0 if self._next_ns is None else self._next_ns

    def tick(self, now_ns: int) -> Sequence[Packet]:
        """See ``Tamperer``. A round; those that were missed are not made up for."""
        signer = self.scene.clients
        if signer is None:
            return ()
        self._next_ns = now_ns + self._every_ns
        number = self.scene.client_rounds
        self.scene.client_rounds += 1
        now = Round(number, self._clients, self.scene.primary(), signer, self.chance)
        packets = [Packet(CLIENTS, host(replica), data) for replica, data in HOW[self._how](now)]
        self._sent += len(packets)
        self._bytes += sum(len(packet.data) for packet in packets)
        self.said = f"clients that lie, {self._how}, round {number}"
        return packets

    def report(self) -> Mapping[str, object]:
        """See ``Tamperer``."""
        return {"how": self._how, "requests": self._sent, "bytes": self._bytes}
