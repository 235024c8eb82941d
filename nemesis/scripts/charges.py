"""What a script costs, read from its actions before it runs: the certificate.

Who lies: the liars it is given, and nobody else, for it can only name actions of lies for them, and the
scene holds no other keys. Whom it cuts off, kills or pauses: at most so many replicas at once, counted from
the sizes of the sets it names; one named by what changes (``primary``) is another one each time. A rule on
packets of others than liars makes the network asynchronous. A script declares its charges and they are
compared; ``check`` says where they are exceeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nemesis.packets.tamperer import LIES
from nemesis.scripts.actions import Action, HoldBack, Isolate, Process, Release, Rule
from nemesis.scripts.expressions import Expression

if TYPE_CHECKING:
    from nemesis.scripts.grammar import Stage


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a script."""

    lies: bool
    """Somebody is made Byzantine."""
    cut: int
    """At most so many replicas at once are cut off, dead or paused through it."""
    cut_at: str
    """The path of the action that makes it so many."""
    network: bool
    """Packets between correct replicas, or of theirs, are lost or late."""
    orders: frozenset[str]
    """What it does to processes."""


class _Open:
    """Whom it has in its hands, by action: how many at most."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, Expression]] = {}
        self.most = 0
        self.at = ""

    def take(self, action: Action, what: str, expression: Expression) -> None:
        """From now on."""
        self._held[action.path] = what, expression
        counted: dict[str, int] = {}
        for path, (_, one) in self._held.items():
            key = one.text if one.steady else path  # the same names twice are the same replicas
            counted[key] = max(counted.get(key, 0), one.kind.most)
        if sum(counted.values()) > self.most:
            self.most, self.at = sum(counted.values()), action.path

    def let_go(self, paths: Sequence[str]) -> None:
        """Walls that fell."""
        for path in paths:
            self._held.pop(path, None)

    def back(self, undone: str, expression: Expression) -> None:
        """Restarted (from ``kill``), or resumed (from ``pause``)."""
        for path, (what, one) in list(self._held.items()):
            same = one.steady and expression.steady and one.text == expression.text
            if what == undone and (same or expression.text in ("down", "all")):
                del self._held[path]


def cost_of(stages: Sequence[Stage]) -> Cost:
    """Of stages in their order: none is skipped."""
    held = _Open()
    named: dict[str, list[str]] = {}
    lies = network = False
    orders: set[str] = set()
    for stage in stages:
        for action in stage.actions:
            deed = action.deed
            if action.name:
                named.setdefault(action.name, []).append(action.path)
            match deed:
                case Isolate():
                    held.take(action, "isolate", deed.replicas)
                case Process("kill" | "pause"):
                    orders.add(deed.what)
                    held.take(action, deed.what, deed.replicas)
                case Process(what):
                    orders.add(what)
                    held.back("kill" if what == "restart" else "pause", deed.replicas)
                case Release():
                    some = named if "all" in deed.names else deed.names
                    held.let_go([path for name in some for path in named.get(name, ())])
                case HoldBack():
                    network = True
                case Rule():
                    lies = lies or deed.stage == LIES or deed.by_liars
                    network = network or (deed.stage != LIES and not deed.by_liars)
                case _:
                    pass
    return Cost(lies, held.most, held.at, network or held.most > 0, frozenset(orders))
