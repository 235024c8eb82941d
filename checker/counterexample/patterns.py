"""Which file knows the patterns of which model. A model of one's own has none: it may step differently.

Imported one by one: a start of the program pays for the one it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast

from checker.counterexample.pattern import Explanation
from checker.counterexample.shrink import Shrunk
from checker.history import Operation
from checker.models.append import AppendList
from checker.models.base import Model
from checker.models.register import Register

_REASONS: Mapping[str, str] = {
    "bank": "bank_reasons",
    "counter": "counter_reasons",
    "grow-only set": "set_reasons",
    "kv-append": "text_reasons",
    "multi-register": "multi_register_reasons",
    "queue": "queue_reasons",
    "set": "set_reasons",
}
_MOST = 300
"""Operations among which patterns are looked for: the search is quadratic and partly recursive."""
_MOST_OF_COUNTERS = 20_000
"""Of a counter none can be left out, and going back is found in one pass."""


class _Module(Protocol):
    def explain(
        self, model: Model, operations: Sequence[Operation], everything: Sequence[Operation]
    ) -> Explanation | None: ...


def known_pattern(model: Model, shrunk: Shrunk, everything: Sequence[Operation]) -> Explanation | None:
    """The pattern that a counterexample shows, if it is a known one. `everything`: the key, failures too."""
    operations = shrunk.left.operations
    if len(operations) > (_MOST_OF_COUNTERS if model.kind == "counter" else _MOST):
        return None
    if isinstance(model, AppendList):
        from checker.counterexample.append_reasons import AppendReasons

        initial = tuple(cast("list[str]", model.show(model.initial)))
        return AppendReasons(initial, operations, everything, bool(shrunk.left_out)).explain()
    if isinstance(model, Register):
        from checker.counterexample.register_reasons import RegisterReasons

        rules = RegisterReasons(model, operations, everything)
        return rules.explain() if shrunk.left.moment_ns is None else rules.replaced()
    if model.kind not in _REASONS or shrunk.left.moment_ns is not None:
        return None
    module = cast(_Module, import_module(f"checker.counterexample.{_REASONS[model.kind]}"))
    return module.explain(model, operations, everything)
