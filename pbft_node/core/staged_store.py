"""A store in front of a store: what one operation writes, kept apart until it is known to be good.

It reads as if the writes had been done. Dropped, nothing happened; ``commit`` does them, in ascending
order of keys.
"""

from __future__ import annotations

from collections.abc import Iterator

from .pages import Image
from .sorted_keys import SortedKeys
from .store import MAX_ENTRY_BYTES, Store


class StagedStore(Store):
    """For one operation."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.time_ns = store.time_ns
        self._written: dict[bytes, bytes | None] = {}
        """None: deleted."""
        self._order = SortedKeys(())

    def get(self, key: bytes) -> bytes | None:
        """See ``Store``."""
        return self._written[key] if key in self._written else self._store.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """See ``Store``; but a wrong argument is the caller's bug, so TypeError or ValueError."""
        if type(key) is not bytes or type(value) is not bytes:
            raise TypeError(f"put({type(key).__name__}, {type(value).__name__}): keys and values are bytes")
        if len(key) + len(value) > MAX_ENTRY_BYTES:
            raise ValueError(f"an entry of {len(key) + len(value)} bytes: the limit is {MAX_ENTRY_BYTES}")
        self._write(key, value)

    def delete(self, key: bytes) -> bool:
        """See ``Store``."""
        if type(key) is not bytes:
            raise TypeError(f"delete({type(key).__name__}): keys are bytes")
        if self.get(key) is None:
            return False
        self._write(key, None)
        return True

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """See ``Store``."""
        below = self._store.scan(prefix)
        next_below = next(below, None)
        position = prefix
        while True:
            own = self._order.first_from(position)
            if own is not None and not own.startswith(prefix):
                own = None
            if own is None and next_below is None:
                return
            if own is None or (next_below is not None and next_below[0] < own):
                assert next_below is not None
                key, value = next_below
                next_below = next(below, None)
            else:
                key, written = own, self._written[own]
                position = key + b"\0"
                if next_below is not None and next_below[0] == key:
                    next_below = next(below, None)
                if written is None:
                    continue
                value = written
            position = key + b"\0"
            yield key, value

    def commit(self) -> None:
        """Do what was written."""
        for key in sorted(self._written):
            value = self._written[key]
            if value is None:
                self._store.delete(key)
            else:
                self._store.put(key, value)

    def __len__(self) -> int:
        return sum(1 for _ in self.scan())

    @property
    def size_bytes(self) -> int:
        """Of the contents below; what is written here is not counted yet."""
        return self._store.size_bytes

    def image(self) -> Image:
        """A service has no use for checkpoints."""
        raise TypeError("image() is not for services")

    def become(self, image: Image) -> None:
        """A service has no use for checkpoints."""
        raise TypeError("become() is not for services")

    def _write(self, key: bytes, value: bytes | None) -> None:
        if key not in self._written:
            self._order.add(key)
        self._written[key] = value
