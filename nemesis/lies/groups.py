"""Who is told what: receivers in groups, 0 for the truth.

The groups of a view are a function of the seed and the view alone, so that all liars agree on them, for all
numbers of the view. Colluders are told different things, too, in turn: each then stands on one side.
"""

from __future__ import annotations

from nemesis.lies.lie import Lie
from nemesis.packets.packet import CLIENTS, host

SPLITS = ("half", "one", "most", "each")
"""Half of the others, one of them, all but one are told the other thing; or each something of its own."""


def group_of(lie: Lie, view: int, target: str, split: str) -> int:
    """0: it hears the truth; above: that version of the lie. Clients hear the truth."""
    if target == CLIENTS:
        return 0
    if target in lie.liars:
        return sorted(lie.liars).index(target) % 2
    honest = [host(i) for i in range(lie.scene.n) if host(i) not in lie.liars]
    turn = lie.chance.below(len(honest), "groups", str(view))
    place = (honest.index(target) + turn) % len(honest)
    match split:
        case "half":
            return int(place >= (len(honest) + 1) // 2)
        case "one":
            return int(place == 0)
        case "most":
            return int(place != 0)
        case _:
            return place


WHOM = ("all", "half", "one")
"""Who is lied to, where the others are told the truth."""


def is_lied_to(lie: Lie, view: int, target: str, whom: str) -> bool:
    """Is that receiver one of them? Liars and clients are only where all are."""
    if whom == "all":
        return True
    return target != CLIENTS and target not in lie.liars and group_of(lie, view, target, whom) > 0
