"""Reading triggers (see ``triggers``): every name bound, every expression of its type, every mistake with
its path."""

from __future__ import annotations

from collections.abc import Mapping

from nemesis.packets.packet import CLIENTS, TYPE_NUMBERS
from nemesis.scripts.expressions import DIGEST, NUMBER, SET, Expression, Kind
from nemesis.scripts.knowledge import FIELDS
from nemesis.scripts.scope import Mistake, Scope, listed, mapping, seconds, single
from nemesis.scripts.triggers import After, All, AnyOf, Compared, Happened, Not, Seen, Trigger

_DEEPEST = 8
_QUANTIFIERS = ("any", "all", "exactly", "at-least")
_STEPS = ("started", "finished")
_SEEN_KEYS = ("types", "from", "to", "view", "seq", "count", "as")
_COMPARISONS = ("is", "in", "less")
WORDS = ("all", "any", "not", "after", "seen", *_COMPARISONS, *FIELDS)


def read_trigger(path: str, data: object, scope: Scope, depth: int = 0) -> Trigger:
    """Binds its names in the scope. Raises Mistake."""
    if depth > _DEEPEST:
        raise Mistake(path, f"nested deeper than {_DEEPEST}")
    word, inner = single(path, data, WORDS)
    path = f"{path}.{word}"
    if word in ("all", "any"):
        return _read_parts(path, word, inner, scope, depth)
    if word == "not":
        inside = Scope(scope.n, scope.liars, dict(scope.names))
        return Not(read_trigger(path, inner, inside, depth + 1), _shown(inner))
    if word == "after":
        return After(seconds(path, inner))
    if word in _COMPARISONS:
        return _read_compared(path, word, inner, scope)
    if word == "seen":
        return _read_seen(path, inner, scope)
    return _read_happened(path, word, inner, scope)


def _read_parts(path: str, word: str, data: object, scope: Scope, depth: int) -> Trigger:
    parts = listed(path, data, "trigger")
    if not parts:
        raise Mistake(path, "an empty list: give at least one trigger")
    if word == "all":
        return All(
            tuple(
                read_trigger(f"{path}[{index}]", part, scope, depth + 1) for index, part in enumerate(parts)
            )
        )
    read, scopes = [], []
    for index, part in enumerate(parts):
        inside = Scope(scope.n, scope.liars, dict(scope.names))
        read.append(read_trigger(f"{path}[{index}]", part, inside, depth + 1))
        scopes.append(inside.names)
    shared = frozenset(scopes[0]).intersection(*scopes)
    for name in sorted(shared):
        for names in scopes:
            scope.bind(path, name, names[name])
    return AnyOf(tuple(read), shared)


def _read_compared(path: str, word: str, data: object, scope: Scope) -> Trigger:
    parts = listed(path, data, "expression")
    if len(parts) != 2:
        raise Mistake(path, f"{data!r:.80}: give two expressions, such as [next-primary, liars]")
    types = {"less": (NUMBER,), "in": (NUMBER, SET)}.get(word, ())
    left, right = (scope.expression(f"{path}[{index}]", part, *types) for index, part in enumerate(parts))
    return Compared(word, left, right)


def _read_happened(path: str, event: str, data: object, scope: Scope) -> Trigger:
    fields = FIELDS[event]
    keys = ("at", *fields, "fresh", "as")
    given = mapping(path, data, keys, "{at: {exactly: 1, of: correct}, as: {seq: s, replica: x}}")
    quantifier, number, of = _read_at(f"{path}.at", given.get("at", "all"), scope, "at" in given)
    place = {}
    for key in fields:
        if key in given and key != "step":
            place[key] = scope.expression(f"{path}.{key}", given[key], DIGEST if key == "digest" else NUMBER)
    step = given.get("step")
    if step is not None and step not in _STEPS:
        raise Mistake(f"{path}.step", f"{step!r:.80}: give one of {', '.join(_STEPS)}")
    fresh = given.get("fresh", False)
    if not isinstance(fresh, bool):
        raise Mistake(f"{path}.fresh", f"{fresh!r:.80}: give true or false")
    one = quantifier == "any" or (quantifier == "exactly" and number is not None and number.tree == 1)
    kinds = {
        **{key: Kind(DIGEST if key == "digest" else NUMBER) for key in fields if key != "step"},
        "replica": Kind(NUMBER) if one else Kind(SET, _most(quantifier, number, of)),
    }
    names = _read_names(f"{path}.as", given.get("as", {}), kinds, scope)
    shown = f"{event} {_shown(data)}"
    step_text = str(step) if step is not None else None
    return Happened(event, quantifier, number, of, place, step_text, fresh, names, shown)


def _most(quantifier: str, number: Expression | None, of: Expression) -> int:
    if quantifier == "exactly" and number is not None and isinstance(number.tree, int):
        return min(number.tree, of.kind.most)
    return of.kind.most


def _read_at(path: str, data: object, scope: Scope, given: bool) -> tuple[str, Expression | None, Expression]:
    """Quantifier, its number, the set."""
    if not given:
        return "any", None, scope.expression(path, "all", SET)
    if not isinstance(data, Mapping):
        return "all", None, scope.expression(path, data, SET, NUMBER)
    words = [word for word in _QUANTIFIERS if word in data]
    if len(words) != 1:
        raise Mistake(path, f"{data!r:.80}: give one of {', '.join(_QUANTIFIERS)}, or a replica")
    word = words[0]
    if word in ("any", "all"):
        mapping(path, data, (word,), f"{{{word}: correct}}")
        return word, None, scope.expression(f"{path}.{word}", data[word], SET, NUMBER)
    mapping(path, data, (word, "of"), f"{{{word}: 1, of: correct}}")
    number = scope.expression(f"{path}.{word}", data[word], NUMBER)
    if number.tree == 0:
        raise Mistake(f"{path}.{word}", "0: an event that happened nowhere is nowhere seen; say not: … any")
    return word, number, scope.expression(f"{path}.of", data.get("of", "all"), SET, NUMBER)


def _read_seen(path: str, data: object, scope: Scope) -> Trigger:
    given = mapping(path, data, _SEEN_KEYS, "{types: [PREPARE], from: x, seq: s}")
    types = None
    if "types" in given:
        named = listed(f"{path}.types", given["types"], "message type")
        for name in named:
            if name not in TYPE_NUMBERS:
                raise Mistake(f"{path}.types", f"{name!r:.80}: give a list of {', '.join(TYPE_NUMBERS)}")
        types = frozenset(TYPE_NUMBERS[str(name)] for name in named)
    ends = [
        CLIENTS
        if given.get(end) == CLIENTS
        else scope.expression(f"{path}.{end}", given[end], SET, NUMBER)
        if end in given
        else None
        for end in ("from", "to")
    ]
    numbers = [
        scope.expression(f"{path}.{key}", given[key], NUMBER) if key in given else None
        for key in ("view", "seq", "count")
    ]
    kinds = {key: Kind(NUMBER) for key in ("view", "seq", "from", "to")}
    names = _read_names(f"{path}.as", given.get("as", {}), kinds, scope)
    return Seen(types, ends[0], ends[1], numbers[0], numbers[1], numbers[2], names, _shown(data))


def _read_names(path: str, data: object, kinds: Mapping[str, Kind], scope: Scope) -> Mapping[str, str]:
    given = mapping(path, data, tuple(kinds), "{seq: s, replica: x}")
    return {key: scope.bind(f"{path}.{key}", name, kinds[key]) for key, name in given.items()}


def _shown(data: object) -> str:
    return f"{data}".replace("'", "")[:160]
