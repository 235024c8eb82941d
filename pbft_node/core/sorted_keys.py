"""Keys in ascending order, for scans: short sorted lists in a sorted list, so that a key more or less costs
the length of a short one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

LOAD = 512
"""Keys in a short list when it is made; it is split at twice as many."""


class SortedKeys:
    """A sorted collection of distinct keys."""

    __slots__ = ("_firsts", "_lists")

    def __init__(self, keys: Iterable[bytes]) -> None:
        ordered = sorted(keys)
        self._lists = [ordered[start : start + LOAD] for start in range(0, len(ordered), LOAD)]
        self._firsts = [keys_[0] for keys_ in self._lists]

    def add(self, key: bytes) -> None:
        """Insert a key that is not there."""
        if not self._lists:
            self._lists, self._firsts = [[key]], [key]
            return
        index = self._list_of(key)
        keys = self._lists[index]
        insort(keys, key)
        self._firsts[index] = keys[0]
        if len(keys) > 2 * LOAD:
            self._lists[index : index + 1] = [keys[:LOAD], keys[LOAD:]]
            self._firsts[index : index + 1] = [keys[0], keys[LOAD]]

    def remove(self, key: bytes) -> None:
        """Take out a key that is there."""
        index = self._list_of(key)
        keys = self._lists[index]
        del keys[bisect_left(keys, key)]
        if keys:
            self._firsts[index] = keys[0]
        else:
            del self._lists[index], self._firsts[index]

    def first_from(self, key: bytes) -> bytes | None:
        """The smallest key that is not below ``key``."""
        if not self._lists:
            return None
        index = self._list_of(key)
        position = bisect_left(self._lists[index], key)
        if position == len(self._lists[index]):
            index, position = index + 1, 0
        return self._lists[index][position] if index < len(self._lists) else None

    def _list_of(self, key: bytes) -> int:
        return max(0, bisect_right(self._firsts, key) - 1)
