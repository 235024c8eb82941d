"""The bytes behind what was executed: REQUEST frames found in the journals by the digests in the traces.

A frame proves itself by its digest, so every journal will do, a liar's too. Correct replicas' are read first,
and no further than until everything is found. A journal was written before the trace that rests on it: one
that is whole, and reaches as far as its trace, has the bytes of everything its replica executed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from checker.fields import Unreadable
from checker.journal import OF_REPLICA, Journal
from checker.trace import Executed, ReplicaTrace
from checker.wire import (
    BATCH,
    FRAGMENT,
    PRE_PREPARE,
    REQUEST,
    TYPE_OFFSET,
    Frame,
    Pieces,
    digest_of,
    requests_in,
)

_CARRIERS = frozenset({REQUEST, PRE_PREPARE, BATCH, FRAGMENT})


@dataclass(frozen=True, slots=True)
class Claim:
    """A trace says that this request took effect."""

    client: int
    timestamp: int
    replica: int
    line: int


def claims(traces: Iterable[ReplicaTrace]) -> dict[str, list[Claim]]:
    """By request digest, the first claim under each name. Bytes have one name, so there should be one."""
    found: dict[str, list[Claim]] = {}
    for trace in traces:
        for record in trace.records():
            if isinstance(record, Executed):
                for request in record.requests:
                    if request.did != "executed":
                        continue
                    known = found.setdefault(request.digest, [])
                    name = request.client, request.timestamp
                    if not known or all((claim.client, claim.timestamp) != name for claim in known[:8]):
                        known.append(Claim(*name, trace.replica, record.line))
    return found


def has_journals(folder: Path, replicas: Iterable[int]) -> bool:
    """Whether any of them kept one."""
    return any(_place(folder, replica).exists() for replica in replicas)


class Hunt:
    """Looks for request frames by their digests."""

    def __init__(self, folder: Path, traces: Sequence[ReplicaTrace], wanted: Iterable[str]) -> None:
        self._folder = folder
        self._traces = {trace.replica: trace for trace in traces}
        self.left = dict.fromkeys(wanted)
        """Not found yet."""
        self.troubles: dict[int, str] = {}
        """Replica -> why its journal does not show everything. Complete when nothing was found early."""
        self.read = 0
        """Journals opened."""

    def found(self, replicas: Iterable[int]) -> Iterator[tuple[str, Frame]]:
        """Each frame that was looked for, once, from these replicas' journals in this order."""
        for replica in replicas:
            if not self.left:
                return
            try:
                journal = Journal(_place(self._folder, replica))
            except OSError as error:
                self.troubles[replica] = f"its journal cannot be read: {error.strerror}"
                continue
            except Unreadable as error:
                self.troubles[replica] = f"its journal cannot be read: {error}"
                continue
            self.read += 1
            try:
                yield from self._in(journal, replica)
            finally:
                journal.close()

    def _in(self, journal: Journal, replica: int) -> Iterator[tuple[str, Frame]]:
        pieces = Pieces()
        for datagram in journal.received(_CARRIERS):
            message: bytes | None = datagram
            if datagram[TYPE_OFFSET] == FRAGMENT:
                message = pieces.add(datagram)
            for frame in () if message is None else requests_in(message):
                digest = digest_of(b"request", frame.raw).hex()
                if digest in self.left:
                    del self.left[digest]
                    yield digest, frame
            if not self.left:
                return
        trouble = self._trouble(journal, replica, pieces)
        if trouble is not None:
            self.troubles[replica] = trouble

    def _trouble(self, journal: Journal, replica: int, pieces: Pieces) -> str | None:
        """Why this journal, read to its end, need not show all that its replica executed."""
        if journal.of != OF_REPLICA or journal.replica != replica:
            return "its journal is another's"
        if journal.why == "limit":
            return "its journal had reached its limit"
        if journal.why == "damaged" or any(_place(self._folder, replica).parent.glob("journal.damaged-*")):
            return "its journal is damaged"
        if pieces.given_up:
            return "its journal has more messages in pieces than are put together"
        trace = self._traces.get(replica)
        lives = trace.lives if trace else ()
        done = [r.t_ns for life in lives for r in life.records if isinstance(r, Executed)]
        if journal.lives < len(lives) or journal.until_ns < max(done, default=0):
            return "its journal ends before its trace"
        return None


def _place(folder: Path, replica: int) -> Path:
    return folder / "replicas" / str(replica) / "journal"
