"""Scripts in the registry of rules: ``{"action": "script", "script": {…}, "liars": [1]}``."""

from __future__ import annotations

from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import LIES, RuleData
from nemesis.scripts.actions import Rules
from nemesis.scripts.grammar import read_script
from nemesis.scripts.machine import ScriptAtWork
from nemesis.scripts.scope import Mistake


class ScriptAction:
    """The entry of the registry."""

    action = "script"
    stage = LIES

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def problem(self, data: RuleData, n: int) -> str | None:
        """Why the data is no script, or None. Whatever JSON it is."""
        for key in data:
            if key not in ("action", "script", "liars"):
                return f"script: unknown key {key!r:.80}: known are script, liars"
        liars = data.get("liars", [])
        if not isinstance(liars, list) or not all(
            isinstance(one, int) and not isinstance(one, bool) and 0 <= one < n for one in liars
        ):
            return f"script: liars = {liars!r:.80}: give a list of replicas such as [1]"
        if len(set(liars)) < len(liars):
            return f"script: liars = {liars!r:.80}: a replica is named twice"
        try:
            needed = read_script(data.get("script"), n, self._rules, None).liars
            if len(liars) < needed or (liars and not needed):
                return f"script: {len(liars)} liars, and it needs {needed} (charges.liars)"
            read_script(data.get("script"), n, self._rules, len(liars))
        except (Mistake, RecursionError) as error:
            return str(error) or "script: nested too deep"
        return None

    def __call__(self, data: RuleData, name: str, scene: Scene) -> ScriptAtWork:
        """At work."""
        return ScriptAtWork(data, name, scene, self._rules)
