"""What a driver counts while it runs a replica, so cheaply that it always does.

Datagrams are counted once a turn, by the type in their header (nothing about it is authentic), everything
else where its effect passes. What the core knows anyway is not counted here but read when somebody asks
(``metrics``). Every table is bounded, whoever fills it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .core.effects import Rejected, Send
from .core.frames import MessageType
from .core.types import is_client

MAX_REJECTED_KINDS = 256
_TYPE_NAMES = {int(type_): type_.name for type_ in MessageType}


class Histogram:
    """How often which size: bucket i holds values of i bits, so below 2**i. Never negative."""

    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * 65
        self.sum = 0

    def add(self, value: int) -> None:
        """One more."""
        self.buckets[min(value.bit_length(), 64)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.buckets)


class Traffic:
    """Datagrams and bytes, by type."""

    __slots__ = ("bytes", "datagrams")

    def __init__(self) -> None:
        self.datagrams = [0] * 256
        self.bytes = [0] * 256

    def add(self, datagrams: Iterable[bytes]) -> None:
        """A turn's."""
        counts, sizes = self.datagrams, self.bytes
        for data in datagrams:
            size = len(data)
            type_ = data[5] if size > 5 else 0  # at that offset since version 1 of the frame
            counts[type_] += 1
            sizes[type_] += size

    def by_name(self, counted: Sequence[int]) -> dict[str, int]:
        """One of the two tables with the types' names; what is no type is ``other``."""
        table: dict[str, int] = {}
        for type_, count in enumerate(counted):
            if count:
                name = _TYPE_NAMES.get(type_, "other")
                table[name] = table.get(name, 0) + count
        return table


class Meter:
    """The counters of one life of a replica."""

    def __init__(self) -> None:
        self.received, self.sent = Traffic(), Traffic()
        self.turn_ns, self.timer_late_ns, self.batch_requests = Histogram(), Histogram(), Histogram()
        self.traced: dict[str, int] = {}
        self.view_changes: dict[str, int] = {}
        self.rejected: dict[tuple[str, str], int] = {}

    def send(self, outbox: Sequence[Send]) -> None:
        """These leave."""
        self.sent.add([message.data for message in outbox])

    def trace(self, kind: str, fields: Mapping[str, object]) -> None:
        """A protocol fact passed, written or not."""
        self.traced[kind] = self.traced.get(kind, 0) + 1
        if kind == "executed":
            requests = fields.get("requests")
            self.batch_requests.add(len(requests) if isinstance(requests, list) else 0)
        elif kind == "view-change":
            reason = str(fields.get("reason"))
            self.view_changes[reason] = self.view_changes.get(reason, 0) + 1

    def reject(self, effect: Rejected) -> None:
        """Bytes a correct peer would not send; clients are counted together."""
        sender = effect.sender
        who = "unknown" if sender is None else "client" if is_client(sender) else str(sender)
        key = (effect.message, who)
        if key not in self.rejected and len(self.rejected) >= MAX_REJECTED_KINDS:
            key = ("other", "other")
        self.rejected[key] = self.rejected.get(key, 0) + 1
