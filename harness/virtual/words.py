"""Reading single values of a virtual world's settings: times with a unit or in ns, shares, words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.errors import UsageError
from harness.request import SECOND_NS, duration, nearest, shown, whole

MAX_DELAY_NS = 600 * SECOND_NS
"""No single time of a virtual world is longer."""
_UNITS_NS = (("h", 3600 * SECOND_NS), ("m", 60 * SECOND_NS), ("s", SECOND_NS), ("ms", 10**6), ("us", 1000))


def with_unit(time_ns: int) -> str:
    """``200us``, ``2s``: exact, in the largest unit that is."""
    for unit, unit_ns in _UNITS_NS:
        if time_ns and time_ns % unit_ns == 0:
            return f"{time_ns // unit_ns}{unit}"
    return f"{time_ns}ns"


class Words:
    """A mapping of settings. Those of ``times`` may be given as ``NAME_ns``, too."""

    def __init__(
        self, where: str, asked: Mapping[str, object], names: Sequence[str], times: Sequence[str]
    ) -> None:
        self._where, self._asked = where, asked
        known = [*names, *(f"{name}_ns" for name in times)]
        for key in asked:
            if key not in known:
                raise UsageError(
                    f"{where}: unknown key {shown(key)}" + nearest(key, known),
                    f"There are: {', '.join(names)}.",
                )
            if f"{key}_ns" in asked:
                raise UsageError(f"{where}: {key} is given twice, once as {key}_ns", "Keep one of them.")

    def get(self, name: str, default: object) -> object:
        """As it is given, not yet checked."""
        value = self._asked.get(name)
        return default if value is None else value

    def share(self, name: str, default: float) -> float:
        """From 0 to 1, as it is given."""
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise UsageError(f"{self._where}.{name} = {shown(value)}", "It must be a share, from 0 to 1.")
        return value

    def time(self, name: str, default_ns: int, low_ns: int = 0, high_ns: int = MAX_DELAY_NS) -> int:
        """In ns."""
        in_ns = f"{name}_ns"
        if in_ns in self._asked:
            return whole(f"{self._where}.{in_ns}", self._asked[in_ns], low_ns, high_ns)
        return time_of(f"{self._where}.{name}", self.get(name, f"{default_ns}ns"), low_ns, high_ns)


def time_of(where: str, value: object, low_ns: int = 0, high_ns: int = MAX_DELAY_NS) -> int:
    """Of a text with its unit, in ns."""
    time_ns = duration(value, 1) if isinstance(value, str) and len(value) < 60 else None
    if time_ns is None or not low_ns <= time_ns <= high_ns:
        raise UsageError(
            f"{where} = {shown(value)}",
            f"It must be a time with its unit (200us, 5ms, 2s), from {with_unit(low_ns)} to "
            f"{with_unit(high_ns)}.",
        )
    return time_ns


def word_of(where: str, value: object, allowed: Sequence[str]) -> str:
    """One of those."""
    if isinstance(value, str) and value in allowed:
        return value
    raise UsageError(
        f"{where} = {shown(value)}" + nearest(value, allowed), f"Choose one of: {', '.join(allowed)}."
    )
