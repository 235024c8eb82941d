"""Replicated services: deterministic state machines under PBFT.

A service of your own needs five methods (``Service``) and a line in ``SERVICES``. It must be a pure
function of the operations executed: no clock, no chance, no set order; ``snapshot`` gives equal bytes for
equal states.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..types import ClientId
from .append import AppendLists
from .kv import KeyValueStore


class Service(Protocol):
    """What is replicated."""

    def execute(self, client: ClientId, operation: bytes) -> bytes:
        """Apply one operation (any bytes: a client may be a liar) and give its result. Never raises."""

    def snapshot(self) -> bytes:
        """The whole state, canonically."""

    def restore(self, snapshot: bytes) -> None:
        """Become the state of a snapshot taken by an equal service."""


SERVICES: dict[str, Callable[[], Service]] = {"kv": KeyValueStore, "append": AppendLists}
