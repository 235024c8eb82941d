"""Datagrams that were sent while a record is followed, each for as long as the record has it arrive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.schedule.record import Said, Schedule, digest_of


@dataclass(slots=True)
class Made:
    """One of them."""

    source: int
    target: int
    nth: int
    """Of its link."""
    datagram: bytes
    is_taken: bool = False
    """It did not go on the wire here; in the recorded run what took it may have come a moment later."""
    arrived: bool = False
    by_twin: bool = False
    """What sent it is the twin of ``source``."""


class Kept:
    """Of one run. A replica and its twin are one target: which of them it reached, the record knows."""

    def __init__(self, schedule: Schedule) -> None:
        self._wanted = dict(schedule.wanted)
        self._said = {
            digest_of(item.datagram): item.datagram for item in schedule.items if isinstance(item, Said)
        }
        """Lies of the record. What a liar says hangs on what had passed the interceptor before."""
        self._made: dict[tuple[int, bytes], Made] = {}

    def sent(self, made: Made) -> None:
        """It is on the wire. Of one that was taken off it, what was there before counts."""
        key = (made.target, digest_of(made.datagram))
        if self._wanted.get(key, 0) > 0 and not (made.is_taken and key in self._made):
            self._made[key] = made

    def arrival(self, host: int, digest: bytes) -> bytes | None:
        """The record has it arrive: the datagram, if somebody has sent it."""
        key = (host, digest)
        made = self._made.get(key)
        if made is None and digest in self._said:
            made = self._made[key] = Made(host, host, 0, self._said[digest], is_taken=True)
        if made is None:
            return None
        made.arrived = True
        self._wanted[key] -= 1
        if self._wanted[key] == 0:
            del self._made[key]
        return made.datagram

    def let_go(self) -> Iterator[Made]:
        """The record is left: what is under way, in the order in which it was sent."""
        for made in self._made.values():
            if not (made.arrived or made.is_taken):
                yield made
        self._made.clear()
