"""What a group of liars knows of the protocol: what it said and was told, as far as lies about view changes
need it.

It is filled from packets from and to the liars alone: they see no more than replicas do, but they tell each
other everything. Everything in it is bounded, the oldest is forgotten first.
"""

from __future__ import annotations

from typing import TypeVar

from pbft_node.core.messages import (
    Message,
    NewView,
    PreparedCertificate,
    QueryView,
    StateMeta,
    ViewChange,
)

MOST_VIEWS = 16
MOST_DIGESTS = 64
MOST_CERTIFICATES = 1024
MOST_OFFERS = 8
MOST_NONCES = 64
_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")


class Knowledge:
    """Of all liars of a rule together."""

    def __init__(self) -> None:
        self.view = 0
        """The highest in a NEW-VIEW or a proposal."""
        self.view_changes: dict[int, dict[int, ViewChange]] = {}
        """View -> replica -> the first valid-looking one."""
        self.new_views: dict[int, NewView] = {}
        self.certificates: dict[tuple[int, int], PreparedCertificate] = {}
        """(number, view)."""
        self.digests: dict[bytes, int] = {}
        """Of batches proposed, and the number."""
        self.offers: dict[int, StateMeta] = {}
        """Of checkpoints, by their number."""
        self.nonces: dict[int, bytes] = {}
        """Of the last question of each replica that lost its log."""

    def learn(self, message: Message) -> None:
        """A message from or to a liar."""
        match message:
            case ViewChange():
                self._learn_view_change(message)
            case NewView():
                self.view = max(self.view, message.view)
                _keep(self.new_views, int(message.view), message, MOST_VIEWS)
                for change in message.view_changes:
                    self._learn_view_change(change)
            case StateMeta():
                _keep(self.offers, int(message.seq), message, MOST_OFFERS)
            case QueryView():
                _keep(self.nonces, int(message.replica), message.nonce, MOST_NONCES)
            case _:
                pass

    def proposed(self, view: int, seq: int, digest: bytes) -> None:
        """A PRE-PREPARE passed."""
        self.view = max(self.view, view)
        _keep(self.digests, digest, seq, MOST_DIGESTS)

    def other_digest(self, *than: bytes) -> bytes | None:
        """Of a batch that was proposed, the latest that is none of these."""
        return next((digest for digest in reversed(self.digests) if digest not in than), None)

    def older_certificate(self, seq: int, than_view: int) -> PreparedCertificate | None:
        """For that number from an earlier view, the oldest."""
        views = sorted(view for number, view in self.certificates if number == seq and view < than_view)
        return self.certificates[seq, views[0]] if views else None

    def _learn_view_change(self, message: ViewChange) -> None:
        if message.view not in self.view_changes:
            _keep(self.view_changes, int(message.view), {}, MOST_VIEWS)
        self.view_changes[message.view].setdefault(message.replica, message)
        for certificate in message.prepared:
            proposal = certificate.pre_prepare
            _keep(
                self.certificates,
                (int(proposal.seq), int(proposal.view)),
                certificate,
                MOST_CERTIFICATES,
            )


def _keep(held: dict[_Key, _Kept], key: _Key, value: _Kept, limit: int) -> None:
    held.pop(key, None)
    if len(held) >= limit:
        del held[next(iter(held))]
    held[key] = value
