"""Lies that need a push: a liar by itself brings about no view change, and no replica that lags.

``push`` adds rules that lose messages of correct replicas while the fault lasts. The network is asynchronous
then, so nobody owes liveness; nobody but the liars counts as bad.

    views     some proposals and most COMMITs are lost, and NEW-VIEWs of all but the liars: only a liar's view
              begins, with several numbers prepared, and ends
    restless  most proposals are lost: views begin, and end after a timeout, with some numbers prepared
    lag       one replica (``behind``) gets no proposals, no votes, and few offers of others than the liars:
              it needs the state, again and again, and mostly has it from a liar
    bodies    that replica gets votes, but no proposals, and few batches of others than the liars: it asks for
              batches by their digest
    stumble   ``lag``, and half of the proposals of every 16th number are lost: views change over its head,
              but not before there is a state for it to fetch
    none      nothing
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from nemesis.faults.fault import Params, Victims
from nemesis.faults.lies.lying import Lying
from nemesis.faults.tampering import Report
from nemesis.packets.packet import host
from nemesis.packets.tamperer import RuleData

NONE, VIEWS, RESTLESS = "none", "views", "restless"
LAG, BODIES, STUMBLE = "lag", "bodies", "stumble"
_PUSHES = (NONE, VIEWS, RESTLESS, LAG, BODIES, STUMBLE)
_BEHIND = (LAG, BODIES, STUMBLE)
_PROPOSALS: RuleData = {"types": ["PRE_PREPARE"], "p": 0.8}
_COMMITS: RuleData = {"types": ["COMMIT"], "p": 0.8}
_OFFERS: RuleData = {"types": ["STATE_META", "BATCH"], "p": 0.8}
FEW = 4
"""Of more replicas, more must hear a proposal before anybody has it prepared: fewer are lost."""
STUMBLE_EVERY = 16
"""If more were lost, there would be no checkpoint in the time of a fault, and nothing to hand out."""
_NORMAL_CASE = ["PRE_PREPARE", "PREPARE", "COMMIT", "DECIDED"]


class PushedLying(Lying):
    """See the module."""

    pushes: ClassVar[tuple[str, ...]] = (VIEWS, RESTLESS)
    """What it draws from. The first is the default."""
    least_hold_ns: ClassVar[int] = 2_500_000_000
    """A push needs that long: the view must change, mostly more than once, or somebody lag by a window."""

    @property
    def parameters(self) -> Mapping[str, str]:  # type: ignore[override]
        """See ``FaultKind``."""
        return {
            **super().parameters,
            "push": f"what is lost meanwhile, so that there is something to lie about: {', '.join(_PUSHES)}",
            "behind": "of lag, bodies and stumble: the replica that lags, a correct one",
        }

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return self._whole({**super().example, "push": self.pushes[0]}, 4)

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        drawn = super().draw(stream, n, f, budget_break, liars)
        behind = stream.randrange(n)
        return self._whole({**drawn, "push": stream.choice(self.pushes), "behind": behind, "p": 1}, n)

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        push, behind = params.get("push", NONE), params.get("behind", 0)
        if not isinstance(push, str) or push not in _PUSHES:
            return f"push = {push!r:.80}: choose one of {', '.join(_PUSHES)}"
        if not isinstance(behind, int) or isinstance(behind, bool) or not 0 <= behind < n:
            return f"behind = {behind!r:.80}: there is no such replica: they are 0 … {n - 1}"
        rest = {key: value for key, value in params.items() if key not in ("push", "behind")}
        problem = super().check(rest, n)
        if problem is None and push in _BEHIND and behind in _replicas(params):
            return f"behind = {behind}: it lies itself: choose a correct replica"
        if problem is None and push == VIEWS and len(_replicas(params)) == n:
            return (
                "push = views: it loses NEW-VIEWs of correct replicas, and all lie: choose restless or none"
            )
        return problem

    def rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """See ``TampersWithPackets``: the lie first."""
        rest = {key: value for key, value in params.items() if key not in ("push", "behind")}
        return (*self.lie_rules(rest, n, f), *_push(params, n))

    def lie_rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """Without the push."""
        return super().rules(params, n, f)

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        liars = _replicas(params)
        return Victims(liars, byzantine=liars, network=params.get("push", NONE) != NONE)

    def proof(self, report: Report) -> bool:
        """What the push lost is no proof of the lie."""
        rules = report.get("rules")
        told = [rule["lies"] for rule in rules if "lies" in rule] if isinstance(rules, list) else []
        return any(told) if told else super().proof(report)

    def _whole(self, params: dict[str, object], n: int) -> Params:
        """``behind`` only where it is of use, and a correct replica."""
        behind = params.pop("behind", n - 1)
        if params["push"] in _BEHIND:
            correct = [replica for replica in range(n) if replica not in _replicas(params)]
            params["behind"] = behind if behind in correct else correct[-1]
        return params


def _replicas(params: Params) -> frozenset[int]:
    """Of hostile parameters, too: what is no number is nobody."""
    replicas = params.get("replicas")
    listed = replicas if isinstance(replicas, list) else []
    return frozenset(one for one in listed if isinstance(one, int))


def _push(params: Params, n: int) -> list[RuleData]:
    """What is lost meanwhile."""
    correct = [host(replica) for replica in range(n) if replica not in _replicas(params)]
    behind = f"r{params.get('behind', 0)}"
    lag: list[RuleData] = [
        {"types": _NORMAL_CASE, "to": [behind]},
        {**_OFFERS, "from": correct, "to": [behind]},
    ]
    lost: list[RuleData]
    match params.get("push", NONE):
        case "lag":
            lost = lag
        case "stumble":
            lost = [*lag, {**_PROPOSALS, "p": 0.5, "every": [STUMBLE_EVERY, 0]}]
        case "bodies":
            lost = [{"types": ["PRE_PREPARE"], "to": [behind]}, lag[1]]
        case "views":
            lost = [
                {**_PROPOSALS, "p": 0.5 if n <= FEW else 0.3},
                _COMMITS,
                {"types": ["NEW_VIEW"], "from": correct},
            ]
        case "restless":
            lost = [_PROPOSALS]
        case _:
            lost = []
    return [{"action": "drop", "match": one} for one in lost]
