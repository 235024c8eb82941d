"""A set: add, remove, contains, read. An add or a remove does not say whether the element was there.

Each element is a flag of its own: seen *up* by a read with it and a contains that said yes, *down* by a read
without it and a contains that said no. `grow-only-set` is the set without remove.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import ClassVar, cast

from checker.history import Operation
from checker.models.base import SCALAR, Action, Blur, Call, Model, State, Study, boxed, is_scalar, unboxed


class Members:
    """The elements of a set at one time. The version used last holds them; others say how they differ.

    Using another version moves the elements there (Baker's rerooting), so that going on from the version used
    last costs the same at any size. Equal if the elements are equal.
    """

    __slots__ = ("_element", "_held", "_key", "_next", "_there")

    def __init__(self, elements: Iterable[Hashable]) -> None:
        self._held: set[Hashable] | None = set(elements)
        self._next: Members | None = None
        self._element: Hashable = None
        self._there = False
        self._key: frozenset[Hashable] | None = None

    def held(self) -> set[Hashable]:
        """The elements, to be looked at before any other version is used."""
        if self._held is None:
            self._fetch()
        assert self._held is not None
        return self._held

    def _fetch(self) -> None:
        path, node = [], self
        while node._held is None:
            path.append(node)
            node = cast(Members, node._next)
        for version in reversed(path):
            elements = node._held
            (elements.add if version._there else elements.discard)(version._element)
            node._held, node._next = None, version
            node._element, node._there = version._element, not version._there
            version._held, version._next = elements, None
            node = version

    def having(self, element: Hashable, there: bool) -> Members:
        """This set with or without `element`."""
        elements = self.held()
        if (element in elements) is there:
            return self
        (elements.add if there else elements.discard)(element)
        newer = Members(())
        newer._held = elements
        self._held, self._next, self._element, self._there = None, newer, element, not there
        return newer

    def frozen(self) -> frozenset[Hashable]:
        """The elements, for good."""
        if self._key is None:
            self._key = frozenset(self.held())
        return self._key

    def __hash__(self) -> int:
        return hash(self.frozen())

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Members) and self.frozen() == other.frozen())


class Set(Model):
    """One set per key."""

    kind: ClassVar[str] = "set"
    functions: ClassVar[Mapping[str, str]] = {
        "add": "add",
        "remove": "remove",
        "contains": "contains",
        "read": "read",
    }

    def __init__(self, name: str, initial: Hashable = None) -> None:
        elements = (boxed(element) for element in cast(tuple[Hashable, ...], initial or ()))
        super().__init__(name, Members(elements))

    def step(self, state: State, call: Action) -> tuple[bool, State]:
        members: Members = state  # type: ignore[assignment]  # a cast costs as much as the rest
        f = self.functions[call.f]
        if f == "add" or f == "remove":
            if members is self.initial:
                # A copy, so that the first version does not keep all later ones alive.
                members = Members(members.held())
            return True, members.having(call.input, f == "add")
        if not call.known:
            return True, members
        held = members.held()
        if f == "contains":
            return call.output is (call.input in held), members
        told = cast(tuple[Hashable, ...], call.output)
        return len(told) == len(held) and held == set(told), members

    def is_observer(self, call: Call) -> bool:
        return call.f == "contains" or call.f == "read"

    def study(self, calls: Sequence[Call]) -> SetStudy:
        return SetStudy(cast(Members, self.initial).frozen(), calls)

    def removable(self, calls: Sequence[Call]) -> frozenset[int]:
        """Reads, contains, adds of elements nobody saw up, removes of elements nobody saw down.

        Take an explaining order and an element nobody saw up: wherever somebody looked, it was down, so the
        last call on it was a remove, or there was none and it was down at first. That is still so without
        its adds. Likewise the other way round. Elements do not touch each other.
        """
        looks = _Looks(calls)
        return frozenset(i for i, call in enumerate(calls) if self.is_observer(call) or looks.unneeded(call))

    def needed(self, operations: Sequence[Operation], kept: frozenset[int]) -> list[int]:
        """Adds of elements that a kept call saw up; removes of those it saw down, if they can be up then.

        Elements do not touch each other, so take one, in an explaining order. Where a kept call saw it up,
        the last of the needed and kept calls on it ahead is still an add (or there is none, and it was up at
        first): all adds are there, and perhaps not all removes. Likewise where one saw it down; and if it was
        down at first and no add is left, it is always down.
        """
        calls = [self.call(operations[i]) for i in sorted(kept)]
        looks, functions = _Looks(calls), self.functions
        ups = {call.input for call in calls if call.f == "add"} | cast(Members, self.initial).frozen()
        found = []
        for i, op in enumerate(operations):
            f, element = functions[op.f], op.input
            if i in kept:
                continue
            if f == "add":
                needed = looks.up(element)
            else:
                needed = f == "remove" and looks.down(element) and (element in ups or looks.up(element))
            if needed:
                found.append(i)
        return found

    def atoms(self, calls: Sequence[Call]) -> tuple[Hashable, ...]:
        """Elements that are not there at first: each is an object of its own but for the reads, which need
        all of them at once; left out of a read, it is legal where it was."""
        named: dict[Hashable, None] = {}
        for call in calls:
            if call.f != "read":
                named[call.input] = None
            elif call.known:
                named.update(dict.fromkeys(cast(tuple[Hashable, ...], call.output)))
        there = cast(Members, self.initial).frozen()
        return tuple(element for element in named if element not in there)

    def project(self, call: Call, gone: frozenset[Hashable]) -> Call | None:
        if call.f != "read":
            return None if call.input in gone else call
        if not call.known:
            return call
        told = cast(tuple[Hashable, ...], call.output)
        return call._replace(output=tuple(element for element in told if element not in gone))

    def show(self, state: State) -> object:
        elements = cast(Members, state).frozen() - {Blur.UNSEEN}
        ranked = sorted(elements, key=lambda element: (type(element).__name__, str(element)))
        return [unboxed(element) for element in ranked]

    @classmethod
    def initial_problem(cls, initial: Hashable) -> str | None:
        return None if _is_list(initial) else _ELEMENTS

    def input_problem(self, f: str, value: object) -> str | None:
        if self.functions[f] == "read":
            return None if value is None else "null"
        return None if is_scalar(value) else SCALAR

    def output_problem(self, f: str, value: object) -> str | None:
        name = self.functions[f]
        if name == "read":
            return None if _is_list(value) else _ELEMENTS
        if name == "contains":
            return None if type(value) is bool else "true or false"
        return None if value is None else "null"

    def canonical_input(self, f: str, value: Hashable) -> Hashable:
        return boxed(value)

    def canonical_output(self, f: str, value: Hashable) -> Hashable:
        if isinstance(value, tuple):
            return tuple(boxed(element) for element in value)
        return value


class GrowOnlySet(Set):
    """One set per key from which nothing is ever removed."""

    kind: ClassVar[str] = "grow-only set"
    functions: ClassVar[Mapping[str, str]] = {"add": "add", "contains": "contains", "read": "read"}


_ELEMENTS = f"a list of elements, each {SCALAR}"


def _is_list(value: object) -> bool:
    return isinstance(value, tuple) and all(type(element) is str or is_scalar(element) for element in value)


class _Looks:
    """Which elements somebody saw up or down."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._reads = 0
        self._read = Counter[Hashable]()
        self._said_yes: set[Hashable] = set()
        self._said_no: set[Hashable] = set()
        for call in calls:
            if not call.known:
                continue
            if call.f == "read":
                self._reads += 1
                self._read.update(set(cast(tuple[Hashable, ...], call.output)))
            elif call.f == "contains":
                (self._said_yes if call.output else self._said_no).add(call.input)

    def up(self, element: Hashable) -> bool:
        """Whether somebody saw it up."""
        return element in self._read or element in self._said_yes

    def down(self, element: Hashable) -> bool:
        """Whether somebody saw it down."""
        return self._read[element] < self._reads or element in self._said_no

    def unneeded(self, call: Call) -> bool:
        """Whether it is an add or a remove whose effect nobody saw."""
        if call.f == "add":
            return not self.up(call.input)
        return call.f == "remove" and not self.down(call.input)


class SetStudy(Study):
    """Advice for one key.

    useless: pending observers, and pending adds and removes whose effect nobody saw (`Set.removable`).
    label: added elements that nobody saw up, asked for by name, removed, or found there at first are one
    element: each of them makes every read illegal for good, and nothing else.
    lost: who saw an element down, once it is up and nothing removes it; who saw it up, once it is down and
    nothing adds it.
    """

    def __init__(self, initial: frozenset[Hashable], calls: Sequence[Call]) -> None:
        super().__init__(calls)
        looks = _Looks(calls)
        self.useless = frozenset(
            i
            for i, call in enumerate(calls)
            if not call.known and (call.f in ("contains", "read") or looks.unneeded(call))
        )
        kept = [call for i, call in enumerate(calls) if i not in self.useless]
        self._added = {call.input for call in kept if call.f == "add"}
        self._removed = {call.input for call in kept if call.f == "remove"}
        asked = {call.input for call in kept if call.f == "contains"}
        self._plain = self._added - self._removed - asked - initial
        self._plain = {element for element in self._plain if not looks.up(element)}
        self._reads: list[int] = []
        self._in_reads: dict[Hashable, list[int]] = {}
        self._said: dict[tuple[Hashable, bool], list[int]] = {}
        for i, call in enumerate(calls):
            if call.known and call.f == "read":
                self._reads.append(i)
                for element in dict.fromkeys(cast(tuple[Hashable, ...], call.output)):
                    self._in_reads.setdefault(element, []).append(i)
            elif call.known and call.f == "contains":
                said = call.input, call.output is True
                self._said.setdefault(said, []).append(i)

    def label(self, position: int) -> Call:
        call = self._calls[position]
        if call.f == "add" and call.input in self._plain:
            return call._replace(input=Blur.UNSEEN)
        return call

    def lost(self, before: State, after: State) -> Sequence[int]:
        if before is after:
            return ()
        old, new = cast(Members, before).frozen(), cast(Members, after).frozen()
        gone: list[int] = []
        for element in new - old:
            if element not in self._removed:
                gone.extend(self._last_without(element))
                gone.extend(self._said.get((element, False), ()))
        for element in old - new:
            if element not in self._added:
                gone.extend(self._in_reads.get(element, ()))
                gone.extend(self._said.get((element, True), ()))
        return sorted(gone)

    def _last_without(self, element: Hashable) -> Sequence[int]:
        """The last read that has not seen it, if there is one."""
        seen = self._in_reads.get(element, [])
        for back, i in enumerate(reversed(self._reads), 1):
            if back > len(seen) or seen[-back] != i:
                return (i,)
        return ()
