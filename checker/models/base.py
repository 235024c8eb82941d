"""What a model is: a small sequential object, plus what engines and the shrinker may know about it.

`step` alone defines right and wrong. The auditor also rests on `removable`, `needed`, `weaken` and `project`,
by which a refutation of a few operations refutes all of them. Everything in a `Study` is advice for engines,
computed for one key's calls at once. All rules must be sound, i.e. never turn an explainable history into an
unexplainable one (nor back, for a `Study`); each says why. A state is immutable and hashable.

A model of one's own is a subclass with `step`: every other hook has a sound default here. One hook that is
wrong makes verdicts wrong, `step` most of all: test it against the object it stands for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from enum import Enum
from typing import ClassVar, NamedTuple, Protocol

from checker.history import Operation

State = Hashable


class Blur(Enum):
    """Stands for every value that no operation of the history can tell apart. Never equal to a real one."""

    UNSEEN = "unseen"


class Action(Protocol):
    """What `step` looks at. An `Operation` is one; so is a `Call`, which has the model's own names."""

    @property
    def f(self) -> str: ...
    @property
    def input(self) -> Hashable: ...
    @property
    def output(self) -> Hashable: ...
    @property
    def known(self) -> bool:
        """It completed, so that its output is known."""


class Call(NamedTuple):
    """An operation under the model's own name for what it does; a pending one's output is None."""

    f: str
    input: Hashable
    output: Hashable
    known: bool


class Study:
    """What can be said about one key's calls taken together. Positions index the sequence studied."""

    useless: frozenset[int] = frozenset()
    """Pending calls that may be left out: if any order explains the rest, some order without them does."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = calls

    def label(self, position: int) -> Call:
        """The call with indistinguishable values made equal, so that more calls count as the same."""
        return self._calls[position]

    def lost(self, before: State, after: State) -> Sequence[int]:
        """Positions, ascending, of completed calls never legal again once `before` became `after`.

        They need not be all: the last one counts most.
        """
        return ()

    def blurred(self, state: State) -> State:
        """The state, or one that stands for all that nothing in the history can tell from it."""
        return state


class AnyName(dict[str, str]):
    """The `functions` of a model that does not list its own: every name stands for itself."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return name


class Model(ABC):
    """A sequential object, one per key."""

    kind: ClassVar[str] = ""
    """Which polynomial engine may be asked (see `checker.engines.polynomial`). Not inherited: a subclass may
    step differently, so it says for itself."""
    functions: ClassVar[Mapping[str, str]] = AnyName()
    """From the names a history may use to the names of a `Call`. A name of a `Call` stands for itself."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "kind" not in cls.__dict__:
            cls.kind = ""

    def __init__(self, name: str, initial: Hashable = None) -> None:
        self.name = name
        self.initial: State = initial

    def call(self, operation: Operation) -> Call:
        """The operation under the model's own name."""
        known = operation.type == "ok"
        output = operation.output if known else None
        return Call(self.functions[operation.f], operation.input, output, known)

    @abstractmethod
    def step(self, state: State, call: Action) -> tuple[bool, State]:
        """Whether `call` may happen at `state` with that output, and the state after it.

        A call whose output is unknown is legal wherever it can take effect; its `output` must not be looked
        at. (It may as well not have happened, so it need not be legal everywhere.)
        """

    def is_observer(self, call: Call) -> bool:
        """True only if the call leaves the state as it is at every state where it is legal."""
        return False

    def study(self, calls: Sequence[Call]) -> Study:
        """Advice for engines about one key's calls."""
        return Study(calls)

    def removable(self, calls: Sequence[Call]) -> frozenset[int]:
        """Calls (of any kind) whose removal, alone or together, keeps an explainable history explainable."""
        return frozenset(i for i, call in enumerate(calls) if self.is_observer(call))

    def needed(self, operations: Sequence[Operation], kept: frozenset[int]) -> list[int]:
        """Positions outside `kept` that may not be left out together with all others outside it.

        If there are none, and an order explains all, then one explains the kept ones. Here: what is left when
        `removable` was asked again and again. A model that can tell at once does so in one pass.
        """
        left = list(range(len(operations)))
        while True:
            calls = [self.call(operations[i]) for i in left]
            gone = {left[i] for i in self.removable(calls)} - kept
            if not gone:
                return [i for i in left if i not in kept]
            left = [i for i in left if i not in gone]

    def states(self, operations: Sequence[Operation], later: Sequence[Operation]) -> Sequence[State] | None:
        """All states the key may have been in after some of `operations`; one will do for those that `later`
        ones cannot tell apart. None if that is not known, or too many. A model that answers promises that its
        other rules hold from any of these states, not only from the initial one.
        """
        return None

    def weaken(self, call: Call) -> Call | None:
        """A call that says less: if an order explains a history, then one explains it with this call in the
        place of `call`, whatever the others are. None if there is nothing weaker."""
        return None

    def atoms(self, calls: Sequence[Call]) -> tuple[Hashable, ...]:
        """Parts of the state that can be projected out of these calls (see `project`); none by default."""
        return ()

    def project(self, call: Call, gone: frozenset[Hashable]) -> Call | None:
        """The call as seen by someone blind to the atoms in `gone`; None if nothing of it is left.

        If an order explains the calls that `atoms` named `gone` of, it explains what is left of them.
        """
        return call

    def show(self, state: State) -> object:
        """The state as JSON, another for each state."""
        return unboxed(state) if is_scalar(state) else repr(state)

    @classmethod
    def initial_problem(cls, initial: Hashable) -> str | None:
        """What the initial state must be, if `initial` is not that."""
        return None

    def input_problem(self, f: str, value: object) -> str | None:
        """What the input of `f` must be, if `value` is not that."""
        return None

    def output_problem(self, f: str, value: object) -> str | None:
        """What the output of `f` must be on `ok`, if `value` is not that."""
        return None

    def canonical_input(self, f: str, value: Hashable) -> Hashable:
        """An input without a problem in the one form that `step` knows."""
        return value

    def canonical_output(self, f: str, value: Hashable) -> Hashable:
        """An output without a problem in the one form that `step` knows."""
        return value


SCALAR = "a string, an integer, a boolean or null"


def is_scalar(value: object) -> bool:
    """Whether `value` may stand in a register, a list, a set: a JSON scalar that is equal to no other.

    Python holds True and 1 and 1.0 to be equal. So a boolean stands in a tuple of its own (`boxed`), and
    numbers with a fraction or an exponent are refused.
    """
    kind = type(value)
    if kind is tuple:
        return len(value) == 1 and type(value[0]) is bool  # type: ignore[arg-type, index]
    return value is None or kind is str or kind is int or kind is bool


def boxed(value: Hashable) -> Hashable:
    """A scalar such that equal ones are of equal JSON type: `true` becomes `(true,)`."""
    return (value,) if type(value) is bool else value


def unboxed(value: Hashable) -> Hashable:
    """The scalar as JSON has it."""
    return value[0] if type(value) is tuple and is_scalar(value) else value
