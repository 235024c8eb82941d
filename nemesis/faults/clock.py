"""Clocks that lie: a replica's own clock is off, jumps, drifts or stands still; then it is right again.

``offset``: the wall clock alone is ``by_ns`` off. ``jump``: both clocks move by ``by_ns`` at once, as after
a suspended machine; a monotonic clock never goes back, so backwards only the wall clock moves. ``drift``:
both run at ``rate`` times the true rate. ``freeze``: both stand still. Nobody is Byzantine by it: a replica
whose clock is wrong is slow, or suspects the primary too soon, or refuses its times; all of that must be
harmless to the others, and over soon after the clock is right. It is right again by the wall; its monotonic
clock goes on from where it is.

The receipt is the replica's own word in its trace, against the true time of that line.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from nemesis.faults.fault import Params, Receipt, Victims
from nemesis.faults.memory import Memory
from nemesis.faults.targets import check_replicas, draw_targets, planned_victims, resolve_targets
from nemesis.machinery import Machinery

RIGHT_RATE = 1_000_000_000
SECOND_NS = 1_000_000_000
MAX_BY_NS = 365 * 86_400 * SECOND_NS
MIN_RATE, MAX_RATE = 0.001, 100.0
MODES = ("offset", "jump", "drift", "freeze")
_WRONG_BY = (50_000_000, 300_000_000, SECOND_NS, 10 * SECOND_NS, 3600 * SECOND_NS)
_RATES = (0.1, 0.5, 0.9, 1.1, 2.0, 10.0)


@dataclass(slots=True)
class _Moving:
    """Whose clocks, and whether they were set right."""

    victims: tuple[int, ...]
    stopped: bool = False
    undone: bool = False


class Clock:
    """See the module."""

    name = "clock"
    label = "clock"
    colour = "#F0E442"
    description = "Sets a replica's own clocks off, makes them jump, run fast or slow, or stand still."
    charges = "liveness: each replica is bad until its clock is right again; never safety"
    family = "clock"
    parameters: Mapping[str, str] = MappingProxyType(
        {
            "replicas": "list of replicas, or `primary`",
            "mode": "`offset`, `jump`, `drift` or `freeze`",
            "by_ns": "of `offset`, `jump`: how far off in ns, forward or (negative) back",
            "rate": f"of `drift`: {MIN_RATE} to {MAX_RATE}, times the true clock's",
        }
    )
    receipt = "each replica's word of its own clock in its trace, beside the true time of that line"
    worlds: tuple[str, ...] = ("live", "lockstep", "sim")

    def __init__(self) -> None:
        self._memory: Memory[_Moving] = Memory()

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"replicas": [2], "mode": "drift", "rate": 0.5}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        targets = draw_targets(stream, n, f, budget_break)
        mode = stream.choice(MODES)
        if mode == "drift":
            return {**targets, "mode": mode, "rate": stream.choice(_RATES)}
        if mode == "freeze":
            return {**targets, "mode": mode}
        return {**targets, "mode": mode, "by_ns": stream.choice(_WRONG_BY) * stream.choice((1, -1))}

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        mode = params.get("mode")
        if not isinstance(mode, str) or mode not in MODES:
            return f"mode = {mode!r:.80}: choose one of {', '.join(MODES)}"
        extra = {"offset": ("by_ns",), "jump": ("by_ns",), "drift": ("rate",), "freeze": ()}[mode]
        known = ("replicas", "mode", *extra)
        unknown = sorted(set(params) - set(known))
        if unknown:
            return f"unknown parameter {unknown[0]!r:.80} of mode {mode}: known are {', '.join(known)}"
        if extra == ("by_ns",):
            by_ns = params.get("by_ns")
            if not isinstance(by_ns, int) or isinstance(by_ns, bool) or not 0 < abs(by_ns) <= MAX_BY_NS:
                return f"by_ns = {by_ns!r:.80}: give ns, forward or (negative) back, but not 0 or over a year"
        if extra == ("rate",) and not _is_rate(params.get("rate")):
            return f"rate = {params.get('rate')!r:.80}: give a number from {MIN_RATE} to {MAX_RATE}, not 1"
        return check_replicas(params.get("replicas"), n)

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        return planned_victims(params)

    def available(self, machinery: Machinery) -> str | None:
        """See ``FaultKind``."""
        return None if "clocks" in machinery.capabilities else "this world cannot move a replica's clock"

    def start(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        moving = _Moving(resolve_targets(machinery, params))
        self._memory.keep(machinery, fault_id, moving)
        wall_ns, jump_ns, rate = _asked(params)
        for replica in moving.victims:
            machinery.move_clock(replica, wall_ns=wall_ns, jump_ns=jump_ns, rate=rate)

    def observe(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``."""
        moving = self._memory.of(machinery, fault_id)
        if moving is None:
            return None
        wall_ns, jump_ns, rate = _asked(params)
        told = _told(machinery, moving.victims, rate)
        if told is None:
            return None
        asked = {"wall_ns": wall_ns, "jump_ns": jump_ns, "rate": rate}
        return Receipt({"asked": asked, "own_clock": told})

    def trouble(self, machinery: Machinery, fault_id: str, params: Params) -> str:
        """See ``FaultKind``."""
        moving = self._memory.of(machinery, fault_id)
        if moving is None:
            return "it was not started"
        quiet = [replica for replica in moving.victims if machinery.told_clock(replica) is None]
        what = "is right again" if moving.stopped else "was moved"
        return f"replicas {quiet} did not say that their clock {what}"

    def stop(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``. A clock that another fault moves meanwhile stays that one's."""
        moving = self._memory.of(machinery, fault_id)
        if moving is None or moving.stopped:
            return
        moving.stopped = True
        for replica in moving.victims:
            if not self._held(machinery, fault_id, replica):
                machinery.move_clock(replica, wall_ns=0, jump_ns=0, rate=RIGHT_RATE)

    def stopped(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``. A dead replica's next life finds its clock right."""
        moving = self._memory.of(machinery, fault_id)
        if moving is None:
            return Receipt({"own_clock": {}, "note": "it was not started"})
        if not moving.stopped:
            return None
        left = tuple(
            replica
            for replica in moving.victims
            if machinery.process(replica).state != "dead" and not self._held(machinery, fault_id, replica)
        )
        told = _told(machinery, left, RIGHT_RATE)
        if told is None:
            return None
        moving.undone = True
        return Receipt({"own_clock": told, "dead_or_held": [r for r in moving.victims if r not in left]})

    def bad_now(self, machinery: Machinery, fault_id: str, params: Params) -> frozenset[int]:
        """See ``FaultKind``."""
        moving = self._memory.of(machinery, fault_id)
        return frozenset() if moving is None or moving.undone else frozenset(moving.victims)

    def _held(self, machinery: Machinery, fault_id: str, replica: int) -> bool:
        others = self._memory.others(machinery, fault_id)
        return any(replica in other.victims and not other.stopped for other in others)


def _asked(params: Params) -> tuple[int, int, int]:
    """(wall_ns, jump_ns, rate)."""
    by_ns, rate = params.get("by_ns"), params.get("rate")
    match params["mode"]:
        case "offset":
            return (by_ns if isinstance(by_ns, int) else 0), 0, RIGHT_RATE
        case "jump":
            moved = by_ns if isinstance(by_ns, int) else 0
            return moved, moved, RIGHT_RATE
        case "drift":
            return 0, 0, round(rate * RIGHT_RATE) if isinstance(rate, int | float) else RIGHT_RATE
    return 0, 0, 0


def _told(machinery: Machinery, replicas: Sequence[int], rate: int) -> dict[str, Mapping[str, object]] | None:
    """What each said, if each did."""
    said: dict[str, Mapping[str, object]] = {}
    for replica in replicas:
        told = machinery.told_clock(replica)
        if told is None or told.get("rate") != rate:
            return None
        own, t_ns = told.get("own_ns"), told.get("t_ns")
        ahead = {"ahead_ns": own - t_ns} if isinstance(own, int) and isinstance(t_ns, int) else {}
        said[str(replica)] = {**told, **ahead}
    return said


def _is_rate(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return MIN_RATE <= value <= MAX_RATE and value != 1
