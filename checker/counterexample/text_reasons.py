"""Why no order explains operations on a text that is put and appended to, where the pattern is a known one.

Every text got is taken apart into the pieces that were put or appended, as far as that can be done in one way
only. Without puts it is then an append list of pieces; with puts what each of them began anew is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import cast

from checker.counterexample import Fact
from checker.counterexample.append_reasons import AppendReasons
from checker.counterexample.pattern import Explanation, before, ended, explained, fact, first_of
from checker.counterexample.words import quote, say
from checker.history import Operation
from checker.models.base import Model
from checker.models.texts import Text, solid

_GETS = ("get", "read")
_PUTS = ("put", "write")
_MOST_CHARACTERS = 2_000_000
"""Of all texts got, beyond which only those shown are taken apart."""


def explain(
    model: Model, operations: Sequence[Operation], everything: Sequence[Operation]
) -> Explanation | None:
    """The first known pattern, from the plainest to the subtlest."""
    initial = cast(Text, model.initial).text()
    given = (cast(str, op.input) for op in everything if op.f not in _GETS)
    pieces = {piece for piece in (initial, *given) if piece}
    if not solid(pieces):
        return None
    apart = _Apart(pieces)
    first = (initial,) if initial else ()
    shown = [apart.of(op) for op in operations]
    changing = [op for op in everything if op.f not in _GETS]
    if any(op.f in _PUTS and op.type != "fail" for op in everything):
        answers = {op.index for op in shown if op.f in _GETS and op.type == "ok"}
        recorded = [apart.of(op) for op in everything if op.index in answers]
        rules = _Reasons(first, shown, recorded, changing)
        return first_of((rules.from_nowhere(), rules.too_early(), rules.replaced(), rules.lost()))
    length = sum(len(op.output) for op in everything if op.f in _GETS and isinstance(op.output, str))
    whole = [apart.of(op) for op in everything] if length <= _MOST_CHARACTERS else [*changing, *shown]
    some_left_out = any(
        isinstance(was.output, str) and was.output != one.output
        for one in operations
        for was in everything
        if was.index == one.index
    )
    return AppendReasons(first, shown, whole, some_left_out).explain()


class _Apart:
    """Takes texts apart."""

    def __init__(self, pieces: set[str]) -> None:
        self._split = re.compile(f"({'|'.join(map(re.escape, sorted(pieces)))})") if pieces else None

    def of(self, op: Operation) -> Operation:
        """The operation with its text as a tuple of pieces; what is none of them stands between them."""
        if op.f not in _GETS or op.type != "ok":
            return op
        text = cast(str, op.output)
        found = self._split.split(text) if self._split else [text]
        return replace(op, output=tuple(piece for piece in found if piece))


class _Reasons:
    """With puts. `changing`: puts and appends of the whole key, failures included. `recorded`: what the gets
    shown returned with nothing left out."""

    def __init__(
        self,
        initial: tuple[str, ...],
        operations: Sequence[Operation],
        recorded: Sequence[Operation],
        changing: Sequence[Operation],
    ) -> None:
        self._recorded = {op.index: op for op in recorded}
        self._initial = initial
        self._gets = [op for op in operations if op.f in _GETS and op.type == "ok"]
        self._shown = [op for op in operations if op.f not in _GETS]
        self._tried = changing
        self._puts = [op for op in changing if op.f in _PUTS and op.type != "fail"]
        self._makers: dict[Hashable, list[Operation]] = {}
        for op in changing:
            if op.type != "fail":
                self._makers.setdefault(op.input, []).append(op)

    def _got(self) -> Iterator[tuple[Operation, Hashable]]:
        for get in self._gets:
            for piece in cast(tuple[Hashable, ...], get.output):
                yield get, piece

    def from_nowhere(self) -> Iterator[Explanation]:
        for get, piece in self._got():
            if piece in self._makers or piece in self._initial:
                continue
            for tried in self._tried:
                if tried.input == piece:
                    text = f"{_saw(get)}, but {say(tried)} was answered as failed: it did not happen"
                    failed = fact("reads-from", [get, tried], text, piece)
                    yield explained("effect of a failed operation", failed)
            text = f"{_saw(get)}, but nobody ever tried to put or append {quote(piece)}"
            yield explained("value from nowhere", fact("unwritten", [get], text, piece))

    def too_early(self) -> Iterator[Explanation]:
        for get, piece in self._got():
            makers = self._makers.get(piece, [])
            if piece not in self._initial and makers and all(before(get, maker) for maker in makers):
                saw = fact("reads-from", [get, makers[0]], f"{_saw(get)}", piece)
                yield explained("read from the future", saw, ended(get, makers[0]))

    def replaced(self) -> Iterator[Explanation]:
        """A piece seen although a put that came after it had replaced the text."""
        for get, piece in self._got():
            makers = self._makers.get(piece, [])
            for put in self._shown:
                if put.f in _PUTS and before(put, get) and all(before(maker, put) for maker in makers):
                    text = f"{_saw(get)}, with {quote(piece)} in it, but {say(put)} had replaced that"
                    steps = [fact("taken", [get, put], text, piece)]
                    steps += [ended(maker, put) for maker in makers[:1]]
                    yield explained("stale read", *steps, ended(put, get))

    def lost(self) -> Iterator[Explanation]:
        """A piece missing that was put or appended before, and that no put can have replaced."""
        for get in self._gets:
            got = cast(tuple[Hashable, ...], get.output)
            for maker in self._shown:
                if maker.input in got or not maker.input or not before(maker, get):
                    continue
                others = (put for put in self._puts if put.index != maker.index)
                if all(before(put, maker) or before(get, put) for put in others):
                    text = f"{_saw(get)}, which lacks {quote(maker.input)}"
                    steps = fact("missing", [get, maker], text, maker.input), ended(maker, get)
                    nobody = fact("nobody-else", [maker, get], "no other put can have come between")
                    yield self._lost_or_stale(get, maker, (*steps, nobody))

    def _lost_or_stale(self, get: Operation, put: Operation, steps: Sequence[Fact]) -> Explanation:
        """Stale if what was got is older than a put: it all went in before."""
        whole = self._recorded[get.index]
        got = cast(tuple[Hashable, ...], whole.output)
        makers = [maker for piece in got for maker in self._makers.get(piece, ())]
        if put.f in _PUTS and makers and all(before(maker, put) for maker in makers):
            older = f"it returned {quote(got)}, and that is what {say(put)} replaced"
            return explained("stale read", *steps, fact("taken", [get, put], older))
        return explained("lost write" if put.f in _PUTS else "lost append", *steps)


def _saw(get: Operation) -> str:
    return f"{say(get)} returned {quote(get.output)}"
