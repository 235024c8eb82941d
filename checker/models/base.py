"""What a model is: a small sequential object, plus what the engines may know about it to go faster.

`step` alone defines right and wrong: the auditor uses nothing else. Everything in a `Study` is advice for
engines, computed for one key's calls at once. Its rules must be sound, i.e. never turn an explainable
history into an unexplainable one or back; each rule says why. A state is immutable and hashable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from checker.history import Operation

State = Hashable


class Blur(Enum):
    """Stands for every value that no operation of the history can tell apart. Never equal to a real one."""

    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Call:
    """What a model needs to know of an operation. `known` says that its output is known (it completed)."""

    f: str
    input: Hashable
    output: Hashable
    known: bool


class Study(ABC):
    """What can be said about one key's calls taken together. Positions index the sequence studied."""

    useless: frozenset[int]
    """Pending calls that may be left out: if any order explains the rest, some order without them does."""

    @abstractmethod
    def label(self, position: int) -> Call:
        """The call with indistinguishable values made equal, so that more calls count as the same."""

    @abstractmethod
    def lost(self, before: State, after: State) -> int:
        """Bit set of completed calls that can never again be legal once `before` became `after`."""


class Model(ABC):
    """A sequential object, one per key."""

    kind: ClassVar[str] = ""
    """Which polynomial engine may be asked (`checker.engines.polynomial`)."""
    functions: ClassVar[Mapping[str, str]]
    """From the names a history may use to the name `step` knows."""

    def __init__(self, name: str, initial: Hashable = None) -> None:
        self.name = name
        self.initial: State = initial

    def call(self, operation: Operation) -> Call:
        """The operation as `step` takes it."""
        known = operation.type == "ok"
        output = operation.output if known else None
        return Call(self.functions[operation.f], operation.input, output, known)

    @abstractmethod
    def step(self, state: State, call: Call) -> tuple[bool, State]:
        """Whether `call` may happen at `state` with that output, and the state after it.

        A call whose output is unknown is always legal.
        """

    @abstractmethod
    def is_observer(self, call: Call) -> bool:
        """True only if the call leaves the state as it is at every state where it is legal."""

    @abstractmethod
    def study(self, calls: Sequence[Call]) -> Study:
        """Advice for engines about one key's calls."""

    @abstractmethod
    def removable(self, calls: Sequence[Call]) -> frozenset[int]:
        """Calls (of any kind) whose removal, alone or together, keeps an explainable history explainable."""

    def atoms(self, calls: Sequence[Call]) -> tuple[Hashable, ...]:
        """Parts of the state that can be projected out (see `project`); none by default."""
        return ()

    def project(self, call: Call, gone: frozenset[Hashable]) -> Call | None:
        """The call as seen by someone blind to the atoms in `gone`; None if nothing of it is left."""
        return call

    @abstractmethod
    def show(self, state: State) -> object:
        """The state as JSON."""

    @abstractmethod
    def input_problem(self, f: str, value: object) -> str | None:
        """What the input of `f` must be, if `value` is not that."""

    @abstractmethod
    def output_problem(self, f: str, value: object) -> str | None:
        """What the output of `f` must be on `ok`, if `value` is not that."""
