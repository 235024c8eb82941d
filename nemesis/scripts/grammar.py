"""A script as data, and what is wrong with it.

    name: isolate-the-one
    about: in a sentence, what state it builds and what it does then
    charges: {liars: 1, cut: 1}          what it may cost: compared with what its actions do (see ``charges``)
    bind: {old: view}                    names for values of the moment at which it begins
    stages:
      - name: committed at one
        when: {committed: {at: {exactly: 1, of: correct}, as: {seq: s, replica: x}}}
        do: [{isolate: x}]
        within: 5                        seconds since the stage before it; without it, all there are
        else: again                      or give-up (the default): all is released; the script begins anew
    attempts: 3                          how often it may begin
    repeat: 1                            how often it is gone through, if there is time
    whom: [1]                            the liars it would like to be given where a plan draws them

Everything is checked before a run: names are bound where they are used, rules are rules, nothing costs more
than it says. A mistake comes with the path to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nemesis.scripts.actions import Action, Bind, Rules, read_action, read_bind
from nemesis.scripts.charges import Cost, cost_of
from nemesis.scripts.expressions import NUMBER, SET
from nemesis.scripts.scope import Mistake, Scope, listed, mapping, seconds
from nemesis.scripts.trigger_grammar import read_trigger
from nemesis.scripts.triggers import Trigger

KEYS = ("name", "about", "charges", "whom", "bind", "stages", "attempts", "repeat")
_STAGE_KEYS = ("name", "when", "do", "within", "else")
_CHARGES = ("liars", "cut")
_SUCH_AS = "{charges: {liars: 1}, stages: [{when: {committed: {at: all}}, do: [{isolate: primary}]}]}"
MOST_STAGES = 32
MOST_ATTEMPTS = 100
_LONGEST_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Stage:
    """Read, and right."""

    name: str
    trigger: Trigger
    actions: tuple[Action, ...]
    within_ns: int | None
    again: bool


@dataclass(frozen=True, slots=True)
class Script:
    """Read, and right."""

    name: str
    about: str
    liars: int
    """At least so many."""
    cut: int
    """At most so many replicas at once."""
    start: Bind | None
    stages: tuple[Stage, ...]
    attempts: int
    repeat: int
    cost: Cost
    scope: Scope
    """All its names."""
    whom: tuple[int, ...]
    """The liars it would like."""


def read_script(data: object, n: int, rules: Rules, given_liars: int | None = None) -> Script:
    """``given_liars``: how many there are, if that is known; else as few as it needs. Raises Mistake."""
    given = mapping("script", data, KEYS, _SUCH_AS)
    charges = mapping("charges", given.get("charges", {}), _CHARGES, "{liars: 1, cut: f}")
    least, cut = (_charge(key, charges.get(key, 0), n) for key in _CHARGES)
    scope = Scope(n, least if given_liars is None else given_liars)
    start = read_bind("bind", given["bind"], scope) if "bind" in given else None
    stages, names = [], dict[str, bool]()
    entries = listed("stages", given.get("stages"), "stage")
    if not 0 < len(entries) <= MOST_STAGES:
        raise Mistake("stages", f"{len(entries)} of them: give 1 to {MOST_STAGES}")
    for index, entry in enumerate(entries):
        stages.append(_read_stage(f"stages[{index}]", entry, index, scope, rules, names))
    cost = cost_of(stages)
    if cost.cut > cut:
        raise Mistake(
            cost.cut_at,
            f"makes up to {cost.cut} replicas cut off, dead or paused at once, and the script declares "
            f"charges.cut = {cut}: declare {cost.cut}, or release some first",
        )
    attempts, repeat = (_times(key, given.get(key, 1)) for key in ("attempts", "repeat"))
    whom = scope.expression("whom", given["whom"], SET).value(scope.sample()) if "whom" in given else ()
    assert isinstance(whom, tuple)
    name, about = (_text(key, given.get(key, "")) for key in ("name", "about"))
    return Script(name, about, least, cut, start, tuple(stages), attempts, repeat, cost, scope, whom)


def _times(key: str, data: object) -> int:
    if isinstance(data, bool) or not isinstance(data, int) or not 1 <= data <= MOST_ATTEMPTS:
        raise Mistake(key, f"{data!r:.80}: give 1 to {MOST_ATTEMPTS}")
    return data


def _charge(key: str, data: object, n: int) -> int:
    scope = Scope(n, 0)
    expression = scope.expression(f"charges.{key}", data, NUMBER)
    if not expression.steady:
        raise Mistake(f"charges.{key}", f"{expression.text!r} is not known beforehand: say it with n and f")
    number = expression.number(scope.sample())
    if number > n:
        raise Mistake(f"charges.{key}", f"{number} of {n} replicas")
    return number


def _text(path: str, data: object) -> str:
    if not isinstance(data, str) or len(data) > _LONGEST_TEXT:
        raise Mistake(path, f"{data!r:.80} is no text (at most {_LONGEST_TEXT} letters)")
    return " ".join(data.split())


def _read_stage(
    path: str, data: object, index: int, scope: Scope, rules: Rules, names: dict[str, bool]
) -> Stage:
    given: Mapping[str, object] = mapping(path, data, _STAGE_KEYS, "{when: {…}, do: [{…}]}")
    if "when" not in given:
        raise Mistake(f"{path}.when", "is missing: say what the stage waits for ({after: 0}: nothing)")
    trigger = read_trigger(f"{path}.when", given["when"], scope)
    actions = tuple(
        read_action(f"{path}.do[{position}]", one, scope, rules, names)
        for position, one in enumerate(listed(f"{path}.do", given.get("do", []), "action"))
    )
    within = seconds(f"{path}.within", given["within"]) if "within" in given else None
    otherwise = given.get("else", "give-up")
    if otherwise not in ("give-up", "again"):
        raise Mistake(f"{path}.else", f"{otherwise!r:.80}: give-up or again")
    if "else" in given and within is None:
        raise Mistake(f"{path}.else", "means nothing without 'within': the stage has all the time there is")
    name = _text(f"{path}.name", given.get("name", f"stage {index + 1}"))
    return Stage(name, trigger, actions, within, otherwise == "again")
