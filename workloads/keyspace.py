"""Which key an operation is about, and what it writes there.

Values are unique in the whole run (``c2-17`` is client 2's 17th) so that a read names the write it saw: that
is what makes a history cheap and sharp to judge. Padding to ``value_bytes`` keeps them unique.
"""

from __future__ import annotations

import bisect
import itertools
import random

from .parameters import Parameter, Settings

DISTRIBUTION = Parameter(
    "distribution", "zipf", "", "how operations spread over the keys", choices=("zipf", "uniform")
)
CONTENTION = Parameter(
    "contention",
    0.0,
    "share",
    "share of operations that go to the first key whatever the distribution says",
    low=0.0,
    high=1.0,
)
VALUE_BYTES = Parameter(
    "value_bytes", 16, "bytes", "length of written values; shorter ones are padded", low=1, high=16 * 1024
)
RETRY = Parameter(
    "retry",
    1.0,
    "share",
    "share of clients that retransmit; the others send once and wait",
    low=0.0,
    high=1.0,
)
_ZIPF_EXPONENT = 0.99
"""As YCSB has it: of 50 keys the first gets about a fifth of the operations."""


def keys_parameter(default: int) -> Parameter:
    """How many keys; the default differs from workload to workload."""
    return Parameter("keys", default, "keys", "how many keys there are at a time", low=1, high=10_000)


class Keys:
    """Draws numbers of keys."""

    def __init__(self, settings: Settings) -> None:
        count = settings.count("keys")
        zipf = settings.word("distribution") == "zipf"
        weights = [(1.0 / (rank + 1) ** _ZIPF_EXPONENT) if zipf else 1.0 for rank in range(count)]
        self._cumulative = list(itertools.accumulate(weights))
        self._contention = float(settings.number("contention"))

    def draw(self, stream: random.Random) -> int:
        """0 … keys-1. Always takes two numbers from the stream, whatever the settings."""
        hot = stream.random() < self._contention
        point = stream.random() * self._cumulative[-1]
        if hot:
            return 0
        return min(bisect.bisect_right(self._cumulative, point), len(self._cumulative) - 1)


class Values:
    """Hands out values nobody wrote before."""

    def __init__(self, settings: Settings) -> None:
        self._length = settings.count("value_bytes")
        self._written: dict[int, int] = {}

    def fresh(self, client: int) -> str:
        """Unique in the run."""
        number = self._written.get(client, 0) + 1
        self._written[client] = number
        value = f"c{client}-{number}"
        return value if len(value) >= self._length else value + "." * (self._length - len(value))


def weighted(stream: random.Random, functions: tuple[str, ...], settings: Settings) -> str:
    """A function, by the weights named after them."""
    weights = [float(settings.number(f)) for f in functions]
    return stream.choices(functions, weights)[0]


def weight(function: str, default: int, meaning: str) -> Parameter:
    """The parameter for how often a function is chosen."""
    return Parameter(function, default, "weight", meaning, low=0, high=1000)
