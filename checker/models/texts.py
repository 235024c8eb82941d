"""A string per key: put replaces it, append adds to its end, get returns the whole of it. At first it is "".

What is put or appended is a *piece*. A piece that is in no string anybody got cannot be told from another
such piece: from it on nothing can be got until the next put.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar, cast

from checker.models.base import Action, Blur, Call, Model, State, Study

_MOST_COMPARED = 200_000_000
"""Characters looked at to find out which pieces were seen; beyond that all count as seen."""
_MOST_SOLID = 200_000
_LONGEST_PIECE = 200


class Text:
    """A string as the one before it and a piece, put together when it must be. Equal if the strings are."""

    __slots__ = ("_before", "_piece", "_text", "length")

    def __init__(self, before: Text | None, piece: str) -> None:
        self._before = before
        self._piece = piece
        self._text: str | None
        self.length: int
        if before is None:
            self._text, self.length = piece, len(piece)
        else:
            self._text, self.length = None, before.length + len(piece)

    def text(self) -> str:
        """The string itself."""
        if self._text is None:
            pieces, node = list[str](), self
            while node._text is None:
                pieces.append(node._piece)
                node = cast(Text, node._before)
            pieces.append(node._text)
            self._settle("".join(reversed(pieces)))
        return cast(str, self._text)

    def equals(self, told: str) -> bool:
        """Whether the string is `told`; if so, that is kept as the string."""
        if len(told) != self.length:
            return False
        node, end = self, self.length
        while node._text is None:
            end -= len(node._piece)
            if not told.startswith(node._piece, end):
                return False
            node = cast(Text, node._before)
        if not told.startswith(node._text):
            return False
        self._settle(told)
        return True

    def _settle(self, text: str) -> None:
        self._text, self._before, self._piece = text, None, ""

    def __hash__(self) -> int:
        return hash(self.text())

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Text) and self.text() == other.text())


def _observes(call: Call) -> bool:
    return call.f == "get" or (call.f == "append" and call.input == "")


def _piece(call: Action) -> str:
    return cast(str, call.input)


class KvAppend(Model):
    """One string per key."""

    kind: ClassVar[str] = "kv-append"
    functions: ClassVar[Mapping[str, str]] = {
        "get": "get",
        "read": "get",
        "put": "put",
        "write": "put",
        "append": "append",
    }

    def __init__(self, name: str, initial: Hashable = None) -> None:
        super().__init__(name, Text(None, cast(str, initial or "")))

    def step(self, state: State, call: Action) -> tuple[bool, State]:
        f = self.functions[call.f]
        if f == "get":
            if not call.known:
                return True, state
            return isinstance(state, Text) and state.equals(call.output), state  # type: ignore[arg-type]
        piece = call.input
        if piece is Blur.UNSEEN:
            return True, Blur.UNSEEN
        if f == "put":
            return True, Text(None, piece)  # type: ignore[arg-type]
        return True, Text(state, piece) if isinstance(state, Text) else state  # type: ignore[arg-type]

    def is_observer(self, call: Call) -> bool:
        return _observes(call)

    def study(self, calls: Sequence[Call]) -> KvAppendStudy:
        return KvAppendStudy(cast(Text, self.initial).text(), calls)

    def removable(self, calls: Sequence[Call]) -> frozenset[int]:
        """Observers, and puts and appends of pieces in no string that was got.

        In an explaining order nothing is got between such a call and the next put: the piece would be in it.
        So whatever is got is made of other calls, which are all still there.
        """
        seen = _Seen(calls)
        return frozenset(
            i for i, call in enumerate(calls) if self.is_observer(call) or not seen.sees(_piece(call))
        )

    def atoms(self, calls: Sequence[Call]) -> tuple[Hashable, ...]:
        """Pieces, if each is found in a string only where it was put or appended (`solid`). Then leaving one
        out of all strings got leaves them made of the other pieces, and the order explains those."""
        initial = cast(Text, self.initial).text()
        pieces = dict.fromkeys(_piece(call) for call in calls if call.f != "get" and call.input)
        if not solid({*pieces, *([initial] if initial else [])}):
            return ()
        return tuple(piece for piece in pieces if piece != initial)

    def project(self, call: Call, gone: frozenset[Hashable]) -> Call | None:
        if call.f == "append":
            return None if call.input in gone else call
        if call.f == "put":
            return call._replace(input="") if call.input in gone else call
        if not call.known:
            return call
        told = cast(str, call.output)
        for piece in sorted(cast(frozenset[str], gone)):
            told = told.replace(piece, "")
        return call._replace(output=told)

    def show(self, state: State) -> object:
        return state.text() if isinstance(state, Text) else None

    @classmethod
    def initial_problem(cls, initial: Hashable) -> str | None:
        return None if isinstance(initial, str) else "a string or null"

    def input_problem(self, f: str, value: object) -> str | None:
        if self.functions[f] == "get":
            return None if value is None else "null"
        return None if isinstance(value, str) else "a string"

    def output_problem(self, f: str, value: object) -> str | None:
        if self.functions[f] != "get":
            return None if value is None else "null"
        return None if value is None or isinstance(value, str) else "a string (null is the empty one)"

    def canonical_output(self, f: str, value: Hashable) -> Hashable:
        return "" if value is None and self.functions[f] == "get" else value


class _Seen:
    """Which pieces are somewhere in a string that was got."""

    def __init__(self, calls: Sequence[Call]) -> None:
        got = {cast(str, call.output) for call in calls if call.f == "get" and call.known}
        # Most strings got are beginnings of others.
        self._whole: list[str] = []
        for told in sorted(got, reverse=True):
            if not (self._whole and self._whole[-1].startswith(told)):
                self._whole.append(told)
        self._known: dict[str, bool] = {}
        self._all = len(calls) * sum(map(len, self._whole)) > _MOST_COMPARED

    def sees(self, piece: str) -> bool:
        """Whether somebody may have got `piece`."""
        if self._all:
            return True
        known = self._known.get(piece)
        if known is None:
            known = self._known[piece] = any(piece in told for told in self._whole)
        return known

    def begins(self, text: str) -> bool:
        """Whether a string that was got begins with `text`."""
        return any(told.startswith(text) for told in self._whole)


def solid(pieces: set[str]) -> bool:
    """Whether in any row of pieces each one is found only at its own places: none is inside another, and
    none begins as another, or it itself, ends."""
    if sum(map(len, pieces)) > _MOST_SOLID or max(map(len, pieces), default=0) > _LONGEST_PIECE:
        return False
    lengths = sorted({len(piece) for piece in pieces})
    beginnings = {piece[:end] for piece in pieces for end in range(1, len(piece))}
    for piece in pieces:
        size = len(piece)
        if any(piece[start:] in beginnings for start in range(1, size)):
            return False
        for length in lengths:
            if length >= size:
                break
            if any(piece[at : at + length] in pieces for at in range(size - length + 1)):
                return False
    return True


class KvAppendStudy(Study):
    """Advice for one key.

    useless: pending observers, and pending puts and appends of unseen pieces (`KvAppend.removable`).
    label: unseen pieces are one piece.
    lost: a string grows until it is put anew. So who got one that the state was a beginning of and is not any
    more is lost, unless a put can still bring it back: no put is a beginning of what was got; or one is, and
    the state began with it and no other call can have made that beginning, so that this put is used up.
    blurred: a string that is no beginning of one that was got will not be got, nor what grows from it: all
    such are one, until the next put.
    """

    def __init__(self, initial: str, calls: Sequence[Call]) -> None:
        super().__init__(calls)
        self._seen = seen = _Seen(calls)
        self.useless = frozenset(
            i
            for i, call in enumerate(calls)
            if not call.known and (_observes(call) or not seen.sees(_piece(call)))
        )
        kept = [call for i, call in enumerate(calls) if i not in self.useless and call.f != "get"]
        puts = [_piece(call) for call in kept if call.f == "put"]
        others = [initial, *(_piece(call) for call in kept if call.f == "append")]
        others = [piece for piece in others if piece]
        self._got: list[tuple[str, str, list[int]]] = []
        """(string got, beginning that the state must have had, who got it)."""
        who_got: dict[str, list[int]] = {}
        for i, call in enumerate(calls):
            if call.f == "get" and call.known:
                who_got.setdefault(cast(str, call.output), []).append(i)
        for told, who in who_got.items():
            sources = [put for put in puts if told.startswith(put)]
            if not sources:
                self._got.append((told, "", who))
            elif len(sources) == 1 and sources[0] and not _can_make(others, sources[0]):
                self._got.append((told, sources[0], who))
        self._possible: dict[str, frozenset[int]] = {}
        self._live: dict[str, bool] = {}

    def label(self, position: int) -> Call:
        call = self._calls[position]
        if call.f != "get" and not self._seen.sees(_piece(call)):
            return call._replace(input=Blur.UNSEEN)
        return call

    def blurred(self, state: State) -> State:
        if not isinstance(state, Text):
            return state
        text = state.text()
        live = self._live.get(text)
        if live is None:
            live = self._live[text] = self._seen.begins(text)
        return state if live else Blur.UNSEEN

    def lost(self, before: State, after: State) -> Sequence[int]:
        if before is after or not isinstance(before, Text):
            return ()
        gone = self._can_get(before.text())
        if gone and isinstance(after, Text):
            gone -= self._can_get(after.text())
        return sorted(gone)

    def _can_get(self, text: str) -> frozenset[int]:
        """Who may still get what grows from `text`, and nothing that a put brings back."""
        known = self._possible.get(text)
        if known is None:
            known = self._possible[text] = frozenset(
                i
                for told, source, who in self._got
                if told.startswith(text) and text.startswith(source)
                for i in who
            )
        return known


def _can_make(others: Sequence[str], put: str) -> bool:
    """Whether a string that begins with `put` may begin with one of `others` instead."""
    return any(piece.startswith(put) or put.startswith(piece) for piece in others)
