"""Latency models: how long a datagram is under way, as a function of its link and of one 32-bit word.

The word is the chance in it: ``network`` makes it by hashing, a model only shapes it. ``on`` says what a
link is like: ``Span`` or ``Tail``. Everything is whole numbers: the same word gives the same nanosecond on
every machine.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import ClassVar

from harness.virtual.wan import MILLISECOND_NS, ONE_WAY_NS, REGIONS

WORD_BITS = 32
_FRACTION_BITS = 40
"""Of logarithms. They are taken from a table of 256 steps with straight lines in between, which is right to
2 millionths."""


@dataclass(frozen=True, slots=True)
class Span:
    """``least_ns`` and up to ``width_ns`` - 1 more, any of them as likely; 0: exactly ``least_ns``."""

    least_ns: int
    width_ns: int

    def draw_ns(self, word: int) -> int:
        """The delay this word stands for."""
        return self.least_ns + (self.width_ns * word >> WORD_BITS)


@dataclass(frozen=True, slots=True)
class Tail:
    """``least_ns``, and on top a time without memory of mean ``mean_ns``; never more than ``most_ns``."""

    least_ns: int
    mean_ns: int
    most_ns: int

    def draw_ns(self, word: int) -> int:
        """The delay this word stands for."""
        delay_ns = self.least_ns + (self.mean_ns * minus_log(word) >> _FRACTION_BITS)
        return delay_ns if delay_ns < self.most_ns else self.most_ns


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same."""

    model: ClassVar[str] = "constant"
    delay_ns: int = MILLISECOND_NS

    def on(self, source: int, target: int) -> Span:
        """The link from ``source`` to ``target``: replicas, or CLIENTS."""
        return Span(self.delay_ns, 0)

    def data(self) -> dict[str, object]:
        """As in ``plan.json``."""
        return {"model": self.model, "delay_ns": self.delay_ns}


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any delay from low to high, both included, is as likely as any other."""

    model: ClassVar[str] = "uniform"
    low_ns: int = 200_000
    high_ns: int = MILLISECOND_NS

    def on(self, source: int, target: int) -> Span:
        """See ``Constant``."""
        return Span(self.low_ns, self.high_ns - self.low_ns + 1)

    def data(self) -> dict[str, object]:
        """As in ``plan.json``."""
        return {"model": self.model, "low_ns": self.low_ns, "high_ns": self.high_ns}


@dataclass(frozen=True, slots=True)
class Exponential:
    """A ``Tail``, on every link alike: most are quick, a few are late."""

    model: ClassVar[str] = "exponential"
    mean_ns: int = MILLISECOND_NS
    least_ns: int = 200_000
    most_ns: int = 100 * MILLISECOND_NS

    def on(self, source: int, target: int) -> Tail:
        """See ``Constant``."""
        return Tail(self.least_ns, self.mean_ns, self.most_ns)

    def data(self) -> dict[str, object]:
        """As in ``plan.json``."""
        return {
            "model": self.model,
            "mean_ns": self.mean_ns,
            "least_ns": self.least_ns,
            "most_ns": self.most_ns,
        }


@dataclass(frozen=True, slots=True)
class WideArea:
    """Hosts are in regions; a matrix says how far those are from each other."""

    model: ClassVar[str] = "wan"
    regions: tuple[str, ...] = REGIONS
    one_way_ns: tuple[tuple[int, ...], ...] = ONE_WAY_NS
    """From the region of the row to that of the column."""
    replicas: tuple[int, ...] = tuple(range(len(REGIONS)))
    """Regions, as places in ``regions``. Replica i is in the i-th of these, and over again when they are
    used up, so that the list need not be as long as there are replicas."""
    clients: int = 0
    """The region all clients are in."""
    jitter: float = 0.1
    """A delay is up to this share longer than the matrix says; any length in between is as likely."""

    def on(self, source: int, target: int) -> Span:
        """See ``Constant``."""
        base_ns = self.one_way_ns[self._place(source)][self._place(target)]
        return Span(base_ns, base_ns * share_of(self.jitter) >> WORD_BITS)

    def _place(self, host: int) -> int:
        return self.clients if host < 0 else self.replicas[host % len(self.replicas)]

    def data(self) -> dict[str, object]:
        """As in ``plan.json``."""
        return {
            "model": self.model,
            "regions": list(self.regions),
            "one_way_ns": [list(row) for row in self.one_way_ns],
            "replicas": [self.regions[place] for place in self.replicas],
            "clients": self.regions[self.clients],
            "jitter": plain(self.jitter),
        }


Latency = Constant | Uniform | Exponential | WideArea
MODELS = (Constant.model, Uniform.model, Exponential.model, WideArea.model)


def share_of(probability: float) -> int:
    """Of 2**32 words so many are below: a word less than this is a yes. Exact, as a power of two is."""
    return round(probability * (1 << WORD_BITS))


def plain(number: float) -> int | float:
    """Without ``.0``, as people write it."""
    return int(number) if number == int(number) else number


def minus_log(word: int) -> int:
    """-ln((word + 1) / 2**32) in 2**40ths: a draw from the exponential distribution of mean 1."""
    table = _logarithms()
    number = word + 1
    length = number.bit_length()
    rest = number << 33 - length  # 2**32 … 2**33 - 1: the number as 1 to 2
    step = (rest >> 24) - 256
    low = table[step]
    log = low + ((table[step + 1] - low) * (rest & 0xFFFFFF) >> 24)
    return (33 - length) * table[256] - log


@functools.cache
def _logarithms() -> tuple[int, ...]:
    """ln(1 + i/256) for i = 0 … 256, in 2**40ths. ``decimal`` rounds correctly; ``math`` may not."""
    context = Context(prec=30)
    unit = 1 << _FRACTION_BITS
    logs = (context.ln(1 + Decimal(step) / 256) for step in range(257))
    return tuple(int((log * unit).to_integral_value()) for log in logs)
