"""The search for proofs in a run folder: two passes, and signatures verified where something is at odds.

The first pass takes every signed message of a replica apart and notes suspect places (`slots`) and all
VIEW-CHANGEs and NEW-VIEWs (`kept`). What these say is checked whole, signatures inside included. The second
pass, where there is need for one, fetches the messages of suspect places. Every proof is then shown by its
rule from its frames alone, as whoever reads the evidence will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

from checker.forensics import rules
from checker.forensics.evidence import Evidence, Proof
from checker.forensics.kept import Kept, Wish
from checker.forensics.messages import (
    CHECKPOINT,
    COMMIT,
    DECIDED,
    DIGESTS,
    NEW_VIEW,
    PREPARE,
    QUERY_VIEW,
    STATE_META,
    VIEW_CHANGE,
    inside,
    message_in,
)
from checker.forensics.rules import Rule, guilt
from checker.forensics.slots import MOST_SHOWN, Place, Shown, Slots, place_of
from checker.forensics.sources import Sources
from checker.forensics.verified import Exhausted, Verified
from checker.forensics.view_rules import Cluster, is_digest
from checker.wire import PRE_PREPARE, REPLY, SIGNED, Frame

MOST_WRAPPED = 500_000
"""Different messages with others inside that are taken apart."""
_WRAPPERS = frozenset({VIEW_CHANGE, NEW_VIEW, STATE_META})
_AT_A_PLACE = {
    0: rules.CONFLICTING_VOTES,
    CHECKPOINT: rules.CONFLICTING_CHECKPOINTS,
    DECIDED: rules.CONFLICTING_DECISIONS,
    REPLY: rules.CONFLICTING_REPLIES,
}


class Search:
    """Of one run. `excused`: replicas known to have lost their logs."""

    def __init__(
        self,
        sources: Sources,
        cluster: Cluster,
        verified: Verified,
        evidence: Evidence,
        excused: Iterable[int],
    ) -> None:
        self._sources = sources
        self._cluster = cluster
        self._verified = verified
        self._evidence = evidence
        self.excused = set(excused)
        self._slots = Slots()
        self._kept = Kept(cluster)
        self._wishes: list[Wish] = []
        self._found: dict[Place, list[Shown]] = {}
        self.messages = 0
        """Signed ones of replicas, those inside others included."""
        self.cut = ""
        """Why something was left out; empty: nothing was."""

    def run(self) -> None:
        """Find, and add to the evidence."""
        try:
            self._first_pass()
            self._of_kept()
            if self._slots.suspect or self._slots.disputed:
                self._second_pass()
            self._of_places()
        except Exhausted:
            self.cut = f"more than {self._verified.asked} signatures would have to be verified"
        if not self.cut and (self._slots.full or self._kept.full):
            self.cut = "there are more messages than are compared"

    def _first_pass(self) -> None:
        looked: set[bytes] = set()
        for shown in self._frames():
            frame = shown.frame
            self.messages += 1
            self._slots.take(frame)
            if frame.type in (VIEW_CHANGE, NEW_VIEW):
                if self._verified.good(frame):
                    self._kept.take(shown)
            elif frame.type == QUERY_VIEW:
                if frame.sender not in self.excused and self._verified.good(frame):
                    self.excused.add(frame.sender)
            elif self._odd(frame) and frame.raw not in looked and len(looked) < MOST_WRAPPED:
                looked.add(frame.raw)
                for rule in rules.BY_ITSELF:
                    self._try(rule, shown)

    def _odd(self, frame: Frame) -> bool:
        """May be wrong by itself: the rules asked in a hurry, for there are very many votes."""
        kind = frame.type
        if kind not in DIGESTS:
            return False
        if kind in (PRE_PREPARE, PREPARE):
            own = frame.sender == frame.view % self._cluster.n
            return own == (kind == PREPARE) or not is_digest(frame)
        interval = self._cluster.checkpoint_interval
        off = kind == CHECKPOINT and (not frame.seq or (interval is not None and frame.seq % interval > 0))
        return off or (kind != COMMIT and frame.view > 0) or not is_digest(frame)

    def _of_kept(self) -> None:
        for shown in self._kept.all():
            for rule in (*rules.BY_ITSELF, rules.INVALID_VIEW_CHANGE, rules.INVALID_NEW_VIEW):
                self._try(rule, shown)
        for rule, before, later in self._kept.pairs():
            self._try(rule, before, later)
        self._wishes = list(self._kept.wishes(self._slots))
        for _, place, _, _ in self._wishes:
            self._slots.suspects(place)

    def _second_pass(self) -> None:
        """Of each suspect place one good message of each type and content."""
        suspect, disputed = self._slots.suspect, self._slots.disputed
        for shown in self._frames():
            found = place_of(shown.frame)
            if found is None:
                continue
            place, said = found
            if place not in suspect and (place.kind != REPLY or place[2:] not in disputed):
                continue
            held = self._found.setdefault(place, [])
            alike = any(one.frame.type == shown.frame.type and _said(one) == said for one in held)
            if not alike and len(held) < MOST_SHOWN and self._verified.good(shown.frame):
                held.append(shown)

    def _of_places(self) -> None:
        for place, held in sorted(self._found.items()):
            different = {_said(one): one for one in reversed(held)}
            if len(different) > 1:
                first, *others = (one for one in held if different[_said(one)] is one)
                for other in others:
                    self._try(_AT_A_PLACE[place.kind], first, other)
        for rule, place, kind, later in self._wishes:
            for one in self._found.get(place, ()):
                if kind in (0, one.frame.type) and self._try(rule, one, later):
                    break
        for request in sorted(self._slots.disputed):
            self._dispute(request)

    def _dispute(self, request: tuple[int, int]) -> None:
        """A reply at odds with f+1 equal ones of others."""
        answers = [
            self._found[place][0]
            for sender in range(self._cluster.n)
            if self._found.get(place := Place(REPLY, sender, *request))
        ]
        for one in answers:
            by_digest: dict[bytes, list[Shown]] = {}
            for other in answers:
                if _said(other) != _said(one):
                    by_digest.setdefault(_said(other), []).append(other)
            for others in by_digest.values():
                if len(others) > self._cluster.f:
                    self._try(rules.REPLY_OF_OTHERS, one, *others[: self._cluster.f + 1])

    def _try(self, rule: Rule, *shown: Shown) -> bool:
        """Add the proof if it is one."""
        culprit = shown[0].frame.sender
        if rule.holds == rules.KEPT_LOG and culprit in self.excused:
            return False
        told = guilt(rule, [one.frame for one in shown], self._cluster, self._verified.good)
        if told is not None:
            self._evidence.add(Proof(culprit, rule, told, shown))
        return told is not None

    def _frames(self) -> Iterator[Shown]:
        """All frames that say they are signed by a replica, what stands in a message behind it."""
        n, taken_apart = self._cluster.n, set[bytes]()
        for datagram in self._sources.datagrams():
            frame = message_in(datagram.data)
            if frame is None:
                continue
            if frame.type not in _WRAPPERS:
                if frame.auth == SIGNED and frame.sender < n:
                    yield Shown(frame, datagram.seen, "")
                continue
            key = blake2b(frame.raw, digest_size=16).digest()
            if key in taken_apart:
                continue
            if len(taken_apart) >= MOST_WRAPPED:
                self.cut = f"there are more than {MOST_WRAPPED} different messages with others inside"
                continue
            taken_apart.add(key)
            yield from _signed((Shown(frame, datagram.seen, ""),), n)
            for one, within in inside(frame):
                if one.type == VIEW_CHANGE:
                    inner = blake2b(one.raw, digest_size=16).digest()
                    if inner in taken_apart:
                        continue
                    taken_apart.add(inner)
                yield from _signed((Shown(one, datagram.seen, within),), n)


def _signed(found: Sequence[Shown], n: int) -> Iterator[Shown]:
    for shown in found:
        if shown.frame.auth == SIGNED and shown.frame.sender < n:
            yield shown


def _said(shown: Shown) -> bytes:
    found = place_of(shown.frame)
    assert found is not None
    return found[1]
