"""A refuted key's counterexample: shrink it, say why, have the auditor try every order of what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from checker.audit import audit_refutation
from checker.counterexample import Counterexample, Fact
from checker.counterexample.facts import facts
from checker.counterexample.longest import Longest, longest
from checker.counterexample.margin import margin
from checker.counterexample.pattern import Explanation
from checker.counterexample.patterns import known_pattern
from checker.counterexample.shrink import Shrunk, shrink
from checker.counterexample.words import quote, say
from checker.engines.answers import KeyResult
from checker.engines.frontier import frontier
from checker.history import Operation
from checker.models.base import Model
from checker.moves import Left, starts, weaker

_MOST_STEPS = 200_000
_MARGIN_SECONDS = 3.0
_MOST_STEPS_OF_FRONTIER = 2_000_000
_PARTS = {"multi-register": "register", "kv-append": "piece", "queue": "item"}
"""What is left out of a key, if it is not elements."""


@dataclass(frozen=True, slots=True)
class Found:
    """`objection`: why the auditor does not accept the counterexample, or None if it does."""

    counterexample: Counterexample
    objection: str | None


def find(
    model: Model,
    everything: Sequence[Operation],
    refuted: KeyResult,
    seconds: float,
    clock_ns: int = 0,
) -> Found:
    """The counterexample of a key whose operations (failures included) are `everything`.

    `clock_ns`: the least difference that the clock of the history tells.
    """
    shrunk = shrink(model, [op for op in everything if op.type != "fail"], refuted, seconds)
    operations, points = tuple(shrunk.left.operations), starts(model, shrunk.left)
    reached = longest(model, operations, points, _furthest(model, shrunk))
    explanation = _explain(model, shrunk, everything, reached)
    allowed = margin(model, everything, shrunk, min(seconds, _MARGIN_SECONDS))
    reasons = explanation.reasons + (
        (allowed.sentence(clock_ns if _has_clock(everything) else None),) if allowed else ()
    )
    counterexample = Counterexample(
        key=refuted.key,
        model=model.name,
        anomaly=explanation.anomaly,
        operations=operations,
        longest_prefix=reached.order,
        state_then=model.show(reached.state),
        stuck_on=reached.stuck_on,
        reasons=reasons,
        left_out=tuple(str(atom) for atom in shrunk.left_out),
        moves=shrunk.moves,
        facts=_together(explanation.steps, facts(model, operations, reached, shrunk.left.moment_ns is None)),
        margin=allowed,
    )
    objection = _audit(model, everything, counterexample)
    if objection is not None and shrunk.left.moment_ns is None:
        listed = frontier(model, shrunk.left.operations)
        if listed is not None:
            counterexample = replace(counterexample, frontier=listed)
            objection = _audit(model, everything, counterexample)
    return Found(counterexample, objection)


def _audit(model: Model, everything: Sequence[Operation], claim: Counterexample) -> str | None:
    left = weaker(model, Left(list(everything)), claim.moves)
    if isinstance(left, str):
        return left
    if tuple(left.operations) != claim.operations:
        return "the moves leave other operations than those shown"
    most = _MOST_STEPS if claim.frontier is None else _MOST_STEPS_OF_FRONTIER
    return audit_refutation(model, left.operations, most, claim.frontier, starts(model, left))


def _has_clock(operations: Sequence[Operation]) -> bool:
    """Whether times are more than the numbers of lines."""
    span_ns = max([op.return_ns or op.call_ns for op in operations]) - operations[0].call_ns
    return span_ns > 4 * (1 + operations[-1].index - operations[0].index)


def _furthest(model: Model, shrunk: Shrunk) -> Longest:
    """How far the engine came."""
    by_index = {op.index: op for op in shrunk.left.operations}
    state, order, stuck_on = model.initial, shrunk.result.order, shrunk.result.stuck_on
    if stuck_on not in by_index or not by_index.keys() >= set(order):
        # Not every engine places operations: the first to return is as stuck as any.
        done = [op for op in shrunk.left.operations if op.return_ns is not None]
        order, stuck_on = (), min(done, key=lambda op: op.return_ns or 0).index
    for index in order:
        _, state = model.step(state, by_index[index])
    return Longest(order, state, stuck_on)


def _together(steps: Sequence[Fact], others: Sequence[Fact]) -> tuple[Fact, ...]:
    """The facts of the pattern, and what else there is to say."""
    said = {(step.rule, step.operations) for step in steps}
    return (*steps, *(other for other in others if (other.rule, other.operations) not in said))


def _explain(model: Model, shrunk: Shrunk, everything: Sequence[Operation], reached: Longest) -> Explanation:
    try:
        explanation = known_pattern(model, shrunk, everything)
    except Exception:
        explanation = None  # the counterexample stands by itself, unexplained
    anomaly = explanation.anomaly if explanation else "no explanation"
    reasons = list(explanation.reasons) if explanation else []
    reasons.append(_stuck(model, shrunk, reached))
    if shrunk.left_out:
        count = len(shrunk.left_out)
        reasons.append(
            f"{count} other {_PARTS.get(model.kind, 'element')}{'s are' if count > 1 else ' is'} left out of "
            "every answer shown here."
        )
    return Explanation(anomaly, tuple(reasons), explanation.steps if explanation else ())


def _stuck(model: Model, shrunk: Shrunk, reached: Longest) -> str:
    by_index = {op.index: op for op in shrunk.left.operations}
    holds = quote(model.show(reached.state))
    stuck = by_index[reached.stuck_on]
    if shrunk.left.moment_ns is not None:
        return (
            f"Whatever was before these {len(by_index)} operations, and whatever of what was open then is "
            f"done, {say(stuck)}{_answer(stuck)} can come nowhere."
        )
    if len(by_index) == 1:
        (only,) = by_index.values()
        return f"{say(only)}{_answer(only)} needs nothing else to be wrong: the key holds {holds} at first."
    steps = (
        f"after {len(reached.order)} of these {len(by_index)} operations" if reached.order else "at the start"
    )
    return (
        f"The longest order that can be explained ends {steps}: the key then holds {holds} and "
        f"{say(stuck)}{_answer(stuck)} cannot come next."
    )


def _answer(op: Operation) -> str:
    """What it was told, where the sentence is about that."""
    return "" if op.output is None and op.input is not None else f", which returned {quote(op.output)},"
