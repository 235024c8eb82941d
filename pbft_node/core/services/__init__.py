"""Replicated services: deterministic state machines under PBFT.

A service of your own is a class with one method, named in the cluster's configuration as
``package.module:Class`` (see ``pbft_node/own_services.py``):

    class Counter:
        def execute(self, store: Store, client: ClientId, operation: bytes) -> bytes:
            count = int(store.get(b"count") or b"0") + 1
            store.put(b"count", b"%d" % count)
            return b"%d" % count

All its state is in the store: nothing in the object, no clock (but ``store.time_ns``, the time all replicas
agreed on), no chance, no set order. Checkpoints, state transfer, the log and the client table then come by
themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..store import Store
from ..types import ClientId
from .append import AppendLists
from .bank import Banks
from .counter import Counters
from .files import Files
from .kv import KeyValueStore
from .null import NullService
from .queue import Queues
from .set import Sets


class Service(Protocol):
    """What is replicated."""

    def execute(self, store: Store, client: ClientId, operation: bytes) -> bytes:
        """Apply one operation (any bytes: a client may be a liar) to the store and give its result. A pure
        function of its arguments; never raises, except what the store raises at a write through a read-only
        view."""


SERVICES: dict[str, Callable[[], Service]] = {
    "kv": KeyValueStore,
    "append": AppendLists,
    "counter": Counters,
    "set": Sets,
    "queue": Queues,
    "bank": Banks,
    "files": Files,
    "null": NullService,
}
