"""Replays recorded packets: of this run, of before a restart, of an older view. No key is needed, and nothing
is lost or late by it; what a fault does beside it, so that there is something to replay, is charged.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from nemesis.faults.fault import Params, Receipt, Victims
from nemesis.faults.memory import Memory
from nemesis.faults.network import NetworkFault, draw_match
from nemesis.faults.tampering import MATCH_WORDS
from nemesis.faults.targets import is_replica
from nemesis.machinery import Machinery
from nemesis.packets.packet import host
from nemesis.packets.replay import LEAST_EVERY_NS, MOST_BURST, MOST_EVERY_NS, OLDER_VIEW, RESTART, RUN
from nemesis.packets.tamperer import RuleData

_MS = 1_000_000
_OFTEN = {
    "every_ns": f"from round to round, from {LEAST_EVERY_NS} to {MOST_EVERY_NS}",
    "burst": f"packets in a round, from 1 to {MOST_BURST}",
}
_LEAST_RECORDED = 20
"""Packets to a replica before it is killed."""


class ReplayOfRun(NetworkFault):
    """See the module."""

    name = "replay"
    label = "replay"
    colour = "#F0E442"
    action = "replay"
    description = "Sends packets again that were seen since it began: old votes, old requests, old proposals."
    charges = "nobody: what is sent again is neither lost nor late"
    parameters: Mapping[str, str] = MappingProxyType({"match": MATCH_WORDS, **_OFTEN})

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"match": {}, "every_ns": 20 * _MS, "burst": 4}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        match = draw_match(stream, n, f, False, (1, 0.5))
        if match.get("types") == ["REPLY"]:  # what clients are told is not recorded
            match["types"] = ["REQUEST"]
        return {"match": match, "every_ns": stream.choice((10, 50)) * _MS, "burst": stream.choice((1, 4, 16))}

    def rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """See ``TampersWithPackets``."""
        return ({**params, "action": "replay", "of": RUN},)

    def costs(self, params: Params) -> bool:
        """See ``NetworkFault``."""
        return False


class ReplayOfOlderView(NetworkFault):
    """Loses the proposals of whoever is primary when it begins, so that a later view comes."""

    name = "replay-older-view"
    label = "replay of a view"
    colour = "#000000"
    action = "replay"
    description = (
        "Loses the PRE-PREPAREs of the primary of the moment; when the view has changed, sends packets of "
        "the older view again."
    )
    charges = "liveness: that primary is bad while it lasts; never safety"
    parameters: Mapping[str, str] = MappingProxyType(_OFTEN)

    def __init__(self) -> None:
        super().__init__()
        self._deposed: Memory[int] = Memory()

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"every_ns": 20 * _MS, "burst": 4}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        return {"every_ns": stream.choice((10, 50)) * _MS, "burst": stream.choice((4, 16))}

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        for key in params:
            if key not in _OFTEN:
                return f"unknown parameter {key!r:.80}: known are {', '.join(_OFTEN)}"
        return self.check_rules(params, n)

    def rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """See ``TampersWithPackets``."""
        return ({**params, "action": "replay", "of": OLDER_VIEW},)

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        return Victims(frozenset(), any_of=1)

    def proof(self, report: Mapping[str, object]) -> bool:
        """Proposals that were lost prove nothing yet."""
        return _replayed(report)

    def start(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        super().start(machinery, fault_id, params)
        primary = machinery.primary_hint()
        self._deposed.keep(machinery, fault_id, primary)
        silence = {"action": "drop", "match": {"from": [host(primary)], "types": ["PRE_PREPARE"]}}
        machinery.tamper(fault_id, (*self.rules(params, machinery.n, machinery.f), silence))

    def bad_now(self, machinery: Machinery, fault_id: str, params: Params) -> frozenset[int]:
        """See ``FaultKind``."""
        primary = self._deposed.of(machinery, fault_id)
        return frozenset() if primary is None or self.over(machinery, fault_id) else frozenset({primary})


@dataclass(slots=True)
class _Restart:
    """Incarnation of the replica before."""

    replica: int
    before: int
    killed: bool = False


class ReplayOfRestart(NetworkFault):
    """Records, kills, starts again, and replays."""

    name = "replay-restart"
    label = "replay at restart"
    colour = "#D55E00"
    action = "replay"
    description = (
        "Kills a replica, starts it again at once, and sends it everything again that it was sent before: "
        "what it promised then must still bind it."
    )
    charges = "liveness: that replica is bad while it lasts; never safety"
    parameters: Mapping[str, str] = MappingProxyType({"replica": "a replica number"})

    def __init__(self) -> None:
        super().__init__()
        self._restarts: Memory[_Restart] = Memory()

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"replica": 2}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        return {"replica": stream.randrange(n)}

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        for key in params:
            if key != "replica":
                return f"unknown parameter {key!r:.80}: only 'replica' is known"
        if not is_replica(params.get("replica"), n):
            return f"replica = {params.get('replica')!r:.80}: the replicas are 0 … {n - 1}"
        return None

    def rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """See ``TampersWithPackets``."""
        match = {"to": [host(_replica(params))]}
        return ({"action": "replay", "of": RESTART, "match": match, "every_ns": _MS, "burst": 1},)

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        return Victims(frozenset({_replica(params)}))

    def available(self, machinery: Machinery) -> str | None:
        """See ``FaultKind``."""
        if "kill" not in machinery.capabilities:
            return "this world cannot kill and restart replicas"
        return super().available(machinery)

    def start(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        replica = _replica(params)
        self._restarts.keep(machinery, fault_id, _Restart(replica, machinery.process(replica).incarnation))
        super().start(machinery, fault_id, params)

    def observe(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``. It is asked again and again: so it goes on from step to step here."""
        restart = self._restarts.of(machinery, fault_id)
        if restart is None:
            return None
        now = machinery.process(restart.replica)
        if not restart.killed:
            if _recorded(machinery.tampered(fault_id)) >= _LEAST_RECORDED and now.state != "dead":
                restart.killed, restart.before = True, now.incarnation
                machinery.kill(restart.replica)
            return None
        if now.state == "dead":
            machinery.restart(restart.replica)
        return super().observe(machinery, fault_id, params)

    def stop(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        restart = self._restarts.of(machinery, fault_id)
        if restart is not None and restart.killed and machinery.process(restart.replica).state == "dead":
            machinery.restart(restart.replica)
        super().stop(machinery, fault_id, params)

    def stopped(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``: no rule, and the replica runs again."""
        restart = self._restarts.of(machinery, fault_id)
        if restart is not None and restart.killed:
            now = machinery.process(restart.replica)
            if now.state == "dead" or now.incarnation <= restart.before or now.up is False:
                return None
        return super().stopped(machinery, fault_id, params)


def _replica(params: Params) -> int:
    replica = params["replica"]
    assert isinstance(replica, int)
    return replica


def _rules(report: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    rules = report.get("rules")
    return [rule for rule in rules if isinstance(rule, Mapping)] if isinstance(rules, Sequence) else []


def _recorded(report: Mapping[str, object]) -> int:
    return sum(number for rule in _rules(report) if isinstance(number := rule.get("recorded"), int))


def _replayed(report: Mapping[str, object]) -> bool:
    return any(rule.get("replayed") for rule in _rules(report))
