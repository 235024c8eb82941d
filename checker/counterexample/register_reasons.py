"""Why no order explains a register's operations, in sentences, where the pattern is a known one.

Values written once tie every read and every swap to the write it saw. A *chain* is a value, who read it,
the swap that consumed it, the value that left, and so on: in any explanation a chain is one block with
nothing between. So two patterns cover most of what can go wrong: inside a chain something later ended before
something earlier began (inversion), or of two chains each must come before the other (a tangle).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from checker.counterexample.pattern import Explanation, before
from checker.counterexample.words import ended_before, gap, quote, say
from checker.history import Operation
from checker.models.base import Model
from checker.models.register import cas_of, excludes, produced, required


class _Member(NamedTuple):
    rank: int
    op: Operation


@dataclass(slots=True)
class _Chain:
    """Operations that must stand together. The chain of the initial value comes before all others."""

    first: bool = False
    members: list[_Member] = field(default_factory=list)

    def earliest_return(self) -> Operation | None:
        """The operation that returned first, if one returned."""
        done = [m.op for m in self.members if m.op.return_ns is not None]
        return min(done, key=lambda op: cast(int, op.return_ns), default=None)

    def latest_call(self) -> Operation:
        """The operation that was called last; of equals, one that observed."""
        return max((m.op for m in self.members), key=lambda op: (op.call_ns, op.f in ("read", "get")))


class RegisterReasons:
    """Looks for known patterns among `operations`; `everything` is the whole key, failures included."""

    def __init__(
        self, model: Model, operations: Sequence[Operation], everything: Sequence[Operation]
    ) -> None:
        self._model = model
        self._ops = operations
        self._everything = everything
        self._makers: dict[Hashable, list[Operation]] = {}
        for op in operations:
            for value in produced(model.call(op)):
                self._makers.setdefault(value, []).append(op)

    def explain(self) -> Explanation | None:
        """The first known pattern, from the plainest to the subtlest."""
        return (
            self._contradicts_itself()
            or self._from_nowhere()
            or self._consumed_twice()
            or self._inversion()
            or self._tangle()
            or self._vanished()
            or self.replaced()
            or self._refused()
        )

    def _required(self, op: Operation) -> tuple[Hashable, ...]:
        return required(self._model.call(op))

    def _saw(self, op: Operation) -> str:
        value = quote(self._required(op)[0])
        return f"{say(op)} {'found' if op.f == 'cas' else 'returned'} {value}"

    def _contradicts_itself(self) -> Explanation | None:
        for op in self._ops:
            if op.f != "cas" or op.type != "ok" or not isinstance(op.output, tuple):
                continue
            expected, _ = cast(tuple[Hashable, Hashable], op.input)
            swapped, actual = cast(tuple[bool, Hashable], op.output)
            null_matches = getattr(self._model, "null_matches", False)
            if swapped != (actual == expected and (actual is not None or null_matches)):
                did = "swapped" if swapped else "did not swap"
                reason = f"{say(op)} {did}, though it expected {quote(expected)} and found {quote(actual)}"
                return Explanation("cas that contradicts itself", (reason + ".",))
        return None

    def _from_nowhere(self) -> Explanation | None:
        for op in self._ops:
            for value in self._required(op):
                if value not in self._makers and value != self._model.initial:
                    return self._explain_nowhere(op, value)
        return None

    def _explain_nowhere(self, op: Operation, value: Hashable) -> Explanation:
        for maker in self._everything:
            tried = replaced_outcome(self._model, maker)
            if value not in tried:
                continue
            if maker.type == "fail":
                reason = f"{self._saw(op)}, but {say(maker)} was answered as failed: it did not happen."
                return Explanation("effect of a failed operation", (reason,))
            if maker.index != op.index and op.return_ns is not None and op.return_ns < maker.call_ns:
                return Explanation(
                    "read from the future", (f"{self._saw(op)}; but {ended_before(op, maker)}.",)
                )
        reason = f"{self._saw(op)}, but nobody ever tried to write that value to this key."
        return Explanation("value from nowhere", (reason,))

    def _unique(self, value: Hashable) -> bool:
        return len(self._makers.get(value, ())) + (value == self._model.initial) == 1

    def _consumed_twice(self) -> Explanation | None:
        swaps = [
            op for op in self._ops if op.f == "cas" and op.type == "ok" and produced(self._model.call(op))
        ]
        for value, count in Counter(self._required(op)[0] for op in swaps).items():
            if count > 1 and self._unique(value):
                one, two = [op for op in swaps if self._required(op)[0] == value][:2]
                reason = (
                    f"{say(one)} and {say(two)} both swapped {quote(value)} away, but that value was written "
                    "only once: the update of one of them is lost."
                )
                return Explanation("lost update", (reason,))
        return None

    def _needed(self) -> set[Hashable]:
        """Values that somebody saw, and those a pending swap consumed to leave one: what surely was there."""
        needed = {value for op in self._ops for value in self._required(op)}
        todo = list(needed)
        while todo:
            value = todo.pop()
            for maker in self._makers.get(value, ()) if self._unique(value) else ():
                consumed = cas_of(self._model.call(maker))[0] if maker.f == "cas" else None
                if maker.f == "cas" and consumed not in needed:
                    needed.add(consumed)
                    todo.append(consumed)
        return needed

    def _chains(self) -> list[_Chain]:
        """Chains over the values with one source; every other write or delete is a chain of its own."""
        needed = self._needed()
        places: dict[Hashable, tuple[_Chain, int]] = {}
        chains: list[_Chain] = []

        def place(value: Hashable, trail: frozenset[Hashable]) -> tuple[_Chain, int] | None:
            if value in places:
                return places[value]
            if not self._unique(value) or value in trail:
                return None
            maker = next(iter(self._makers.get(value, ())), None)
            before = None
            if maker is not None and maker.f == "cas":
                consumed = cast(tuple[Hashable, Hashable], maker.input)[0]
                before = place(consumed, trail | {value})
            chain, level = (before[0], before[1] + 1) if before else (_Chain(first=maker is None), 0)
            if before is None:
                chains.append(chain)
            if maker is not None and (maker.type == "ok" or value in needed):
                chain.members.append(_Member(2 * level, maker))
            places[value] = (chain, level)
            return places[value]

        for op in self._ops:
            call = self._model.call(op)
            at = None
            for value in (*produced(call), *required(call)):
                at = place(value, frozenset())
                if at is not None and not produced(call):
                    at[0].members.append(_Member(2 * at[1] + 1, op))
            if at is None and produced(call) and op.type == "ok":
                chains.append(_Chain(members=[_Member(0, op)]))
        return chains

    def _inversion(self) -> Explanation | None:
        for chain in self._chains():
            for early in chain.members:
                for late in chain.members:
                    ended = late.op.return_ns
                    if early.rank < late.rank and ended is not None and ended < early.op.call_ns:
                        return self._explain_inversion(early.op, late.op)
        return None

    def _explain_inversion(self, early: Operation, late: Operation) -> Explanation:
        makes, saw = produced(self._model.call(early)), self._required(late)
        if saw and makes == saw:
            return Explanation(
                "read from the future", (f"{self._saw(late)}; but {ended_before(late, early)}.",)
            )
        if not self._required(early):
            reasons = (f"{ended_before(late, early)}, yet it rests on what that wrote.",)
            return Explanation("effect before its cause", reasons)
        reasons = (f"{self._saw(early)}, but that value was gone by then: {ended_before(late, early)}.",)
        return Explanation("stale read" if not makes else "cas against a replaced value", reasons)

    def _tangle(self) -> Explanation | None:
        chains = [chain for chain in self._chains() if chain.members]
        for old in chains:
            last = old.latest_call()
            if not self._required(last):
                continue
            for new in chains:
                done, begun = new.earliest_return(), old.earliest_return()
                if new is old or done is None or cast(int, done.return_ns) >= last.call_ns:
                    continue
                later = new.latest_call()
                if old.first:
                    return self._explain_tangle(last, done, None, later)
                if begun is not None and cast(int, begun.return_ns) < later.call_ns:
                    return self._explain_tangle(last, done, begun, later)
        return None

    def _explain_tangle(
        self, last: Operation, done: Operation, begun: Operation | None, later: Operation
    ) -> Explanation:
        """`last` rests on an old value although `done` shows that a newer one was there."""
        assert done.return_ns is not None
        did = ended_before(done, last)
        if self._required(done):
            did = f"{self._saw(done)}, and that ended {gap(done, last)} before {say(last)} began"
        reasons = [f"{self._saw(last)}, but {did}."]
        if begun is None:
            value = self._required(last)[0]
            was = "The key was absent" if value is None else f"{quote(value)} was there"
            reasons.append(f"{was} only before anything else was written.")
        else:
            older = quote(self._required(last)[0])
            reasons.append(f"And {older} is the older value: {ended_before(begun, later)}.")
        anomaly = "stale read" if last.f != "cas" else "cas against a replaced value"
        if done.f == "delete":
            anomaly = "read of a deleted value"
        elif begun is None and not self._required(done):
            anomaly = "lost write"
        return Explanation(anomaly, tuple(reasons))

    def _vanished(self) -> Explanation | None:
        """A key read as absent although a write ended after every delete and before the read."""
        deletes = [op for op in self._ops if produced(self._model.call(op)) == (None,)]
        for read in self._ops:
            if self._required(read) != (None,):
                continue
            for write in self._ops:
                if write in deletes or not produced(self._model.call(write)):
                    continue
                if write.return_ns is None or write.return_ns >= read.call_ns:
                    continue
                if all(d.return_ns is not None and d.return_ns < write.call_ns for d in deletes):
                    reason = f"{self._saw(read)}, but {ended_before(write, read)}"
                    if deletes:
                        reason += ", and every delete had ended before that write began"
                    return Explanation("lost write", (reason + ".",))
        return None

    def replaced(self) -> Explanation | None:
        """A value seen although another one replaced it, and nothing in between can have brought it back."""
        for op in self._ops:
            for value in self._required(op):
                found = next((new for new in self._ops if self._gone(op, value, new)), None)
                if found is not None:
                    reason = f"{self._saw(op)}, but {ended_before(found, op)}; whatever could have "
                    reason += (
                        f"left {quote(value)} had ended before that began, or began when {op.f} had ended."
                    )
                    return Explanation(
                        "stale read" if op.f != "cas" else "cas against a replaced value", (reason,)
                    )
        return None

    def _refused(self) -> Explanation | None:
        """A compare-and-set that did not swap, although nothing else than what it expected can be there."""
        null_matches = getattr(self._model, "null_matches", False)
        for op in self._ops:
            call = self._model.call(op)
            expected = cas_of(call)[0] if excludes(call) else None
            if op.return_ns is None or not excludes(call) or (expected is None and not null_matches):
                continue
            others = [
                other
                for other in self._everything
                if other.type != "fail"
                and (produced(self._model.call(other)) or (expected,)) != (expected,)
                and not before(op, other)
            ]
            did = f"{say(op)} did not swap, but"
            if expected == self._model.initial and not others:
                reason = f"{did} {quote(expected)} was there at first, and nobody wrote anything else "
                reason += "before it ended."
                return Explanation("cas refused although it matched", (reason,))
            for maker in self._ops:
                fits = produced(self._model.call(maker)) == (expected,) and before(maker, op)
                if fits and maker.type == "ok" and all(before(other, maker) for other in others):
                    reason = f"{did} {ended_before(maker, op)}, and nobody wrote anything else "
                    reason += "between."
                    return Explanation("cas refused although it matched", (reason,))
        return None

    def _gone(self, op: Operation, value: Hashable, new: Operation) -> bool:
        """Whether `new` replaced `value` before `op` began, and nothing brought it back."""
        if new.return_ns is None or new.return_ns >= op.call_ns or op.return_ns is None:
            return False
        if not produced(self._model.call(new)) or value in produced(self._model.call(new)):
            return False
        makers = [maker for maker in self._everything if value in produced(self._model.call(maker))]
        return all(
            maker.type == "fail"
            or (maker.return_ns is not None and maker.return_ns < new.call_ns)
            or maker.call_ns > op.return_ns
            for maker in makers
        )


def replaced_outcome(model: Model, op: Operation) -> tuple[Hashable, ...]:
    """The value an operation would have left had it happened, whatever its outcome."""
    call = model.call(op)
    if call.f == "cas":
        return (cast(tuple[Hashable, Hashable], op.input)[1],)
    return produced(call)
