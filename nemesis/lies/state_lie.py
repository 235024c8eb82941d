"""Lies to a replica that fetches what it lacks (section 5.3): states, batches, decisions, views.

Whatever is handed out is worth what a quorum signed about it: a correct replica checks every part against the
digest above it, refuses what does not match, and turns to others. ``older-offer``, ``slow-loris`` and
``stopping`` are the truth, too late or too little of it; ``false-views`` and ``false-decided`` say what only
f+1 may be believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

from nemesis.lies.forgery import Forger
from nemesis.lies.lie import Strategy
from nemesis.lies.strategic import KnowingLie, Say, Says
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.codec import NONCE_BYTES, encode_batch, encode_state_meta
from pbft_node.core.digests import DIGEST_BYTES, NULL_DIGEST, digest_of
from pbft_node.core.frames import Malformed, MessageType
from pbft_node.core.messages import (
    CLIENTS,
    NULL_BATCH,
    SERVICE,
    Batch,
    BatchBody,
    Commit,
    Decided,
    Message,
    Part,
    PartKind,
    StateMeta,
    StateParts,
    Status,
    StoreOffer,
    TellView,
)
from pbft_node.core.pages import decode_page, encode_page
from pbft_node.core.state_codec import encode_parts
from pbft_node.core.types import Digest

FAR_VIEW = 1 << 40
STOPS_AFTER = 1
"""Answers with parts that ``stopping`` gives to each receiver for each state."""
MOST_COUNTED = 1024
"""(receiver, state) remembered for that; the oldest are forgotten."""
_Strategy = Callable[["StateLie", Message, Forger, int], Says]
_Forge = Callable[[Part], bytes]


class StateLie(KnowingLie):
    """See the module."""

    action = "lie-about-state"
    says: ClassVar[frozenset[MessageType]] = frozenset(
        {
            MessageType.STATE_META,
            MessageType.STATE_PARTS,
            MessageType.BATCH,
            MessageType.DECIDED,
            MessageType.TELL_VIEW,
            MessageType.STATUS,
            MessageType.COMMIT,
        }
    )
    learns: ClassVar[frozenset[MessageType]] = frozenset({MessageType.STATE_META, MessageType.QUERY_VIEW})
    strategies: ClassVar[Mapping[str, Strategy]]

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._answers: dict[tuple[int, int], int] = {}

    def answer(self, message: Message, forger: Forger, target: int) -> Says:
        """See ``KnowingLie``."""
        return _STRATEGIES[self.strategy](self, message, forger, target)

    def count(self, target: int, seq: int) -> int:
        """How many answers with parts of that state it got before."""
        before = self._answers.pop((target, seq), 0)
        if len(self._answers) >= MOST_COUNTED:
            del self._answers[next(iter(self._answers))]
        self._answers[target, seq] = before + 1
        return before


def _say(forger: Forger, target: int, kind: MessageType, view: int, seq: int, body: bytes) -> Say:
    return Say(forger.me.seal.for_peer(target, kind, view, seq, body))


def _flipped(data: bytes) -> bytes:
    """One bit of it."""
    return data[:-1] + bytes([data[-1] ^ 1]) if data else b"\x01"


# ---------------------------------------------------------------- the offer


def _forged_offer(lie: StateLie, message: Message, forger: Forger, target: int) -> Says:
    """Offers another state than the proof is for: one digest is wrong."""
    if not isinstance(message, StateMeta):
        return None
    first, *rest = message.service.group_digests
    service = StoreOffer(message.service.pages, (Digest(_flipped(first)), *rest))
    body = encode_state_meta(message.proof, service, message.clients)
    return [_say(forger, target, MessageType.STATE_META, 0, message.seq, body)]


def _inflated_offer(lie: StateLie, message: Message, forger: Forger, target: int) -> Says:
    """Offers the state as if it were the one of a later checkpoint."""
    if not isinstance(message, StateMeta):
        return None
    body = encode_state_meta(message.proof, message.service, message.clients)
    later = message.seq + forger.me.cluster.checkpoint_interval
    return [_say(forger, target, MessageType.STATE_META, 0, later, body)]


def _older_offer(lie: StateLie, message: Message, forger: Forger, target: int) -> Says:
    """Offers the oldest checkpoint that it remembers, with its true proof."""
    if not isinstance(message, StateMeta):
        return None
    oldest = lie.knowledge.offers.get(min(lie.knowledge.offers, default=0))
    if oldest is None or oldest.seq >= message.seq:
        return None
    body = encode_state_meta(oldest.proof, oldest.service, oldest.clients)
    return [_say(forger, target, MessageType.STATE_META, 0, oldest.seq, body)]


# ---------------------------------------------------------------- the parts


def _with_parts(message: StateParts, forge: _Forge, forger: Forger, target: int) -> Says:
    parts = [Part(part.address, forge(part)) for part in message.parts]
    if all(new.data == old.data for new, old in zip(parts, message.parts, strict=True)):
        return None
    return [_say(forger, target, MessageType.STATE_PARTS, 0, message.seq, encode_parts(parts))]


def _forged_entry(part: Part) -> bytes:
    """A page with one value changed that is a page still; of anything else one bit."""
    if part.address.kind is PartKind.PAGE:
        try:
            entries = decode_page(part.data)
        except Malformed:
            entries = {}
        if entries:
            last = max(entries)
            return encode_page({**entries, last: _flipped(entries[last])})
    return _flipped(part.data)


def _garbage_like(part: Part) -> bytes:
    """As long, and nothing."""
    blocks = -(-len(part.data) // DIGEST_BYTES)
    made = b"".join(digest_of(b"garbage", part.data[:64], bytes([block % 256])) for block in range(blocks))
    return made[: len(part.data)] or b"\x01"


def _of_store(store: int, forge: _Forge) -> _Forge:
    return lambda part: forge(part) if part.address.store == store else part.data


def _parts_by(forge: _Forge) -> _Strategy:
    def strategy(lie: StateLie, message: Message, forger: Forger, target: int) -> Says:
        return _with_parts(message, forge, forger, target) if isinstance(message, StateParts) else None

    return strategy


def _slow_loris(lie: StateLie, message: Message, forger: Forger, target: int) -> Says:
    """Every part by itself, each a STATUS interval after the one before."""
    if not isinstance(message, StateParts):
        return None
    pause_ns = forger.me.cluster.status_busy_ns
    return [
        _say(forger, target, MessageType.STATE_PARTS, 0, message.seq, encode_parts([part]))._replace(
            delay_ns=nth * pause_ns
        )
        for nth, part in enumerate(message.parts, 1)
    ]


def _stopping(lie: StateLie, message: Message, forger: Forger, target: int) -> Says:
    """Hands out the first parts of a state and then nothing more of it."""
    if not isinstance(message, StateParts):
        return None
    return [] if lie.count(target, message.seq) >= STOPS_AFTER else None


# ---------------------------------------------------------------- batches, decisions, views


def _false_batch(lie: StateLie, message: Message, forger: Forger, target: int) -> Says:
    """Another batch than the one asked for: without its last request, or at another time."""
    if not isinstance(message, BatchBody):
        return None
    batch = message.batch
    if len(batch.requests) > 1:
        other = Batch(batch.requests[:-1], batch.time_ns)
    else:
        other = Batch(batch.requests, batch.time_ns + 1) if batch.requests else NULL_BATCH
    return [_say(forger, target, MessageType.BATCH, 0, 0, encode_batch(other))]


def _false_decided(lie: StateLie, message: Message, forger: Forger, target: int) -> Says:
    """With every COMMIT the word that its number, and the next, were decided as null requests."""
    if isinstance(message, Decided):
        return [_say(forger, target, MessageType.DECIDED, 0, message.seq, NULL_DIGEST)]
    if not isinstance(message, Commit):
        return None
    seq = int(message.seq)
    false = [_say(forger, target, MessageType.DECIDED, 0, one, NULL_DIGEST) for one in (seq, seq + 1)]
    commit = _say(forger, target, MessageType.COMMIT, message.view, seq, message.digest)
    return [*false, commit]


def _false_views(lie: StateLie, message: Message, forger: Forger, target: int) -> Says:
    """Tells of a view and a checkpoint that nobody ever saw, or that there was none at all: whoever lost its
    log, when it asks, and everybody unasked with every STATUS."""
    view, stable = (FAR_VIEW, FAR_VIEW) if target % 2 else (0, 0)
    if isinstance(message, TellView):
        return [_say(forger, target, MessageType.TELL_VIEW, view, stable, message.nonce)]
    if not isinstance(message, Status):
        return None
    nonce = lie.knowledge.nonces.get(target, bytes(NONCE_BYTES))
    unasked = _say(forger, target, MessageType.TELL_VIEW, view, stable, nonce)
    return [unasked, Say(lie.truth)]


_STRATEGIES: Mapping[str, _Strategy] = MappingProxyType(
    {
        "forged-offer": _forged_offer,
        "inflated-offer": _inflated_offer,
        "older-offer": _older_offer,
        "forged-parts": _parts_by(_of_store(SERVICE, _forged_entry)),
        "wrong-clients": _parts_by(_of_store(CLIENTS, _forged_entry)),
        "truncated": _parts_by(lambda part: part.data[: len(part.data) // 2]),
        "garbage": _parts_by(_garbage_like),
        "slow-loris": _slow_loris,
        "stopping": _stopping,
        "false-batch": _false_batch,
        "false-decided": _false_decided,
        "false-views": _false_views,
    }
)
_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "forged-parts": "Hands out pages of the service in which a value is another.",
        "wrong-clients": "Hands out pages of the client table in which an entry is another.",
        "truncated": "Hands out only the first half of every part.",
        "garbage": "Hands out parts of the right length, and nothing in them is right.",
    }
)
StateLie.strategies = MappingProxyType(
    {
        name: Strategy(_TEXTS.get(name) or " ".join((one.__doc__ or "").split()))
        for name, one in _STRATEGIES.items()
    }
)
