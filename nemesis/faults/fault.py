"""What a fault is: data, and a kind that knows how to do it, prove it and undo it.

A ``Fault`` is a line of the plan: every random choice in its ``params`` is already made. A ``FaultKind``
carries it out through ``Machinery`` alone, so that it works alike in every world. All calls return at once.
The order of a life is

    available -> start -> observe* (until a Receipt) -> stop -> stopped* (until a Receipt)

``observe`` and ``stopped`` are polled; None means "not yet". A fault that gives no receipt before it is
stopped had no effect and counts as no coverage. ``stop`` is idempotent and safe at any moment, also before
``start``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nemesis.machinery import Machinery

FAMILIES = ("process", "network", "lie", "client", "script", "clock", "disk")
"""Of kinds, in the order of the catalogue."""
Params = Mapping[str, object]
"""JSON values only: this goes into ``plan.json`` as it is."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a plan. Times are ns since the start of the load phase."""

    id: str
    kind: str
    start_ns: int
    stop_ns: int
    params: Params


@dataclass(frozen=True, slots=True)
class Receipt:
    """Evidence that a fault took effect, or that it is undone."""

    evidence: Mapping[str, object]
    """JSON values, written to ``faults.jsonl`` as they are."""


@dataclass(frozen=True, slots=True)
class Victims:
    """Whom a fault makes bad (down, paused or cut off) while it lasts, as known when it is planned."""

    replicas: frozenset[int]
    """These for certain."""
    any_of: int = 0
    """And so many more, unknown until it starts: whoever is primary then, say."""

    byzantine: frozenset[int] = frozenset()
    """Of ``replicas``, those that lie: they count against the safety budget for the whole run."""
    network: bool = False
    """It may make messages late or lost between correct replicas: the network is asynchronous while it lasts,
    and nobody owes liveness."""

    @property
    def count(self) -> int:
        """At most so many replicas are bad through this fault."""
        return len(self.replicas) + self.any_of

    def data(self) -> dict[str, object]:
        """As ``faults.jsonl`` has it."""
        return {
            "bad": sorted(self.replicas),
            "any_of": self.any_of,
            "byzantine": sorted(self.byzantine),
            "network": self.network,
        }


class FaultKind(Protocol):
    """A kind of fault with verbs and a picture. Shared; it remembers per machinery and fault id."""

    @property
    def name(self) -> str:
        """As in ``--fault NAME`` and ``Fault.kind``."""

    @property
    def label(self) -> str:
        """Of its lane in the report."""

    @property
    def colour(self) -> str:
        """``#rrggbb`` of the Okabe-Ito palette."""

    @property
    def description(self) -> str:
        """What it does, in a sentence or two."""

    @property
    def family(self) -> str:
        """Of ``FAMILIES``."""

    @property
    def parameters(self) -> Mapping[str, str]:
        """Name -> what it may be and what it means."""

    @property
    def receipt(self) -> str:
        """What proves that it took effect."""

    @property
    def charges(self) -> str:
        """Which budget it uses up, and for whom."""

    @property
    def worlds(self) -> tuple[str, ...]:
        """Names of the worlds that can do it, of those there are."""

    @property
    def example(self) -> Params:
        """Parameters that pass ``check`` at n = 4."""

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """Make every random choice. Within the liveness budget f unless ``budget_break``. ``liars``: whom
        this plan compromises, if anybody: a kind that lies makes nobody else lie."""

    def check(self, params: Params, n: int) -> str | None:
        """Why these parameters are wrong, or None. Never raises, whatever JSON it is given."""

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """For planning. ``params`` pass ``check``."""

    def available(self, machinery: Machinery) -> str | None:
        """Why this world cannot do it, or None."""

    def start(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """Do it."""

    def observe(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """The evidence, once it took effect."""

    def trouble(self, machinery: Machinery, fault_id: str, params: Params) -> str:
        """Why there is no receipt (of ``observe``; after ``stop``, of ``stopped``), in a sentence."""

    def stop(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """Undo it. Idempotent."""

    def stopped(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """The evidence that it is undone."""

    def bad_now(self, machinery: Machinery, fault_id: str, params: Params) -> frozenset[int]:
        """Its victims, resolved, from ``start`` until ``stopped`` gave a receipt; for the ledger."""
