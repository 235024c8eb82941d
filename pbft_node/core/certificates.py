"""Section 4.4, what a certificate must contain to be believed, and the order that follows from a set of them.

Pure functions. Whoever built the certificate may be a liar, so everything is checked from scratch:
signatures, quorum sizes, distinct senders, numbers and views. One canonical form each (ascending, no spare
elements) leaves a liar no room. The same predicates are asserted where certificates are built.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .cluster import Cluster
from .digests import NULL_DIGEST
from .messages import Checkpoint, NewView, PreparedCertificate, ViewChange
from .seal import Seal
from .types import Digest, SeqNum, View


def checkpoint_proof_problem(
    cluster: Cluster, seal: Seal, seq: SeqNum, proof: Sequence[Checkpoint]
) -> str | None:
    """C must be a quorum of signed CHECKPOINTs for ``seq`` with one digest (nothing for the initial
    state)."""
    if seq == 0:
        return "a proof for the initial state" if proof else None
    if len(proof) != cluster.quorum:
        return f"{len(proof)} CHECKPOINTs where {cluster.quorum} prove"
    if not ascending([vote.replica for vote in proof], cluster.n):
        return "CHECKPOINTs that are not of distinct replicas in order"
    for vote in proof:
        if vote.seq != seq or vote.digest != proof[0].digest:
            return f"a CHECKPOINT for ({vote.seq}, {vote.digest.hex()[:8]}) among those for {seq}"
        if not seal.verify_raw(vote.replica, vote.raw):
            return f"a CHECKPOINT that replica {vote.replica} did not sign"
    return None


def prepared_problem(
    cluster: Cluster, seal: Seal, certificate: PreparedCertificate, before: View
) -> str | None:
    """An element of P: a PRE-PREPARE of an earlier view's primary and quorum - 1 matching PREPAREs of its
    backups."""
    proposal = certificate.pre_prepare
    primary = cluster.primary(proposal.view)
    if proposal.view >= before:
        return f"a certificate of view {proposal.view} in a VIEW-CHANGE to {before}"
    if proposal.primary != primary:
        return f"a PRE-PREPARE by replica {proposal.primary}, not the primary of view {proposal.view}"
    if len(certificate.prepares) != cluster.quorum - 1:
        return f"{len(certificate.prepares)} PREPAREs where {cluster.quorum - 1} prove"
    if not ascending([vote.replica for vote in certificate.prepares], cluster.n):
        return "PREPAREs that are not of distinct replicas in order"
    for vote in certificate.prepares:
        if vote.replica == primary:
            return "a PREPARE of the primary"
        if (vote.view, vote.seq, vote.digest) != (proposal.view, proposal.seq, proposal.digest):
            return f"a PREPARE for another proposal than ({proposal.view}, {proposal.seq})"
    if not seal.verify_raw(primary, proposal.raw):
        return f"a PRE-PREPARE that replica {primary} did not sign"
    for vote in certificate.prepares:
        if not seal.verify_raw(vote.replica, vote.raw):
            return f"a PREPARE that replica {vote.replica} did not sign"
    return None


def view_change_problem(cluster: Cluster, seal: Seal, message: ViewChange) -> str | None:
    """Everything about a VIEW-CHANGE but its own signature."""
    if message.view < 1:
        return "a VIEW-CHANGE to view 0"
    if message.stable % cluster.checkpoint_interval:
        return f"a stable checkpoint at {message.stable}, where none is taken"
    problem = checkpoint_proof_problem(cluster, seal, message.stable, message.checkpoint_proof)
    if problem is not None:
        return problem
    previous = message.stable
    for certificate in message.prepared:
        seq = certificate.pre_prepare.seq
        if not previous < seq <= message.stable + cluster.window:
            return f"a certificate for number {seq} after {previous}, with stable checkpoint {message.stable}"
        previous = seq
        problem = prepared_problem(cluster, seal, certificate, message.view)
        if problem is not None:
            return problem
    return None


def new_view_problem(cluster: Cluster, seal: Seal, message: NewView) -> str | None:
    """V must be a quorum of valid VIEW-CHANGEs for this view, and O exactly what follows from V."""
    if message.primary != cluster.primary(message.view):
        return f"by replica {message.primary}, not the primary of view {message.view}"
    if len(message.view_changes) != cluster.quorum:
        return f"{len(message.view_changes)} VIEW-CHANGEs where {cluster.quorum} prove"
    if not ascending([change.replica for change in message.view_changes], cluster.n):
        return "VIEW-CHANGEs that are not of distinct replicas in order"
    for change in message.view_changes:
        if change.view != message.view:
            return f"a VIEW-CHANGE to view {change.view}"
        if not seal.verify_raw(change.replica, change.raw):
            return f"a VIEW-CHANGE that replica {change.replica} did not sign"
        problem = view_change_problem(cluster, seal, change)
        if problem is not None:
            return f"the VIEW-CHANGE of replica {change.replica} has {problem}"
    expected = [(seq, digest) for seq, digest in new_order(message.view_changes)]
    if [(p.seq, p.digest) for p in message.pre_prepares] != expected:
        return "O is not what follows from V"
    for proposal in message.pre_prepares:
        if proposal.view != message.view or proposal.primary != message.primary:
            return f"a PRE-PREPARE of view {proposal.view} by replica {proposal.primary} in O"
        if not seal.verify_raw(message.primary, proposal.raw):
            return f"a PRE-PREPARE in O that replica {message.primary} did not sign"
    return None


def min_s(view_changes: Sequence[ViewChange]) -> SeqNum:
    """The latest stable checkpoint in V."""
    return max(change.stable for change in view_changes)


def max_s(view_changes: Sequence[ViewChange]) -> SeqNum:
    """The highest number prepared in V; min-s when nothing above it is."""
    prepared = [c.pre_prepare.seq for change in view_changes for c in change.prepared]
    return max([min_s(view_changes), *prepared])


def new_order(view_changes: Sequence[ViewChange]) -> list[tuple[SeqNum, Digest]]:
    """Of each number in (min-s, max-s] the digest of its certificate with the highest view, else the null
    request."""
    best: dict[SeqNum, PreparedCertificate] = {}
    for change in view_changes:
        for certificate in change.prepared:
            known = best.get(certificate.pre_prepare.seq)
            if known is None or certificate.pre_prepare.view > known.pre_prepare.view:
                best[certificate.pre_prepare.seq] = certificate
    order: list[tuple[SeqNum, Digest]] = []
    for number in range(min_s(view_changes) + 1, max_s(view_changes) + 1):
        chosen = best.get(SeqNum(number))
        order.append((SeqNum(number), NULL_DIGEST if chosen is None else chosen.pre_prepare.digest))
    return order


def ascending(replicas: Sequence[int], n: int) -> bool:
    """Strictly ascending replica ids: distinct, and in the one canonical order."""
    return all(0 <= r < n for r in replicas) and all(a < b for a, b in pairwise(replicas))
