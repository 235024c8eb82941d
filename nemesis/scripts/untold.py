"""Lies of a script that were begun and never met anything to lie about.

Its end is what a script's receipt needs, whatever its lies did on the way; who reads it is to see when one of
them did nothing, since the run then shows little about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nemesis.packets.tamperer import LIES
from nemesis.scripts.actions import Action, Rule


def lie_of(action: Action) -> str | None:
    """What to call the action's lie: where it stands in the script, and its rule. None: it is no lie."""
    deed = action.deed
    if not isinstance(deed, Rule) or deed.stage != LIES:
        return None
    return f"{action.path} ({deed.data.get('action')})"


def untold(lies: Mapping[str, str], reports: Mapping[str, Mapping[str, object]]) -> Sequence[str]:
    """Of the lies (owner -> what it is called) those that never did anything, in any attempt."""
    told = {lie for owner, lie in lies.items() if owner in reports and _did_something(reports[owner])}
    return [lie for lie in dict.fromkeys(lies.values()) if lie not in told]


def _did_something(report: Mapping[str, object]) -> bool:
    """Some lies count themselves: what they only took a look at is matched, too."""
    rules = report.get("rules")
    counts = [rule["lies"] for rule in rules if "lies" in rule] if isinstance(rules, list) else []
    return any(counts) if counts else bool(report.get("matched"))
