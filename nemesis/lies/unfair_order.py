"""Unfair order: a primary remakes its own batches, of real requests, the same for everybody.

It lets the later request overtake the earlier, serves one client at once and the others a number later, or
the other way round, leaves a client out, or orders nothing every second time. Every batch is legal, and no
larger than allowed; the request timer, which runs for the oldest request of every client, is what ends it.
"""

from __future__ import annotations

from types import MappingProxyType

from nemesis.lies.lie import PRIMARY, Option, Strategy
from nemesis.lies.proposing import Proposing
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.cluster import Cluster
from pbft_node.core.messages import NULL_BATCH, Batch, PrePrepare, Request
from pbft_node.core.types import FIRST_CLIENT_ID


class UnfairOrder(Proposing):
    """See the module."""

    action = "unfair-order"
    strategies = MappingProxyType(
        {
            "overtake": Strategy("orders the requests of odd numbers after those of the next", PRIMARY),
            "favour": Strategy("orders one client's requests at once, the others' a number later", PRIMARY),
            "last": Strategy("orders one client's requests a number later", PRIMARY),
            "censor": Strategy("never orders one client's requests", PRIMARY),
            "stuff": Strategy("orders nothing for odd numbers, and never what belongs there", PRIMARY),
        }
    )
    options = MappingProxyType(
        {
            "client": Option("which one, counted from 0", (0, 1, 2), 0, 1 << 20),
            "eager": Option("vote for it at once, prepared or not", (False, True)),
        }
    )

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._waiting: tuple[Request, ...] = ()
        """Requests of the last number that are to be ordered with this one; no more than a batch."""
        self._view = -1

    def group(self, view: int, target: str) -> int:
        """See ``Proposing``: the same for everybody."""
        return 1

    def make(self, message: PrePrepare, batch: Batch, group: int) -> Batch:
        """See ``Proposing``."""
        if message.view != self._view:
            self._view, self._waiting = message.view, ()
        now, later = self._order(batch.requests, message.seq)
        requests = _fitting((*now, *self._waiting), self.scene.cluster)
        self._waiting = later
        return Batch(requests, batch.time_ns or 1) if requests else NULL_BATCH

    def _order(self, requests: tuple[Request, ...], seq: int) -> tuple[tuple[Request, ...], ...]:
        """What is ordered now, and what with the next number."""
        client = self.chosen["client"]
        assert isinstance(client, int)
        its = tuple(one for one in requests if one.client == FIRST_CLIENT_ID + client)
        others = tuple(one for one in requests if one.client != FIRST_CLIENT_ID + client)
        match self.strategy:
            case "overtake":
                return ((), requests) if seq % 2 else (requests[::-1], ())
            case "favour":
                return its, others
            case "last":
                return others, its
            case "censor":
                return others, ()
        return ((), ()) if seq % 2 else (requests, ())


def _fitting(requests: tuple[Request, ...], cluster: Cluster) -> tuple[Request, ...]:
    """The first of them, as many as one batch may have."""
    fitting: list[Request] = []
    size = 0
    for request in requests[: cluster.batch_limit]:
        size += len(request.raw)
        if fitting and size > cluster.batch_bytes:
            break
        fitting.append(request)
    return tuple(fitting)
