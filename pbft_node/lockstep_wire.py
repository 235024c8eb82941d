"""What a replica in lockstep and its harness say to each other over a stream socket.

    frame    I body length, B kind, q number, body            (big-endian)

    harness -> replica                       number       body
    BEGIN      the first event: Started      now_ns       q wall clock minus this clock, 16s nonce
    RECEIVED   a datagram                    now_ns       the datagram
    FIRE_DUE   the timers that are due       now_ns
    END_TURN   records, trace, sends         now_ns
    CLOCK      its own clock is moved        now_ns       5q: a setting (``clock``)
    DISK       an errno: the disk of the log takes  now_ns       B errno, or 255: come back silent if the
               nothing from now on                            log is lost (before BEGIN only)
    SETTLE     say when all this is handled  0

    replica -> harness
    SEND       a datagram leaves             its receiver the datagram
    TURN_ENDED after the sends of a turn     next_due_ns  B 1: it recovered in this life (its log was lost)
                                             or -1
    SETTLED                                  0

Only END_TURN and SETTLE are answered, and nobody says anything else before the answer is complete. So at
any time one side writes and the other reads, and no two full buffers can wait for each other, however much
there is to say. A replica that stops by itself does so at END_TURN, says why on standard error, and closes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct

from .core.codec import NONCE_BYTES
from .errors import NodeError

BEGIN, RECEIVED, FIRE_DUE, END_TURN, SETTLE, CLOCK, DISK = 1, 2, 3, 4, 5, 6, 7
SEND, TURN_ENDED, SETTLED = 11, 12, 13

HEADER = Struct(">IBq")
BEGINNING = Struct(f">q{NONCE_BYTES}s")
SILENT = 255
SETTING = Struct(">5q")
RECOVERED = b"\x01"
NOT_RECOVERED = b"\x00"
NO_TIMER = -1
MAX_BODY_BYTES = 65_536
"""A UDP datagram, and more."""
READ_BYTES = 1 << 18

Frame = tuple[int, int, bytes]
"""(kind, number, body)."""


class WireError(NodeError):
    """The other side does not keep to this, or is gone."""


class CutOffError(WireError):
    """The connection ended in the middle of a frame."""


def frames(read: Callable[[], bytes]) -> Iterator[Frame]:
    """One after the other, until ``read`` gives nothing. Raises WireError for what is no frame."""
    data = b""
    while True:
        at, size = 0, len(data)
        while size - at >= HEADER.size:
            length, kind, number = HEADER.unpack_from(data, at)
            if length > MAX_BODY_BYTES:
                raise WireError(
                    f"a frame of kind {kind} says it has {length} bytes, and {MAX_BODY_BYTES} are the most: "
                    "this is not the lockstep protocol, or not this version of it"
                )
            end = at + HEADER.size + length
            if end > size:
                break
            yield kind, number, data[at + HEADER.size : end]
            at = end
        more = read()
        if not more:
            if at < size:
                raise CutOffError(f"the connection ended {size - at} bytes into a frame")
            return
        data = data[at:] + more


def frame(kind: int, number: int, body: bytes = b"") -> bytes:
    """The bytes of one."""
    return HEADER.pack(len(body), kind, number) + body
