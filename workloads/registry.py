"""Every workload there is, by name. To add one: write a class as ``cells.py`` has it, and enter it here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .append import Append
from .cells import Cells
from .keyspace import CONTENTION, DISTRIBUTION, RETRY, VALUE_BYTES, keys_parameter, weight
from .operation import Workload
from .parameters import Parameter

_SHARED = (DISTRIBUTION, CONTENTION, VALUE_BYTES, RETRY)

REGISTER = Cells(
    name="register",
    description=(
        "Reads, writes and compare-and-sets on a few keys. Few keys mean many clients in one another's way: "
        "the sharpest test of order, and the dearest to judge."
    ),
    model="register",
    parameters=(
        keys_parameter(5),
        weight("read", 5, "how often a key is read"),
        weight("write", 3, "how often a key is written"),
        weight("cas", 2, "how often a key is compared and set"),
        *_SHARED,
    ),
    wire={"read": "get", "write": "put", "cas": "cas"},
)

KV = Cells(
    name="kv",
    description="Gets, puts, compare-and-sets and deletes on many keys: a key-value store in use.",
    model="kv",
    parameters=(
        keys_parameter(50),
        weight("get", 9, "how often a key is read"),
        weight("put", 6, "how often a key is written"),
        weight("cas", 4, "how often a key is compared and set"),
        weight("delete", 1, "how often a key is deleted"),
        *_SHARED,
    ),
    wire={"get": "get", "put": "put", "cas": "cas", "delete": "delete"},
)

APPEND = Append(
    name="append",
    description=(
        "Appends of unique elements to lists, and reads of the lists. Shows an operation that was executed "
        "twice, lost or moved; checks in linear time."
    ),
    parameters=(
        keys_parameter(8),
        weight("append", 5, "how often an element is appended"),
        weight("read", 5, "how often a list is read"),
        Parameter(
            "list_length",
            256,
            "elements",
            "when a list has so many, a fresh key follows it",
            low=1,
            high=2000,
        ),
        *_SHARED,
    ),
)

WORKLOADS: Mapping[str, Workload] = MappingProxyType({w.name: w for w in (REGISTER, KV, APPEND)})
