"""Signs requests in the names of a block of clients that lie, and holds no key but that block's.

The honest clients of a run are another block, with a key of their own: a liar cannot ask for anything in
their names because it has nothing to do it with.
"""

from __future__ import annotations

from dataclasses import dataclass

from pbft_node.core.authentication import Keyring
from pbft_node.core.cluster import Cluster
from pbft_node.core.seal import Seal
from pbft_node.core.types import ClientId


@dataclass(frozen=True, slots=True)
class ClientSigner:
    """Of clients ``first`` … ``last``."""

    cluster: Cluster
    first: int
    last: int
    keys: Keyring

    def seal(self, number: int) -> Seal:
        """Of the manieth of them, over again when they are used up."""
        return Seal(self.cluster, self.client(number), self.keys)

    def client(self, number: int) -> ClientId:
        """Its id."""
        return ClientId(self.first + number % (self.last - self.first + 1))
