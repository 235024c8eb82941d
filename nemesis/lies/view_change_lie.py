"""Lies in VIEW-CHANGEs (section 4.4): about what was prepared, what is stable, and when it is said.

Each strategy takes the VIEW-CHANGE that the liar's process sends and says another in its place, with the
liar's own signature around it. All but ``stripped``, ``older-certificate``, ``deflated-stable``,
``two-faced``, ``withheld`` and ``replayed`` are invalid, and a correct replica must refuse the whole message,
but neither the others' nor the view change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

from nemesis.lies.forgery import GARBAGE, OWN, Forger
from nemesis.lies.lie import Strategy
from nemesis.lies.strategic import KnowingLie, Say, Says
from pbft_node.core.codec import MAX_REPLICAS
from pbft_node.core.digests import NULL_DIGEST, digest_of
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import Message, PreparedCertificate, ViewChange

HUGE_BYTES = 1 << 20
"""Of a ``huge`` VIEW-CHANGE, about."""
_VOTE_BYTES = 128
DRIP_NS = 100_000
NEARLY = (9, 10)
"""Of a timer: what is withheld comes just before it fires."""
_Strategy = Callable[["ViewChangeLie", ViewChange, Forger, int], Says]


class ViewChangeLie(KnowingLie):
    """See the module."""

    action = "lie-view-change"
    says: ClassVar[frozenset[MessageType]] = frozenset({MessageType.VIEW_CHANGE})
    learns: ClassVar[frozenset[MessageType]] = frozenset({MessageType.VIEW_CHANGE, MessageType.NEW_VIEW})
    strategies: ClassVar[Mapping[str, Strategy]]

    def answer(self, message: Message, forger: Forger, target: int) -> Says:
        """See ``KnowingLie``."""
        if not isinstance(message, ViewChange):
            return None
        return _STRATEGIES[self.strategy](self, message, forger, target)


def nearly(timeout_ns: int) -> int:
    """Just before it is over."""
    return timeout_ns * NEARLY[0] // NEARLY[1]


def _with(forger: Forger, change: ViewChange, forged: PreparedCertificate) -> Says:
    """The same VIEW-CHANGE with that certificate, where its number belongs."""
    number = forged.pre_prepare.seq
    rest = [one for one in change.prepared if one.pre_prepare.seq != number]
    prepared = sorted([*rest, forged], key=lambda one: one.pre_prepare.seq)
    return [Say(forger.altered(change, prepared).raw)]


def _last_number(change: ViewChange) -> int:
    """The highest prepared, or else the first that could be."""
    return max((int(one.pre_prepare.seq) for one in change.prepared), default=change.stable + 1)


def _stripped(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """Says that nothing was prepared: P is empty."""
    return [Say(forger.altered(change, ()).raw)] if change.prepared else None


def _forged(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """A null request prepared in the last view, in the names of others over its own signatures."""
    forged = forger.certificate(change.view - 1, _last_number(change), NULL_DIGEST, OWN)
    return _with(forger, change, forged)


def _garbage(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """The same certificate with garbage for the others' signatures."""
    forged = forger.certificate(change.view - 1, _last_number(change), NULL_DIGEST, GARBAGE)
    return _with(forger, change, forged)


def _own_only(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """A certificate of which every part is in its own name, and genuine."""
    me = forger.me.principal
    voters = [me] * (forger.me.cluster.quorum - 1)
    number = _last_number(change)
    forged = forger.certificate(change.view - 1, number, NULL_DIGEST, proposer=me, voters=voters)
    return _with(forger, change, forged)


def _duplicate_voter(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """A genuine certificate in which one PREPARE stands twice and another is missing."""
    if not change.prepared:
        return None
    last = change.prepared[-1]
    votes = (last.prepares[0], *last.prepares[:-1])
    return _with(forger, change, PreparedCertificate(last.pre_prepare, votes))


def _wrong_proposer(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """A genuine certificate with a proposal by itself, where it was not the primary."""
    me = forger.me.principal
    for one in reversed(change.prepared):
        view, seq, digest, proposer = (
            one.pre_prepare.view,
            one.pre_prepare.seq,
            one.pre_prepare.digest,
            one.pre_prepare.primary,
        )
        if proposer != me:
            proposal = forger.proposal(me, view, seq, digest)
            return _with(forger, change, PreparedCertificate(proposal, one.prepares))
    return None


def _primary_vote(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """A genuine certificate in which a PREPARE of the primary stands in for a backup's."""
    if not change.prepared:
        return None
    last = change.prepared[-1]
    proposal = last.pre_prepare
    vote = forger.prepare(int(proposal.primary), proposal.view, proposal.seq, proposal.digest)
    votes = tuple(sorted((vote, *last.prepares[1:]), key=lambda one: one.replica))
    return _with(forger, change, PreparedCertificate(proposal, votes))


def _older(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """A genuine certificate of an earlier view, while it has one of a later view for that number."""
    for one in reversed(change.prepared):
        older = lie.knowledge.older_certificate(int(one.pre_prepare.seq), int(one.pre_prepare.view))
        if older is not None:
            return _with(forger, change, older)
    return None


def _later_view(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """A certificate of the view that is asked for, or of the first after it in which it is the primary."""
    n, me = forger.me.cluster.n, forger.me.principal
    view = change.view + (me - change.view) % n
    return _with(forger, change, forger.certificate(view, _last_number(change), NULL_DIGEST))


def _beyond_window(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """Certificates for the first number above the window, or (to every other) for the stable one itself."""
    number = change.stable if target % 2 and change.stable else change.stable + forger.me.cluster.window + 1
    return _with(forger, change, forger.certificate(change.view - 1, number, NULL_DIGEST))


def _inflated(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """A stable checkpoint one interval on, whose proof it made up."""
    cluster = forger.me.cluster
    stable = change.stable + cluster.checkpoint_interval
    digest = digest_of(b"made up", stable.to_bytes(8, "big"))
    voters = sorted(lie.names(), key=lambda replica: (replica not in lie.replicas, replica))[: cluster.quorum]
    proof = [forger.checkpoint(voter, stable, digest) for voter in sorted(voters)]
    prepared = [one for one in change.prepared if one.pre_prepare.seq > stable]
    return [Say(forger.view_change(change.view, stable, proof, prepared).raw)]


def _deflated(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """As if nothing were stable yet, with what it can show above that; valid."""
    if not change.stable:
        return None
    window = forger.me.cluster.window
    prepared = [one for one in change.prepared if one.pre_prepare.seq <= window]
    return [Say(forger.view_change(change.view, 0, (), prepared).raw)]


def _two_faced(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """The truth to one half, an empty P to the other; both are valid."""
    return _stripped(lie, change, forger, target) if lie.other_half(target) else None


def _one_invalid(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """One bit of one signature in its last certificate is wrong, everything else is true."""
    if not change.prepared:
        return None
    last = change.prepared[-1]
    proposal, flipped = last.pre_prepare, last.prepares[-1]
    raw = flipped.raw[:-1] + bytes([flipped.raw[-1] ^ 1])
    vote = type(flipped)(flipped.view, flipped.seq, flipped.digest, flipped.replica, raw)
    return _with(forger, change, PreparedCertificate(proposal, (*last.prepares[:-1], vote)))


def _huge(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """A certificate for every number of the window with far more votes than there are replicas, dripping."""
    cluster, me = forger.me.cluster, forger.me.principal
    numbers = range(change.stable + 1, change.stable + cluster.window + 1)
    voters = [me] * max(1, min(MAX_REPLICAS - 1, HUGE_BYTES // (_VOTE_BYTES * len(numbers))))
    prepared = [
        forger.certificate(change.view - 1, number, NULL_DIGEST, proposer=me, voters=voters)
        for number in numbers
    ]
    return [Say(forger.altered(change, prepared).raw, drip_ns=DRIP_NS)]


def _withheld(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """The truth, just before the others' timers for the NEW-VIEW fire."""
    return [Say(change.raw, delay_ns=nearly(forger.me.cluster.view_change_timeout_ns))]


def _replayed(lie: ViewChangeLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """Beside the truth, what others said in earlier view changes."""
    old = [
        kept.raw
        for view in sorted(lie.knowledge.view_changes)
        for replica, kept in sorted(lie.knowledge.view_changes[view].items())
        if view < change.view and replica not in lie.replicas and replica != target
    ]
    return [Say(raw) for raw in [*old, change.raw]] if old else None


_STRATEGIES: Mapping[str, _Strategy] = MappingProxyType(
    {
        "stripped": _stripped,
        "forged-certificate": _forged,
        "garbage-certificate": _garbage,
        "own-certificate": _own_only,
        "duplicate-voter": _duplicate_voter,
        "wrong-proposer": _wrong_proposer,
        "primary-vote": _primary_vote,
        "older-certificate": _older,
        "later-view": _later_view,
        "beyond-window": _beyond_window,
        "inflated-stable": _inflated,
        "deflated-stable": _deflated,
        "two-faced": _two_faced,
        "one-invalid": _one_invalid,
        "huge": _huge,
        "withheld": _withheld,
        "replayed": _replayed,
    }
)
ViewChangeLie.strategies = MappingProxyType(
    {name: Strategy(" ".join((one.__doc__ or "").split())) for name, one in _STRATEGIES.items()}
)
