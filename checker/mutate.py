"""Sensitivity: would the judge have noticed? Copies of this very history are spoilt in one place and judged.

Four ways, each what a real fault would leave behind: a *stale read* (the answer of an earlier equal
question), a *swapped value* (two answers change places), a *lost write* (acknowledged, but what follows is
answered as if it had not been), a *time shift* (an operation's whole interval is somewhere else). Not every
such history is wrong: values may be equal, operations may overlap. So each that is not rejected comes with
the audited order that makes it legal, and what stands around the spoilt operation in it. Only the key
concerned is judged.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from checker.audit import audit_order
from checker.counterexample.words import duration, quote, say
from checker.engines.answers import Budget, Explained
from checker.engines.decide import decide_key
from checker.engines.witness import propose
from checker.history import History, Operation, by_key
from checker.models import model_named
from checker.models.base import Model, State

_TRIES = 30
"""Draws for one mutation before that kind is given up for this history."""
_MOST_FOLLOWING = 200
"""Answers after a lost write that are given anew."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One spoilt copy. `change` says in words what is not as it was recorded."""

    kind: str
    key: str
    operation: int
    change: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the judge said of it. `why`: the rule broken; or, of a legal one, its witness in words."""

    mutation: Mutation
    said: str
    """`rejected`, `legal` or `undecided`."""
    why: str
    order_of_execution: str | None = None
    """Of a legal one, where the replicas' order is known: why that order does not explain it, or None."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """All outcomes, in the order they were drawn. `short`: kinds this history gave too few places for.
    `asked`: how many were wanted; there are fewer where the time was over, or no kind was left."""

    outcomes: tuple[Outcome, ...]
    short: tuple[str, ...]
    asked: int

    def counts(self) -> dict[str, dict[str, int]]:
        """kind -> what was said -> how often."""
        table: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        for outcome in self.outcomes:
            table[outcome.mutation.kind][outcome.said] += 1
        return {
            kind: {said: count[said] for said in ("rejected", "legal", "undecided")}
            for kind, count in table.items()
        }


_Spoilt = tuple[Mutation, list[Operation]] | None


class _Key:
    """One key's operations with the order that explains them and the state before each place of it."""

    def __init__(self, model: Model, operations: Sequence[Operation], order: Sequence[int]) -> None:
        self.model = model
        self.operations = operations
        by_index = {op.index: op for op in operations}
        self.order = [by_index[index] for index in order]
        self.states: list[State] = [model.initial]
        for op in self.order:
            self.states.append(model.step(self.states[-1], op)[1])
        self.completed = [op for op in operations if op.type == "ok"]

    def with_changes(self, changed: Iterable[Operation]) -> list[Operation]:
        """The operations, these in the place of those with their index."""
        new = {op.index: op for op in changed}
        return sorted((new.get(op.index, op) for op in self.operations), key=lambda op: op.call_ns)


def sensitivity(
    history: History,
    orders: Mapping[str, Sequence[int]],
    count: int,
    seed: int,
    budget: Budget,
    executed: Mapping[str, Sequence[int]] | None = None,
) -> Sensitivity:
    """Spoil `count` copies, the kinds in turn. `orders`: an explaining order of each key (its witness).

    `budget` is for each copy, and its seconds are also what all together may take, ten times over.
    """
    deadline = time.monotonic() + 10 * budget.seconds
    model = model_named(history.model, history.initial)
    rng = random.Random(seed)
    groups = {key: operations for key, operations in by_key(history.operations).items() if key in orders}
    names = list(groups)
    sizes = [sum(op.type == "ok" for op in groups[key]) for key in names]
    keys: dict[str, _Key] = {}
    outcomes: list[Outcome] = []
    short: list[str] = []
    kinds = list(KINDS) if any(sizes) else []
    while len(outcomes) < count and kinds and time.monotonic() < deadline:
        kind = kinds[len(outcomes) % len(kinds)]
        spoilt: _Spoilt = None
        for _ in range(_TRIES):
            name = rng.choices(names, sizes)[0]
            if name not in keys:
                keys[name] = _Key(model, groups[name], orders[name])
            spoilt = KINDS[kind](keys[name], rng)
            if spoilt is not None:
                break
        if spoilt is None:
            kinds.remove(kind)
            short.append(kind)
            continue
        logged = None if executed is None else executed.get(spoilt[0].key, ())
        outcomes.append(_judged(model, *spoilt, budget, logged))
    return Sensitivity(tuple(outcomes), tuple(short), count)


def _judged(
    model: Model,
    mutation: Mutation,
    operations: list[Operation],
    budget: Budget,
    logged: Sequence[int] | None,
) -> Outcome:
    result = decide_key(model, operations, budget)
    if result.status == "refuted":
        return Outcome(mutation, "rejected", result.kind or "no order explains it")
    if result.status == "undecided":
        return Outcome(mutation, "undecided", "the limits of the search were reached")
    objection = audit_order(model, operations, result.order, result.dropped)
    if objection is not None:
        return Outcome(mutation, "undecided", f"the auditor objects to the engine's order: {objection}")
    noticed = None if logged is None else _noticed(model, operations, logged)
    return Outcome(mutation, "legal", _witness(operations, result.order, mutation), noticed)


def _noticed(model: Model, operations: list[Operation], logged: Sequence[int]) -> str | None:
    proposal = propose(model, operations, logged)
    if not isinstance(proposal, Explained):
        return proposal.why
    return audit_order(model, operations, proposal.order, proposal.dropped)


def _witness(operations: Sequence[Operation], order: Sequence[int], mutation: Mutation) -> str:
    """Where the spoilt operation stands in the order."""
    by_index = {op.index: op for op in operations}
    at = order.index(mutation.operation)
    before = f"after {say(by_index[order[at - 1]])}" if at else "first of all"
    after = f" and before {say(by_index[order[at + 1]])}" if at + 1 < len(order) else ", last of all"
    return f"legal with {say(by_index[mutation.operation])} {before}{after}"


def _stale_read(key: _Key, rng: random.Random) -> _Spoilt:
    op = rng.choice(key.completed)
    earlier = [
        other
        for other in key.completed
        if other.f == op.f and other.input == op.input and other.output != op.output and _before(other, op)
    ]
    values = [other.output for other in earlier]
    if not values and op.input is None and op.output != (first := _frozen(key.model.show(key.model.initial))):
        values = [first]  # as if nothing had happened yet
    if not values or (value := rng.choice(values)) == op.output:
        return None
    change = f"{say(op)} answers {quote(value)}, as earlier, instead of {quote(op.output)}"
    spoilt = key.with_changes([replace(op, output=value)])
    return Mutation("stale read", op.key, op.index, change), spoilt


def _swapped_value(key: _Key, rng: random.Random) -> _Spoilt:
    op = rng.choice(key.completed)
    others = [o for o in key.completed if o.f == op.f and o.input == op.input and o.output != op.output]
    if not others:
        return None
    other = rng.choice(others)
    change = (
        f"{say(op)} and {say(other)} answer what the other did: {quote(other.output)}, {quote(op.output)}"
    )
    spoilt = key.with_changes([replace(op, output=other.output), replace(other, output=op.output)])
    return Mutation("swapped value", op.key, op.index, change), spoilt


def _lost_write(key: _Key, rng: random.Random) -> _Spoilt:
    """Acknowledged, without effect: what comes after it in the order is answered anew until it makes no
    difference any more."""
    places = [i for i, op in enumerate(key.order) if op.type == "ok" and key.states[i] != key.states[i + 1]]
    if not places:
        return None
    at = rng.choice(places)
    lost, state = key.order[at], key.states[at]
    changed: list[Operation] = []
    for place in range(at + 1, min(len(key.order), at + 1 + _MOST_FOLLOWING)):
        if state == key.states[place]:
            break
        op = key.order[place]
        answer = _answer(key, state, op)
        if answer is None:
            return None
        if op.type == "ok" and answer[0] != op.output:
            changed.append(replace(op, output=answer[0]))
        state = answer[1]
    if not changed:
        return None
    change = f"{say(lost)} has no effect: {say(changed[0])} answers {quote(changed[0].output)}"
    return Mutation("lost write", lost.key, lost.index, change), key.with_changes(changed)


def _answer(key: _Key, state: State, op: Operation) -> tuple[Hashable, State] | None:
    """What `op` answers at `state`, and the state after it; None if that cannot be told from the model."""
    legal, after = key.model.step(state, op)
    if legal:
        return op.output, after
    known = {other.output: None for other in key.completed if other.f == op.f}
    for output in (_frozen(key.model.show(state)), *known):
        legal, after = key.model.step(state, replace(op, output=output))
        if legal:
            return output, after
    return None


def _time_shift(key: _Key, rng: random.Random) -> _Spoilt:
    op, other = rng.choice(key.completed), rng.choice(key.completed)
    if op is other or op.return_ns is None or other.return_ns is None or _overlap(op, other):
        return None
    length = op.return_ns - op.call_ns
    call_ns = other.return_ns + 1 if _before(op, other) else other.call_ns - length - 1
    if call_ns < 0:
        return None
    where = "after" if _before(op, other) else "before"
    by = duration(abs(call_ns - op.call_ns))
    change = f"{say(op)} happens {by} {'later' if where == 'after' else 'earlier'}, {where} {say(other)}"
    moved = replace(op, call_ns=call_ns, return_ns=call_ns + length)
    return Mutation("time shift", op.key, op.index, change), key.with_changes([moved])


KINDS: Mapping[str, Callable[[_Key, random.Random], _Spoilt]] = {
    "stale read": _stale_read,
    "swapped value": _swapped_value,
    "lost write": _lost_write,
    "time shift": _time_shift,
}


def _before(first: Operation, second: Operation) -> bool:
    return first.return_ns is not None and first.return_ns < second.call_ns


def _overlap(first: Operation, second: Operation) -> bool:
    return not _before(first, second) and not _before(second, first)


def _frozen(value: object) -> Hashable:
    if isinstance(value, list):
        return tuple(_frozen(element) for element in value)
    return value if isinstance(value, Hashable) else None
