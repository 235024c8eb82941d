"""What each receiver was told: the memory that makes lies coherent.

A liar that says "batch A" to one half and "batch B" to the other and then votes for A before everybody has
told nobody but itself. So what was told about (view, number) is kept per receiver, and every later message
about it to that receiver is made to agree. Liars of one run share one memory: they collude.

Bounded: the oldest numbers, batches and requests are forgotten. A receiver is a host (``r2``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pbft_node.core.messages import Batch, Request
from pbft_node.core.types import Digest

MOST_NUMBERS = 2048
MOST_BATCHES = 256
MOST_REQUESTS = 256


class Told(NamedTuple):
    """What somebody believes about one (view, number)."""

    digest: Digest
    batch: Batch | None = None
    """None: a digest alone."""
    pre_prepare: bytes = b""
    """The frame that said so, as its primary signed it, without the batch; empty when it was only voted
    for."""


class Memory:
    """Of all liars of a run."""

    def __init__(self) -> None:
        self._told: dict[tuple[int, int], dict[str, Told]] = {}
        self._views: dict[int, list[int]] = {}
        """Of each number, those in which something was told about it."""
        self._batches: dict[Digest, Batch] = {}
        self._requests: dict[tuple[int, int], Request] = {}
        self._checkpoints: dict[tuple[int, str], Digest] = {}
        self._agreed: dict[tuple[int, int], bytes] = {}

    # What was told

    def tell(self, view: int, seq: int, receiver: str, told: Told) -> Told:
        """From now on that receiver knows this. The first telling stands: a lie is not taken back. What
        stands is returned."""
        number = self._told.get((view, seq))
        if number is None:
            if len(self._told) >= MOST_NUMBERS:
                self._forget()
            number = self._told[view, seq] = {}
            self._views.setdefault(seq, []).append(view)
        if told.batch is not None:
            self._keep(told.digest, told.batch)
        return number.setdefault(receiver, told)

    def told(self, view: int, seq: int, receiver: str) -> Told | None:
        """None: nothing, or nothing that is remembered."""
        return self._told.get((view, seq), {}).get(receiver)

    def everybody(self, view: int, seq: int) -> Mapping[str, Told]:
        """By receiver, in the order in which they were told."""
        return self._told.get((view, seq), {})

    def versions(self, view: int, seq: int) -> Sequence[Told]:
        """The different ones, the oldest first."""
        found: dict[Digest, Told] = {}
        for told in self.everybody(view, seq).values():
            found.setdefault(told.digest, told)
        return tuple(found.values())

    def split(self, view: int, seq: int) -> bool:
        """Were different receivers told different things?"""
        return len(self.versions(view, seq)) > 1

    def last_view(self, seq: int, receiver: str) -> int:
        """In which that receiver was told something about the number; 0: in none."""
        views = self._views.get(seq, ())
        return max((view for view in views if self.told(view, seq, receiver)), default=0)

    def numbers(self) -> Sequence[tuple[int, int]]:
        """Every (view, number) that something was told about, the oldest first."""
        return tuple(self._told)

    # What can be told

    def learn(self, digest: Digest, batch: Batch) -> None:
        """A batch that passed by, of a process: its requests are the clients' own."""
        self._keep(digest, batch)
        for request in batch.requests:
            self.saw(request)

    def _keep(self, digest: Digest, batch: Batch) -> None:
        if digest not in self._batches:
            _make_room(self._batches, MOST_BATCHES)
            self._batches[digest] = batch

    def batch(self, digest: Digest) -> Batch | None:
        """Of that digest."""
        return self._batches.get(digest)

    def saw(self, request: Request) -> None:
        """A request its client signed."""
        key = request.client, request.timestamp
        if key not in self._requests:
            _make_room(self._requests, MOST_REQUESTS)
            self._requests[key] = request

    def requests(self) -> Sequence[Request]:
        """Those seen, the oldest first."""
        return tuple(self._requests.values())

    # What others announced

    def announced(self, seq: int, replica: str, digest: Digest) -> None:
        """The CHECKPOINT of that replica."""
        _make_room(self._checkpoints, MOST_NUMBERS)
        self._checkpoints[seq, replica] = digest

    def announcement(self, seq: int, replica: str) -> Digest | None:
        """None: none was heard."""
        return self._checkpoints.get((seq, replica))

    # What liars agree on

    def agree(self, client: int, timestamp: int, result: bytes) -> bytes:
        """The result that all liars tell that client: what the first of them wanted to say."""
        if (client, timestamp) not in self._agreed:
            _make_room(self._agreed, MOST_NUMBERS)
            self._agreed[client, timestamp] = result
        return self._agreed[client, timestamp]

    def _forget(self) -> None:
        view, seq = next(iter(self._told))
        del self._told[view, seq]
        self._views[seq].remove(view)
        if not self._views[seq]:
            del self._views[seq]


def _make_room(kept: dict, most: int) -> None:  # type: ignore[type-arg]
    while len(kept) >= most:
        del kept[next(iter(kept))]
