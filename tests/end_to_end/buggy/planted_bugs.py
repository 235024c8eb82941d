"""Bugs planted on purpose into replicas, to see the judge find them. Tests only; nothing of the product
knows of them.

A run is given a `sitecustomize.py` on its PYTHONPATH that calls `plant`. It puts itself in the place of
`pbft_node.assembly.make_replica`, where every driver and every world makes its replicas, and gives the chosen
ids another class. A bug overrides a rule or two, i.e. methods, of `pbft_node.core.replica.Replica`, and says
so in the replica's `stderr.log`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

Rule = Callable[..., Any]
PLANTED = "planted test bug"


def plant(bug: str, replicas: Collection[int] | None) -> None:
    """Override the bug's rule in every replica with one of these ids (None: all) that this process makes, and
    the processes it forks."""
    from pbft_node import assembly
    from pbft_node.core.replica import Replica

    rules = {name: broken(getattr(Replica, name)) for name, broken in BUGS[bug].items()}
    kind = type("Planted", (Replica,), rules)
    correct = assembly.make_replica

    def make_replica(config: Any, report: Callable[[str], None]) -> Replica:
        if replicas is not None and config.replica not in replicas:
            return correct(config, report)
        report(f"{PLANTED}: {bug}: {', '.join(rules)} of replica {config.replica}")
        return correct(config, report, kind)

    assembly.make_replica = make_replica


def _no_client_table(correct: Rule) -> Rule:
    """Execute whatever is ordered, and remember nothing of it: a retransmitted request is a new one."""

    def execute_request(self: Any, request: Any) -> list[object]:
        from pbft_node.core.snapshots import LastReply

        result = self.service.execute(self.store, request.client, request.operation)
        self.send_reply(request.client, LastReply(request.timestamp, result))
        self.progress_made(request)
        return [request.client, request.timestamp, request.digest.hex(), "executed"]

    return execute_request


def _unordered_reads(correct: Rule) -> Rule:
    """Answer a read at once from one's own state: f+1 replicas that lag together tell the past."""

    def on_request(self: Any, request: Any) -> None:
        from pbft_node.core.snapshots import LastReply

        if _function(request) not in ("get", "read"):
            correct(self, request)
            return
        result = self.service.execute(self.store, request.client, request.operation)
        self.send_reply(request.client, LastReply(request.timestamp, result))

    return on_request


def _drops_batches(correct: Rule) -> Rule:
    """Every tenth batch is executed without its requests."""

    def execute(self: Any, seq: int, digest: bytes, batch: Any) -> None:
        correct(self, seq, digest, replace(batch, requests=()) if seq % 10 == 0 else batch)

    return execute


def _wrong_effect(correct: Rule) -> Rule:
    """Say the right thing, do another: of every fifth request the trace is written, but not the effect."""

    def execute_request(self: Any, request: Any) -> list[object]:
        from pbft_node.core.store import Store

        if request.timestamp % 5:
            return list(correct(self, request))
        kept = self.store
        self.store = Store(kept.image())
        line = correct(self, request)
        self.store = kept
        return list(line)

    return execute_request


def _hasty_commit(correct: Rule) -> Rule:
    """Take f+1 COMMITs for a quorum."""

    def check_committed(self: Any, slot: Any) -> None:
        digest = None if slot.committed else slot.committed_digest(self.cluster.weak)
        if digest is not None:
            slot.committed = True
            self.decide(slot.view, slot.seq, digest)

    return check_committed


def _no_request_timer(correct: Rule) -> Rule:
    """Nobody ever suspects the primary."""

    def watch_oldest(self: Any) -> None:
        return

    return watch_oldest


def _nothing_persisted(correct: Rule) -> Rule:
    """No record reaches the log."""

    def take_effects(self: Any) -> list[Any]:
        return [effect for effect in correct(self) if type(effect).__name__ not in ("Persist", "Compact")]

    return take_effects


def _forged_requests(correct: Rule) -> Rule:
    """The primary adds reads that nobody asked for, in the name of a client that never spoke."""

    def next_batch(self: Any) -> Any:
        from pbft_node.core.codec import decode
        from pbft_node.core.frames import HEADER

        batch = correct(self)
        if not batch.requests or _function(batch.requests[0]) != "get":
            return batch
        raw = bytearray(batch.requests[0].raw)
        magic, version, kind, auth, flags, _, view, _, length = HEADER.unpack_from(raw)
        HEADER.pack_into(raw, 0, magic, version, kind, auth, flags, 1500, view, self.next_seq, length)
        forged, _ = decode(bytes(raw))
        return replace(batch, requests=(*batch.requests, forged))

    return next_batch


def _believes_anything(correct: Rule) -> Rule:
    """No signature of a request is wrong."""

    def is_authentic(self: Any, request: Any) -> bool:
        return True

    return is_authentic


def _dies(correct: Rule) -> Rule:
    """The process ends by itself at number 20."""

    def execute(self: Any, seq: int, digest: bytes, batch: Any) -> None:
        if seq == 20:
            raise RuntimeError(f"{PLANTED}: cannot go on after number 19")
        correct(self, seq, digest, batch)

    return execute


def _function(request: Any) -> str:
    from pbft_node.core.operations import decode_fields

    fields = decode_fields(request.operation) or [b""]
    return bytes(fields[0]).decode("ascii", "replace")


BUGS: Mapping[str, Mapping[str, Callable[[Rule], Rule]]] = {
    "no client table": {"execute_request": _no_client_table},
    "unordered reads": {"on_request": _unordered_reads},
    "drops batches": {"execute": _drops_batches},
    "wrong effect": {"execute_request": _wrong_effect},
    "hasty commit": {"check_committed": _hasty_commit},
    "no request timer": {"watch_oldest": _no_request_timer},
    "nothing persisted": {"take_effects": _nothing_persisted},
    "forged requests": {"next_batch": _forged_requests, "is_authentic": _believes_anything},
    "dies": {"execute": _dies},
}
"""Name -> the rules it overrides, and how."""
