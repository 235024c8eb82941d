"""Actions: what a stage does, once its trigger is met.

    isolate: x                           nothing passes between x and other replicas (also a set of them)
    isolate: {replicas: x, clients: true}       nor between x and clients
    hold: {types: [COMMIT], to: $correct - x}   a match; what it holds leaves when it is released
    kill: x    restart: down    pause: x    resume: x
    {hold: {…}, as: commits}             a name for what it begins stands beside the action, not in it
    release: commits                     what was begun under that name (``as``), a list of names, or all
    bind: {old: view}                    a name for a value of this moment
    drop: {match: {from: $liar}}         any rule of the engine, by its action, in its own words
    lie: {action: lie-new-view, liars: $liars, strategy: …}     the same

In the words of a rule ``$`` begins an expression, resolved at the moment the stage is reached: a replica
becomes ``r2`` where a host belongs, a set becomes a list, a view or number a range from itself to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nemesis.packets.match import problem_of
from nemesis.packets.packet import host
from nemesis.packets.tamperer import LIES, RuleData
from nemesis.scripts.expressions import NUMBER, SET, Expression, Moment, Value
from nemesis.scripts.scope import Mistake, Scope, listed, mapping, single

ORDERS = ("kill", "restart", "pause", "resume")
_OWN = ("isolate", "hold", "release", "bind", "lie", *ORDERS)
_RANGES = ("view", "seq", "copy")
_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the engine's registry a script needs: it is given, for the registry knows scripts."""

    actions: Mapping[str, int]
    """Of rules -> their stage."""
    problem: Callable[[object, int], str | None]
    """Why this is no rule."""


@dataclass(frozen=True, slots=True)
class Isolate:
    """A wall."""

    replicas: Expression
    clients: bool


@dataclass(frozen=True, slots=True)
class HoldBack:
    """A hold."""

    match: Mapping[str, object]
    """With expressions in it."""


@dataclass(frozen=True, slots=True)
class Release:
    """Of what was begun by name."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bind:
    """Names for values of the moment."""

    names: Mapping[str, Expression]


@dataclass(frozen=True, slots=True)
class Process:
    """An order to processes."""

    what: str
    replicas: Expression


@dataclass(frozen=True, slots=True)
class Rule:
    """One of the engine's."""

    data: Mapping[str, object]
    """With expressions in it."""
    stage: int
    """LIES or NETWORK."""
    by_liars: bool
    """Only compromised replicas' own packets are touched: theirs is the charge."""


Deed = Isolate | HoldBack | Release | Bind | Process | Rule


@dataclass(frozen=True, slots=True)
class Action:
    """A deed, and the name under which it can be released."""

    name: str
    deed: Deed
    path: str


class Resolver:
    """Puts values in the place of ``$`` expressions."""

    def __init__(self, scope: Scope, moment: Moment) -> None:
        self._scope = scope
        self._moment = moment

    def rule(self, path: str, data: Mapping[str, object]) -> RuleData:
        """A rule's data."""
        resolved: dict[str, object] = {}
        for key, value in data.items():
            where = f"{path}.{key}"
            if key == "match" and isinstance(value, Mapping):
                resolved[key] = self.match(where, value)
            else:
                resolved[key] = self._any(where, value, 0)
        return resolved

    def match(self, path: str, data: Mapping[str, object]) -> Mapping[str, object]:
        """A match."""
        resolved: dict[str, object] = {}
        for key, value in data.items():
            found = self._any(f"{path}.{key}", value, 0)
            if key in ("from", "to"):
                some = found if isinstance(found, list) else [found]
                found = [host(one) if isinstance(one, int) and _is_number(one) else one for one in some]
            elif key in _RANGES and _is_number(found):
                found = [found, found]
            resolved[key] = found
        return resolved

    def _any(self, path: str, value: object, depth: int) -> object:
        if depth > _DEEPEST:
            raise Mistake(path, f"nested deeper than {_DEEPEST}")
        if isinstance(value, str) and value.startswith("$"):
            named = self._value(path, value)
            return list(named) if isinstance(named, tuple) else named
        if isinstance(value, list):
            flat: list[object] = []
            for index, part in enumerate(value):
                found = self._any(f"{path}[{index}]", part, depth + 1)
                flat.extend(found if isinstance(found, list) and isinstance(part, str) else [found])
            return flat
        if isinstance(value, Mapping):
            return {str(key): self._any(f"{path}.{key}", part, depth + 1) for key, part in value.items()}
        return value

    def _value(self, path: str, text: str) -> Value:
        return self._scope.expression(path, text).value(self._moment)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# ---------------------------------------------------------------- reading


def read_action(path: str, data: object, scope: Scope, rules: Rules, names: dict[str, bool]) -> Action:
    """``names``: what was begun by name so far, to which it is added. Raises Mistake."""
    words = (*_OWN, *rules.actions)
    if not isinstance(data, Mapping):
        raise Mistake(path, f"{data!r:.80} is no action: give an object with one key of {', '.join(words)}")
    rest = {key: value for key, value in data.items() if key != "as"}
    word, inner = single(path, rest, words)
    if isinstance(inner, Mapping) and "as" in inner and word != "bind":
        beside = f"{{{word}: {{…}}, as: {inner['as']!s:.40}}}"
        raise Mistake(f"{path}.{word}", f"unknown key 'as': it stands beside the action: {beside}")
    name = data.get("as", "")
    if not isinstance(name, str) or len(name) > 40 or name == "all":
        raise Mistake(f"{path}.as", f"{name!r:.80} is no name")
    deed = _read_deed(f"{path}.{word}", word, inner, scope, rules, names)
    if name:
        if not isinstance(deed, Isolate | HoldBack | Rule):
            raise Mistake(f"{path}.as", f"{word} is done at once, and nothing of it can be released")
        names[name] = True
    return Action(name, deed, f"{path}.{word}")


def _read_deed(
    path: str, word: str, data: object, scope: Scope, rules: Rules, names: Mapping[str, bool]
) -> Deed:
    if word in ORDERS:
        return Process(word, scope.expression(path, data, SET, NUMBER))
    if word == "isolate":
        return _read_isolate(path, data, scope)
    if word == "release":
        return _read_release(path, data, names)
    if word == "bind":
        return read_bind(path, data, scope)
    if word == "hold":
        return _read_hold(path, data, scope)
    if not isinstance(data, Mapping):
        raise Mistake(path, f"{data!r:.80}: give the rule's parameters, such as {{match: {{from: $liar}}}}")
    if word != "lie":
        data = {"action": word, **data}
    return _read_rule(path, data, scope, rules)


def _read_isolate(path: str, data: object, scope: Scope) -> Isolate:
    if not isinstance(data, Mapping):
        return Isolate(scope.expression(path, data, SET, NUMBER), False)
    given = mapping(path, data, ("replicas", "clients"), "{replicas: x, clients: true}")
    clients = given.get("clients", False)
    if not isinstance(clients, bool):
        raise Mistake(f"{path}.clients", f"{clients!r:.80}: give true or false")
    return Isolate(scope.expression(f"{path}.replicas", given.get("replicas"), SET, NUMBER), clients)


def _read_release(path: str, data: object, names: Mapping[str, bool]) -> Release:
    some = data if isinstance(data, list) else [data]
    for name in listed(path, some, "name"):
        if not isinstance(name, str) or (name not in names and name != "all"):
            known = ", ".join([*names, "all"])
            raise Mistake(path, f"nothing was begun as {name!r:.80} by then: there are {known}")
    return Release(tuple(str(name) for name in some))


def read_bind(path: str, data: object, scope: Scope) -> Bind:
    """Names and expressions. Raises Mistake."""
    if not isinstance(data, Mapping) or not data:
        raise Mistake(path, f"{data!r:.80}: give names and values, such as {{old: view}}")
    read = {}
    for name, value in data.items():
        expression = scope.expression(f"{path}.{name}", value)
        read[scope.bind(path, name, expression.kind)] = expression
    return Bind(read)


def _read_hold(path: str, data: object, scope: Scope) -> HoldBack:
    if not isinstance(data, Mapping):
        raise Mistake(path, f"{data!r:.80}: give a match, such as {{types: [COMMIT], to: $x}}")
    problem = problem_of(Resolver(scope, scope.sample()).match(path, data), scope.n)
    if problem is not None or "p" in data:
        raise Mistake(path, problem or "p: what is held is held by no chance")
    return HoldBack(dict(data))


def _read_rule(path: str, data: Mapping[str, object], scope: Scope, rules: Rules) -> Rule:
    action = data.get("action")
    if not isinstance(action, str) or action not in rules.actions:
        raise Mistake(path, f"action = {action!r:.80}: choose one of {', '.join(rules.actions)}")
    sample = scope.sample()
    resolved = Resolver(scope, sample).rule(path, data)
    problem = rules.problem(resolved, scope.n)
    if problem is not None:
        raise Mistake(path, problem)
    stage = rules.actions[action]
    named = _named(resolved)
    by_liars = bool(named) and _steady(path, data, scope) and named <= set(sample.liars)
    if stage == LIES and not by_liars:
        raise Mistake(path, f"{action} is a lie: say whose (liars: $liars), and of liars only")
    return Rule(dict(data), stage, by_liars)


def _named(resolved: RuleData) -> set[int]:
    """Whose packets a rule is about, as far as it says."""
    match = resolved.get("match")
    sources = match.get("from") if isinstance(match, Mapping) else None
    for some in (resolved.get("liars"), resolved.get("replicas"), sources):
        if isinstance(some, list) and some:
            return {
                one if isinstance(one, int) else int(one[1:]) if one[1:].isdecimal() else -1
                for one in some
                if isinstance(one, int | str)
            }
    return set()


def _steady(path: str, data: Mapping[str, object], scope: Scope) -> bool:
    """Do the words that say whose packets it is about name liars, and nothing that happens to be one?"""
    match = data.get("match")
    sources = match.get("from") if isinstance(match, Mapping) else None
    for some in (data.get("liars"), data.get("replicas"), sources):
        if some is not None:
            texts: Sequence[object] = some if isinstance(some, list) else [some]
            return all(text in ("$liar", "$liars") for text in texts)
    return False
