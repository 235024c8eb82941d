"""What every member of a cluster agrees on before it starts, and the arithmetic that follows from it.

Quorums are general: ``ceil((n+f+1)/2)``, which is 2f+1 exactly when n = 3f+1 and stays safe at n = 5, 6, 8 …
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from .authentication import SIGNATURE_BYTES
from .digests import DIGEST_BYTES, digest_of
from .frames import HEADER_BYTES, MAX_MESSAGE_BYTES
from .types import FIRST_CLIENT_ID, ReplicaId, View

MILLISECOND_NS = 1_000_000
MAX_WINDOW = 4096
FINGERPRINT_BYTES = 8
MAX_BATCH = 4096
"""Requests in a batch that a decoder still takes."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Immutable parameters, equal at every replica and client."""

    cluster_id: bytes
    """16 bytes; part of everything signed, so that no message crosses from one cluster to another."""
    n: int
    service: str = "kv"
    """Name of the replicated service, see ``core/services``."""
    auth: str = "hybrid"
    """``hybrid``: signatures for what a third party must believe, MACs for the rest. ``sign``: signatures
    only."""
    client_auth: str = "sign"
    """``sign``: a REQUEST is signed. ``mac``: it carries a MAC for each replica, as in the paper; then one
    client can make replicas disagree on what is authentic and force view changes. For comparison only."""
    reads: str = "ordered"
    """``ordered``: every operation is. ``fast``: the read-only path of section 5.1, see ``reads``; all other
    operations need a quorum of replies then."""
    checkpoint_interval: int = 128
    """K of section 4.3."""
    window: int = 256
    """L of section 4.3: the high watermark is the low one plus L."""
    batch_limit: int = 64
    """Requests in a batch, at most."""
    batch_bytes: int = 48 * 1024
    pipeline: int = 2
    """Batches the primary may have under way at once. More make smaller batches, and a batch costs every
    replica a signature and two to verify."""
    request_timeout_ns: int = 1000 * MILLISECOND_NS
    """How long a backup lets the oldest pending request wait before it suspects the primary."""
    view_change_timeout_ns: int = 1000 * MILLISECOND_NS
    """How long a NEW-VIEW may take; doubles with each view that does not work (section 4.5.2)."""
    max_timeout_ns: int = 30_000 * MILLISECOND_NS
    clock_tolerance_ns: int = 1000 * MILLISECOND_NS
    """How far ahead of a backup's wall clock the time of a batch may be (section 4.6)."""
    slow_primary_factor: int = 8
    """So many times slower than the best of the last n views, and a primary is replaced; 0: never for
    that."""
    status_busy_ns: int = 150 * MILLISECOND_NS
    """Interval of STATUS messages while something is missing."""
    status_idle_ns: int = 1000 * MILLISECOND_NS
    client_retry_ns: int = 300 * MILLISECOND_NS
    client_retry_max_ns: int = 3000 * MILLISECOND_NS
    read_timeout_ns: int = 100 * MILLISECOND_NS
    """How long a client waits for a fast read before it has the operation ordered."""
    digest_replies: bool = True
    """Section 5.1: one replica, named by the client, sends a long result, the others its digest."""

    def __post_init__(self) -> None:
        problem = self.problem()
        if problem:
            raise ValueError(problem)

    def problem(self) -> str | None:
        """Why these parameters cannot work, or None."""
        if not 4 <= self.n < FIRST_CLIENT_ID:
            return (
                f"n = {self.n}: PBFT needs n >= 3f+1 replicas with f >= 1, "
                f"so n >= 4 (and < {FIRST_CLIENT_ID})"
            )
        if len(self.cluster_id) != 16:
            return f"cluster_id has {len(self.cluster_id)} bytes: it must have 16"
        if self.auth not in ("hybrid", "sign"):
            return f"auth = {self.auth!r}: choose 'hybrid' or 'sign'"
        if self.client_auth not in ("sign", "mac"):
            return f"client_auth = {self.client_auth!r}: choose 'sign' or 'mac'"
        if self.reads not in ("ordered", "fast"):
            return f"reads = {self.reads!r}: choose 'ordered' or 'fast'"
        if self.checkpoint_interval < 1 or self.window < 2 * self.checkpoint_interval:
            return (
                f"checkpoint_interval K = {self.checkpoint_interval}, window L = {self.window}: "
                "K must be >= 1 and L >= 2K, else the primary waits for every checkpoint"
            )
        return self.size_problem() or self.number_problem()

    def size_problem(self) -> str | None:
        """Why some message could become too large to be sent."""
        if self.window > MAX_WINDOW:
            return f"window L = {self.window}: the limit is {MAX_WINDOW}"
        size = self.largest_new_view_bytes()
        if size > MAX_MESSAGE_BYTES:
            return (
                f"window L = {self.window} with n = {self.n}: a NEW-VIEW could take {size} bytes, a message "
                f"at most {MAX_MESSAGE_BYTES}, and then no view change would work. Choose a smaller window"
            )
        if self.batch_limit > MAX_BATCH:
            return f"batch_limit = {self.batch_limit}: the limit is {MAX_BATCH}"
        return None

    def largest_new_view_bytes(self) -> int:
        """When every VIEW-CHANGE in it shows a certificate for every number of the window."""
        frame = HEADER_BYTES + SIGNATURE_BYTES
        vote = frame + DIGEST_BYTES
        certificate = 2 + vote * self.quorum
        view_change = frame + 4 + vote * self.quorum + certificate * self.window
        return frame + 4 + view_change * self.quorum + vote * self.window

    def number_problem(self) -> str | None:
        """Which number is too small to work with."""
        numbers = {
            "batch_limit": self.batch_limit,
            "batch_bytes": self.batch_bytes,
            "pipeline": self.pipeline,
            "clock_tolerance_ns": self.clock_tolerance_ns,
        }
        for name, value in numbers.items():
            if value < 1:
                return f"{name} = {value}: it must be at least 1"
        if self.slow_primary_factor < 0:
            return f"slow_primary_factor = {self.slow_primary_factor}: choose 0 (off) or more"
        intervals = {
            "request_timeout_ns": self.request_timeout_ns,
            "view_change_timeout_ns": self.view_change_timeout_ns,
            "status_busy_ns": self.status_busy_ns,
            "status_idle_ns": self.status_idle_ns,
            "client_retry_ns": self.client_retry_ns,
            "client_retry_max_ns": self.client_retry_max_ns,
            "read_timeout_ns": self.read_timeout_ns,
        }
        for name, value in intervals.items():
            if value < MILLISECOND_NS:
                return (
                    f"{name} = {value}: it must be at least {MILLISECOND_NS} ns (1 ms), else the replicas do "
                    "nothing but time out"
                )
        if self.reads == "fast" and self.read_timeout_ns > self.client_retry_ns // 2:
            return (
                f"read_timeout_ns = {self.read_timeout_ns}: a client gives up a fast read within half of "
                f"client_retry_ns = {self.client_retry_ns}, to ask everybody in time"
            )
        longest = max(self.request_timeout_ns, self.view_change_timeout_ns)
        if self.max_timeout_ns < longest:
            return f"max_timeout_ns = {self.max_timeout_ns}: no timeout may be longer, but one is {longest}"
        return None

    @property
    def f(self) -> int:
        """Faulty replicas tolerated."""
        return (self.n - 1) // 3

    @property
    def quorum(self) -> int:
        """Any two quorums share a correct replica."""
        return (self.n + self.f) // 2 + 1

    @property
    def weak(self) -> int:
        """f+1: at least one of them is correct."""
        return self.f + 1

    @property
    def reply_quorum(self) -> int:
        """Equal replies a client needs. f+1 show that a correct replica executed the operation; a quorum,
        that every later quorum of fast reads has one that did (Berger, Reiser, Bessani, SRDS 2021)."""
        return self.quorum if self.reads == "fast" else self.weak

    def fingerprint(self) -> bytes:
        """8 bytes that differ when any parameter does; every STATUS carries them."""
        values = [f"{field.name}={getattr(self, field.name)!r}".encode() for field in fields(self)]
        return digest_of(b"parameters", *values)[:FINGERPRINT_BYTES]

    def primary(self, view: View) -> ReplicaId:
        """p = v mod n (section 4.1)."""
        return ReplicaId(view % self.n)
