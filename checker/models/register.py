"""A register that may be absent: read, write, compare-and-set, delete (`register`, `kv`, `cas-register`).

A compare-and-set says whether it swapped and what was there before: `(swapped, actual)`. Then every
completed call but a write and a delete *requires* one exact value. Or it only says whether it swapped. Then
one that did requires what it expected, and one that did not *excludes* that: it may be legal only because of
a write that nobody read. An absent register (None) matches no compare-and-set, except in `cas-register`,
where null is a value like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import ClassVar, cast

from checker.history import Operation
from checker.models.base import SCALAR, Action, Blur, Call, Model, State, Study, boxed, is_scalar, unboxed


def cas_of(call: Action) -> tuple[Hashable, Hashable]:
    """(expected, new) of a compare-and-set."""
    return cast(tuple[Hashable, Hashable], call.input)


def swapped(call: Action) -> bool:
    """Whether a completed compare-and-set says that it swapped."""
    output = call.output
    return output is True or (type(output) is tuple and output[0] is True)


def excludes(call: Action) -> bool:
    """Whether the call is a compare-and-set that failed without saying what was there."""
    return call.known and call.output is False and call.f == "cas"


def required(call: Action) -> tuple[Hashable, ...]:
    """The value the register must hold for this completed call to be legal, as a tuple of none or one."""
    if not call.known or call.f in ("write", "delete"):
        return ()
    if call.f == "read":
        return (call.output,)
    if type(call.output) is tuple:
        return (call.output[1],)
    return (cas_of(call)[0],) if call.output is True else ()


def wanted(call: Action) -> tuple[Hashable, ...]:
    """Values on which what this call does can depend: what it requires, and what a cas compares with."""
    if call.f != "cas":
        return required(call)
    return (*required(call), cas_of(call)[0])


def produced(call: Action) -> tuple[Hashable, ...]:
    """The value this call may leave behind, as a tuple of none or one. A swap of a value for itself is an
    observer."""
    if call.f == "write":
        return (call.input,)
    if call.f == "delete":
        return (None,)
    if call.f == "cas" and (not call.known or swapped(call)):
        expected, new = cas_of(call)
        return () if expected == new else (new,)
    return ()


_MOST_STATES = 64


class Register(Model):
    """One register per key."""

    kind: ClassVar[str] = "register"
    functions: ClassVar[Mapping[str, str]] = {
        "read": "read",
        "get": "read",
        "write": "write",
        "put": "write",
        "cas": "cas",
        "delete": "delete",
    }
    null_matches: ClassVar[bool] = False
    """Whether a compare-and-set that expects null swaps in an absent register."""

    def __init__(self, name: str, initial: Hashable = None) -> None:
        super().__init__(name, boxed(initial))

    def step(self, state: State, call: Action) -> tuple[bool, State]:
        f = self.functions[call.f]
        if f == "read":
            return (call.output == state or not call.known), state
        if f == "write":
            return True, call.input
        if f == "delete":
            return True, None
        expected, new = cast(tuple[Hashable, Hashable], call.input)
        swaps = state == expected and (state is not None or self.null_matches)
        output = call.output
        legal = not call.known or output is swaps or output == (swaps, state)
        return legal, new if swaps else state

    def is_observer(self, call: Call) -> bool:
        return not produced(call)

    def study(self, calls: Sequence[Call]) -> RegisterStudy:
        return RegisterStudy(self.initial, calls)

    def removable(self, calls: Sequence[Call]) -> frozenset[int]:
        """Observers, and calls that leave a value on which no *other* call depends.

        Take an explaining order and such a call m, leaving v. Nothing between m and the next call that
        changes the register can depend on v, and that next call is then a blind one: without m it is as
        legal as before. Pending compare-and-sets that did nothing there may be left out of the order.
        A call that excludes a value could have been legal only because of v: while there is one, only
        observers are removable.
        """
        if any(excludes(call) for call in calls):
            return frozenset(i for i, call in enumerate(calls) if not produced(call))
        demand = Counter(value for call in calls for value in set(wanted(call)))

        def unneeded(call: Call) -> bool:
            own = set(wanted(call))
            return all(demand[value] - (value in own) == 0 for value in produced(call))

        return frozenset(i for i, call in enumerate(calls) if unneeded(call))

    def needed(self, operations: Sequence[Operation], kept: frozenset[int]) -> list[int]:
        """Calls that may leave a value on which a kept call depends. All others can go at once.

        Take an explaining order and a kept call that needs value v there. The last call ahead of it that set
        the register left v, so it is a kept one (or there is none, and v is the initial value), and is still
        the last when the others are gone. A pending compare-and-set that did nothing is left out, too.
        What a call excludes may be there once the others are gone: then all that may leave a value stay.
        """
        calls = [self.call(operations[i]) for i in sorted(kept)]
        depends = {value for call in calls for value in (required if call.known else wanted)(call)}
        anything = any(excludes(call) for call in calls)
        needed: list[int] = []
        if not depends and not anything:
            return needed
        functions = self.functions
        for i, op in enumerate(operations):
            f = functions[op.f]
            if f == "read":
                continue
            # Not by `produced` yet: of a million few are needed.
            value = None if f == "delete" else op.input if f == "write" else op.input[1]  # type: ignore[index]
            if (anything or value in depends) and i not in kept and produced(self.call(op)):
                needed.append(i)
        return needed

    def states(self, operations: Sequence[Operation], later: Sequence[Operation]) -> Sequence[State] | None:
        """Values that were there at first or that some call may leave, if a later call depends on them; one
        that equals none stands for the rest."""
        depends = {value for op in later for value in wanted(self.call(op))}
        there = {value: None for op in operations for value in produced(self.call(op))}
        found = [value for value in {self.initial: None, **there} if value in depends]
        return [*found, Blur.UNSEEN] if len(found) < _MOST_STATES else None

    def weaken(self, call: Call) -> Call | None:
        """A compare-and-set to b that swapped as a blind write of b: where the one is legal, so is the other,
        and both leave b. A pending one likewise, left out of the order where it did not swap.
        One that found a value and did not swap as a read of that value."""
        if call.f != "cas":
            return None
        if not call.known or swapped(call):
            return Call("write", cas_of(call)[1], None, call.known)
        if type(call.output) is tuple:
            return Call("read", None, call.output[1], True)
        return None

    def show(self, state: State) -> object:
        return None if isinstance(state, Blur) else unboxed(state)

    @classmethod
    def initial_problem(cls, initial: Hashable) -> str | None:
        return None if is_scalar(initial) else SCALAR

    def input_problem(self, f: str, value: object) -> str | None:
        name = self.functions[f]
        if name == "write":
            return None if is_scalar(value) else SCALAR
        if name == "cas":
            if isinstance(value, tuple) and len(value) == 2 and is_scalar(value[0]) and is_scalar(value[1]):
                return None
            return f"[expected, new], each {SCALAR}"
        return None if value is None else "null"

    def output_problem(self, f: str, value: object) -> str | None:
        name = self.functions[f]
        if name == "read":
            return None if is_scalar(value) else f"{SCALAR} (null when absent)"
        if name == "cas":
            if type(value) is bool:
                return None
            if (
                isinstance(value, tuple)
                and len(value) == 2
                and type(value[0]) is bool
                and is_scalar(value[1])
            ):
                return None
            return f"[swapped, actual], a boolean and {SCALAR}; or only the boolean"
        return None if value is None else "null"

    def canonical_input(self, f: str, value: Hashable) -> Hashable:
        if isinstance(value, tuple) and len(value) == 2:
            return boxed(value[0]), boxed(value[1])
        return boxed(value)

    def canonical_output(self, f: str, value: Hashable) -> Hashable:
        if self.functions[f] != "cas":
            return boxed(value)
        return (value[0], boxed(value[1])) if isinstance(value, tuple) else value


class CasRegister(Register):
    """A register in which null is a value like any other."""

    kind: ClassVar[str] = "cas-register"
    null_matches: ClassVar[bool] = True


class RegisterStudy(Study):
    """Advice for one key.

    useless: pending reads, and pending mutators of a value nobody needs, where a value is needed if a
    completed call requires it or a kept pending cas expects it (`Register.removable` has the argument). Where
    a call excludes a value, a pending mutator may be there to remove it: only reads are useless then.
    label: values that nothing depends on are one value. No call expects it either, so any of them is as good
    for a call that excludes a value.
    lost: a value with one source that has been left cannot come back, so calls that require it are lost.
    """

    def __init__(self, initial: State, calls: Sequence[Call]) -> None:
        super().__init__(calls)
        # Few calls of a register are different ones.
        counts = Counter(calls)
        needs = {call: need[0] for call in counts if (need := required(call))}
        useless = _useless(counts, set(needs.values()))
        if useless:
            self.useless = frozenset(i for i, call in enumerate(calls) if call in useless)
        kept = [call for call in counts if call not in useless] if useless else list(counts)
        seen = {None, *(value for call in kept if call.f == "cas" for value in wanted(call))}
        seen.update(needs.values())
        made = [(call, value) for call in kept for value in produced(call)]
        sources: dict[State, int] = {initial: 1}
        for call, value in made:
            sources[value] = sources.get(value, 0) + counts[call]
        self._labels = {call: _unseen(call) for call, value in made if value not in seen}
        lone = {call: value for call, value in needs.items() if sources.get(value) == 1}
        self._users: dict[State, list[int]] = {}
        if lone:
            for i, call in enumerate(calls):
                if call in lone:
                    self._users.setdefault(lone[call], []).append(i)

    def label(self, position: int) -> Call:
        call = self._calls[position]
        return self._labels.get(call, call)

    def lost(self, before: State, after: State) -> Sequence[int]:
        return () if before == after else self._users.get(before, ())


def _unseen(call: Call) -> Call:
    """The call with a value that nothing depends on in the place of the one it leaves."""
    if call.f == "cas":
        return Call(call.f, (cas_of(call)[0], Blur.UNSEEN), call.output, call.known)
    return Call(call.f, Blur.UNSEEN, call.output, call.known)


def _useless(calls: Iterable[Call], needed: set[Hashable]) -> frozenset[Call]:
    """Pending calls, where `needed` is what completed ones require."""
    left = [call for call in calls if not call.known]
    if any(call.output is False and excludes(call) for call in calls):
        return frozenset(call for call in left if not produced(call))
    before = -1
    while len(left) != before:
        before, waiting = len(left), left
        left = []
        for call in waiting:
            if needed.isdisjoint(produced(call)):
                left.append(call)
            else:
                needed.update(wanted(call))
    return frozenset(left)
