"""A counter: add a number, read the sum. An add says what it made of the counter, or null if it does not.

Adds of the same number with the same answer are one class: a hundred open increments are a hundred times the
same choice. Where no number added is negative (or none positive), the value only goes one way, and whatever
needs a value that is behind is lost.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar, cast

from checker.history import Operation
from checker.models.base import Action, Call, Model, State, Study


def required(call: Call) -> int | None:
    """The value at which alone this call is legal, if it says enough to tell."""
    if not call.known or call.output is None:
        return None
    value = cast(int, call.output)
    return value if call.f == "read" else value - cast(int, call.input)


def direction(calls: Sequence[Call]) -> int:
    """1 if no call lowers the counter, -1 if some do and none raises it, 0 if there are both."""
    deltas = [cast(int, call.input) for call in calls if call.f == "add"]
    if all(delta >= 0 for delta in deltas):
        return 1
    return -1 if all(delta <= 0 for delta in deltas) else 0


class Counter(Model):
    """One counter per key."""

    kind: ClassVar[str] = "counter"
    functions: ClassVar[Mapping[str, str]] = {"add": "add", "read": "read"}

    def __init__(self, name: str, initial: Hashable = None) -> None:
        super().__init__(name, 0 if initial is None else initial)

    def step(self, state: State, call: Action) -> tuple[bool, State]:
        value: int = state  # type: ignore[assignment]  # a cast costs as much as the rest
        if self.functions[call.f] == "add":
            value += call.input  # type: ignore[operator]
            return (not call.known or call.output is None or call.output == value), value
        return (not call.known or call.output == value), value

    def is_observer(self, call: Call) -> bool:
        return call.f == "read" or call.input == 0

    def study(self, calls: Sequence[Call]) -> CounterStudy:
        return CounterStudy(cast(int, self.initial), calls)

    def removable(self, calls: Sequence[Call]) -> frozenset[int]:
        """Reads, adds of 0, and adds that no *other* call can come after (`_beyond`)."""
        sign, start = direction(calls), cast(int, self.initial)
        needs = [required(call) for call in calls]
        found = {i for i, call in enumerate(calls) if self.is_observer(call)}
        if sign:
            ranked = sorted((sign * need for need in needs if need is not None), reverse=True)
            for i, call in enumerate(calls):
                own = needs[i]
                others = ranked[1:] if own is not None and sign * own == ranked[0] else ranked
                if call.f == "add" and _beyond(sign, start, call, others[:1]):
                    found.add(i)
        elif all(need is None for need in needs):
            found.update(range(len(calls)))
        return frozenset(found)

    def needed(self, operations: Sequence[Operation], kept: frozenset[int]) -> list[int]:
        """Adds that a kept call which needs a value may come after (`_beyond`)."""
        calls = [self.call(op) for op in operations]
        sign, start = direction(calls), cast(int, self.initial)
        needs = [need for i in sorted(kept) if (need := required(calls[i])) is not None]
        farthest = [max(sign * need for need in needs)] if needs else []
        return [
            i
            for i, call in enumerate(calls)
            if i not in kept
            and call.f == "add"
            and call.input != 0
            and not _beyond(sign, start, call, farthest)
        ]

    def weaken(self, call: Call) -> Call | None:
        """An add that says what it made as one that does not: it is legal everywhere."""
        if call.f == "add" and call.known and call.output is not None:
            return call._replace(output=None)
        return None

    def show(self, state: State) -> object:
        return state

    @classmethod
    def initial_problem(cls, initial: Hashable) -> str | None:
        return None if type(initial) is int else "an integer or null"

    def input_problem(self, f: str, value: object) -> str | None:
        if self.functions[f] == "add":
            return None if type(value) is int else "an integer"
        return None if value is None else "null"

    def output_problem(self, f: str, value: object) -> str | None:
        if type(value) is int or (value is None and self.functions[f] == "add"):
            return None
        return "an integer, the new value, or null" if self.functions[f] == "add" else "an integer"


def _beyond(sign: int, start: int, call: Call, farthest: Sequence[int]) -> bool:
    """Whether the counter, which only goes `sign`'s way, is past all that is needed once `call` is in.

    `farthest` is the need farthest that way, if there is any. (Of a counter that goes both ways, `sign` 0,
    it is not.) Then whatever needs a value comes before `call`
    in every explaining order, so that without `call` all is as legal as before.
    """
    return not farthest or sign * (start + cast(int, call.input)) > farthest[0]


class CounterStudy(Study):
    """Advice for one key.

    useless: pending reads, pending adds of 0, and pending adds after which nothing that needs a value can
    come (all of them if nothing needs one).
    label: calls as they are.
    blurred: values past all that is needed are one, if there is no way back.
    lost: while the value only rises, what needs one that is passed; likewise while it only falls.
    """

    def __init__(self, initial: int, calls: Sequence[Call]) -> None:
        super().__init__(calls)
        self._sign = direction(calls)
        needs = [(need, i) for i, call in enumerate(calls) if (need := required(call)) is not None]
        farthest = [max(self._sign * need for need, _ in needs)] if needs else []
        self.useless = frozenset(
            i
            for i, call in enumerate(calls)
            if not call.known
            and (call.f == "read" or call.input == 0 or _beyond(self._sign, initial, call, farthest))
        )
        self._past = farthest[0] + 1 if farthest else None
        self._at: dict[int, list[int]] = {}
        for need, i in needs:
            self._at.setdefault(need, []).append(i)

    def blurred(self, state: State) -> State:
        if self._sign == 0 or self._past is None or self._sign * cast(int, state) < self._past:
            return state
        return self._sign * self._past

    def lost(self, before: State, after: State) -> Sequence[int]:
        low, high = cast(int, before), cast(int, after)
        if low == high or self._sign == 0:
            return ()
        # All needs behind `before` were lost already; a step passes those from `before` to short of `after`.
        if abs(high - low) < len(self._at):
            passed = (self._at.get(value, ()) for value in range(low, high, self._sign))
        else:
            sign, all_needs = self._sign, self._at.items()
            passed = (needs for value, needs in all_needs if sign * low <= sign * value < sign * high)
        return sorted(i for needs in passed for i in needs)
