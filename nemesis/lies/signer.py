"""Signs in the name of one compromised replica, and holds no key but that replica's.

``Seal`` is the replica's own: the same bytes, the same kinds of authentication. A signer for replica 2 cannot
sign for replica 1 because it has nothing to do it with.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pbft_node.core.authentication import Keyring
from pbft_node.core.cluster import Cluster
from pbft_node.core.frames import Frame
from pbft_node.core.seal import Seal


@dataclass(frozen=True, slots=True)
class Signer:
    """Of one principal."""

    principal: int
    seal: Seal
    cluster: Cluster
    keys: Keyring = field(repr=False)

    @classmethod
    def of(cls, cluster: Cluster, principal: int, keys: Keyring) -> Signer:
        """With the keys of that principal."""
        return cls(principal, Seal(cluster, principal, keys), cluster, keys)

    def posing_as(self, other: int) -> Signer:
        """Writes another's name into the header, and has no better key for it than its own."""
        return Signer.of(self.cluster, other, self.keys)

    def again(self, target: int, altered: Frame) -> bytes:
        """A frame with another body or other header fields (``frame._replace(view=…)``), sealed for that
        target as its type demands. The sender is this principal, whatever the frame says."""
        return self.seal.for_peer(
            target, altered.type, altered.view, altered.seq, altered.body, altered.flags
        )
