"""Several registers in one object: each operation reads and writes some of them at once.

`txn` is a list of `[f, register, value]`, carried out in order; its output is the same list with the values
that were read filled in. `read` of a list of registers gives the list of their values; `write` takes a list
of `[register, value]`. For histories whose operations touch several registers: no split by key is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from itertools import repeat
from typing import ClassVar, NamedTuple, cast

from checker.models.base import SCALAR, Action, Blur, Call, Model, State, Study, boxed, is_scalar, unboxed

Item = tuple[Hashable, Hashable]
"""(register, value)."""
Step = tuple[str, Hashable, Hashable]
_WORDS = {"read": "read", "r": "read", "write": "write", "w": "write"}


class Effect(NamedTuple):
    """What a call asks of the registers and does to them."""

    consistent: bool
    """False: no state whatever can give this answer."""
    reads: tuple[Item, ...]
    """What completed reads found there before the call's own writes."""
    own: tuple[Item, ...]
    """What completed reads found of the call's own writes."""
    writes: dict[Hashable, Hashable]
    """What it leaves behind."""


def effect(f: str, call: Action) -> Effect:
    """The effect of a call under the model's own name `f`."""
    given, told = cast(tuple[Hashable, ...], call.input), cast(tuple[Hashable, ...], call.output)
    if f == "write":
        return Effect(True, (), (), dict(cast(tuple[Item, ...], given)))
    if f == "read":
        if not call.known:
            return Effect(True, (), (), {})
        return Effect(len(told) == len(given), tuple(zip(given, told, strict=False)), (), {})
    asked = cast(tuple[Step, ...], given)
    answers = cast(tuple[Step, ...], told) if call.known else asked
    consistent = len(asked) == len(answers)
    reads, own, writes = list[Item](), list[Item](), dict[Hashable, Hashable]()
    for (word, name, value), (word_told, name_told, value_told) in zip(asked, answers, strict=False):
        if word != word_told or name != name_told:
            consistent = False
        elif word == "write":
            writes[name] = value
            consistent = consistent and value == value_told
        elif call.known:
            (own if name in writes else reads).append((name, value_told))
            consistent = consistent and writes.get(name, value_told) == value_told
    return Effect(consistent, tuple(reads), tuple(own), writes)


class MultiRegister(Model):
    """Registers that hold null until written. A state is their values in the order they were first met."""

    kind: ClassVar[str] = "multi-register"
    functions: ClassVar[Mapping[str, str]] = {"txn": "txn", "read": "read", "write": "write"}

    def __init__(self, name: str, initial: Hashable = None) -> None:
        self._place: dict[Hashable, int] = {}
        pairs = cast(tuple[Item, ...], initial or ())
        first = {boxed(register): boxed(value) for register, value in pairs}
        super().__init__(name, self._after((), first))

    def step(self, state: State, call: Action) -> tuple[bool, State]:
        values: tuple[Hashable, ...] = state  # type: ignore[assignment]  # a cast costs as much as a read
        given: tuple[Hashable, ...] = call.input  # type: ignore[assignment]
        told: tuple[Hashable, ...] = call.output  # type: ignore[assignment]
        f = self.functions[call.f]
        if f == "write":
            return True, self._after(values, dict(given))  # type: ignore[arg-type]
        if f == "read":
            legal = not call.known or (
                len(told) == len(given) and all(map(self._holds, repeat(values), given, told))
            )
            return legal, state
        return self._txn(values, given, told if call.known else given, call.known)  # type: ignore[arg-type]

    def _txn(
        self, values: tuple[Hashable, ...], asked: tuple[Step, ...], told: tuple[Step, ...], known: bool
    ) -> tuple[bool, State]:
        if len(told) != len(asked):
            return False, values
        writes: dict[Hashable, Hashable] = {}
        for (word, name, value), (word_told, name_told, found) in zip(asked, told, strict=True):
            if word != word_told or name != name_told:
                return False, values
            if word == "write":
                writes[name] = value
                if value != found:
                    return False, values
            elif known and (
                writes[name] != found if name in writes else not self._holds(values, name, found)
            ):
                return False, values
        return True, self._after(values, writes) if writes else values

    def _holds(self, values: tuple[Hashable, ...], name: Hashable, value: Hashable) -> bool:
        at = self._place.get(name)
        return value == (None if at is None or at >= len(values) else values[at])

    def _after(self, values: tuple[Hashable, ...], writes: Mapping[Hashable, Hashable]) -> State:
        """Nulls at the end are left out, so that equal contents are equal states."""
        changed = list(values)
        for name, value in writes.items():
            at = self._place.setdefault(name, len(self._place))
            if at >= len(changed):
                changed.extend([None] * (at + 1 - len(changed)))
            changed[at] = value
        while changed and changed[-1] is None:
            changed.pop()
        return tuple(changed)

    def contents(self, state: State) -> dict[Hashable, Hashable]:
        """Values by register, nulls left out."""
        values = cast(tuple[Hashable, ...], state)
        return {
            name: values[at]
            for name, at in self._place.items()
            if at < len(values) and values[at] is not None
        }

    def is_observer(self, call: Call) -> bool:
        return not effect(call.f, call).writes

    def study(self, calls: Sequence[Call]) -> MultiRegisterStudy:
        return MultiRegisterStudy(self, calls)

    def removable(self, calls: Sequence[Call]) -> frozenset[int]:
        """Observers, and calls that leave nothing which an *other* call found.

        In an explaining order nobody reads what such a call left in a register before that is written again,
        and writes are blind. So the others are as legal without it.
        """
        effects = [effect(call.f, call) for call in calls]
        demand = Counter(item for found in effects for item in set(found.reads))
        return frozenset(
            i
            for i, found in enumerate(effects)
            if all(demand[item] == (item in found.reads) for item in found.writes.items())
        )

    def weaken(self, call: Call) -> Call | None:
        """A transaction as its writes alone: those are legal everywhere and leave the same."""
        found = effect(call.f, call)
        if call.f != "txn" or not found.writes or not (found.reads or found.own):
            return None
        return Call("write", tuple(found.writes.items()), None, call.known)

    def atoms(self, calls: Sequence[Call]) -> tuple[Hashable, ...]:
        """Registers: they do not touch each other, so an order that explains all explains some of them."""
        named: dict[Hashable, None] = {}
        for call in calls:
            named.update(dict.fromkeys(_names(call)))
        return tuple(named)

    def project(self, call: Call, gone: frozenset[Hashable]) -> Call | None:
        names = _names(call)
        kept = [i for i, name in enumerate(names) if name not in gone]
        if len(kept) == len(names):
            return call
        if not kept:
            return None
        told = call.output
        given = cast(tuple[Hashable, ...], call.input)
        if isinstance(told, tuple):
            # An answer of another shape has no place for each register: it stays wrong in one place.
            told = tuple(told[i] for i in kept) if len(told) == len(given) else ()
        return call._replace(input=tuple(given[i] for i in kept), output=told)

    def show(self, state: State) -> object:
        contents = sorted(
            self.contents(state).items(), key=lambda item: (type(item[0]).__name__, str(item[0]))
        )
        values = {name: None if isinstance(value, Blur) else unboxed(value) for name, value in contents}
        if all(isinstance(name, str) for name in values):
            return values
        return [[unboxed(name), value] for name, value in values.items()]

    @classmethod
    def initial_problem(cls, initial: Hashable) -> str | None:
        if _is_items(initial):
            return None
        return f"an object of registers, or a list of [register, value], each value {SCALAR}, or null"

    def input_problem(self, f: str, value: object) -> str | None:
        name = self.functions[f]
        if name == "txn":
            return None if _is_steps(value) else _STEPS
        if name == "write":
            return None if _is_items(value) and value else "a list of [register, value]"
        if isinstance(value, tuple) and value and all(is_scalar(register) for register in value):
            return None
        return "a list of registers"

    def output_problem(self, f: str, value: object) -> str | None:
        name = self.functions[f]
        if name == "txn":
            return None if _is_steps(value) else _STEPS
        if name == "write":
            return None if value is None else "null"
        if isinstance(value, tuple) and all(is_scalar(element) for element in value):
            return None
        return "the list of their values"

    def canonical_input(self, f: str, value: Hashable) -> Hashable:
        name, given = self.functions[f], cast(tuple[Hashable, ...], value)
        if name == "read":
            return tuple(boxed(register) for register in given)
        if name == "write":
            return tuple((boxed(k), boxed(v)) for k, v in cast(tuple[Item, ...], given))
        return tuple((_WORDS[word], boxed(k), boxed(v)) for word, k, v in cast(tuple[Step, ...], given))

    def canonical_output(self, f: str, value: Hashable) -> Hashable:
        return None if self.functions[f] == "write" else self.canonical_input(f, value)


_STEPS = f'a list of ["read" or "write", register, value], each register and value {SCALAR}'


def _is_items(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and is_scalar(pair[0]) and is_scalar(pair[1])
        for pair in value
    )


def _is_steps(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and bool(value)
        and all(
            isinstance(step, tuple)
            and len(step) == 3
            and isinstance(step[0], str)
            and step[0] in _WORDS
            and is_scalar(step[1])
            and is_scalar(step[2])
            for step in value
        )
    )


def _names(call: Call) -> list[Hashable]:
    """The register of each place of the input."""
    given = cast(tuple[Hashable, ...], call.input)
    if call.f == "read":
        return list(given)
    at = 0 if call.f == "write" else 1
    return [cast(tuple[Hashable, ...], place)[at] for place in given]


class MultiRegisterStudy(Study):
    """Advice for one key.

    useless: pending calls that leave nothing which a completed one found (`MultiRegister.removable`).
    label: values that nobody found are one value (not where the answer contradicts itself: it stays wrong).
    lost: a value of a register with one source that has been left cannot come back.
    """

    def __init__(self, model: MultiRegister, calls: Sequence[Call]) -> None:
        super().__init__(calls)
        self._model = model
        effects = [effect(call.f, call) for call in calls]
        found = {item for one in effects for item in one.reads}
        self.useless = frozenset(
            i
            for i, call in enumerate(calls)
            if not call.known and not any(item in found for item in effects[i].writes.items())
        )
        self._plain = found.union(*(one.own for one in effects))
        sources = Counter(
            item for i, one in enumerate(effects) if i not in self.useless for item in one.writes.items()
        )
        start = model.contents(model.initial)
        self._users: dict[Item, list[int]] = {}
        for i, one in enumerate(effects):
            for name, value in one.reads:
                if sources[name, value] + (start.get(name) == value) == 1:
                    self._users.setdefault((name, value), []).append(i)

    def label(self, position: int) -> Call:
        call = self._calls[position]
        if call.f == "read" or not effect(call.f, call).consistent:
            return call
        if call.f == "write":
            pairs = cast(tuple[Item, ...], call.input)
            return call._replace(input=tuple((name, self._blurred(name, value)) for name, value in pairs))
        given = self._blurred_steps(cast(tuple[Step, ...], call.input))
        told = self._blurred_steps(cast(tuple[Step, ...], call.output)) if call.known else None
        return call._replace(input=given, output=told)

    def _blurred_steps(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(
            (word, name, self._blurred(name, value) if word == "write" else value)
            for word, name, value in steps
        )

    def _blurred(self, name: Hashable, value: Hashable) -> Hashable:
        return value if value is None or (name, value) in self._plain else Blur.UNSEEN

    def lost(self, before: State, after: State) -> Sequence[int]:
        if before == after:
            return ()
        old, new = self._model.contents(before), self._model.contents(after)
        gone: set[int] = set()
        for name in old.keys() | new.keys():
            if old.get(name) != new.get(name):
                gone.update(self._users.get((name, old.get(name)), ()))
        return sorted(gone)
