"""What could be said instead: other batches of real requests, other digests, other results.

A liar cannot sign for clients, so every request in another batch is one that some client signed, with its
bytes as they were. A batch made of nothing, or of the same requests at another time, is the easiest other
batch; the same requests in another order is the one that makes states differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from pbft_node.core.messages import NULL_BATCH, Batch, Request
from pbft_node.core.types import MAX_TIME_NS, Digest

OTHERS = ("order", "subset", "time", "null", "seen")
MOST_SEEN = 4
_STEP_NS = 1000


def versions(batch: Batch, how: str, seen: Sequence[Request], count: int) -> tuple[Batch, ...]:
    """So many different batches, the true one first."""
    found = [batch]
    for index, kind in enumerate((how, *OTHERS) if how in OTHERS else OTHERS):
        if len(found) >= count:
            break
        candidate = _made(batch, kind, seen)
        if all(candidate.digest != one.digest for one in found):
            found.append(candidate)
        elif index == 0:
            found.append(later(batch, 1))
    step = 2
    while len(found) < count:
        found.append(later(batch, step))
        step += 1
    return tuple(found)


def later(batch: Batch, steps: int) -> Batch:
    """The same at another time; a null batch has none, and is followed by itself."""
    if not batch.requests:
        return batch
    time_ns = batch.time_ns + steps * _STEP_NS
    return replace(batch, time_ns=time_ns if time_ns <= MAX_TIME_NS else batch.time_ns - steps * _STEP_NS)


def other_digest(digest: bytes, salt: str) -> Digest:
    """A digest of nothing anybody has seen."""
    return Digest(hashlib.sha256(b"traitor lie/" + salt.encode() + b"/" + digest).digest())


def other_result(result: bytes, seen: Sequence[bytes]) -> bytes:
    """The last result seen that is another one; or the same with its last byte changed."""
    for one in reversed(seen):
        if one != result:
            return one
    return result[:-1] + bytes([result[-1] ^ 1]) if result else b"\x00"


def _made(batch: Batch, how: str, seen: Sequence[Request]) -> Batch:
    requests = batch.requests
    match how:
        case "order" if len(requests) > 1:
            return replace(batch, requests=requests[::-1])
        case "subset" if len(requests) > 1:
            return replace(batch, requests=requests[:-1])
        case "null" | "subset" if requests:
            return NULL_BATCH
        case "seen":
            here = {request.digest for request in requests}
            others = [request for request in seen if request.digest not in here and not request.read_only]
            if others:
                return Batch(tuple(others[-MOST_SEEN:]), batch.time_ns or _STEP_NS)
    return later(batch, 1)
