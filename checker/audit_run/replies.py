"""Did so many replicas answer that? Every acknowledged operation against `clients.journal`.

The journal has each datagram that reached the clients of a live run, and each operation begun. An `ok` of the
history holds if the replicas it names are as many as a client has to hear (f+1; a quorum for fast reads, and
where there are any), each of them had answered by then, all alike, and the result is the output recorded.
The operations begun must be those of the history, in order.

With `auth: sign` every reply is signed, which is verified here. With `hybrid` it carries a MAC, made with a
key that client and replica share: the client could have made it, so it proves nothing to a third party.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from checker.asked import answers_the_same, asked_for, says_the_same
from checker.audit_run.findings import Finding, OnTrust
from checker.fields import Unreadable
from checker.folder import RunFolder
from checker.history import History, Operation
from checker.journal import OF_CLIENTS, Arrived, Began, Journal
from checker.public_keys import NoOpenSSL, PublicKeys, Signatures
from checker.wire import (
    FRAGMENT,
    REPLY,
    SIGNED,
    TYPE_OFFSET,
    Frame,
    Pieces,
    answer_in,
    frame_at,
    operation_fields,
)

NAME = "replies"
PLACE = "clients.journal"
Vote = tuple[bytes, int | None]
"""Digest of the result, and for a fast read the number of the state."""


@dataclass(slots=True)
class _Answers:
    """To one request."""

    votes: dict[Vote, dict[int, tuple[int, Frame]]] = field(default_factory=dict)
    """Vote -> replica -> when it came first, and the reply."""
    results: dict[bytes, bytes] = field(default_factory=dict)
    """By digest, those that came whole."""


@dataclass(slots=True)
class _Heard:
    """What the journal says."""

    answers: dict[tuple[int, int], _Answers] = field(default_factory=dict)
    begun: dict[int, list[bytes]] = field(default_factory=dict)
    """Client -> its operations, in order."""
    whole: bool = True
    why: str = ""


def check_replies(run: RunFolder, keys: PublicKeys | None, virtual: bool) -> tuple[Finding, list[OnTrust]]:
    """Look up every acknowledged operation."""
    path = run.path / PLACE
    if virtual and not path.exists():
        told = "a virtual run keeps no clients.journal: see what is taken on trust"
        why = "a virtual run keeps no clients.journal. Run the plan again: the same bytes must come of it"
        return Finding(NAME, "on trust", told), [OnTrust("the replies behind the history", why)]
    if run.history is None or run.ledger is None or keys is None:
        return Finding(NAME, "unchecked", "the history, the ledger or the public keys are missing"), []
    try:
        heard = _hear(path, keys)
        signatures = Signatures(keys, hashed=False) if keys.auth == "sign" else None
    except (OSError, Unreadable) as error:
        why = str(error.strerror if isinstance(error, OSError) else error)
        return Finding(NAME, "unchecked", f"{PLACE} cannot be read: {why}"), []
    except NoOpenSSL as error:
        return Finding(NAME, "unchecked", f"signatures of replies cannot be verified: {error}"), []
    case = _Case(run.history, heard, keys, signatures, len(keys.replicas), run.ledger.f)
    wrong = case.first_wrong()
    if wrong is not None:
        cut = "" if heard.whole else f" ({PLACE} {heard.why}: it may be in what is missing)"
        return Finding(NAME, "wrong" if heard.whole else "unchecked", wrong + cut), []
    return _told(case, keys)


def _told(case: _Case, keys: PublicKeys) -> tuple[Finding, list[OnTrust]]:
    told = (
        f"{case.acknowledged} acknowledged operations: {case.vouching} replies that agree, in time, as many "
        f"as a client has to hear; {case.outputs} outputs are those in the replies, {case.inputs} operations "
        "those begun"
    )
    replies = f"{case.vouching} replies behind {case.acknowledged} acknowledged operations, alike and in time"
    if case.signatures is not None:
        signed = f"{case.signatures.verified} signatures of replies"
        return Finding(NAME, "verified", f"{told}; {signed} verified", (replies, signed)), []
    why = (
        f"auth {keys.auth}: a reply carries a MAC under a key that its client has, too: the clients' side "
        "could have made it. Run with --set auth=sign to have replies signed"
    )
    return Finding(NAME, "verified", told, (replies,)), [OnTrust("who sent the replies", why)]


def _hear(path: Path, keys: PublicKeys) -> _Heard:
    """The whole journal."""
    heard = _Heard()
    pieces = Pieces()
    journal = Journal(path)
    try:
        if journal.of != OF_CLIENTS or journal.cluster_id != keys.cluster_id:
            raise Unreadable("it is the journal of something else")
        for entry in journal.of_clients():
            match entry:
                case Began(client=client, operation=operation):
                    heard.begun.setdefault(client, []).append(operation)
                case Arrived(now_ns=now_ns, datagram=datagram):
                    _note(heard, now_ns, datagram, pieces)
    finally:
        journal.close()
    if journal.why in ("damaged", "limit"):
        heard.whole, heard.why = False, "is damaged" if journal.why == "damaged" else "had reached its limit"
    elif pieces.given_up:
        heard.whole, heard.why = False, "has more messages in pieces than are put together"
    return heard


def _note(heard: _Heard, now_ns: int, datagram: bytes, pieces: Pieces) -> None:
    message: bytes | None = datagram
    if len(datagram) > TYPE_OFFSET and datagram[TYPE_OFFSET] == FRAGMENT:
        message = pieces.add(datagram)
    found = None if message is None else frame_at(message)
    if found is None or found[0].type != REPLY:
        return
    reply = found[0]
    answer = answer_in(reply)
    if answer is None:
        return
    answers = heard.answers.setdefault((answer.client, reply.seq), _Answers())
    answers.votes.setdefault((answer.digest, answer.state), {}).setdefault(reply.sender, (now_ns, reply))
    if answer.result is not None:
        answers.results.setdefault(answer.digest, answer.result)


class _Case:
    """The history against what was heard."""

    def __init__(
        self,
        history: History,
        heard: _Heard,
        keys: PublicKeys,
        signatures: Signatures | None,
        n: int,
        f: int,
    ) -> None:
        self._history, self._heard = history, heard
        self.signatures = signatures
        self._quorum = (n + f) // 2 + 1
        self._ordered = f + 1 if keys.reads == "ordered" else self._quorum
        self.acknowledged = self.vouching = self.outputs = self.inputs = 0

    def first_wrong(self) -> str | None:
        """Why some operation of the history is not what the journal shows, or None."""
        for op in self._history.operations:
            if op.type == "ok" and (wrong := self._answered(op)):
                return f"operation {op.index} ({op.f}, client {op.client}, timestamp {op.timestamp}): {wrong}"
        return self._begun()

    def _answered(self, op: Operation) -> str | None:
        self.acknowledged += 1
        answers = self._heard.answers.get((op.client or 0, op.timestamp or 0))
        named = set(op.replicas)
        needed = self._quorum if op.path == "fast" else self._ordered
        if len(named) < needed:
            return f"it names {len(named)} replicas, a client has to hear {needed}"
        if answers is None:
            return f"no reply to it is in {PLACE}"
        for (digest, state), came in answers.votes.items():
            if (state is not None) == (op.path == "fast") and self._all_in_time(named, came, op):
                result = answers.results.get(digest)
                if result is None:
                    return "no reply to it has the result, all have its digest"
                said = operation_fields(result)
                same = answers_the_same(self._history.model, op, said)
                if same is False:
                    return f"the history has output {op.output!a:.80}, the replies have {said!a:.120}"
                self.outputs += same is True
                self.vouching += len(named)
                return None
        return f"replicas {sorted(named)} did not all answer it alike by the time it ended"

    def _all_in_time(self, named: Iterable[int], came: dict[int, tuple[int, Frame]], op: Operation) -> bool:
        for replica in named:
            if replica not in came or op.return_ns is None or came[replica][0] > op.return_ns:
                return False
            reply = came[replica][1]
            if self.signatures is not None and not (reply.auth == SIGNED and self.signatures.good(reply)):
                return False
        return True

    def _begun(self) -> str | None:
        """Client by client: what it began is what the history says."""
        asked: dict[int, list[Operation]] = {}
        for op in self._history.operations:
            if op.client is not None:
                asked.setdefault(op.client, []).append(op)
        for client, operations in asked.items():
            begun = self._heard.begun.get(client, [])
            if len(begun) != len(operations):
                return f"client {client} began {len(begun)} operations, the history has {len(operations)}"
            for op, body in zip(operations, begun, strict=True):
                same = says_the_same(self._history.model, op, operation_fields(body))
                if same is False:
                    return f"operation {op.index} is not what client {client} began: {asked_for(op)}"
                self.inputs += same is True
        return None
