"""Reading a script: which names are known where, and mistakes with the path to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nemesis.scripts.expressions import (
    BUILT_IN,
    DIGEST,
    NAME,
    NUMBER,
    BadExpression,
    Expression,
    Kind,
    Moment,
    Value,
    parse,
)

LONGEST_LIST = 64


class Mistake(ValueError):
    """What is wrong with a script, and where: ``stages[2].when.committed: …``."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


@dataclass(slots=True)
class Scope:
    """What is known at a place of the script."""

    n: int
    liars: int
    names: dict[str, Kind] = field(default_factory=dict)

    def expression(self, path: str, data: object, *types: str) -> Expression:
        """Of one of these types; a replica is a set as well. Raises Mistake."""
        try:
            expression = parse(data, self.names, self.n, self.liars)
        except BadExpression as error:
            raise Mistake(path, str(error)) from None
        if types and expression.kind.type not in types:
            raise Mistake(
                path,
                f"{expression.text!r} is a {expression.kind.type}, where a {' or a '.join(types)} belongs",
            )
        return expression

    def bind(self, path: str, name: object, kind: Kind) -> str:
        """A name has a value from here on."""
        if not isinstance(name, str) or not NAME.fullmatch(name) or len(name) > 40:
            raise Mistake(path, f"{name!r:.80} is no name: give small letters, digits, and minus in between")
        if name in BUILT_IN:
            raise Mistake(path, f"{name!r} means something already")
        known = self.names.get(name)
        if known is not None and known.type != kind.type:
            raise Mistake(path, f"{name!r} is a {known.type} already, and cannot be a {kind.type}")
        self.names[name] = kind if known is None else Kind(kind.type, max(kind.most, known.most))
        return name

    def sample(self) -> Moment:
        """Some moment at which everything known has a value: to try things out."""
        values: dict[str, Value] = {}
        for name, kind in self.names.items():
            one: Value = 1
            if kind.type == DIGEST:
                one = "0" * 64
            elif kind.type != NUMBER:
                one = (1,)
            values[name] = one
        return Moment(self.n, (self.n - 1) // 3, tuple(range(self.liars)), 0, (1,), values)


def mapping(path: str, data: object, keys: Sequence[str], such_as: str) -> Mapping[str, object]:
    """An object with no other keys than these. Raises Mistake."""
    if not isinstance(data, Mapping):
        raise Mistake(path, f"{data!r:.80} is no object: give such as {such_as}")
    for key in data:
        if key not in keys:
            raise Mistake(path, f"unknown key {key!r:.80}: known are {', '.join(keys)}")
    return data


def listed(path: str, data: object, what: str) -> Sequence[object]:
    """A list, not too long. Raises Mistake."""
    if not isinstance(data, list) or len(data) > LONGEST_LIST:
        raise Mistake(path, f"{data!r:.80} is no list of {what}s (at most {LONGEST_LIST})")
    return data


def single(path: str, data: object, known: Sequence[str]) -> tuple[str, object]:
    """The only key of an object, and its value. Raises Mistake."""
    if not isinstance(data, Mapping) or len(data) != 1:
        raise Mistake(path, f"{data!r:.80}: give an object with one key of {', '.join(known)}")
    ((key, value),) = data.items()
    if not isinstance(key, str) or key not in known:
        raise Mistake(path, f"{key!r:.80} is unknown: known are {', '.join(known)}")
    return key, value


def seconds(path: str, data: object) -> int:
    """In ns. Raises Mistake."""
    if isinstance(data, bool) or not isinstance(data, int | float) or not 0 <= data <= 3600:
        raise Mistake(path, f"{data!r:.80}: give seconds, from 0 to 3600")
    return round(data * 1_000_000_000)
