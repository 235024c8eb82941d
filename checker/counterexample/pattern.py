"""A known pattern that was found in a counterexample: its name, the facts that show it, and their sentences.

A pattern is found only where it is a proof: no history that has an explanation shows one. What is said of
the operations shown is read off them; that nobody else did a thing is looked up in the whole key, failures
and what was left out included.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from checker.counterexample import Fact, Rule
from checker.counterexample.words import ended_before, has_clock
from checker.history import Operation


class Explanation(NamedTuple):
    """What went wrong, in a few words, the sentences that show it, and the facts these are drawn from."""

    anomaly: str
    reasons: tuple[str, ...]
    steps: tuple[Fact, ...] = ()


def explained(anomaly: str, *steps: Fact) -> Explanation:
    """An explanation whose sentence is made of its facts: the first, and what it goes against."""
    first, *others = (step.text for step in steps)
    against = "; " if ", but " in first or " although " in first else ", but "
    return Explanation(anomaly, (first + (against + "; ".join(others) if others else "") + ".",), steps)


def fact(rule: Rule, operations: Sequence[Operation], text: str, value: Hashable = None) -> Fact:
    """Something that is so of some operations."""
    return Fact(rule, tuple(op.index for op in operations), text, value)


def ended(first: Operation, second: Operation) -> Fact:
    """That one operation ended before another began, with how far clocks may be off for that."""
    text = ended_before(first, second)
    assert first.return_ns is not None
    margin_ns = (second.call_ns - first.return_ns - 1) // 2 if has_clock(first, second) else None
    return Fact("real-time", (first.index, second.index), text, margin_ns=margin_ns)


def before(first: Operation, second: Operation) -> bool:
    """Whether one ended before the other began."""
    return first.return_ns is not None and first.return_ns < second.call_ns


def first_of(rules: Iterable[Iterator[Explanation]]) -> Explanation | None:
    """The first pattern that a rule finds."""
    return next((found for rule in rules for found in rule), None)
