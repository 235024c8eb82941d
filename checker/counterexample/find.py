"""A refuted key's counterexample: shrink it, say why, have the auditor try every order of what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from checker.audit import audit_refutation
from checker.counterexample import Counterexample
from checker.counterexample.append_reasons import AppendReasons
from checker.counterexample.register_reasons import Explanation, RegisterReasons
from checker.counterexample.shrink import Shrunk, shrink
from checker.counterexample.words import quote, say
from checker.engines.contest import KeyResult
from checker.history import Operation
from checker.models.append import AppendList
from checker.models.base import Model

_AUDIT_TRIES = 200_000
_MOST_EXPLAINED = 300
"""Operations among which patterns are looked for: the search is quadratic and partly recursive."""


@dataclass(frozen=True, slots=True)
class Found:
    """`audited`: True if every order was tried in vain, None if there are too many, False if one explains."""

    counterexample: Counterexample
    audited: bool | None


def find(model: Model, everything: Sequence[Operation], refuted: KeyResult, seconds: float) -> Found:
    """The counterexample of a key whose operations (failures included) are `everything`."""
    shrunk = shrink(model, [op for op in everything if op.type != "fail"], refuted, seconds)
    explanation = _explain(model, shrunk, everything)
    result = shrunk.result
    assert result.stuck_on is not None
    counterexample = Counterexample(
        key=result.key,
        model=model.name,
        anomaly=explanation.anomaly,
        operations=shrunk.operations,
        longest_prefix=result.order,
        state_then=state_after(model, shrunk),
        stuck_on=result.stuck_on,
        reasons=explanation.reasons,
        left_out=tuple(str(atom) for atom in shrunk.left_out),
    )
    return Found(counterexample, audit_refutation(model, shrunk.operations, _AUDIT_TRIES))


def _explain(model: Model, shrunk: Shrunk, everything: Sequence[Operation]) -> Explanation:
    known = AppendReasons if isinstance(model, AppendList) else RegisterReasons
    explanation = None
    if len(shrunk.operations) <= _MOST_EXPLAINED:
        explanation = known(model, shrunk.operations, everything).explain()
    anomaly = explanation.anomaly if explanation else "no explanation"
    reasons = list(explanation.reasons) if explanation else []
    reasons.append(_stuck(model, shrunk))
    if shrunk.left_out:
        reasons.append(f"{len(shrunk.left_out)} other elements are left out of every list shown here.")
    return Explanation(anomaly, tuple(reasons))


def _stuck(model: Model, shrunk: Shrunk) -> str:
    by_index = {op.index: op for op in shrunk.operations}
    result = shrunk.result
    assert result.stuck_on is not None
    shown = state_after(model, shrunk)
    holds = quote(tuple(shown) if isinstance(shown, list) else str(shown) if shown is not None else None)
    return (
        f"Of these {len(by_index)} operations no order explains more than {len(result.order)}: the key then "
        f"holds {holds} and {say(by_index[result.stuck_on])} cannot be placed."
    )


def state_after(model: Model, shrunk: Shrunk) -> object:
    """What the key holds, as JSON, after the order that got furthest."""
    by_index = {op.index: op for op in shrunk.operations}
    state = model.initial
    for index in shrunk.result.order:
        _, state = model.step(state, model.call(by_index[index]))
    return model.show(state)
