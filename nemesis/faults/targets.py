"""Whom a fault on processes is aimed at: replicas named in the plan, or whoever is primary when it starts.

``{"replicas": [2, 5]}`` or ``{"replicas": "primary"}``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nemesis.faults.fault import Params, Victims
from nemesis.machinery import Machinery

PRIMARY = "primary"


def draw_targets(stream: random.Random, n: int, f: int, budget_break: bool) -> Params:
    """At most f, half the time the primary (faults on backups alone change no view); or more than f."""
    if budget_break:
        return {"replicas": sorted(stream.sample(range(n), stream.randint(f + 1, n)))}
    if stream.random() < 0.5:
        return {"replicas": PRIMARY}
    return {"replicas": sorted(stream.sample(range(n), stream.randint(1, f)))}


def check_targets(params: Params, n: int) -> str | None:
    """Why they are wrong, or None."""
    unknown = sorted(set(params) - {"replicas"})
    if unknown:
        return f"unknown parameter {unknown[0]!r:.80}: only 'replicas' is known"
    return check_replicas(params.get("replicas"), n)


def check_replicas(value: object, n: int) -> str | None:
    """Of a list of replicas, or ``primary``."""
    if value == PRIMARY:
        return None
    if not isinstance(value, list) or not value:
        return f"replicas = {value!r:.80}: give a list of replica numbers such as [0], or 'primary'"
    for replica in value:
        if not is_replica(replica, n):
            return f"replica {replica!r:.80} does not exist: the replicas are 0 … {n - 1}"
    if len(set(value)) < len(value):
        return f"replicas = {value!r:.80}: a replica is named twice"
    return None


def is_replica(value: object, n: int) -> bool:
    """A number of a replica, and not a truth value."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < n


def planned_victims(params: Params) -> Victims:
    """``params`` pass the check."""
    replicas = params["replicas"]
    if not isinstance(replicas, list):
        return Victims(frozenset(), any_of=1)
    return Victims(frozenset(replicas))


def resolve_targets(machinery: Machinery, params: Params) -> tuple[int, ...]:
    """At the moment it starts."""
    replicas = params["replicas"]
    return tuple(replicas) if isinstance(replicas, list) else (machinery.primary_hint(),)


class AimedAtReplicas:
    """The part of a ``FaultKind`` that is the same for everything done to whole processes."""

    family = "process"
    parameters: Mapping[str, str] = MappingProxyType(
        {"replicas": "a list of replica numbers such as [0, 2], or 'primary': whoever is when it starts"}
    )

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        return draw_targets(stream, n, f, budget_break)

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        return check_targets(params, n)

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        return planned_victims(params)
