"""Directed scripts as faults: ``script`` takes one as a parameter, ``script:NAME`` is one of the library.

The receipt needs the last stage: a script that was stuck built nothing up, and had no effect. Whom it killed
or paused is back before it counts as undone. While it runs nobody owes liveness if it cuts anybody off or
touches packets of correct replicas; safety is owed always.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache

from nemesis.faults.fault import Params, Receipt, Victims
from nemesis.faults.tampering import Report, TampersWithPackets
from nemesis.machinery import Machinery
from nemesis.packets.registry import SCRIPT_RULES, problem_of_rule
from nemesis.packets.tamperer import RuleData
from nemesis.scripts.grammar import Script, read_script
from nemesis.scripts.library import library

_KEYS = ("script", "liars")
_COLOURS = ("#CC79A7", "#D55E00", "#E69F00", "#0072B2", "#009E73", "#000000")
_OWN: Params = {
    "script": {
        "charges": {"cut": 1},
        "stages": [
            {
                "when": {"committed": {"at": {"any": "backups"}, "as": {"replica": "x"}}},
                "do": [{"isolate": "x"}],
            }
        ],
    },
    "liars": [],
}
"""The shortest that shows the grammar: what to wait for, what to do then."""
LEAST_HOLD_NS = 12_000_000_000
"""A script waits for states that take several view changes to come about."""
STATES_NS = 3_000_000_000
"""The same in a hurry: what little there must be."""


class DirectedScript(TampersWithPackets):
    """See the module."""

    family = "script"
    parameters: Mapping[str, str] = {
        "script": "a script (see ARCHITECTURE.md, Directed scripts), or the name of one of the library",
        "liars": "the replicas it compromises, at least as many as the script's charges.liars",
    }
    receipt = "which stages were reached when, with what was bound; it needs the last one"
    least_hold_ns = LEAST_HOLD_NS

    def __init__(self, of_library: str = "") -> None:
        super().__init__()
        self._of_library = of_library
        self.name = f"script:{of_library}" if of_library else "script"
        self.label = f"script {of_library}".strip()
        self.colour = _COLOURS[len(of_library) % len(_COLOURS)]

    @property
    def description(self) -> str:
        """See ``FaultKind``."""
        if not self._of_library:
            return "Follows a script: waits for a state of the protocol, then acts."
        about = str(library()[self._of_library]["about"])
        return " ".join(about.split())

    @property
    def charges(self) -> str:
        """See ``FaultKind``."""
        if not self._of_library:
            return "what the script declares, compared with what its actions can do"
        charges = library()[self._of_library].get("charges", {})
        assert isinstance(charges, Mapping)
        liars, cut = charges.get("liars", 0), charges.get("cut", 0)
        return f"safety: {liars} liars; liveness: up to {cut} others cut off, dead or paused"

    @property
    def example(self) -> Params:
        """See ``FaultKind``. Of ``script`` one of the user's own."""
        if not self._of_library:
            return _OWN
        name = self._of_library
        script = self._read(library()[name], 4)
        return {"script": name, "liars": list(dict.fromkeys((*script.whom, 1, 2, 3)))[: script.liars]}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``. The plan holds the whole script: it means the same when the library changes."""
        name = self._of_library or stream.choice(self._fitting(n, f, liars))
        needed = self._read(library()[name], n).liars
        count = (f + budget_break) if needed else 0
        chosen = sorted(liars[:count] if liars else stream.sample(range(n), count))
        return {"script": dict(library()[name]), "liars": chosen}

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        for key in params:
            if key not in _KEYS:
                return f"unknown parameter {key!r:.80}: known are {', '.join(_KEYS)}"
        script = params.get("script", self._of_library)
        if isinstance(script, str) and script not in library():
            return f"script = {script!r:.80}: give a script, or a name of {', '.join(library())}"
        return problem_of_rule(self._rule(params), n)

    def rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """See ``TampersWithPackets``."""
        return (self._rule(params),)

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        rule = self._rule(params)
        liars = rule["liars"]
        assert isinstance(liars, list)
        script = self._read(rule["script"], n, len(liars))
        byzantine = frozenset(liars)
        return Victims(byzantine, min(script.cost.cut, n - len(liars)), byzantine, script.cost.network)

    def proof(self, report: Report) -> bool:
        """See ``TampersWithPackets``: the last stage."""
        return _at_work(report).get("final") is True

    def available(self, machinery: Machinery) -> str | None:
        """See ``FaultKind``."""
        if not {"packets", "kill", "pause"} <= machinery.capabilities:
            return "this world cannot intercept packets, kill and pause"
        return None

    def trouble(self, machinery: Machinery, fault_id: str, params: Params) -> str:
        """See ``FaultKind``."""
        tampering = self._memory.of(machinery, fault_id)
        report = machinery.tampered(fault_id)
        if tampering is None or tampering.stopped or not report.get("in_force"):
            return super().trouble(machinery, fault_id, params)
        return str(_at_work(report).get("stuck") or "its rules are in force, and it tells nothing")

    def stop(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``: and whom it has in its hands goes on."""
        tampering = self._memory.of(machinery, fault_id)
        if tampering is None or tampering.stopped:
            return
        report = _at_work(machinery.tampered(fault_id))
        super().stop(machinery, fault_id, params)
        for replica in _replicas(report, "down"):
            machinery.restart(replica)
        for replica in _replicas(report, "paused"):
            machinery.resume(replica)

    def stopped(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``."""
        report = _at_work(machinery.tampered(fault_id))
        for replica in _replicas(report, "hurt"):
            now = machinery.process(replica)
            if now.state != "running" or now.up is False:
                return None
        return super().stopped(machinery, fault_id, params)

    def bad_now(self, machinery: Machinery, fault_id: str, params: Params) -> frozenset[int]:
        """See ``FaultKind``: those it cut off at any time, too."""
        bad = super().bad_now(machinery, fault_id, params)
        tampering = self._memory.of(machinery, fault_id)
        if tampering is None or tampering.undone:
            return bad
        return bad | frozenset(_replicas(_at_work(machinery.tampered(fault_id)), "hurt"))

    @property
    def shortest_hold_ns(self) -> int:
        """Below that it has no chance (see ``schedule``): what it waits by the clock, and a little more."""
        return _shortest_hold_ns(self._of_library)

    def stays_within(self, n: int, f: int) -> bool:
        """Can a plan draw it without more than f replicas bad at once?"""
        within = self._within(n, f)
        return self._of_library in within if self._of_library else bool(within)

    def wished_liars(self, n: int) -> Sequence[int]:
        """Whom it would like to lie (see ``schedule``)."""
        return self._read(library()[self._of_library], n).whom if self._of_library else ()

    def _within(self, n: int, f: int) -> Sequence[str]:
        """Of the library, what stays within the budget of liveness, with as many liars as it is drawn."""
        found = []
        for name, data in library().items():
            liars = list(range(f)) if self._read(data, n).liars else []
            if self.victims({"script": data, "liars": liars}, n, f).count <= f:
                found.append(name)
        return found

    def _fitting(self, n: int, f: int, liars: Sequence[int]) -> Sequence[str]:
        """Of those, the ones that need none but these liars: others may wait in vain for their turn."""
        within = self._within(n, f)
        fitting = [
            name for name in within if not liars or set(self._read(library()[name], n).whom) <= {*liars}
        ]
        return fitting or within

    def _rule(self, params: Params) -> dict[str, object]:
        script = params.get("script", self._of_library)
        data = library().get(script, script) if isinstance(script, str) else script
        return {"action": "script", "script": data, "liars": params.get("liars", [])}

    def _read(self, data: object, n: int, liars: int | None = None) -> Script:
        return read_script(data, n, SCRIPT_RULES, liars)


@cache
def _shortest_hold_ns(of_library: str) -> int:
    names = [of_library] if of_library else [*library()]
    scripts = [read_script(library()[name], 4, SCRIPT_RULES) for name in names]
    waits = [sum(delay for one in script.stages for delay in one.trigger.delays_ns()) for script in scripts]
    return STATES_NS + max(waits)


def _at_work(report: Report) -> Mapping[str, object]:
    """What the script itself tells."""
    rules = report.get("rules")
    first = rules[0] if isinstance(rules, list) and rules else {}
    return first if isinstance(first, Mapping) else {}


def _replicas(report: Mapping[str, object], key: str) -> Sequence[int]:
    value = report.get(key)
    return [one for one in value if isinstance(one, int)] if isinstance(value, list) else []


SCRIPTED = (DirectedScript(), *map(DirectedScript, library()))
"""``script``, and every ``script:NAME``."""
