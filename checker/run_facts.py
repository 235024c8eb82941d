"""What judges need of a run's files, as data: the plan, the ledger, the faults, how the run went.

Field by field what ARCHITECTURE.md says of `plan.json`, `ledger.json`, `faults.jsonl` and `run.json`; times
are nanoseconds since the world began. `folder` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from checker.history import Operation
from checker.patience import Timers

FIRST_CLIENT = 1000
"""Of the protocol: process p of the history is client 1000 + p."""


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What the judges need of `plan.json`."""

    faults: tuple[str, ...]
    operation_timeout_ns: int
    retries: tuple[bool, ...]
    """Per client: whether it retransmits. One that does not may lose a request to the network."""
    final_reads: tuple[str, ...]
    """Keys."""
    nodes: int
    timers: Timers | None
    """None: the plan does not tell them."""
    network_excuse: str | None = None
    """Why slowness accuses nobody in the plan's virtual network, if so."""
    window: int | None = None
    """L: how far the high water mark is above the low one. None: the plan does not tell."""
    client_auth: str = "sign"
    signer: str = "ed25519"
    """Or "keyed-hash", which a virtual run may have in the place of signatures."""

    def retry(self, operation: Operation) -> bool:
        """Whether the operation's logical client retransmits.

        Logical client i is processes i, i + count, i + 2 count …, each with a protocol client of its own.
        """
        process = operation.process if operation.client is None else operation.client - FIRST_CLIENT
        return self.retries[process % len(self.retries)] if self.retries else True


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the run with the same replicas bad."""

    from_ns: int
    to_ns: int
    bad: tuple[int, ...]
    within_liveness_budget: bool
    asynchronous: bool = False
    """A fault made messages late or lost between correct replicas: nobody owes liveness."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """`ledger.json`."""

    n: int
    f: int
    byzantine: frozenset[int]
    safety_demanded: bool
    windows: tuple[Window, ...]
    byzantine_clients: tuple[int, int] | None = None
    """First and last id of clients that lie: whatever they signed was asked for."""

    def correct(self) -> tuple[int, ...]:
        """The replicas the protocol's promises are about."""
        return tuple(replica for replica in range(self.n) if replica not in self.byzantine)


@dataclass(frozen=True, slots=True)
class Charge:
    """Whom a fault makes bad by its own account, said when it was asked for."""

    bad: frozenset[int]
    any_of: int
    """And so many more, unknown by then."""
    byzantine: frozenset[int]
    network: bool
    """It makes messages late or lost between correct replicas."""


@dataclass(frozen=True, slots=True)
class FaultStep:
    """A line of `faults.jsonl`."""

    time_ns: int
    fault: str
    kind: str
    step: str
    receipt: bool
    """The line carries evidence."""
    reason: str
    evidence: Mapping[str, object] = field(default_factory=dict)
    """The receipt; empty without one."""
    charge: Charge | None = None
    """Of a line `asked`; None: the harness was too old to tell."""
    bad: frozenset[int] | None = None
    """Whom it made bad so far, of the lines `_TELL_BAD`; None: the same."""


@dataclass(frozen=True, slots=True)
class RunPhase:
    """A phase of the run."""

    name: str
    start_ns: int
    end_ns: int
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a replica process."""

    replica: int
    time_ns: int
    how: str
    expected: bool
    last_lines: tuple[str, ...]
    orderly: bool = False
    """With code 0: it was asked to stop, and finished what it was at."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """`run.json`."""

    phases: tuple[RunPhase, ...]
    healthy: bool | None
    """Every replica answered after the faults were undone; None if nobody asked."""
    answered: frozenset[str]
    """Numbers of the replicas that did, as the record has them."""
    exits: tuple[Exit, ...]
    processor: tuple[int, int]
    """ns that all replicas ran, and that they waited for a processor; 0, 0 if nobody counted."""
    lag_max_ns: int
    lag_over_50ms: int
    interrupted: str | None
    harness_errors: tuple[str, ...]
