"""Every action a rule may name. To add one: a file, and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from nemesis.lies.alter import ALTER
from nemesis.lies.catalogue import LIES
from nemesis.lies.client_lies import ClientLies
from nemesis.packets.corrupt import Corrupt
from nemesis.packets.delay import Delay
from nemesis.packets.drop import Drop
from nemesis.packets.duplicate import Duplicate
from nemesis.packets.rate import Rate
from nemesis.packets.reorder import Reorder
from nemesis.packets.replay import Replay
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import NETWORK, RuleData, Tamperer
from nemesis.scripts.actions import Rules
from nemesis.scripts.entry import ScriptAction


class Action(Protocol):
    """A class of tamperers."""

    @property
    def action(self) -> str:
        """Its name."""

    def problem(self, data: RuleData, n: int) -> str | None:
        """Why the data is no such rule, or None."""

    def __call__(self, data: RuleData, name: str, scene: Scene) -> Tamperer:
        """A rule at work. The data has no problem."""


_NETWORK: tuple[Action, ...] = (Drop, Delay, Duplicate, Reorder, Rate, Corrupt, Replay)
_ALL: tuple[Action, ...] = (*_NETWORK, ClientLies, ALTER, *LIES)
_STAGES = {action.action: int(getattr(action, "stage", NETWORK)) for action in _ALL}
SCRIPT_RULES = Rules(_STAGES, lambda data, n: problem_of_rule(data, n))
"""The stages of a script may do everything above, and begin no script."""
_SCRIPT = ScriptAction(SCRIPT_RULES)
ACTIONS: Mapping[str, Action] = MappingProxyType({action.action: action for action in (*_ALL, _SCRIPT)})


def problem_of_rule(data: object, n: int) -> str | None:
    """Why this is no rule, or None. Whatever JSON it is."""
    if not isinstance(data, Mapping) or data.get("action") not in ACTIONS:
        named = data.get("action") if isinstance(data, Mapping) else data
        return f"action = {named!r:.80}: choose one of {', '.join(ACTIONS)}"
    return ACTIONS[str(data["action"])].problem(data, n)


def imports_of(data: object) -> frozenset[str]:
    """Modules that a rule (or one in it) imports only when it acts, as its action says. Who runs
    the engine in real time imports them before: half a second in which no packet passes is a fault, too."""
    found: frozenset[str] = frozenset()
    if isinstance(data, Mapping):
        action = data.get("action")
        if isinstance(action, str):
            found = frozenset(getattr(ACTIONS.get(action), "imports", ()))
        data = list(data.values())
    return found.union(*map(imports_of, data)) if isinstance(data, list | tuple) else found


def make_rule(data: RuleData, name: str, scene: Scene) -> Tamperer:
    """At work."""
    problem = problem_of_rule(data, scene.n)
    if problem is not None:
        raise ValueError(problem)
    return ACTIONS[str(data["action"])](data, name, scene)
