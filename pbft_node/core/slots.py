"""The message log of one view: what was pre-prepared, who prepared, who committed, per sequence number.

The predicates of section 4.2 live here, so that every phase means the same by "prepared" and "committed". A
slot keeps the first vote of each sender only: a second, different one is a liar's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .cluster import Cluster
from .messages import Prepare, PreparedCertificate, PrePrepare
from .types import Digest, ReplicaId, SeqNum, View


@dataclass(slots=True)
class Slot:
    """One sequence number in one view."""

    view: View
    seq: SeqNum
    pre_prepare: PrePrepare | None = None
    prepares: dict[ReplicaId, Prepare] = field(default_factory=dict)
    commits: dict[ReplicaId, Digest] = field(default_factory=dict)
    prepared: bool = False
    """Reached, its certificate kept and durable, COMMIT sent."""
    committed: bool = False
    accepted_ns: int | None = None
    """When this backup accepted the proposal, outside a NEW-VIEW."""

    def matching_prepares(self, primary: ReplicaId) -> list[Prepare]:
        """PREPAREs of distinct backups for the digest of the PRE-PREPARE, by replica."""
        if self.pre_prepare is None:
            return []
        digest = self.pre_prepare.digest
        return [
            self.prepares[replica]
            for replica in sorted(self.prepares)
            if replica != primary and self.prepares[replica].digest == digest
        ]

    def committed_digest(self, quorum: int) -> Digest | None:
        """The digest a quorum committed in this view, known to this replica or not."""
        if len(self.commits) < quorum:
            return None
        tally: dict[Digest, int] = {}
        for replica in sorted(self.commits):
            digest = self.commits[replica]
            tally[digest] = tally.get(digest, 0) + 1
            if tally[digest] >= quorum:
                return digest
        return None


def prepared_certificate(slot: Slot, cluster: Cluster) -> PreparedCertificate | None:
    """prepared(m, v, n, i): the PRE-PREPARE and quorum - 1 (2f) matching PREPAREs from distinct backups."""
    needed = cluster.quorum - 1
    if slot.pre_prepare is None or len(slot.prepares) < needed:
        return None
    prepares = slot.matching_prepares(cluster.primary(slot.view))
    if len(prepares) < needed:
        return None
    return PreparedCertificate(slot.pre_prepare, tuple(prepares[:needed]))
