"""How much work the judge may do, and where its thresholds are. All of them are parameters."""

from __future__ import annotations

from dataclasses import dataclass

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """`shrink_seconds` is on top of `seconds`, and only spent on a history already refuted."""

    seconds: float = 60.0
    nodes: int = 3_000_000
    """Search nodes held at once, about 0.5 kB each."""
    shrink_seconds: float = 10.0
    clock_ns: int = 1_000
    """The least difference that the harness' own clock is trusted to tell: a clock is read about so fast."""
    guarantee_seconds: float = 5.0
    """For what a refuted history still satisfies; 0: nobody asks."""
    every_guarantee: bool = False
    """Weaker guarantees are asked of any history, not only of a refuted one."""
    liveness_slack_ns: int = 2 * SECOND_NS
    """For a busy machine, on top of what the cluster's timers allow (see `patience`)."""
    liveness_grace_ns: int = 10 * SECOND_NS
    """How long a cluster whose timers the plan does not tell may need after conditions change."""
    lag_ns: int = SECOND_NS
    """A harness that once was later than this with anything cannot be trusted about time."""
    starved_share: float = 0.9
    """Replicas that waited for a processor for this share of the time they could have run were too many for
    the machine: that they were slow says nothing about the protocol."""
    signatures: int = 200_000
    """To verify, about 0.13 ms each."""
    evidence_signatures: int = 100_000
    """To verify for proofs of guilt: only where something is at odds, and all inside of VIEW-CHANGEs and
    NEW-VIEWs."""
    least_ok: int = 50
    """Completed operations below which a run has tested nothing."""
    churn_views: int = 8
    churn_ns: int = 5 * SECOND_NS
    """Churn: more views than this entered while nothing was wrong, on average one in less than this time."""
