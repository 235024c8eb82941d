"""A register that may be absent: read, write, compare-and-set, delete. Serves `register` and `kv`.

A compare-and-set says whether it swapped and what was there before, so every completed call but a write
and a delete *requires* one exact value. An absent register (None) matches no compare-and-set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar, cast

from checker.models.base import Blur, Call, Model, State, Study


def required(call: Call) -> tuple[Hashable, ...]:
    """The value the register must hold for this completed call to be legal, as a tuple of none or one."""
    if not call.known or call.f in ("write", "delete"):
        return ()
    if call.f == "read":
        return (call.output,)
    _, actual = cast(tuple[bool, Hashable], call.output)
    return (actual,)


def wanted(call: Call) -> tuple[Hashable, ...]:
    """Values on which what this call does can depend: what it requires, and what a cas compares with."""
    if call.f != "cas":
        return required(call)
    expected, _ = cast(tuple[Hashable, Hashable], call.input)
    return (*required(call), expected)


def produced(call: Call) -> tuple[Hashable, ...]:
    """The value this call may leave behind, as a tuple of none or one."""
    if call.f == "write":
        return (call.input,)
    if call.f == "delete":
        return (None,)
    if call.f == "cas" and (not call.known or cast(tuple[bool, Hashable], call.output)[0]):
        return (cast(tuple[Hashable, Hashable], call.input)[1],)
    return ()


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

    def step(self, state: State, call: Call) -> tuple[bool, State]:
        if call.f == "read":
            return (not call.known or call.output == state), state
        if call.f == "write":
            return True, call.input
        if call.f == "delete":
            return True, None
        expected, new = cast(tuple[Hashable, Hashable], call.input)
        swaps = state is not None and state == expected
        legal = not call.known or call.output == (swaps, state)
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
        """
        demand = Counter(value for call in calls for value in set(wanted(call)))

        def unneeded(call: Call) -> bool:
            own = set(wanted(call))
            return all(demand[value] - (value in own) == 0 for value in produced(call))

        return frozenset(i for i, call in enumerate(calls) if unneeded(call))

    def show(self, state: State) -> object:
        return state

    def input_problem(self, f: str, value: object) -> str | None:
        name = self.functions[f]
        if name == "write":
            return None if isinstance(value, str) else "a string"
        if name == "cas":
            if isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, str) for v in value):
                return None
            return "[expected, new], two strings"
        return None if value is None else "null"

    def output_problem(self, f: str, value: object) -> str | None:
        name = self.functions[f]
        if name == "read":
            return None if value is None or isinstance(value, str) else "a string, or null when absent"
        if name == "cas":
            match value:
                case (bool(), None | str()) if isinstance(value, tuple):
                    return None
            return "[swapped, actual], a boolean and a string or null"
        return None if value is None else "null"


class RegisterStudy(Study):
    """Advice for one key.

    useless: pending reads, and pending mutators of a value nobody needs, where a value is needed if a
    completed call requires it or a kept pending cas expects it (`Register.removable` has the argument).
    label: values that nothing depends on are one value.
    lost: a value with one source that has been left cannot come back, so calls that require it are lost.
    """

    def __init__(self, initial: State, calls: Sequence[Call]) -> None:
        self._calls = calls
        self.useless = frozenset(_useless(calls))
        kept = [call for i, call in enumerate(calls) if i not in self.useless]
        self._seen = {value for call in kept for value in wanted(call)} | {None}
        sources = Counter(value for call in kept for value in produced(call))
        sources[initial] += 1
        self._users: dict[State, int] = {}
        for i, call in enumerate(calls):
            for value in required(call):
                if sources[value] == 1:
                    self._users[value] = self._users.get(value, 0) | (1 << i)

    def label(self, position: int) -> Call:
        call = self._calls[position]
        if all(value in self._seen for value in produced(call)):
            return call
        if call.f == "cas":
            expected, _ = cast(tuple[Hashable, Hashable], call.input)
            return Call(call.f, (expected, Blur.UNSEEN), call.output, call.known)
        return Call(call.f, Blur.UNSEEN, call.output, call.known)

    def lost(self, before: State, after: State) -> int:
        return 0 if before == after else self._users.get(before, 0)


def _useless(calls: Sequence[Call]) -> set[int]:
    pending = [i for i, call in enumerate(calls) if not call.known]
    needed = {value for call in calls for value in required(call)}
    kept: set[int] = set()
    grew = True
    while grew:
        grew = False
        for i in pending:
            if i not in kept and any(value in needed for value in produced(calls[i])):
                kept.add(i)
                needed.update(wanted(calls[i]))
                grew = True
    return set(pending) - kept
