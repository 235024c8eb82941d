"""Lies in NEW-VIEWs (section 4.4), told coherently: who is told another O is then voted with on that O.

The liar must be the primary of the view that begins. What a receiver was told for (view, number) is
remembered; every liar of the rule votes with each receiver for what that one was told, and the honest
processes' own proposals and votes for these numbers are changed to match. ``two-valid``, ``withheld`` and
``to-few`` are valid NEW-VIEWs; all others must be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from nemesis.lies.forgery import Forger
from nemesis.lies.lie import Strategy
from nemesis.lies.memory import Told
from nemesis.lies.strategic import BODY, KnowingLie, Say, Says
from nemesis.lies.view_change_lie import nearly
from nemesis.packets.packet import Header, Packet, host, replica_of
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.digests import NULL_DIGEST, digest_of
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import NULL_BATCH, Message, NewView, ViewChange
from pbft_node.core.types import View

FILLED = ("two-valid",)
"""Where a true number is missing in the O of such a NEW-VIEW, a null request is proposed for it."""
MOST_HIDDEN = 8192
"""The oldest are forgotten."""
_VOTES = {int(kind): kind for kind in (MessageType.PRE_PREPARE, MessageType.PREPARE, MessageType.COMMIT)}
_DECIDED = int(MessageType.DECIDED)
_Order = list[tuple[int, bytes]]
_Strategy = Callable[["NewViewLie", NewView, Forger, int], Says]
_Early = Callable[["NewViewLie", ViewChange, Forger, int], Says]


class NewViewLie(KnowingLie):
    """See the module."""

    action = "lie-new-view"
    says: ClassVar[frozenset[MessageType]] = frozenset({MessageType.NEW_VIEW, MessageType.VIEW_CHANGE})
    learns: ClassVar[frozenset[MessageType]] = says
    strategies: ClassVar[Mapping[str, Strategy]]

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._hidden: dict[tuple[str, int, int], None] = {}
        """(receiver, view, number) of which it was told that nothing is proposed."""
        self._lied_about: dict[tuple[str, int], bytes] = {}
        """(receiver, number) -> the digest it was told last, or b"" for none."""

    def wants(self, source: str, target: str, type_: int) -> bool:
        """See ``Tamperer``."""
        return super().wants(source, target, type_) or (
            source in self.liars and (type_ in _VOTES or type_ == _DECIDED)
        )

    def handle(self, packet: Packet, header: Header, now_ns: int) -> Sequence[Packet] | None:
        """See ``Tamperer``."""
        if packet.source in self.liars and packet.target not in self.liars:
            if header.type in _VOTES:
                matching = self._matching(packet, header)
                if matching is not None:
                    return matching
            elif header.type == _DECIDED and self._contradicts(packet, header):
                return ()
        return super().handle(packet, header, now_ns)

    def answer(self, message: Message, forger: Forger, target: int) -> Says:
        """See ``KnowingLie``."""
        if isinstance(message, ViewChange):
            early = _BEFORE.get(self.strategy)
            return None if early is None else early(self, message, forger, target)
        strategy = _STRATEGIES.get(self.strategy)
        if not isinstance(message, NewView) or strategy is None:
            return None
        return strategy(self, message, forger, target)

    def tell(self, told: NewView, true: NewView, forger: Forger, target: int) -> Says:
        """Say this one, remember it, and vote for it; not when it is the true one."""
        if told.raw == true.raw:
            return None
        order = {int(one.seq): one for one in told.pre_prepares}
        says = [Say(told.raw)]
        for seq in sorted({*order, *(int(one.seq) for one in true.pre_prepares)}):
            proposal = order.get(seq)
            filled = NULL_DIGEST if self.strategy in FILLED else b""
            self._lie_about(host(target), seq, filled if proposal is None else proposal.digest)
            if proposal is None and self.strategy in FILLED:
                says.append(Say(forger.null_proposal(told.view, seq)))
                self.memory.tell(told.view, seq, host(target), Told(NULL_DIGEST, NULL_BATCH))
                says += self._votes(forger, target, told.view, seq, NULL_DIGEST)
            elif proposal is None:
                self._hide(host(target), told.view, seq)
            else:
                self.memory.tell(told.view, seq, host(target), Told(proposal.digest, None, proposal.raw))
                says += self._votes(forger, target, told.view, seq, proposal.digest)
        return says

    def other_quorum(self, true: NewView, forger: Forger) -> list[ViewChange] | None:
        """Another V for the same view: the liars', in which nothing is prepared (also of those who did not
        ask for the view), then of the others those that are not in the true one, then those that prepared
        least."""
        held = dict(self.knowledge.view_changes.get(true.view, {}))
        in_true = {int(one.replica): one for one in true.view_changes}
        held |= in_true
        own = held[forger.me.principal] if forger.me.principal in held else true.view_changes[0]
        chosen = {
            liar: forger.view_change(true.view, own.stable, own.checkpoint_proof, (), liar)
            for liar in self.replicas
        }
        rest = sorted(
            (replica for replica in held if replica not in chosen),
            key=lambda replica: (replica in in_true, len(held[replica].prepared), replica),
        )
        for replica in rest:
            if len(chosen) < self.cluster.quorum:
                chosen[replica] = held[replica]
        others = [chosen[replica] for replica in sorted(chosen)][: self.cluster.quorum]
        same = [one.raw for one in others] == [one.raw for one in true.view_changes]
        return None if same or len(others) < self.cluster.quorum else others

    def _votes(self, forger: Forger, target: int, view: int, seq: int, digest: bytes) -> list[Say]:
        """Of every liar, to one receiver; the primary's proposal is its PREPARE."""
        says = []
        for liar in self.replicas:
            seal = self.signer(liar).seal
            if liar != forger.me.principal:
                prepare = seal.for_peer(target, MessageType.PREPARE, view, seq, digest)
                says.append(Say(prepare, speaker=liar))
            says.append(Say(seal.for_peer(target, MessageType.COMMIT, view, seq, digest), speaker=liar))
        return says

    def _lie_about(self, target: str, seq: int, digest: bytes) -> None:
        if len(self._lied_about) >= MOST_HIDDEN:
            del self._lied_about[next(iter(self._lied_about))]
        self._lied_about[target, seq] = digest

    def _contradicts(self, packet: Packet, header: Header) -> bool:
        """A DECIDED that says otherwise than its receiver was told."""
        told = self._lied_about.get((packet.target, header.seq))
        if told is None or told == packet.data[BODY]:
            return False
        self.lies += 1
        self.said = f"{self.strategy}: what {packet.target} was not told was not decided"
        return True

    def _hide(self, target: str, view: int, seq: int) -> None:
        if len(self._hidden) >= MOST_HIDDEN:
            del self._hidden[next(iter(self._hidden))]
        self._hidden[target, view, seq] = None

    def _matching(self, packet: Packet, header: Header) -> Sequence[Packet] | None:
        """What an honest process says of a number, made to match what the receiver was told."""
        source, target = replica_of(packet.source), replica_of(packet.target)
        if source is None or target is None or header.sender != source:
            return None
        hidden = (packet.target, header.view, header.seq) in self._hidden
        told = self.memory.told(header.view, header.seq, packet.target)
        if not hidden and (told is None or told.digest == packet.data[BODY]):
            return None
        self.lies += 1
        self.said = f"{self.strategy}: {header.name} {header.view}/{header.seq} as {packet.target} was told"
        if hidden or told is None:
            return ()
        seal = self.signer(source).seal
        data = seal.for_peer(target, _VOTES[header.type], header.view, header.seq, told.digest)
        return (packet._replace(data=data),)


# ---------------------------------------------------------------- V is wrong


def _too_few(lie: NewViewLie, true: NewView, forger: Forger, target: int) -> Says:
    """One VIEW-CHANGE less than a quorum; O follows from those."""
    kept = list(true.view_changes)
    kept.remove(next((one for one in kept if one.replica not in lie.replicas), kept[-1]))
    return lie.tell(forger.new_view(true.view, kept), true, forger, target)


def _duplicated(lie: NewViewLie, true: NewView, forger: Forger, target: int) -> Says:
    """A quorum in number, but one VIEW-CHANGE stands there twice."""
    kept = list(true.view_changes)
    kept[-1] = kept[-2]
    return lie.tell(forger.new_view(true.view, kept), true, forger, target)


def _other_view(lie: NewViewLie, true: NewView, forger: Forger, target: int) -> Says:
    """Its own VIEW-CHANGE in V is one for the view before."""
    kept = [
        forger.view_change(true.view - 1, one.stable, one.checkpoint_proof, ())
        if one.replica == forger.me.principal
        else one
        for one in true.view_changes
    ]
    return lie.tell(forger.new_view(true.view, kept), true, forger, target)


# ---------------------------------------------------------------- O is wrong


def _order_of(true: NewView) -> _Order:
    return [(int(one.seq), bytes(one.digest)) for one in true.pre_prepares]


def _ordered(lie: NewViewLie, true: NewView, forger: Forger, target: int, order: _Order) -> Says:
    """V as it is, and this for O."""
    return lie.tell(forger.new_view(true.view, true.view_changes, order), true, forger, target)


def _dropped(lie: NewViewLie, true: NewView, forger: Forger, target: int) -> Says:
    """O ends one number early: the last that was prepared is lost."""
    order = _order_of(true)
    return _ordered(lie, true, forger, target, order[:-1]) if order else None


def _replaced(lie: NewViewLie, true: NewView, forger: Forger, target: int) -> Says:
    """The last number prepared gets the batch of another number, or one that nobody knows."""
    for place, (seq, digest) in reversed(list(enumerate(_order_of(true)))):
        if digest != NULL_DIGEST:
            order = _order_of(true)
            order[place] = seq, lie.knowledge.other_digest(digest) or digest_of(b"unknown", digest)
            return _ordered(lie, true, forger, target, order)
    return None


def _nulled(lie: NewViewLie, true: NewView, forger: Forger, target: int) -> Says:
    """Every number that was prepared becomes a null request."""
    order = _order_of(true)
    nulls: _Order = [(seq, NULL_DIGEST) for seq, _ in order]
    return _ordered(lie, true, forger, target, nulls) if nulls != order else None


def _missing(lie: NewViewLie, true: NewView, forger: Forger, target: int) -> Says:
    """A number inside O is left out; a null request, if there is one."""
    order = _order_of(true)
    if len(order) < 2:
        return None
    inside = range(len(order) - 1)
    place = next((place for place in inside if order[place][1] == NULL_DIGEST), 0)
    return _ordered(lie, true, forger, target, order[:place] + order[place + 1 :])


def _extra(lie: NewViewLie, true: NewView, forger: Forger, target: int) -> Says:
    """O has one number more than was prepared, with a batch that was ordered before."""
    order = _order_of(true)
    last = order[-1][0] if order else max(int(one.stable) for one in true.view_changes)
    digest = lie.knowledge.other_digest() or NULL_DIGEST
    return _ordered(lie, true, forger, target, [*order, (last + 1, digest)])


def _permuted(lie: NewViewLie, true: NewView, forger: Forger, target: int) -> Says:
    """O has the right numbers with each other's batches."""
    order = _order_of(true)
    turned = [digest for _, digest in reversed(order)]
    permuted = [(seq, digest) for (seq, _), digest in zip(order, turned, strict=True)]
    return _ordered(lie, true, forger, target, permuted) if permuted != order else None


# ---------------------------------------------------------------- valid, and yet


def _two_valid(lie: NewViewLie, true: NewView, forger: Forger, target: int) -> Says:
    """To the second half another NEW-VIEW, as valid as the first, from VIEW-CHANGEs in which the liars have
    prepared nothing; and null requests for the numbers that are missing in it."""
    if not lie.other_half(target):
        return None
    other = lie.other_quorum(true, forger)
    return None if other is None else lie.tell(forger.new_view(true.view, other), true, forger, target)


def _withheld(lie: NewViewLie, true: NewView, forger: Forger, target: int) -> Says:
    """The truth, just before the others' timers for it fire."""
    return [Say(true.raw, delay_ns=nearly(forger.me.cluster.view_change_timeout_ns))]


def _to_few(lie: NewViewLie, true: NewView, forger: Forger, target: int) -> Says:
    """The truth, to f+1 of the others only."""
    told = lie.names(*lie.replicas)[: forger.me.cluster.weak]
    return None if target in told else []


# ---------------------------------------------------------------- with a VIEW-CHANGE


def _not_owned(lie: NewViewLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """With its VIEW-CHANGE, a NEW-VIEW for the same view, of which another is the primary."""
    cluster, me = forger.me.cluster, forger.me.principal
    if cluster.primary(View(change.view)) == me:
        return None
    known = dict(lie.knowledge.view_changes.get(change.view, {}))
    for replica in lie.names(*known):
        if len(known) < cluster.quorum:
            known[replica] = forger.view_change(
                change.view, change.stable, change.checkpoint_proof, (), replica
            )
    known[me] = change
    others = [known[replica] for replica in sorted(known) if replica != me]
    chosen = sorted([change, *others[: cluster.quorum - 1]], key=lambda one: one.replica)
    return [Say(change.raw), Say(forger.new_view(change.view, chosen).raw)]


def _replayed(lie: NewViewLie, change: ViewChange, forger: Forger, target: int) -> Says:
    """With its VIEW-CHANGE, the NEW-VIEWs of earlier views, whoever made them."""
    old = [one.raw for view, one in sorted(lie.knowledge.new_views.items()) if view < change.view]
    return [Say(raw) for raw in [change.raw, *old]] if old else None


_STRATEGIES: Mapping[str, _Strategy] = MappingProxyType(
    {
        "too-few": _too_few,
        "duplicated": _duplicated,
        "other-view": _other_view,
        "dropped": _dropped,
        "replaced": _replaced,
        "nulled": _nulled,
        "missing": _missing,
        "extra": _extra,
        "permuted": _permuted,
        "two-valid": _two_valid,
        "withheld": _withheld,
        "to-few": _to_few,
    }
)
_BEFORE: Mapping[str, _Early] = MappingProxyType({"not-owned": _not_owned, "replayed": _replayed})
NewViewLie.strategies = MappingProxyType(
    {
        name: Strategy(" ".join((one.__doc__ or "").split()))
        for name, one in [*_STRATEGIES.items(), *_BEFORE.items()]
    }
)
