"""A list that only grows: append an element, read the whole list.

States form a tree: the children of a list are the lists one element longer. A state is a node of it, made
once, so equal lists are the same object and comparing, hashing and appending cost the same at any length.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar, cast

from checker.history import Operation
from checker.models.base import SCALAR, Action, Blur, Call, Model, State, Study, boxed, is_scalar, unboxed


class Prefix:
    """A list, as the path from the empty one. Equal lists of one model are identical objects."""

    __slots__ = ("_child", "_others", "_told", "element", "length", "parent")

    def __init__(self, parent: Prefix | None, element: Hashable, length: int = 0) -> None:
        self.parent = parent
        self.element = element
        self.length = length
        # Nearly every list goes on in one way only.
        self._child: Prefix | None = None
        self._others: dict[Hashable, Prefix] | None = None
        self._told: tuple[Hashable, ...] | None = None if parent else ()

    def then(self, element: Hashable) -> Prefix:
        """This list with `element` at its end."""
        child = self._child
        if child is None:
            child = self._child = Prefix(self, element, self.length + 1)
        elif child.element != element:
            others = self._others
            if others is None:
                others = self._others = {}
            child = others.get(element)
            if child is None:
                child = others[element] = Prefix(self, element, self.length + 1)
        return child

    def path(self, elements: Sequence[Hashable]) -> Prefix:
        """This list with all of `elements` at its end."""
        node = self
        for element in elements:
            node = node.then(element)
        return node

    def elements(self) -> tuple[Hashable, ...]:
        """The list itself."""
        node, backwards = self, list[Hashable]()
        while node.parent is not None:
            backwards.append(node.element)
            node = node.parent
        return tuple(reversed(backwards))

    def equals(self, elements: tuple[Hashable, ...]) -> bool:
        """Whether this is the list `elements`, without making new states.

        A list that was told is kept with its node: of a longer one only what was added is walked through.
        """
        at = self.length
        if len(elements) != at:
            return False
        node = self
        while node._told is None:
            at -= 1
            if node.element != elements[at] or node.parent is None:
                return False
            node = node.parent
        if node._told != (elements if at == self.length else elements[:at]):
            return False
        self._told = elements
        return True


def elements_of(call: Action) -> tuple[Hashable, ...]:
    """The list a completed read returned."""
    return cast(tuple[Hashable, ...], call.output)


class AppendList(Model):
    """One list per key."""

    kind: ClassVar[str] = "append"
    functions: ClassVar[Mapping[str, str]] = {"append": "append", "read": "read"}

    def __init__(self, name: str, initial: Hashable = None) -> None:
        root = Prefix(None, None)
        super().__init__(name, root.path(cast(tuple[Hashable, ...], _canonical(initial or ()))))
        self._root = root

    def step(self, state: State, call: Action) -> tuple[bool, State]:
        node: Prefix = state  # type: ignore[assignment]  # a cast costs as much as the rest
        if self.functions[call.f] == "append":
            return True, node.then(call.input)
        return (not call.known or node.equals(call.output)), node  # type: ignore[arg-type]

    def is_observer(self, call: Call) -> bool:
        return call.f == "read"

    def study(self, calls: Sequence[Call]) -> AppendStudy:
        return AppendStudy(self._root, calls)

    def removable(self, calls: Sequence[Call]) -> frozenset[int]:
        """Reads, and appends of elements in no completed read: those come after every read, or never."""
        seen = _seen(calls)
        return frozenset(i for i, call in enumerate(calls) if call.f == "read" or call.input not in seen)

    def needed(self, operations: Sequence[Operation], kept: frozenset[int]) -> list[int]:
        """Appends of what a kept read returned. All other appends come after every kept read, or never."""
        seen = _seen([self.call(operations[i]) for i in sorted(kept)])
        return [
            i
            for i, op in enumerate(operations)
            if i not in kept and op.input in seen and self.functions[op.f] == "append"
        ]

    def atoms(self, calls: Sequence[Call]) -> tuple[Hashable, ...]:
        """Elements not there at first. Filtered out of every list, an explaining order still explains."""
        appended = [call.input for call in calls if call.f == "append"]
        there = set(cast(Prefix, self.initial).elements())
        named = dict.fromkeys([*appended, *sorted(_seen(calls), key=str)])
        return tuple(element for element in named if element not in there)

    def project(self, call: Call, gone: frozenset[Hashable]) -> Call | None:
        if call.f == "append":
            return None if call.input in gone else call
        if not call.known:
            return call
        left = tuple(element for element in elements_of(call) if element not in gone)
        return Call(call.f, call.input, left, call.known)

    def show(self, state: State) -> object:
        return [unboxed(element) for element in cast(Prefix, state).elements()]

    @classmethod
    def initial_problem(cls, initial: Hashable) -> str | None:
        return None if _is_list(initial) else _LIST

    def input_problem(self, f: str, value: object) -> str | None:
        if self.functions[f] == "append":
            return None if is_scalar(value) else SCALAR
        return None if value is None else "null"

    def output_problem(self, f: str, value: object) -> str | None:
        if self.functions[f] == "append":
            return None if value is None else "null"
        return None if _is_list(value) else _LIST

    def canonical_input(self, f: str, value: Hashable) -> Hashable:
        return boxed(value)

    def canonical_output(self, f: str, value: Hashable) -> Hashable:
        return _canonical(value)


_LIST = f"a list, each element {SCALAR}"


def _is_list(value: object) -> bool:
    return isinstance(value, tuple) and all(type(element) is str or is_scalar(element) for element in value)


def _canonical(value: Hashable) -> Hashable:
    """The same tuple if, as nearly always, nothing in it is a boolean."""
    if isinstance(value, tuple) and any(type(element) is bool for element in value):
        return tuple(boxed(element) for element in value)
    return value


def _seen(calls: Sequence[Call]) -> set[Hashable]:
    return {e for call in calls if call.f == "read" and call.known for e in elements_of(call)}


class AppendStudy(Study):
    """Advice for one key.

    useless: pending reads, and pending appends of elements in no completed read.
    label: elements in no completed read are one element (no read is legal once one of them is in).
    lost: a list only grows, so a read is lost once the list is no prefix of what it returned.
    blurred: lists that are no prefix of any read are one, for the same reason.
    """

    def __init__(self, root: Prefix, calls: Sequence[Call]) -> None:
        super().__init__(calls)
        self._seen = _seen(calls)
        self.useless = frozenset(
            i
            for i, call in enumerate(calls)
            if not call.known and (call.f == "read" or call.input not in self._seen)
        )
        self._dead = root.then(Blur.UNSEEN)
        self._reads = _reads_of(root, calls)
        self._next, self._last = _above(self._reads)

    def label(self, position: int) -> Call:
        call = self._calls[position]
        if call.f == "append" and call.input not in self._seen:
            return Call(call.f, Blur.UNSEEN, call.output, call.known)
        return call

    def blurred(self, state: State) -> State:
        return state if state in self._last else self._dead

    def lost(self, before: State, after: State) -> Sequence[int]:
        if before is after:
            return ()
        # Of the reads behind other elements than this one the last will do.
        others = [self._last[node] for node in self._next.get(cast(Prefix, before), ()) if node is not after]
        here = self._reads.get(cast(Prefix, before), [])
        last = max(others, default=-1)
        return (*here, last) if last > (here[-1] if here else -1) else here


def _reads_of(root: Prefix, calls: Sequence[Call]) -> dict[Prefix, list[int]]:
    """The completed reads of each list that was read."""
    reads: dict[Prefix, list[int]] = {}
    for i, call in enumerate(calls):
        if call.f == "read" and call.known:
            reads.setdefault(root.path(elements_of(call)), []).append(i)
    return reads


def _above(reads: Mapping[Prefix, list[int]]) -> tuple[dict[Prefix, list[Prefix]], dict[Prefix, int]]:
    """Of every prefix of a list that was read: those one element longer, and the last read of it or more."""
    following: dict[Prefix, list[Prefix]] = {}
    last: dict[Prefix, int] = {}
    for end, positions in reads.items():
        node = end
        known = node in last
        last[node] = max(last.get(node, -1), positions[-1])
        while node.parent is not None and not known:
            known = node.parent in last
            following.setdefault(node.parent, []).append(node)
            last.setdefault(node.parent, -1)
            node = node.parent
    for node in sorted(last, key=lambda node: -node.length):
        if node.parent is not None:
            last[node.parent] = max(last[node.parent], last[node])
    return following, last
