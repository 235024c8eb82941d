"""A refuted key's counterexample: shrink it, say why, have the auditor try every order of what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from checker.audit import audit_refutation
from checker.counterexample import Counterexample
from checker.counterexample.append_reasons import AppendReasons
from checker.counterexample.longest import Longest, longest
from checker.counterexample.register_reasons import Explanation, RegisterReasons
from checker.counterexample.shrink import Shrunk, shrink
from checker.counterexample.words import quote, say
from checker.engines.contest import KeyResult
from checker.history import Operation
from checker.models.append import AppendList
from checker.models.base import Model
from checker.moves import weaker

_MOST_STEPS = 200_000
_MOST_EXPLAINED = 300
"""Operations among which patterns are looked for: the search is quadratic and partly recursive."""


@dataclass(frozen=True, slots=True)
class Found:
    """`objection`: why the auditor does not accept the counterexample, or None if it does."""

    counterexample: Counterexample
    objection: str | None


def find(model: Model, everything: Sequence[Operation], refuted: KeyResult, seconds: float) -> Found:
    """The counterexample of a key whose operations (failures included) are `everything`."""
    shrunk = shrink(model, [op for op in everything if op.type != "fail"], refuted, seconds)
    reached = longest(model, shrunk.operations, _furthest(model, shrunk))
    explanation = _explain(model, shrunk, everything, reached)
    counterexample = Counterexample(
        key=refuted.key,
        model=model.name,
        anomaly=explanation.anomaly,
        operations=shrunk.operations,
        longest_prefix=reached.order,
        state_then=model.show(reached.state),
        stuck_on=reached.stuck_on,
        reasons=explanation.reasons,
        left_out=tuple(str(atom) for atom in shrunk.left_out),
        moves=shrunk.moves,
    )
    return Found(counterexample, _audit(model, everything, counterexample))


def _audit(model: Model, everything: Sequence[Operation], counterexample: Counterexample) -> str | None:
    left = weaker(model, everything, counterexample.moves)
    if isinstance(left, str):
        return left
    if tuple(left) != counterexample.operations:
        return "the moves leave other operations than those shown"
    return audit_refutation(model, left, _MOST_STEPS, None)


def _furthest(model: Model, shrunk: Shrunk) -> Longest:
    """How far the engine came."""
    by_index = {op.index: op for op in shrunk.operations}
    state = model.initial
    for index in shrunk.result.order:
        _, state = model.step(state, model.call(by_index[index]))
    stuck_on = shrunk.result.stuck_on
    if stuck_on is None:  # a polynomial engine places nothing: the first to return is as stuck as any
        done = [op for op in shrunk.operations if op.return_ns is not None]
        stuck_on = min(done, key=lambda op: op.return_ns or 0).index
    return Longest(shrunk.result.order, state, stuck_on)


def _explain(model: Model, shrunk: Shrunk, everything: Sequence[Operation], reached: Longest) -> Explanation:
    explanation = None
    if len(shrunk.operations) <= _MOST_EXPLAINED:
        if isinstance(model, AppendList):
            filtered = bool(shrunk.left_out)
            explanation = AppendReasons(model, shrunk.operations, everything, filtered).explain()
        else:
            explanation = RegisterReasons(model, shrunk.operations, everything).explain()
    anomaly = explanation.anomaly if explanation else "no explanation"
    reasons = list(explanation.reasons) if explanation else []
    reasons.append(_stuck(model, shrunk, reached))
    if shrunk.left_out:
        count = len(shrunk.left_out)
        reasons.append(
            f"{count} other element{'s are' if count > 1 else ' is'} left out of every list shown here."
        )
    return Explanation(anomaly, tuple(reasons))


def _stuck(model: Model, shrunk: Shrunk, reached: Longest) -> str:
    by_index = {op.index: op for op in shrunk.operations}
    shown = model.show(reached.state)
    holds = quote(tuple(shown) if isinstance(shown, list) else str(shown) if shown is not None else None)
    if len(by_index) == 1:
        return f"It needs nothing else to be wrong: the key holds {holds} when it begins."
    steps = (
        f"after {len(reached.order)} of these {len(by_index)} operations" if reached.order else "at the start"
    )
    return (
        f"The longest order that can be explained ends {steps}: the key then holds {holds} and "
        f"{say(by_index[reached.stuck_on])} cannot come next."
    )
