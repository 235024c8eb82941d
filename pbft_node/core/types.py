"""The nouns of the paper, as types. Units end names."""

from __future__ import annotations

from typing import NewType

ReplicaId = NewType("ReplicaId", int)
"""0 … n-1."""
ClientId = NewType("ClientId", int)
"""FIRST_CLIENT_ID and up, so that one integer names any principal."""
View = NewType("View", int)
SeqNum = NewType("SeqNum", int)
"""Sequence number of a batch; the first is 1, 0 is the initial state."""
Timestamp = NewType("Timestamp", int)
"""A client's own counter, strictly increasing; not a time."""
Digest = NewType("Digest", bytes)
"""SHA-256, 32 bytes."""

Principal = int
"""A ReplicaId or a ClientId."""

FIRST_CLIENT_ID = 1000
MAX_VIEW = 2**62
MAX_SEQUENCE = 2**62
MAX_TIMESTAMP = 2**63 - 1
MAX_TIME_NS = 2**63 - 1
"""Wall-clock times count from 1970 and end in 2262."""


def is_client(principal: Principal) -> bool:
    """Replicas are below FIRST_CLIENT_ID, clients from there on."""
    return principal >= FIRST_CLIENT_ID
