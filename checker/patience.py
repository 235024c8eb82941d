"""How long a correct cluster may take, from its own timers: the bound behind every liveness verdict.

After a moment from which on the same at most f replicas are bad, an operation of a client that retransmits
completes within

    settle = C + R + sum over k = 1 … f+1 of min(V * 2^k, M) + slack

C: the client's first retransmission, which reaches every replica; R: the backups' request timer; then f+1
views in a row that come to nothing, each NEW-VIEW waited for twice as long as the one before (V, M: view
change timeout and its cap). f would do: one more is for a view change that was under way already. When more
than f were bad just before, the client's pause may have grown to its longest, and a timer that doubled all
through that outage has at most the outage's length to go: C becomes C_max, and min(outage, M) is added.

Once settled, an operation needs one view change at the very most: serve = C + R + 2 V + slack.

The slack is for the machine, not for the protocol: two seconds (`Limits.liveness_slack_ns`), and five times
the worst lag the harness measured of itself, since what made it late made the replicas late, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from checker.limits import Limits

LAGS = 5


@dataclass(frozen=True, slots=True)
class Timers:
    """Of the cluster, as `plan.json` has them."""

    request_timeout_ns: int
    view_change_timeout_ns: int
    max_timeout_ns: int
    client_retry_ns: int
    client_retry_max_ns: int


@dataclass(frozen=True, slots=True)
class Patience:
    """The bounds. `timers` None: a cluster whose timers nobody told, given the same long time for all."""

    timers: Timers | None
    f: int
    slack_ns: int
    without_timers_ns: int

    def settle_ns(self, outage_ns: int = 0) -> int:
        """To get going when conditions changed; `outage_ns`: how long there was no quorum just before."""
        if self.timers is None:
            return self.without_timers_ns + outage_ns
        t = self.timers
        views = sum(min(t.view_change_timeout_ns << k, t.max_timeout_ns) for k in range(1, self.f + 2))
        retry = max(t.client_retry_ns, t.client_retry_max_ns) if outage_ns else t.client_retry_ns
        return retry + t.request_timeout_ns + views + min(outage_ns, t.max_timeout_ns) + self.slack_ns

    def serve_ns(self) -> int:
        """For one operation, once settled."""
        if self.timers is None:
            return self.without_timers_ns
        t = self.timers
        return t.client_retry_ns + t.request_timeout_ns + 2 * t.view_change_timeout_ns + self.slack_ns

    def replace_primary_ns(self) -> int:
        """The least a cluster in good shape takes to go on without its primary. No slack in it."""
        if self.timers is None:
            return self.without_timers_ns
        t = self.timers
        return t.client_retry_ns + t.request_timeout_ns + t.view_change_timeout_ns


def patience(timers: Timers | None, f: int, lag_ns: int, limits: Limits) -> Patience:
    """For a run in which the harness was at most `lag_ns` late."""
    return Patience(timers, f, limits.liveness_slack_ns + LAGS * lag_ns, limits.liveness_grace_ns)
