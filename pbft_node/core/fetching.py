"""The books of one state transfer: what is still wanted, what came, who was asked for what.

Nothing here trusts anybody: a part counts when its digest is the one the tree above it names, and the top of
the tree is what a quorum signed. What was verified is kept by its digest, so it serves whatever offer comes
next, whoever makes it. Bounds: what is kept is at most twice the pages on offer; what is wanted is at most
the parts of a proved state.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .digests import DIGEST_BYTES, digest_of
from .messages import Address, Part, PartKind, StateMeta, StoreOffer
from .pages import (
    GROUP_PAGES,
    PIECE_BYTES,
    Image,
    digest_of_page,
    piece_digest,
    root_digest,
)
from .snapshots import Snapshot, state_digest
from .state_codec import digests_in
from .types import Digest, ReplicaId

PARTS_UNDER_WAY = 16
"""Asked of one source and not yet answered."""
PARTS_A_QUESTION = 8
MORE_PIECES = 1024
"""Kept, beside two for each page on offer."""
OFFERS_A_TICK = 2
"""Offers of one source looked at: each costs a quorum of signatures."""


@dataclass(slots=True)
class Source:
    """A replica that may have the state."""

    room: int = PARTS_UNDER_WAY
    """Parts it may be asked for at once; one only while it owes an answer for a whole tick."""
    asked: dict[Address, int] = field(default_factory=dict)
    """What was asked of it, and at which tick."""
    answered: bool = True
    lied: bool = False
    offers: int = 0


class Transfer:
    """A state on its way."""

    def __init__(self, sources: list[ReplicaId], own: list[Image]) -> None:
        self.offer: StateMeta | None = None
        self.sources = {source: Source() for source in sources}
        self.ticks = 0
        self.taken = 0
        """Parts fetched."""
        self.idle_ticks = 0
        """Since a part came that was wanted."""
        self.groups: dict[Digest, tuple[Digest, ...]] = {}
        self.pages: dict[Digest, bytes] = {}
        self.lists: dict[Digest, tuple[Digest, ...]] = {}
        """The pieces of larger pages."""
        self.pieces: dict[Digest, bytes] = {}
        self.own: dict[Digest, bytes] = {}
        """Pages held anyway: they are not fetched."""
        for image in own:
            self.own.update(zip(image.page_digests, image.pages, strict=True))
            for number, digest in enumerate(image.group_digests):
                first = number * GROUP_PAGES
                self.groups[digest] = image.page_digests[first : first + GROUP_PAGES]
        self.wanted: dict[Address, Digest] = {}
        self._todo: deque[Address] = deque()

    # ------------------------------------------------------------ the offer

    def take_offer(self, offer: StateMeta) -> None:
        """Go for this state; the offer is proved. Whatever is held of it already is not asked for. Who made
        the offer is there, and asked first."""
        self.offer = offer
        self.idle_ticks = 0
        self.wanted = {}
        self._todo.clear()
        for source in self.sources.values():
            source.asked, source.answered = {}, True
        self.sources = {offer.replica: self.sources.pop(offer.replica), **self.sources}
        limit = 2 * (offer.service.pages + offer.clients.pages)
        drop_oldest(self.groups, limit)
        drop_oldest(self.pages, limit)
        drop_oldest(self.lists, limit)
        drop_oldest(self.pieces, limit + MORE_PIECES)
        for store in range(2):
            for number, digest in enumerate(self.top(store).group_digests):
                self.want(Address(PartKind.GROUP, store, number), digest)

    def top(self, store: int) -> StoreOffer:
        """Of the offer."""
        assert self.offer is not None
        return (self.offer.service, self.offer.clients)[store]

    def page(self, digest: Digest) -> bytes | None:
        """A page, if it is held."""
        found = self.pages.get(digest)
        return self.own.get(digest) if found is None else found

    def want(self, address: Address, digest: Digest) -> None:
        """This part belongs to the state: take it, and what is below it, from what is held, or want it."""
        if address.kind is PartKind.GROUP:
            group = self.groups.get(digest)
            if group is not None:
                for number, page in enumerate(group, address.number * GROUP_PAGES):
                    self.want(Address(PartKind.PAGE, address.store, number), page)
                return
        elif address.kind is PartKind.PAGE:
            if self.page(digest) is not None:
                return
            if digest in self.lists:
                for number, piece in enumerate(self.lists[digest]):
                    self.want(Address(PartKind.PIECE, address.store, address.number, number), piece)
                self.join_pieces(digest)
                return
        elif digest in self.pieces:
            return
        self.wanted[address] = digest
        self._todo.append(address)

    def complete(self) -> bool:
        """All of it is here."""
        return self.offer is not None and not self.wanted

    # ------------------------------------------------------------ what comes

    def take_part(self, part: Part) -> str | None:
        """Keep a part that is wanted; why it is not the one, or None."""
        kind, store, number, _ = part.address
        asked = part.address._replace(kind=PartKind.PAGE) if kind is PartKind.PIECES else part.address
        digest = self.wanted.get(asked)
        if digest is None:
            return None
        if not fits(part, digest, self.page_count(store, number)):
            return f"{kind.name} {number} is not the one proved"
        del self.wanted[asked]
        self.taken += 1
        self.idle_ticks = 0
        match kind:
            case PartKind.GROUP:
                self.groups[digest] = digests_in(part.data)
                self.want(asked, digest)
            case PartKind.PAGE:
                self.pages[digest] = part.data
            case PartKind.PIECES:
                self.lists[digest] = digests_in(part.data)
                self.want(asked, digest)
            case PartKind.PIECE:
                self.pieces[digest] = part.data
                self.join_pieces(self.page_digest(store, number))
        return None

    def page_count(self, store: int, group: int) -> int:
        """Pages in that group of the offer."""
        return min(GROUP_PAGES, self.top(store).pages - group * GROUP_PAGES)

    def page_digest(self, store: int, page: int) -> Digest:
        """Of a page whose group is known."""
        group = self.groups[self.top(store).group_digests[page // GROUP_PAGES]]
        return group[page % GROUP_PAGES]

    def join_pieces(self, page: Digest) -> None:
        """A large page all of whose pieces are here is a page like any other."""
        digests = self.lists.get(page)
        if digests is not None and all(digest in self.pieces for digest in digests):
            self.pages[page] = b"".join(self.pieces[digest] for digest in digests)

    def snapshot(self) -> Snapshot:
        """The state, when it is complete."""
        assert self.offer is not None
        assert not self.wanted
        service, clients = self.image(0), self.image(1)
        digest = state_digest(service.digest, clients.digest)
        return Snapshot(self.offer.seq, service, clients, digest)

    def image(self, store: int) -> Image:
        """One store of it, from verified parts."""
        top = self.top(store)
        digests = tuple(digest for group in top.group_digests for digest in self.groups[group])
        assert len(digests) == top.pages
        pages = [self.page(digest) for digest in digests]
        found = tuple(page for page in pages if page is not None)
        assert len(found) == len(pages), "nothing is wanted any more, so every page is here"
        return Image(found, digests, top.group_digests, root_digest(top.pages, top.group_digests))

    # ------------------------------------------------------------ who is asked

    def questions(self) -> list[tuple[ReplicaId, list[Address]]]:
        """What to ask whom now: every source that is not silent or a liar, in turn."""
        asked: list[tuple[ReplicaId, list[Address]]] = []
        waiting = True
        while waiting:
            waiting = False
            for replica, source in self.sources.items():
                if source.lied:
                    continue
                batch = self.next_batch(min(PARTS_A_QUESTION, source.room - len(source.asked)))
                if batch:
                    source.asked.update(dict.fromkeys(batch, self.ticks))
                    asked.append((replica, batch))
                    waiting = True
        return asked

    def next_batch(self, limit: int) -> list[Address]:
        """The next parts that nobody was asked for."""
        batch: list[Address] = []
        while self._todo and len(batch) < limit:
            address = self._todo.popleft()
            if address in self.wanted:
                batch.append(address)
        return batch

    def answered(self, replica: ReplicaId, address: Address) -> None:
        """A source answered: it may be asked for more."""
        source = self.sources[replica]
        asked = address._replace(kind=PartKind.PAGE) if address.kind is PartKind.PIECES else address
        if source.asked.pop(asked, None) is not None:
            source.answered = True
            source.room = PARTS_UNDER_WAY

    def lied(self, replica: ReplicaId) -> None:
        """Ask this source no more, and others for what it owes; when all have lied, begin anew with all."""
        self.sources[replica].lied = True
        self.ask_elsewhere(self.sources[replica], self.ticks)
        if all(source.lied for source in self.sources.values()):
            for source in self.sources.values():
                source.lied = False

    def tick(self) -> None:
        """A STATUS interval is over: what was asked for before it and did not come is asked for elsewhere."""
        for source in self.sources.values():
            silent = bool(source.asked) and not source.answered
            if silent:
                source.room = 1
            self.ask_elsewhere(source, self.ticks if silent else self.ticks - 1)
            source.answered = False
            source.offers = 0
        self.ticks += 1
        self.idle_ticks += 1
        first = next(iter(self.sources))
        self.sources[first] = self.sources.pop(first)

    def ask_elsewhere(self, source: Source, tick: int) -> None:
        """What it was asked for up to that tick is to be asked for again."""
        late = [address for address, asked in source.asked.items() if asked <= tick]
        for address in late:
            del source.asked[address]
        self._todo.extendleft(address for address in reversed(late) if address in self.wanted)


def drop_oldest(held: dict[Digest, bytes] | dict[Digest, tuple[Digest, ...]], limit: int) -> None:
    """Keep no more than that."""
    for digest in list(held)[: max(0, len(held) - limit)]:
        del held[digest]


def fits(part: Part, digest: Digest, group_pages: int) -> bool:
    """Whether the part is the one that digest stands for."""
    data = part.data
    match part.address.kind:
        case PartKind.GROUP:
            return len(data) == group_pages * DIGEST_BYTES and digest_of(b"group", data) == digest
        case PartKind.PAGE:
            return len(data) <= PIECE_BYTES and digest_of_page(data) == digest
        case PartKind.PIECES:
            many = len(data) >= 2 * DIGEST_BYTES and len(data) % DIGEST_BYTES == 0
            return many and digest_of(b"page", data) == digest
        case PartKind.PIECE:
            return piece_digest(data) == digest


def offered_digest(offer: StateMeta) -> Digest:
    """The digest of the state on offer."""
    roots = [root_digest(store.pages, store.group_digests) for store in (offer.service, offer.clients)]
    return state_digest(*roots)
