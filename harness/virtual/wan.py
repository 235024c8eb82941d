"""A wide-area network: how long a datagram takes from one region of the world to another.

The figures are half of the round trips between ten regions of one large cloud, as a table published in 2017
has them (https://acomputerscientistlearnsaws.blogspot.com/2017/04/aws-regions.html, "Latency Between AWS
Global Regions"), rounded to whole milliseconds; within a region 1 ms. They are approximate: routes change,
and the way there need not be as long as the way back. A plan writes the whole matrix down, so that another
one may stand there, and so that an old plan keeps its figures when these are renewed.
"""

from __future__ import annotations

MILLISECOND_NS = 1_000_000

REGIONS = (
    "virginia",
    "california",
    "oregon",
    "ireland",
    "frankfurt",
    "tokyo",
    "seoul",
    "singapore",
    "sydney",
    "sao-paulo",
)
_ONE_WAY_MS = (
    (1, 36, 43, 40, 44, 73, 89, 108, 115, 60),
    (36, 1, 10, 77, 83, 51, 66, 87, 79, 96),
    (43, 10, 1, 69, 80, 45, 59, 81, 81, 91),
    (40, 77, 69, 1, 10, 106, 121, 120, 155, 96),
    (44, 83, 80, 10, 1, 118, 133, 163, 162, 97),
    (73, 51, 45, 106, 118, 1, 16, 37, 52, 128),
    (89, 66, 59, 121, 133, 16, 1, 36, 67, 143),
    (108, 87, 81, 120, 163, 37, 36, 1, 88, 164),
    (115, 79, 81, 155, 162, 52, 67, 88, 1, 161),
    (60, 96, 91, 96, 97, 128, 143, 164, 161, 1),
)
ONE_WAY_NS = tuple(tuple(ms * MILLISECOND_NS for ms in row) for row in _ONE_WAY_MS)
"""From the region of the row to that of the column."""
