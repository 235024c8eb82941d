"""What the reads of a history show by themselves: the order of each key's elements, and who wrote them.

After Kingsbury and Alvaro, "Elle" (VLDB 2020), section 4. Every read that completed shows a prefix of its
key's final list, so the longest read has the order of all it shows. Where reads disagree, or a list has an
element twice, the order is known only as far as all reads agree (`Key.agreed`); nothing is guessed beyond.
An element has a writer iff exactly one transaction that did not fail appended it, once. A transaction counts
as committed iff it completed, or a completed read shows one of its elements. A node is the position of an
operation in the history.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, cast

from checker.history import Operation

MicroOp = tuple[str, Hashable, Any]
NOBODY = -1
"""The writer of an element that several transactions may have appended, or none that can have happened."""


class Key:
    """One list, as the history shows it."""

    __slots__ = (
        "agreed", "conflicts", "failed", "intermediate", "longest", "longest_reader", "name", "position",
        "repeated", "suspect", "writers",
    )  # fmt: skip

    def __init__(self, name: Hashable) -> None:
        self.name = name
        self.writers: dict[Hashable, int] = {}
        """Element -> node of its only possible writer, or NOBODY."""
        self.failed: dict[Hashable, int] = {}
        self.intermediate: dict[Hashable, int] = {}
        """Elements their writer itself appended more after."""
        self.longest: tuple[Hashable, ...] = ()
        self.longest_reader = NOBODY
        self.agreed = 0
        self.position: dict[Hashable, int] = {}
        """Where the elements of the agreed order are in it."""
        self.conflicts: list[tuple[int, tuple[Hashable, ...]]] = []
        """Reads that are no prefix of the longest."""
        self.repeated = False
        self.suspect = 0
        """How much of the longest read was appended by transactions that may have committed."""

    def order(self) -> tuple[Hashable, ...]:
        """The elements whose order is known."""
        return self.longest[: self.agreed]

    def writer(self, element: Hashable) -> int:
        """The node that appended `element`, or NOBODY."""
        return self.writers.get(element, NOBODY)


class Observations:
    """A whole history, read once. `micro` has each node's micro-operations, with results where known."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations
        self.micro: list[Sequence[MicroOp]] = []
        self.keys: dict[Hashable, Key] = {}
        self.ambiguous: list[tuple[Hashable, Hashable]] = []
        """(key, element) appended more than once by transactions that may have happened."""
        self._index_appends()
        self._compare_reads()
        self.committed = self._find_committed()

    def _index_appends(self) -> None:
        keys = self.keys
        for node, op in enumerate(self.operations):
            ok, failed = op.type == "ok", op.type == "fail"
            micro = cast(Sequence[MicroOp], op.output if ok else op.input)
            self.micro.append(micro)
            last: dict[Hashable, Hashable] = {}
            for f, name, value in micro:
                key = keys.get(name)
                if key is None:
                    key = keys[name] = Key(name)
                if f != "append":
                    if ok and value and len(value) > len(key.longest):
                        key.longest, key.longest_reader = value, node
                    continue
                if name in last:
                    key.intermediate[last[name]] = node
                last[name] = value
                if failed:
                    key.failed.setdefault(value, node)
                elif value in key.writers:
                    key.writers[value] = NOBODY
                    self.ambiguous.append((name, value))
                else:
                    key.writers[value] = node

    def _compare_reads(self) -> None:
        for key in self.keys.values():
            order = key.longest
            key.agreed = first_repeat(order)
            key.repeated = key.agreed < len(order)
            key.suspect = next((i for i, e in enumerate(order) if e not in key.writers), len(order))
        for node, name, value in self.reads():
            key = self.keys[name]
            longest = key.longest
            if value == longest or value == longest[: len(value)]:
                continue
            key.conflicts.append((node, value))
            key.agreed = min(key.agreed, common_prefix(value, longest), first_repeat(value))
        for key in self.keys.values():
            key.position = {element: i for i, element in enumerate(key.order())}

    def _find_committed(self) -> bytearray:
        committed = bytearray(op.type == "ok" for op in self.operations)
        for key in self.keys.values():
            for shown in (key.longest, *(value for _, value in key.conflicts)):
                for element in shown:
                    node = key.writers.get(element, NOBODY)
                    if node != NOBODY:
                        committed[node] = 1
        return committed

    def reads(self) -> Iterator[tuple[int, Hashable, tuple[Hashable, ...]]]:
        """(node, key, list) of every completed read. An absent list is the empty one."""
        for node, op in enumerate(self.operations):
            if op.type == "ok":
                for f, name, value in self.micro[node]:
                    if f != "append":
                        yield node, name, value or ()

    def agrees(self, key: Key, value: tuple[Hashable, ...]) -> bool:
        """Whether a read lies within the order that all reads agree on; its length then names the state."""
        if len(value) > key.agreed:
            return False
        return not key.conflicts or value == key.longest[: len(value)]


def first_repeat(elements: Sequence[Hashable]) -> int:
    """How many elements there are before the first that was there before."""
    if len(set(elements)) == len(elements):
        return len(elements)
    seen: set[Hashable] = set()
    for i, element in enumerate(elements):
        if element in seen:
            return i
        seen.add(element)
    return len(elements)


def common_prefix(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Length of what both begin with."""
    for i, (a, b) in enumerate(zip(one, other)):
        if a != b:
            return i
    return min(len(one), len(other))
