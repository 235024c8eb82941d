"""Section 4.4 read as a third party reads it: what is wrong with a VIEW-CHANGE or NEW-VIEW by itself.

Its signer vouches for all that is in it, and a correct replica has checked all of that. So the first thing
that is wrong convicts the signer, and nobody else: whose signature is missing inside, signed nothing.
Signatures are asked for last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from checker.forensics.messages import Certificate, NewView, ViewChange
from checker.public_keys import PublicKeys
from checker.wire import DIGEST_BYTES, Frame, digest_of

Good = Callable[[Frame], bool]
"""Its sender signed it."""
NULL_DIGEST = digest_of(b"batch", bytes(8))
"""Of the null request: a batch at time 0 without requests."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the rules need to know of one."""

    n: int
    checkpoint_interval: int | None
    """K; None, as L: it is not told, and what follows from it is not asked."""
    window: int | None

    @classmethod
    def of(cls, keys: PublicKeys) -> Cluster:
        """The one these keys are of."""
        return cls(len(keys.replicas), keys.checkpoint_interval, keys.window)

    @property
    def f(self) -> int:
        """Liars tolerated."""
        return (self.n - 1) // 3

    @property
    def quorum(self) -> int:
        """Any two share a correct replica."""
        return (self.n + self.f) // 2 + 1

    def primary(self, view: int) -> int:
        """p = v mod n."""
        return view % self.n


def is_digest(frame: Frame) -> bool:
    """Its body is a digest and it has no flags, as every vote."""
    return len(frame.body) == DIGEST_BYTES and not frame.flags


def wrong_view_change(change: ViewChange, cluster: Cluster, good: Good) -> str | None:
    """Why no correct replica signs it, or None."""
    frame = change.frame
    stable, interval = frame.seq, cluster.checkpoint_interval
    if frame.view < 1 or frame.flags:
        return f"it asks for view {frame.view}" if not frame.flags else f"it has flags {frame.flags}"
    if interval is not None and stable % interval:
        return f"its stable checkpoint is at {stable}, where none is taken (K = {interval})"
    problem = _wrong_proof(change, cluster)
    previous = stable
    for certificate in () if problem else change.prepared:
        number = certificate.proposal.seq
        beyond = cluster.window is not None and number > stable + cluster.window
        if number <= previous or beyond:
            return f"P has number {number} after {previous}, with its stable checkpoint at {stable}"
        previous = number
        problem = _wrong_certificate(certificate, frame.view, cluster)
        if problem is not None:
            break
    return problem or _not_signed(change, good)


def _wrong_proof(change: ViewChange, cluster: Cluster) -> str | None:
    stable, proof = change.frame.seq, change.proof
    if not stable:
        return "C proves the initial state" if proof else None
    if len(proof) != cluster.quorum or not _distinct(proof, cluster.n):
        return f"C has {len(proof)} CHECKPOINTs, not {cluster.quorum} of different replicas in order"
    for vote in proof:
        if vote.seq != stable or vote.view or vote.body != proof[0].body or not is_digest(vote):
            return (
                f"C has a CHECKPOINT of replica {vote.sender} for number {vote.seq} that is not like the rest"
            )
    return None


def _wrong_certificate(certificate: Certificate, asked: int, cluster: Cluster) -> str | None:
    proposal, prepares = certificate
    what = f"the certificate for number {proposal.seq} of view {proposal.view}"
    primary = cluster.primary(proposal.view)
    if proposal.view >= asked:
        return f"{what} is shown to get to view {asked}"
    if proposal.sender != primary:
        return f"{what} has a PRE-PREPARE of replica {proposal.sender}; the primary is replica {primary}"
    if len(prepares) != cluster.quorum - 1 or not _distinct(prepares, cluster.n):
        return f"{what} has {len(prepares)} PREPAREs, not {cluster.quorum - 1} of different backups in order"
    for vote in prepares:
        if vote.sender == primary:
            return f"{what} has a PREPARE of its primary"
        same = (vote.view, vote.seq, vote.body) == (proposal.view, proposal.seq, proposal.body)
        if not same or not is_digest(vote) or not is_digest(proposal):
            return f"{what} has a PREPARE of replica {vote.sender} for something else"
    return None


def _not_signed(change: ViewChange, good: Good) -> str | None:
    for vote in change.proof:
        if not good(vote):
            return f"C has a CHECKPOINT that replica {vote.sender} did not sign"
    for certificate in change.prepared:
        what = f"the certificate for number {certificate.proposal.seq} of view {certificate.proposal.view}"
        if not good(certificate.proposal):
            return f"{what} has a PRE-PREPARE that replica {certificate.proposal.sender} did not sign"
        for vote in certificate.prepares:
            if not good(vote):
                return f"{what} has a PREPARE that replica {vote.sender} did not sign"
    return None


def wrong_new_view(message: NewView, cluster: Cluster, good: Good) -> str | None:
    """Why no correct replica signs it, or None."""
    frame, changes = message.frame, message.changes
    if frame.flags or frame.seq:
        return f"it has flags {frame.flags} and number {frame.seq}"
    if len(changes) != cluster.quorum or not _distinct([change.frame for change in changes], cluster.n):
        return f"V has {len(changes)} VIEW-CHANGEs, not {cluster.quorum} of different replicas in order"
    for change in changes:
        if change.frame.view != frame.view:
            return f"V has a VIEW-CHANGE of replica {change.frame.sender} for view {change.frame.view}"
    order = new_order(changes, cluster)
    if order is not None and [(one.seq, one.body) for one in message.order] != order:
        return _differs(message.order, order)
    for one in message.order:
        if one.view != frame.view or one.sender != frame.sender or one.flags:
            return f"O has a PRE-PREPARE of replica {one.sender} for view {one.view}"
        if not good(one):
            return f"O has a PRE-PREPARE for number {one.seq} that replica {one.sender} did not sign"
    for change in changes:
        problem = wrong_view_change(change, cluster, good)
        if problem is not None:
            return f"V has a VIEW-CHANGE of replica {change.frame.sender} that is invalid: {problem}"
        if not good(change.frame):
            return f"V has a VIEW-CHANGE that replica {change.frame.sender} did not sign"
    return None


def new_order(changes: Sequence[ViewChange], cluster: Cluster) -> list[tuple[int, bytes]] | None:
    """What O must be: of each number in (min-s, max-s] the digest prepared in the highest view, or null.

    None where P goes beyond all bounds: then a VIEW-CHANGE is invalid, and that is said of it.
    """
    low = lowest(changes)
    high = highest(changes)
    if high - low > (cluster.window or 1 << 16):
        return None
    best: dict[int, Frame] = {}
    for change in changes:
        for certificate in change.prepared:
            known = best.get(certificate.proposal.seq)
            if known is None or certificate.proposal.view > known.view:
                best[certificate.proposal.seq] = certificate.proposal
    return [(n, best[n].body if n in best else NULL_DIGEST) for n in range(low + 1, high + 1)]


def lowest(changes: Sequence[ViewChange]) -> int:
    """min-s: the latest stable checkpoint in V."""
    return max((change.frame.seq for change in changes), default=0)


def highest(changes: Sequence[ViewChange]) -> int:
    """max-s: the highest number prepared in V, or min-s."""
    prepared = [one.proposal.seq for change in changes for one in change.prepared]
    return max([lowest(changes), *prepared])


def _differs(shown: Sequence[Frame], order: Sequence[tuple[int, bytes]]) -> str:
    """Where O first differs from what follows from V."""
    for one, (number, digest) in zip(shown, order, strict=False):
        if (one.seq, one.body) != (number, digest):
            followed = "the null request" if digest == NULL_DIGEST else digest.hex()[:16]
            return f"O has {one.body.hex()[:16]} for number {one.seq}; from V follows {followed} for {number}"
    return f"O has {len(shown)} PRE-PREPAREs; from V follow {len(order)}"


def _distinct(frames: Sequence[Frame], n: int) -> bool:
    """Of different replicas, ascending, the one order in which they are sent."""
    senders = [frame.sender for frame in frames]
    return all(sender < n for sender in senders) and all(a < b for a, b in pairwise(senders))
