"""Which engine is asked: of each key the polynomial one of its structure, of what that leaves the search.

The first refuted key ends it: the verdict is known. An engine that fails with an exception has decided
nothing; the search is asked, and the failure is told (`Decision.failures`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from checker.engines.answers import Answer, Budget, Explained, KeyResult, Refuted, Undecided
from checker.engines.polynomial import engine_for
from checker.history import Operation
from checker.models.base import Model

POLYNOMIAL = "polynomial"


@dataclass(frozen=True, slots=True)
class Decision:
    """Of all keys that were looked at. `limit` names the limit that was hit, if any."""

    keys: tuple[KeyResult, ...]
    limit: str | None
    failures: tuple[str, ...] = ()


def decide(model: Model, keys: Mapping[str, Sequence[Operation]], budget: Budget) -> Decision:
    """Judge every key (operations that certainly did not happen already left out)."""
    began = time.monotonic()
    done: list[KeyResult] = []
    left: dict[str, Sequence[Operation]] = {}
    failures: list[str] = []
    for key, operations in keys.items():
        answer = _polynomial(model, operations, failures)
        result = _result(key, operations, answer)
        if result is None:
            left[key] = operations
            continue
        done.append(result)
        if result.status == "refuted":
            return Decision(tuple(done), None, tuple(failures))
    if not left:
        return Decision(tuple(done), None, tuple(failures))
    from checker.engines.contest import decide as search  # most histories need none

    found = search(model, left, budget, began)
    return Decision((*done, *found.keys), found.limit, tuple(failures))


def decide_key(model: Model, operations: Sequence[Operation], budget: Budget) -> KeyResult:
    """Judge operations that all belong to one key."""
    return decide(model, {operations[0].key if operations else "": operations}, budget).keys[0]


def _polynomial(model: Model, operations: Sequence[Operation], failures: list[str]) -> Answer:
    engine = engine_for(model)
    if engine is None:
        return Undecided("no polynomial engine for this model")
    try:
        return engine(model, operations)
    except Exception as error:
        failures.append(f"polynomial engine for {model.kind}: {type(error).__name__}: {error!s:.200}")
        return Undecided(failures[-1])


def _result(key: str, operations: Sequence[Operation], answer: Answer) -> KeyResult | None:
    if isinstance(answer, Undecided):
        return None
    total = len([1 for op in operations if op.type == "ok"])
    if isinstance(answer, Explained):
        order, dropped = tuple(answer.order), tuple(answer.dropped)
        return KeyResult(key, "explained", order, dropped, None, total, total, 0, POLYNOMIAL)
    assert isinstance(answer, Refuted)
    return KeyResult(key, "refuted", (), (), None, 0, total, 0, POLYNOMIAL, answer.kind, answer.core)
