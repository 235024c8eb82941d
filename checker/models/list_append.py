"""Transactions over many lists that only grow, as one object: `append k v` and `r k`, all of one at once.

A state has each list that was appended to. Histories are judged by `checker.transactions`; this says what a
transaction is, and lets the search engine decide small histories whose elements are not unique.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, cast

from checker.models.base import Action, Call, Model, State, Study

MicroOp = tuple[str, Hashable, Any]
Lists = tuple[tuple[Hashable, tuple[Hashable, ...]], ...]
"""Key and list, in order of keys."""


class ListAppend(Model):
    """All keys together."""

    kind: ClassVar[str] = "list-append"
    functions: ClassVar[Mapping[str, str]] = {"txn": "txn"}

    def __init__(self, name: str, initial: Hashable = None) -> None:
        super().__init__(name, ())

    def step(self, state: State, call: Action) -> tuple[bool, State]:
        lists = dict(cast(Lists, state))
        for f, key, value in _micro_ops(call):
            content = lists.get(key, ())
            if f == "append":
                lists[key] = (*content, value)
            elif call.known and (value or ()) != content:
                return False, state
        return True, tuple(sorted(lists.items(), key=_key_order))

    def is_observer(self, call: Call) -> bool:
        return all(f != "append" for f, _, _ in _micro_ops(call))

    def study(self, calls: Sequence[Call]) -> Study:
        """useless: pending transactions that only read."""
        study = Study(calls)
        study.useless = frozenset(
            i for i, call in enumerate(calls) if not call.known and self.is_observer(call)
        )
        return study

    def show(self, state: State) -> object:
        return [[key, list(content)] for key, content in cast(Lists, state)]

    @classmethod
    def initial_problem(cls, initial: Hashable) -> str | None:
        return "null: every list begins empty"

    def input_problem(self, f: str, value: object) -> str | None:
        if isinstance(value, tuple) and all(_is_micro_op(step, done=False) for step in value):
            return None
        return (
            'a list of ["append", key, element] and ["r", key, null], keys and elements strings or integers'
        )

    def output_problem(self, f: str, value: object) -> str | None:
        if isinstance(value, tuple) and all(_is_micro_op(step, done=True) for step in value):
            return None
        return "the input with the list that each read returned in the place of its null"


def _micro_ops(call: Action) -> Sequence[MicroOp]:
    """With results, where they are known."""
    return cast(Sequence[MicroOp], call.output if call.known else call.input)


def _key_order(item: tuple[Hashable, object]) -> tuple[bool, Any]:
    return isinstance(item[0], str), item[0]


def _is_micro_op(step: object, *, done: bool) -> bool:
    if not isinstance(step, tuple) or len(step) != 3 or not _is_atom(step[1]):
        return False
    f, _, value = step
    if f == "append":
        return _is_atom(value)
    if f != "r":
        return False
    return value is None or (done and isinstance(value, tuple) and all(map(_is_atom, value)))


def _is_atom(value: object) -> bool:
    """What keys and elements are. True equals 1 in Python, so it is neither."""
    return type(value) is str or type(value) is int
