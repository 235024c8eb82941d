"""Reads EDN, the notation of Clojure's data (https://github.com/edn-format/edn), and writes it.

What comes out is immutable and hashable, and two values are equal iff Clojure's `=` says so: None, int and
str are themselves; vectors and lists are tuples (equal in Clojure, too); maps and sets are `EdnMap` and
`EdnSet`; everything else (true, 1.0, :keyword, symbol, \\c, 1.5M) is an `Atom`: true is not 1, nor 1.0.
Records and other tagged values are `Tagged`. The bytes are hostile: no recursion, nesting is bounded, and
nothing but EdnError is raised.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Final, NoReturn, cast

MAX_DEPTH = 200
MAX_DIGITS = 4000
"""Of one number."""

Form = Hashable


class EdnError(Exception):
    """What is not EDN. `line` counts from 1; `torn`: the text ends before the form does."""

    def __init__(self, line: int, reason: str, torn: bool = False) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason
        self.torn = torn


@dataclass(frozen=True, slots=True)
class Atom:
    """A scalar that is neither nil, an integer nor a string. `text` is what was written."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Tagged:
    """`#tag form`."""

    tag: str
    form: Form


class EdnMap(dict[Form, Form]):
    """A map. Never changed once it is whole."""

    def __eq__(self, other: object) -> bool:
        return type(other) is EdnMap and dict.__eq__(self, other)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


class EdnSet(dict[Form, None]):
    """A set, in the order it was written in. Never changed once it is whole."""

    def __eq__(self, other: object) -> bool:
        return type(other) is EdnSet and dict.__eq__(self, other)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self))


TRUE: Final = Atom("boolean", "true")
FALSE: Final = Atom("boolean", "false")

_TOKEN = re.compile(
    r"""
      (?P<space> [\s,\x1c-\x1f]+ | ;[^\n]* )
    | (?P<open> [(\[{] | \#\{ )
    | (?P<close> [)\]}] )
    | (?P<string> "[^"\\]*+(?:\\.[^"\\]*+)*+" )
    | (?P<keyword> :[^\s,;"()\[\]{}\\:][^\s,;"()\[\]{}\\]* )
    | (?P<integer> [+-]?(?:0|[1-9][0-9]*)N? (?=[\s,;"()\[\]{}]|\Z) )
    | (?P<discard> \#_ )
    | (?P<special> \#\#(?:Inf|-Inf|NaN) (?=[\s,;"()\[\]{}]|\Z) )
    | (?P<tag> \#[A-Za-z][^\s,;"()\[\]{}\\]* )
    | (?P<char> \\(?:u[0-9a-fA-F]{4}|[a-z]+|\S) (?=[\s,;"()\[\]{}]|\Z) )
    | (?P<word> [^\s,;"()\[\]{}\\\#]+[^\s,;"()\[\]{}\\]* )
    """,
    re.VERBOSE | re.DOTALL,
)
_FLOAT = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?M?\Z", re.ASCII)
_RATIO = re.compile(r"[+-]?[0-9]+/[0-9]+\Z", re.ASCII)
_SYMBOL = re.compile(r"(?:[^\W\d]|[*!_?$%&=<>/.+-])[^\W]*", re.ASCII)
_NUMBER_LIKE = re.compile(r"[+-]?\.?[0-9]", re.ASCII)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "b": "\b", "f": "\f", "\\": "\\", '"': '"'}
_UNESCAPES = {char: f"\\{name}" for name, char in _ESCAPES.items() if name not in ("b", "f")}
_QUOTED = re.compile('[\x00-\x1f\x7f"\\\\\ud800-\udfff]')
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_CHARS = frozenset({"newline", "return", "space", "tab", "backspace", "formfeed"})
_CLOSER = {"(": ")", "[": "]", "{": "}", "#{": "}"}
_NAMES = {"(": "list", "[": "vector", "{": "map", "#{": "set", "#": "tagged value", "#_": "discarded form"}


@dataclass(slots=True)
class _Frame:
    """A collection that is not closed yet."""

    kind: str
    """`(`, `[`, `{`, `#{`, `#` (a tag, its form to come) or `#_`."""
    at: int
    """Where in the text."""
    items: list[Form]


def forms(text: str) -> Iterator[tuple[int, Form]]:
    """Every form of the text with the line it begins in. Raises EdnError."""
    return _Reader(text, spread=False).read()


def elements(text: str) -> Iterator[tuple[int, Form]]:
    """As `forms`, and of an outermost vector or list its elements, each as soon as it is whole."""
    return _Reader(text, spread=True).read()


class _Reader:
    def __init__(self, text: str, spread: bool) -> None:
        self._text = text
        self._spread = spread
        self._stack: list[_Frame] = []
        self._counted = (0, 1)

    def read(self) -> Iterator[tuple[int, Form]]:
        text, stack, match = self._text, self._stack, _TOKEN.match
        at, end = 0, len(text)
        while at < end:
            token = match(text, at)
            if token is None:
                self._no_token(at)
            kind = token.lastgroup
            start, at = at, token.end()
            if kind == "space":
                continue
            if kind == "open":
                self._push(token.group(), start)
                continue
            if kind == "close":
                form, start = self._close(token.group(), start)
                if form is _SPREAD:
                    continue
            elif kind == "tag" or kind == "discard":
                self._push("#_" if kind == "discard" else "#", start, token.group()[1:])
                continue
            else:
                form = self._scalar(cast(str, kind), token.group(), start)
            while stack and stack[-1].kind in ("#", "#_"):
                frame = stack.pop()
                start = frame.at
                form = _SPREAD if frame.kind == "#_" else Tagged(cast(str, frame.items[0]), form)
                if form is _SPREAD:
                    break
            if form is _SPREAD:
                continue
            if stack and not (self._spread and len(stack) == 1 and stack[0].kind in "(["):
                stack[-1].items.append(form)
            else:
                yield self._line(start), form
        if stack:
            frame = stack[-1]
            began = f"the {_NAMES[frame.kind]} that begins in line {self._line_of(frame.at)}"
            raise EdnError(self._line(end), f"the file ends inside {began}", torn=True)

    def _push(self, kind: str, at: int, tag: str | None = None) -> None:
        if len(self._stack) >= MAX_DEPTH:
            self._refuse(at, f"values are nested more than {MAX_DEPTH} deep")
        self._stack.append(_Frame(kind, at, [] if tag is None else [tag]))

    def _close(self, closer: str, at: int) -> tuple[Form, int]:
        """The collection that ends here, and where it began."""
        if not self._stack:
            self._refuse(at, f"{closer} closes nothing")
        frame = self._stack.pop()
        if _CLOSER.get(frame.kind) != closer:
            opened = f"the {_NAMES[frame.kind]} that begins in line {self._line_of(frame.at)}"
            self._refuse(at, f"{closer} cannot end {opened}")
        items = frame.items
        if frame.kind in ("(", "["):
            if self._spread and not self._stack:
                return _SPREAD, at
            return tuple(items), frame.at
        if frame.kind == "#{":
            found = EdnSet.fromkeys(items)
            if len(found) != len(items):
                self._refuse(frame.at, "a set has an element twice")
            return EdnSet(found), frame.at
        if len(items) % 2:
            self._refuse(frame.at, "a map has a key without a value")
        pairs = EdnMap(zip(items[::2], items[1::2], strict=True))
        if 2 * len(pairs) != len(items):
            self._refuse(frame.at, "a map has a key twice")
        return pairs, frame.at

    def _scalar(self, kind: str, text: str, at: int) -> Form:
        if kind == "integer":
            if len(text) > MAX_DIGITS:
                self._refuse(at, f"a number has more than {MAX_DIGITS} digits")
            return int(text.removesuffix("N"))
        if kind == "string":
            return self._string(text, at)
        if kind == "keyword":
            return Atom("keyword", text)
        if kind == "char":
            return self._char(text, at)
        if kind == "special":
            return Atom("float", text)
        return self._word(text, at)

    def _word(self, text: str, at: int) -> Form:
        if text == "nil":
            return None
        if text == "true":
            return TRUE
        if text == "false":
            return FALSE
        if _FLOAT.match(text) and len(text) <= MAX_DIGITS:
            if text.endswith("M"):
                return Atom("decimal", text)
            value = float(text)
            return Atom("float", repr(value) if math.isfinite(value) else text)
        shown = _short(text)
        if _RATIO.match(text):
            self._refuse(at, f"{shown} is a ratio, which this reader does not know: write a number without /")
        if at + len(text) == len(self._text) and not _SYMBOL.match(text):
            raise EdnError(self._line_of(at), f"the file ends in the middle of a form, {shown}", torn=True)
        if _NUMBER_LIKE.match(text):
            self._refuse(at, f"{shown} is not a number of EDN")
        if not _SYMBOL.match(text):
            self._refuse(at, f"{shown} is not EDN")
        return Atom("symbol", text)

    def _string(self, text: str, at: int) -> str:
        body = text[1:-1]
        if "\\" not in body:
            return body

        def unescaped(found: re.Match[str]) -> str:
            name = found.group(1)
            if len(name) == 5:
                return chr(int(name[1:], 16))
            if name not in _ESCAPES:
                self._refuse(at + found.start(), f"a string has the escape \\{_short(name)}, unknown to EDN")
            return _ESCAPES[name]

        whole = _ESCAPE.sub(unescaped, body)
        if _PAIR.search(whole):  # two escapes that stand for one character
            whole = whole.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        return whole

    def _char(self, text: str, at: int) -> Form:
        name = text[1:]
        if len(name) > 1 and name not in _CHARS and not (len(name) == 5 and name[0] == "u"):
            self._refuse(at, f"{_short(text)} is not a character of EDN")
        return Atom("char", text)

    def _no_token(self, at: int) -> NoReturn:
        here = self._text[at]
        if here == '"':
            line = self._line_of(at)
            end = self._text.count("\n") + 1
            raise EdnError(end, f"the file ends inside the string that begins in line {line}", torn=True)
        if at + 1 == len(self._text):
            raise EdnError(
                self._line_of(at), f"the file ends in the middle of a form, at {here!r}", torn=True
            )
        rest = _short(self._text[at : at + 40].split("\n")[0])
        self._refuse(at, f"{rest} is not EDN")

    def _refuse(self, at: int, reason: str) -> NoReturn:
        raise EdnError(self._line_of(at), reason)

    def _line(self, at: int) -> int:
        """As `_line_of`, cheap for places asked for in nearly rising order."""
        counted, line = self._counted
        if at < counted:
            return self._line_of(at)
        line += self._text.count("\n", counted, at)
        self._counted = (at, line)
        return line

    def _line_of(self, at: int) -> int:
        return self._text.count("\n", 0, at) + 1


class _Spread:
    """Stands for a form that is not there: discarded, or the outermost vector, whose elements are told."""


_SPREAD: Final = _Spread()


def _short(text: str) -> str:
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:41])
    return shown if len(text) <= 40 else shown[:39] + "…"


def write(form: Form) -> str:
    """`form` as EDN in one line: the same text for equal forms."""
    done: list[str] = []
    todo: list[tuple[Form, list[Form] | None]] = [(form, None)]
    while todo:
        top, parts = todo.pop()
        if parts is not None:  # their texts are the last of those done
            texts = done[len(done) - len(parts) :]
            del done[len(done) - len(parts) :]
            done.append(_joined(top, texts))
            continue
        parts = _parts(top)
        if parts is None:
            done.append(_scalar_text(top))
        else:
            todo.append((top, parts))
            todo.extend((part, None) for part in reversed(parts))
    return done[0]


def _parts(form: Form) -> list[Form] | None:
    if isinstance(form, tuple):
        return list(form)
    if isinstance(form, EdnMap):
        return [part for pair in form.items() for part in pair]
    if isinstance(form, EdnSet):
        return list(form)
    return [form.form] if isinstance(form, Tagged) else None


def _joined(form: Form, texts: list[str]) -> str:
    if isinstance(form, tuple):
        return f"[{' '.join(texts)}]"
    if isinstance(form, EdnMap):
        pairs = sorted(zip(texts[::2], texts[1::2], strict=True))
        return f"{{{', '.join(f'{key} {value}' for key, value in pairs)}}}"
    if isinstance(form, EdnSet):
        return f"#{{{' '.join(sorted(texts))}}}"
    assert isinstance(form, Tagged)
    return f"#{form.tag} {texts[0]}"


def _scalar_text(form: Form) -> str:
    if form is None:
        return "nil"
    if isinstance(form, Atom):
        return form.text
    if isinstance(form, str):
        return f'"{_QUOTED.sub(_escaped, form)}"'
    assert type(form) is int
    return str(form)


def _escaped(found: re.Match[str]) -> str:
    char = found.group()
    return _UNESCAPES.get(char) or f"\\u{ord(char):04x}"
