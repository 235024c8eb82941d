"""How sure k of n makes us: the 95 % Wilson score interval of a share."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054
NAME = "95 % Wilson interval"


def wilson(k: int, n: int) -> tuple[float, float]:
    """Lower and upper end, from 0 to 1. With no runs anything is possible."""
    assert 0 <= k <= n
    if n == 0:
        return 0.0, 1.0
    z2, share = Z_95 * Z_95, k / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At the ends they are exact, and rounding must not say otherwise.
    return (0.0 if k == 0 else max(0.0, middle - half)), (1.0 if k == n else min(1.0, middle + half))


def in_words(k: int, n: int) -> str:
    """``7 of 20 (95 % Wilson interval 18 % to 57 %)``."""
    low, high = wilson(k, n)
    return f"{k} of {n} ({NAME} {math.floor(100 * low)} % to {math.ceil(100 * high)} %)"
