"""Fields of PBFT layers that are strict: what is cut short, or too much, is refused with ``Unfit``.

scapy's own fields take fewer bytes than they ask for, and then the layer no longer builds what was dissected.
Who asks for a body (``frame``) takes a refusal as "these are only bytes".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from scapy.fields import Field, PacketListField, StrLenField, XStrFixedLenField

MOST_ITEMS = 65_536
"""In one list: counts have 16 bits, or the datagram is the bound."""
DIGEST_BYTES = 32


class Unfit(Exception):
    """Bytes that are not such a field."""


class Sized(XStrFixedLenField):
    """So many bytes, no fewer."""

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, bytes]:
        """See ``Field``."""
        size = self.length_from(pkt)
        if len(s) < size:
            raise Unfit(f"{self.name}: {len(s)} bytes where {size} belong")
        return s[size:], s[:size]


class Digest(Sized):
    """SHA-256."""

    def __init__(self, name: str) -> None:
        super().__init__(name, bytes(DIGEST_BYTES), length=DIGEST_BYTES)


class Counted(StrLenField):
    """As many bytes as another field says."""

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, bytes]:
        """See ``Field``."""
        assert self.length_from is not None
        size = self.length_from(pkt)
        if not 0 <= size <= len(s):
            raise Unfit(f"{self.name}: {len(s)} bytes where {size} belong")
        return s[size:], s[:size]


class Items(PacketListField):
    """``one(bytes, parent)`` takes the first element off: it and the rest. ``count``: how many there are;
    without it they go on to the end."""

    __slots__ = ("one", "wanted")

    def __init__(
        self,
        name: str,
        one: Callable[[bytes, Any], tuple[Any, bytes]],
        count: Callable[[Any], int] | None = None,
    ) -> None:
        super().__init__(name, [], None)
        self.one, self.wanted = one, count

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, list[Any]]:
        """See ``Field``."""
        items: list[Any] = []
        wanted = None if self.wanted is None else self.wanted(pkt)
        while s if wanted is None else len(items) < wanted:
            if len(items) >= MOST_ITEMS:
                raise Unfit(f"{self.name}: more than {MOST_ITEMS}")
            item, s = self.one(s, pkt)
            items.append(item)
        return s, items


class Numbers(Field[list[int], bytes]):
    """A list of 16-bit numbers, ``count`` of them."""

    islist = 1
    __slots__ = ("count",)

    def __init__(self, name: str, count: Callable[[Any], int]) -> None:
        super().__init__(name, [], "H")
        self.count = count

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, list[int]]:
        """See ``Field``."""
        count = self.count(pkt)
        if len(s) < 2 * count:
            raise Unfit(f"{self.name}: {len(s)} bytes for {count} numbers")
        return s[2 * count :], list(struct.unpack_from(f">{count}H", s))

    def addfield(self, pkt: Any, s: bytes, val: list[int] | None) -> bytes:
        """See ``Field``."""
        numbers = val or []
        return s + struct.pack(f">{len(numbers)}H", *numbers)

    def i2count(self, pkt: Any, x: Any) -> int:
        """See ``Field``."""
        return len(x)

    def any2i(self, pkt: Any, x: Any) -> Any:
        """See ``Field``."""
        return x

    def i2repr(self, pkt: Any, x: Any) -> str:
        """See ``Field``."""
        return repr(x)
