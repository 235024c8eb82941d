"""Who talks with the twin of a replica, and not with the replica itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pbft_node.core.client_codec import reply_client
from pbft_node.core.frames import peek
from pbft_node.core.types import is_client


@dataclass(frozen=True, slots=True)
class Side:
    """Of one twin. Replicas with a twin of their own meet first ones as first ones, and twins as twins."""

    peers: frozenset[int]
    odd: bool
    """Clients with an odd identity, or those with an even one."""

    @classmethod
    def of(cls, peers: frozenset[int], clients: str) -> Self:
        """As a fault names them: ``clients`` is ``odd`` or ``even``."""
        return cls(peers, clients == "odd")

    def meets(self, principal: int) -> bool:
        """Does that replica or client talk with the twin?"""
        return principal % 2 == self.odd if is_client(principal) else principal in self.peers

    @classmethod
    def read(cls, data: Mapping[str, object]) -> Self:
        """From ``data()``. KeyError and TypeError show a bug."""
        peers = data["peers"]
        if not isinstance(peers, list):
            raise TypeError(f"peers = {peers!r:.80} is no list")
        return cls(frozenset(map(int, peers)), bool(data["odd"]))

    def data(self) -> dict[str, object]:
        """As JSON."""
        return {"peers": sorted(self.peers), "odd": self.odd}

    def asked_by(self, datagram: bytes) -> bool:
        """Is this, which came from the clients' host, for the twin? What names no client is not."""
        header = peek(datagram)
        return header is not None and is_client(header[1]) and self.meets(header[1])

    def answers(self, datagram: bytes) -> bool | None:
        """Is the client that this is for one that talks with the twin? None: it names none."""
        client = reply_client(datagram)
        return None if client is None else self.meets(client)


def for_twin(sides: Mapping[int, Side], source: int | None, target: int | None, datagram: bytes) -> bool:
    """Whether what was sent on in the name of ``source`` belongs to a twin's half of the network, by who
    receives it or asks; None is the clients' host. Between two identities with twins: no."""
    if target is not None and target in sides:
        if source is None:
            return sides[target].asked_by(datagram)
        return source not in sides and sides[target].meets(source)
    if target is None and source is not None and source in sides:
        return bool(sides[source].answers(datagram))
    return False
