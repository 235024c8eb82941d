"""The part of a ``FaultKind`` that is the same for all lies: it puts one lie to work, as its class says.

Parameters: ``replicas`` (who lies), ``strategy``, the options of the lie, and as filters ``to``, ``view``,
``seq`` and ``p`` as in a rule's ``match``. Everything about strategies and options is said once, by the
class of the lie.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from nemesis.faults.fault import Params, Victims
from nemesis.faults.tampering import TampersWithPackets
from nemesis.lies.lie import BACKUP, PRIMARY, Lie
from nemesis.packets.tamperer import RuleData

FILTERS = ("to", "view", "seq", "p")


class Lying(TampersWithPackets):
    """See the module."""

    name: str
    label: str
    summary: ClassVar[str]
    """What it does, in a sentence."""
    lies: ClassVar[type[Lie]]
    shares: ClassVar[tuple[float, ...]] = (1, 1, 0.5, 0.2)
    """What ``p`` is drawn from."""
    leads: ClassVar[bool] = False
    """It has little to do where no liar is primary: plans compromise replica 0, the first primary."""
    colour = "#CC79A7"
    charges = "safety and liveness: its replicas lie, and count among the f for the whole run"

    @property
    def description(self) -> str:
        """See ``FaultKind``."""
        strategies = "; ".join(f"{name}: {one.text}" for name, one in self.lies.strategies.items())
        return f"{self.summary} Strategies: {strategies}."

    @property
    def parameters(self) -> Mapping[str, str]:  # type: ignore[override]
        """See ``FaultKind``."""
        options = {
            name: f"{option.text}: {', '.join(option.values())}" for name, option in self.lies.options.items()
        }
        return {
            "replicas": "who lies: a list of replica numbers such as [0]",
            "strategy": f"one of {', '.join(self.lies.strategies)}",
            **options,
            **dict.fromkeys(FILTERS, "only of such packets, as in the match of drop"),
        }

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"replicas": [0], "strategy": next(iter(self.lies.strategies))}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``. Strategies of primaries are drawn where replica 0 lies, the first primary there
        is, and then half of the time."""
        who = sorted(liars) or sorted(stream.sample(range(n), f + budget_break))
        strategies = self.lies.strategies
        fitting = [name for name, one in strategies.items() if self._fits(one.role, who)]
        primary = [name for name in fitting if strategies[name].role == PRIMARY]
        if primary and stream.random() < 0.5:
            fitting = primary
        params: dict[str, object] = {
            "replicas": list(who),
            "strategy": stream.choice(fitting or list(self.lies.strategies)),
        }
        for name, option in self.lies.options.items():
            params[name] = stream.choice(option.drawn)
        params["p"] = stream.choice(self.shares)
        return params

    def draw_later(self, stream: random.Random, params: Params, n: int) -> Params:
        """See ``schedule``: after other faults replica 0 may lead no more, and strategies of primaries have
        nothing to do."""
        strategies = self.lies.strategies
        if self.leads or strategies[str(params["strategy"])].role != PRIMARY:
            return params
        replicas = params["replicas"]
        assert isinstance(replicas, list)
        fitting = [
            name for name, one in strategies.items() if one.role != PRIMARY and self._fits(one.role, replicas)
        ]
        return {**params, "strategy": stream.choice(fitting)} if fitting else params

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        known = ("replicas", "strategy", *self.lies.options, *FILTERS)
        for key in params:
            if key not in known:
                return f"unknown parameter {key!r:.80}: known are {', '.join(known)}"
        return self.check_rules(params, n)

    def rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """See ``TampersWithPackets``."""
        match = {key: params[key] for key in FILTERS if key in params}
        rest = {key: value for key, value in params.items() if key not in FILTERS}
        return ({"action": self.lies.action, **rest, "match": match},)

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        replicas = params["replicas"]
        assert isinstance(replicas, list)
        return Victims(frozenset(replicas), byzantine=frozenset(replicas))

    @staticmethod
    def _fits(role: str, who: Sequence[int]) -> bool:
        if role == PRIMARY:
            return 0 in who
        return role != BACKUP or any(who)
