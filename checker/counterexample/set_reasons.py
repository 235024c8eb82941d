"""Why no order explains the operations on a set, where the pattern is a known one.

Each element is a flag of its own, seen *up* or *down* by whoever looked. What could have put it up or down is
looked for in the whole key; only reads that saw two elements differently tie elements together.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple, cast

from checker.counterexample import Fact
from checker.counterexample.pattern import Explanation, before, ended, explained, fact, first_of
from checker.counterexample.words import quote, say
from checker.history import Operation
from checker.models.base import Model
from checker.models.sets import Members

_MOST_FORKED = 12
"""Elements among which two are looked for that were seen in different orders."""


def explain(
    model: Model, operations: Sequence[Operation], everything: Sequence[Operation]
) -> Explanation | None:
    """The first known pattern, from the plainest to the subtlest."""
    rules = _Reasons(cast(Members, model.initial).frozen(), operations, everything)
    return first_of(
        (
            rules.from_nowhere(),
            rules.too_early(),
            rules.twice(),
            rules.came_back(),
            rules.lost(),
            rules.stale(),
            rules.fork(),
        )
    )


class _Look(NamedTuple):
    op: Operation
    element: Hashable
    up: bool

    def text(self) -> str:
        """What it saw, in a sentence."""
        if self.op.f == "contains":
            return f"{say(self.op)} said that it is {'there' if self.up else 'not there'}"
        said = "has" if self.up else "lacks"
        return f"{say(self.op)} returned {quote(self.op.output)}, which {said} {quote(self.element)}"


class _Reasons:
    def __init__(
        self,
        initial: frozenset[Hashable],
        operations: Sequence[Operation],
        everything: Sequence[Operation],
    ) -> None:
        self._initial = initial
        self._ops = operations
        self._everything = everything
        self._adds: dict[Hashable, list[Operation]] = {}
        self._removes: dict[Hashable, list[Operation]] = {}
        for op in everything:
            if op.type != "fail" and op.f in ("add", "remove"):
                (self._adds if op.f == "add" else self._removes).setdefault(op.input, []).append(op)
        named: dict[Hashable, None] = {}
        for op in operations:
            if op.f != "read":
                named[op.input] = None
            elif op.type == "ok":
                named.update(dict.fromkeys(cast(tuple[Hashable, ...], op.output)))
        self._elements = [*named, *sorted(initial - named.keys(), key=repr)]
        self._looks = [look for e in self._elements for look in _looks(operations, e)]
        self._ups = [look for look in self._looks if look.up]
        self._downs = [look for look in self._looks if not look.up]

    def from_nowhere(self) -> Iterator[Explanation]:
        for look in self._ups:
            if look.element in self._initial or look.element in self._adds:
                continue
            for tried in self._everything:
                if tried.f == "add" and tried.input == look.element and tried.type == "fail":
                    text = f"{look.text()}, but {say(tried)} was answered as failed: it did not happen"
                    failed = fact("reads-from", [look.op, tried], text, look.element)
                    yield explained("effect of a failed operation", failed)
            text = f"{look.text()}, but nobody ever tried to add that"
            yield explained("element from nowhere", fact("unwritten", [look.op], text, look.element))

    def too_early(self) -> Iterator[Explanation]:
        for look in self._ups:
            adds = self._adds.get(look.element, [])
            if look.element not in self._initial and adds and all(before(look.op, add) for add in adds):
                saw = fact("reads-from", [look.op, adds[0]], look.text(), look.element)
                yield explained("read from the future", saw, ended(look.op, adds[0]))

    def twice(self) -> Iterator[Explanation]:
        for op in self._ops:
            told = cast(tuple[Hashable, ...], op.output) if op.f == "read" and op.type == "ok" else ()
            again = next((element for i, element in enumerate(told) if element in told[:i]), None)
            if len(set(told)) < len(told):
                text = f"{say(op)} returned {quote(op.output)}, with {quote(again)} more than once: no set"
                yield explained("element twice in a set", fact("contradiction", [op], text, again))

    def came_back(self) -> Iterator[Explanation]:
        """Seen up although it had been removed, or was seen down, and nobody added it since."""
        for look in self._ups:
            adds = self._adds.get(look.element, [])
            gone = [(op, None) for op in self._ops if op.f == "remove" and op.input == look.element]
            downs = [(d.op, d) for d in self._downs if d.element == look.element]
            for op, down in (*gone, *(downs if look.element in self._removes else ())):
                if before(op, look.op) and all(before(a, op) or before(look.op, a) for a in adds):
                    saw = fact("taken", [look.op, op], look.text(), look.element)
                    lacks = [fact("missing", [op], down.text(), look.element)] if down else []
                    steps = (*lacks, ended(op, look.op), self._nobody("added", look, op))
                    yield explained("removed element came back", saw, *steps)

    def _nobody(self, did: str, look: _Look, since: Operation) -> Fact:
        text = f"nobody {did} {quote(look.element)} between"
        return fact("nobody-else", [since, look.op], text, look.element)

    def lost(self) -> Iterator[Explanation]:
        """Seen down although it had been added, or was there at first, and nobody removed it since."""
        for look in self._downs:
            removes = self._removes.get(look.element, [])
            for add in self._ops:
                put = add.f == "add" and add.input == look.element and before(add, look.op)
                if put and all(before(r, add) or before(look.op, r) for r in removes):
                    saw = fact("missing", [look.op, add], look.text(), look.element)
                    steps = (saw, ended(add, look.op), self._nobody("removed", look, add))
                    yield self._lost_or_stale(look, add.call_ns, steps)
            if look.element in self._initial and all(before(look.op, r) for r in removes):
                text = f"{look.text()}, which was there at first and was not removed before that ended"
                steps_of_one = (fact("missing", [look.op], text, look.element),)
                yield self._lost_or_stale(look, -1, steps_of_one)

    def _lost_or_stale(self, look: _Look, since_ns: int, steps: Sequence[Fact]) -> Explanation:
        """Stale if anybody saw the element at any time since: then it was not lost."""
        for other in _looks(self._everything, look.element):
            if other.up and other.op.return_ns is not None and other.op.return_ns >= since_ns:
                # What was left out of the answers shown is in these: only who it was is said.
                text = f"{say(other.op)} saw {quote(look.element)}"
                return explained("stale read", *steps, fact("reads-from", [other.op], text, look.element))
        return explained("lost element", *steps)

    def stale(self) -> Iterator[Explanation]:
        """Seen down after somebody saw it up, and nobody can have removed it between."""
        for up in self._ups:
            for down in self._downs:
                if up.element != down.element or not before(up.op, down.op):
                    continue
                removes = self._removes.get(up.element, ())
                if all(before(r, up.op) or before(down.op, r) for r in removes):
                    saw = fact("reads-from", [up.op], up.text(), up.element)
                    lacks = fact("missing", [down.op, up.op], down.text(), up.element)
                    order, nobody = ended(up.op, down.op), self._nobody("removed", down, up.op)
                    yield explained("stale read", lacks, saw, order, nobody)

    def fork(self) -> Iterator[Explanation]:
        """Of two elements that are only ever added, each was seen without the other one."""
        kept = [e for e in self._elements if e not in self._removes][:_MOST_FORKED]
        ups = {e: [look for look in self._ups if look.element == e] for e in kept}
        downs = {e: [look for look in self._downs if look.element == e] for e in kept}
        pairs = [
            (up, down)
            for one in kept
            for other in kept
            if one != other
            for up in ups[one]
            for down in downs[other]
            if up.op.index == down.op.index or before(up.op, down.op)
        ]
        for up, down in pairs:
            for second, lacks in pairs:
                if up.element == lacks.element and second.element == down.element:
                    steps = [*self._saw_only(up, down), *self._saw_only(second, lacks)]
                    text = f"nobody removed {quote(up.element)} or {quote(down.element)}, so each must have "
                    text += "been added before the other"
                    yield explained("long fork", *steps, fact("nobody-else", [up.op, second.op], text))

    def _saw_only(self, up: _Look, down: _Look) -> list[Fact]:
        if up.op.index == down.op.index:
            text = f"{up.text()} but lacks {quote(down.element)}"
            return [fact("missing", [up.op], text, down.element)]
        saw = fact("reads-from", [up.op], up.text(), up.element)
        lacks = fact("missing", [down.op], down.text(), down.element)
        return [saw, lacks, ended(up.op, down.op)]


def _looks(operations: Sequence[Operation], element: Hashable) -> Iterator[_Look]:
    for op in operations:
        if op.type == "ok" and op.f == "read":
            yield _Look(op, element, element in cast(tuple[Hashable, ...], op.output))
        elif op.type == "ok" and op.f == "contains" and op.input == element:
            yield _Look(op, element, op.output is True)
