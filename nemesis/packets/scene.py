"""What tamperers may know and use: the cluster, the compromised replicas' keys, how far the protocol is.

The keys of everybody else are not here: whoever made the scene handed over the compromised ones and nothing
more. ``Phase`` follows the headers that pass, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from nemesis.lies.client_signer import ClientSigner
from nemesis.lies.memory import Memory
from nemesis.lies.signer import Signer
from nemesis.packets.packet import Header
from pbft_node.core.cluster import Cluster
from pbft_node.core.frames import MessageType
from pbft_node.core.types import MAX_VIEW

_VIEW_CHANGE, _NEW_VIEW = int(MessageType.VIEW_CHANGE), int(MessageType.NEW_VIEW)
_PRE_PREPARE = int(MessageType.PRE_PREPARE)


class Order(NamedTuple):
    """Something a tamperer wants done to a process; whoever runs the engine has it done at once."""

    what: str
    """``kill``, ``restart``, ``pause`` or ``resume``."""
    replica: int
    owner: str
    """The fault."""


@dataclass(slots=True)
class Phase:
    """How far the cluster is, as far as headers tell. A liar's headers count, too: it is for counting
    what was tried when, and for aiming, not for judging."""

    asked: int = 0
    """The highest view anybody asked for."""
    settled: int = 0
    """The highest view somebody proposed or announced something in."""

    def saw(self, header: Header) -> None:
        """A packet passes. A view that no replica takes is none."""
        if header.view > MAX_VIEW:
            return
        if header.type == _VIEW_CHANGE:
            self.asked = max(self.asked, header.view)
        elif header.type in (_NEW_VIEW, _PRE_PREPARE):
            self.settled = max(self.settled, header.view)

    @property
    def name(self) -> str:
        """``normal`` or ``view-change``."""
        return "view-change" if self.asked > self.settled else "normal"


@dataclass(slots=True)
class Scene:
    """Of one run. Shared by all tamperers of it."""

    seed: int
    cluster: Cluster
    signers: Mapping[int, Signer] = field(default_factory=dict)
    """Replica -> what signs in its name, of the compromised ones only."""
    clients: ClientSigner | None = None
    """What signs in the names of clients that lie, if the plan has such."""
    client_rounds: int = 0
    """Of those clients' lies so far, whatever rule told them: their timestamps follow from it."""
    phase: Phase = field(default_factory=Phase)
    orders: list[Order] = field(default_factory=list)
    """Given, and not yet carried out."""
    told: Memory = field(default_factory=Memory)
    """What the liars told whom, by whatever rule."""

    @property
    def n(self) -> int:
        """Number of replicas."""
        return self.cluster.n

    def primary(self) -> int:
        """Of the view the cluster is in, as far as headers tell."""
        return self.phase.settled % self.n
