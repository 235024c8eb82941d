"""How the scripts name things: batches by the elements they append, states by letters, null by ``[]``."""

from __future__ import annotations

from collections.abc import Mapping

from pbft_node.core.digests import NULL_DIGEST
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import (
    BatchBody,
    Checkpoint,
    Commit,
    Decided,
    FetchBatch,
    FetchState,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Reply,
    Request,
    StateMeta,
    ViewChange,
)
from pbft_node.core.operations import decode_fields
from pbft_node.core.types import FIRST_CLIENT_ID, Digest

TRACED = {
    "pre-prepare": "{accepts} v{view} n{seq} {digest}",
    "prepared": "prepared v{view} n{seq} {digest}",
    "committed": "committed n{seq} {digest}",
    "executed": "executes n{seq} {requests}",
    "checkpoint": "checkpoint n{seq} {state}",
    "stable": "stable n{seq}",
    "view-change": "leaves for v{view}: {reason}",
    "new-view": "enters v{view} min-s {min_s} max-s {max_s}",
    "state-transfer": "state transfer {step}, n{seq}",
    "started": "starts in v{view} {active}, executed {executed}, stable {stable}",
    "alarm": "ALARM {reason}",
}


def message_name(type_: MessageType) -> str:
    return type_.name.replace("_", "-")


class Words:
    """Names for digests, given when first seen."""

    def __init__(self) -> None:
        self.batches: dict[bytes, str] = {NULL_DIGEST: "[]"}
        self.states: dict[bytes, str] = {}
        self.operations: dict[tuple[int, int], str] = {}

    def learn(self, message: Message) -> None:
        """What a batch is called."""
        match message:
            case Request():
                self.operations[message.client, message.timestamp] = self.request(message)
            case PrePrepare(batch=batch) if batch is not None:
                names = " ".join(self.request(request) for request in batch.requests)
                self.batches.setdefault(message.digest, f"[{names}]")
                for request in batch.requests:
                    self.learn(request)

    def digest_of(self, name: str) -> Digest:
        """The inverse."""
        return Digest(next(digest for digest, known in self.batches.items() if known == name))

    def batch(self, digest: bytes) -> str:
        return self.batches.get(digest, "[?]")

    def state(self, digest: bytes) -> str:
        return self.states.setdefault(digest, f"S{len(self.states) + 1}")

    def request(self, request: Request) -> str:
        fields = decode_fields(request.operation) or ()
        return (fields[-1] if fields[:1] == (b"append",) else b"-".join(fields)).decode()

    def result(self, result: bytes) -> str:
        return " ".join(part.decode() for part in decode_fields(result) or ())

    def trace(self, kind: str, fields: Mapping[str, object]) -> str:
        """A line, or nothing for what scripts are not about."""
        shown = dict(fields)
        if "digest" in fields:
            digest = bytes.fromhex(str(fields["digest"]))
            shown |= {
                "digest": self.batch(digest),
                "state": self.state(digest) if kind == "checkpoint" else "",
            }
        if kind == "pre-prepare":
            shown["accepts"] = "proposes" if fields["role"] == "primary" else "accepts"
        if kind == "started":
            shown["active"] = "active" if fields["active"] else "waiting for its NEW-VIEW"
        if kind == "executed":
            requests = fields["requests"]
            assert isinstance(requests, list)
            shown["requests"] = f"[{' '.join(self.outcome(*request) for request in requests)}]"
        return TRACED[kind].format(**shown) if kind in TRACED else ""

    def outcome(self, client: int, timestamp: int, _: str, outcome: str) -> str:
        name = self.operations.get((client, timestamp), f"c{client - FIRST_CLIENT_ID}/{timestamp}")
        return name if outcome == "executed" else f"{name} (again: skipped)"

    def message(self, message: Message) -> str:
        """What matters of it."""
        match message:
            case Request():
                return self.request(message)
            case PrePrepare() | Prepare() | Commit():
                return f"v{message.view} n{message.seq} {self.batch(message.digest)}"
            case Decided():
                return f"n{message.seq} {self.batch(message.digest)}"
            case Checkpoint():
                return f"n{message.seq} {self.state(message.digest)}"
            case Reply():
                return f"{message.timestamp}"
            case FetchBatch():
                return self.batch(message.digest)
            case BatchBody():
                return f"[{' '.join(self.request(request) for request in message.batch.requests)}]"
            case FetchState():
                return f"above n{message.seq}"
            case StateMeta():
                return f"n{message.seq}"
            case ViewChange():
                return f"v{message.view} stable {message.stable} P: {self.shown(message)}"
            case NewView():
                quorum = ",".join(str(change.replica) for change in message.view_changes)
                order = ", ".join(f"n{p.seq} {self.batch(p.digest)}" for p in message.pre_prepares)
                return f"v{message.view} V: {quorum} O: {order or 'nothing'}"
            case _:
                return ""

    def shown(self, message: ViewChange) -> str:
        """P."""
        proposals = [certificate.pre_prepare for certificate in message.prepared]
        return ", ".join(f"n{p.seq} {self.batch(p.digest)} of v{p.view}" for p in proposals) or "nothing"
