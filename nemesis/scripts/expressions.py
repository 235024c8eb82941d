"""Expressions of a script: replicas, sets of them, views and numbers, named by their part in the protocol.

    liar    correct - x    v + 1    primary(v + 1)    [2, 3]

``+`` adds numbers and joins sets, `` - `` subtracts either; blanks stand around a minus, for names may hold
one. A replica is a number, and a set of one wherever a set is asked for. An expression knows its type, and
how many replicas it may name at most, before anything happened: that is what a certificate is made from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

NUMBER, SET, DIGEST = "number", "set", "digest"
Value = int | tuple[int, ...] | str
"""A number; replicas, ascending; a digest in hexadecimal."""

BUILT_IN: Mapping[str, str] = {
    "n": NUMBER,
    "f": NUMBER,
    "view": NUMBER,
    "primary": NUMBER,
    "next-primary": NUMBER,
    "liar": NUMBER,
    "all": SET,
    "correct": SET,
    "liars": SET,
    "backups": SET,
    "down": SET,
}
"""``view``: the highest anybody entered; ``liar``: the first of ``liars``; ``down``: killed by the script,
and not restarted."""
OF_THE_MOMENT = frozenset({"view", "primary", "next-primary", "backups", "down"})
FUNCTIONS = ("primary", "next", "first")
NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_TOKENS = re.compile(rf"\s*({NAME.pattern}|\d{{1,18}}|[-+()\[\],])")
LONGEST = 200
_DEEPEST = 16


class BadExpression(ValueError):
    """What is wrong with it, in a sentence."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a value beforehand."""

    type: str
    most: int = 1
    """So many replicas, if it is a set of them."""


@dataclass(slots=True)
class Moment:
    """What names mean now."""

    n: int
    f: int
    liars: tuple[int, ...]
    view: int = 0
    down: tuple[int, ...] = ()
    bound: Mapping[str, Value] = field(default_factory=dict)

    def value(self, name: str) -> Value:
        """Of a name that is known."""
        match name:
            case "n":
                return self.n
            case "f":
                return self.f
            case "view":
                return self.view
            case "primary":
                return self.view % self.n
            case "next-primary":
                return (self.view + 1) % self.n
            case "liar":
                return self.liars[0]
            case "all":
                return tuple(range(self.n))
            case "liars":
                return self.liars
            case "correct":
                return tuple(replica for replica in range(self.n) if replica not in self.liars)
            case "backups":
                return tuple(replica for replica in range(self.n) if replica != self.view % self.n)
            case "down":
                return self.down
        return self.bound[name]


@dataclass(frozen=True, slots=True)
class Expression:
    """Parsed. ``tree``: an int, a name, or (operator, part, …)."""

    text: str
    tree: object
    kind: Kind
    steady: bool
    """It names the same replicas whenever it is asked."""

    def value(self, moment: Moment) -> Value:
        """Now."""
        return _value(self.tree, moment)

    def number(self, moment: Moment) -> int:
        """Now, of one whose type is ``number``."""
        value = self.value(moment)
        assert isinstance(value, int), f"{self.text} is {value!r}"
        return value

    def replicas(self, moment: Moment) -> tuple[int, ...]:
        """Now, as a set; what is no replica (a number too large) is left out."""
        value = self.value(moment)
        some = (value,) if isinstance(value, int) else value
        return tuple(one for one in some if isinstance(one, int) and 0 <= one < moment.n)


def parse(data: object, known: Mapping[str, Kind], n: int, liars: int) -> Expression:
    """``known``: what names are bound by then. Raises BadExpression."""
    if isinstance(data, int) and not isinstance(data, bool) and 0 <= data < 2**63:
        return Expression(str(data), data, Kind(NUMBER), True)
    if isinstance(data, list):
        data = f"[{', '.join(map(str, data))}]"
    if not isinstance(data, str) or not data.strip() or len(data) > LONGEST:
        raise BadExpression(f"{data!r:.80} is no expression: give such as 2, primary, correct - x, v + 1")
    reader = _Reader(data.strip().removeprefix("$"), {**_built_in(n, liars), **known})
    tree, kind = reader.whole()
    return Expression(reader.text, tree, kind, not reader.named & OF_THE_MOMENT)


def _built_in(n: int, liars: int) -> dict[str, Kind]:
    sizes = {"all": n, "correct": n - liars, "liars": liars, "backups": n - 1, "down": n}
    return {
        name: Kind(type_, sizes.get(name, 1))
        for name, type_ in BUILT_IN.items()
        if not name.startswith("liar") or liars > 0
    }


class _Reader:
    """Recursive descent."""

    def __init__(self, text: str, known: Mapping[str, Kind]) -> None:
        self.text = text
        self.named: set[str] = set()
        self._known = known
        self._tokens = self._split(text)
        self._position = 0
        self._depth = 0

    def whole(self) -> tuple[object, Kind]:
        """All of it."""
        tree, kind = self._sum()
        if self._peek():
            raise BadExpression(f"{self.text!r}: {self._peek()!r} is not expected there")
        return tree, kind

    def _split(self, text: str) -> list[str]:
        tokens, position = [], 0
        while position < len(text):
            found = _TOKENS.match(text, position)
            if found is None:
                raise BadExpression(f"{text!r}: {text[position:].strip()[:1]!r} is not expected there")
            tokens.append(found[1])
            position = found.end()
        return tokens

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._position += 1
        return token

    def _sum(self) -> tuple[object, Kind]:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadExpression(f"{self.text!r}: too many brackets")
        tree, kind = self._term()
        while self._peek() in ("+", "-"):
            operator = self._next()
            right, other = self._term()
            if DIGEST in (kind.type, other.type):
                raise BadExpression(f"{self.text!r}: nothing can be added to a digest, or taken away")
            tree = (operator, tree, right)
            if kind.type == other.type == NUMBER:
                kind = Kind(NUMBER)
            else:
                kind = Kind(SET, kind.most + other.most if operator == "+" else kind.most)
        self._depth -= 1
        return tree, kind

    def _term(self) -> tuple[object, Kind]:
        token = self._next()
        if token.isdecimal():
            return int(token), Kind(NUMBER)
        if token in ("(", "["):
            return self._bracket(token)
        if not NAME.fullmatch(token):
            raise BadExpression(f"{self.text!r}: {token or 'the end'!r} where a name or a number belongs")
        if self._peek() == "(" and token in FUNCTIONS:
            self._next()
            inner, kind = self._bracket("(")
            if kind.type != (SET if token == "first" else NUMBER) and token != "first":
                raise BadExpression(f"{self.text!r}: {token}(…) takes a number")
            if token == "primary":
                self.named.discard("primary")
            return (token, inner), Kind(NUMBER)
        if token not in self._known:
            hint = " (put blanks around a minus)" if "-" in token else ""
            hint = " (charges.liars is 0)" if token in ("liar", "liars") else hint
            raise BadExpression(f"{self.text!r}: nothing is called {token!r} here{hint}: {self._names()}")
        self.named.add(token)
        return token, self._known[token]

    def _bracket(self, opened: str) -> tuple[object, Kind]:
        tree, kind = self._sum()
        if opened == "(":
            if self._next() != ")":
                raise BadExpression(f"{self.text!r}: a ')' is missing")
            return tree, kind
        parts, most = [tree], kind.most
        while (token := self._next()) == ",":
            part, kind = self._sum()
            parts.append(part)
            most += kind.most
        if token != "]":
            raise BadExpression(f"{self.text!r}: a ']' is missing")
        return ("[", *parts), Kind(SET, most)

    def _names(self) -> str:
        return "there are " + ", ".join(self._known)


def _value(tree: object, moment: Moment) -> Value:
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return moment.value(tree)
    assert isinstance(tree, tuple)
    parts = [_value(part, moment) for part in tree[1:]]
    match tree[0]:
        case "primary":
            return _number(parts[0]) % moment.n
        case "next":
            return (_number(parts[0]) + 1) % moment.n
        case "first":
            return _set(parts[0])[0] if _set(parts[0]) else moment.n
        case "[":
            return tuple(sorted({one for part in parts for one in _set(part)}))
    left, right = parts
    if isinstance(left, int) and isinstance(right, int):
        return left + right if tree[0] == "+" else max(0, left - right)
    if tree[0] == "+":
        return tuple(sorted({*_set(left), *_set(right)}))
    return tuple(one for one in _set(left) if one not in _set(right))


def _number(value: Value) -> int:
    assert isinstance(value, int)
    return value


def _set(value: Value) -> tuple[int, ...]:
    assert not isinstance(value, str)
    return (value,) if isinstance(value, int) else value
