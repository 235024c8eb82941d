"""Every workload there is, by name. To add one: write a class as ``cells.py`` has it, and enter it here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .append import Append
from .bank import Bank
from .cells import Cells
from .counter import Counter
from .growth import most_parameter
from .keyspace import CONTENTION, DISTRIBUTION, RETRY, VALUE_BYTES, keys_parameter, weight
from .operation import Workload
from .queues import Queues
from .sets import Sets

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
        most_parameter("list_length", 256, "list"),
        *_SHARED,
    ),
)

SET = Sets(
    name="set",
    description=(
        "Adds and removes unique elements, asks for one or reads all. Shows what was lost or came back, "
        "whatever else went on."
    ),
    parameters=(
        keys_parameter(8),
        weight("add", 4, "how often an element is added"),
        weight("remove", 2, "how often an element is removed"),
        weight("contains", 4, "how often one element is asked for"),
        weight("read", 2, "how often a whole set is read"),
        most_parameter("set_size", 256, "set"),
        *_SHARED,
    ),
)

QUEUE = Queues(
    name="queue",
    description=(
        "Enqueues unique items and dequeues them, first in, first out. Shows an item that was lost, given "
        "out twice, or overtaken."
    ),
    parameters=(
        keys_parameter(8),
        weight("enqueue", 5, "how often an item is enqueued"),
        weight("dequeue", 4, "how often an item is dequeued"),
        weight("peek", 1, "how often the next item is looked at"),
        weight("length", 1, "how often items are counted"),
        weight("read", 1, "how often a whole queue is read"),
        most_parameter("queue_length", 256, "queue"),
        *_SHARED,
    ),
)

COUNTER = Counter(
    name="counter",
    description=(
        "Adds one and is told the sum, or reads it. Shows an increment that was lost or executed twice."
    ),
    parameters=(
        keys_parameter(5),
        weight("add", 6, "how often one is added"),
        weight("read", 4, "how often a counter is read"),
        *_SHARED,
    ),
)

BANK = Bank(
    name="bank",
    description=(
        "Transfers between the accounts of a bank, looked at one by one or all at once. Shows half a "
        "transfer, and one done twice."
    ),
    parameters=(
        keys_parameter(3),
        weight("transfer", 6, "how often money is moved"),
        weight("balance", 2, "how often one account is looked at"),
        weight("read", 3, "how often all accounts are looked at"),
        *_SHARED,
    ),
)

WORKLOADS: Mapping[str, Workload] = MappingProxyType(
    {w.name: w for w in (REGISTER, KV, APPEND, SET, QUEUE, COUNTER, BANK)}
)
