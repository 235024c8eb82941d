"""Which faults, when, on whom: drawn before the run, so that a plan is data.

The first fault comes within about a second, quiet gaps are short, every kind that was asked for appears,
and as many faults as fit follow; the last one is over with room left before the load ends, so that the load
sees the cluster come back. Most drawn faults are aimed at whoever is primary then, if its kind can: that
is what makes view changes. Drawn faults share no victim while they overlap, and one whose victim is
unknown overlaps with none, so that no two undo one another. Within budget the charges never exceed f at any
moment, the undo margin included.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from nemesis.faults.fault import Fault, FaultKind, Params
from nemesis.ledger import UNDO_MARGIN_NS, Charge, at_once, charge

Streams = Callable[[str], random.Random]
"""One stream of chance per purpose."""
MILLISECOND_NS = 1_000_000
_AIMED_ALONE = (True, False, True)
"""Which of the drawn faults are aimed at the primary, in turn."""
_AIMED_OR_TOGETHER = (True, True, False, False)
"""The same where two faults may overlap: those are never the aimed ones."""
_HONEST = ("process", "network")
"""Families in which nobody lies: more than f may be struck where only safety is kept."""
_REDRAWS = 16
_TRIES = 40
"""Of longer loads, each by a tenth, where one had no room."""
_SHORTEST_HOLD_NS = 300 * MILLISECOND_NS


@dataclass(frozen=True, slots=True)
class Wanted:
    """A fault somebody asked for; None is drawn here."""

    kind: str
    params: Params | None = None
    start_ns: int | None = None
    stop_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """What the schedule has to fit into."""

    n: int
    f: int
    load_ns: int
    patience_ns: int
    """How long the replicas let a request wait before they change the view."""
    budget: str = "within"
    """Or ``safety``: more than f may be bad at once, but no more than f ever lie. Or ``break``."""


class NoRoom(ValueError):
    """Not every fault that was asked for fits. The message says why."""


def schedule(
    wanted: Sequence[Wanted], kinds: Mapping[str, FaultKind], room: Room, streams: Streams
) -> list[Fault]:
    """The faults of a plan, in order of start. Raises NoRoom."""
    if not wanted:
        return []
    faults, missing = _drawn(wanted, kinds, room, streams)
    if not missing:
        return faults
    waiting = {name: least for name in missing if (least := getattr(kinds[name], "shortest_hold_ns", 0))}
    needs = ", ".join(f"{name} needs {least / 1e9:g} s" for name, least in waiting.items())
    enough_s = _enough_s(wanted, kinds, room, streams)
    raise NoRoom(
        f"a load of {room.load_ns / 1e9:g} s has no room for every fault that was asked for: "
        f"{', '.join(missing)} would not fit"
        + (f" ({needs})" if needs else "")
        + (f"; {enough_s} s are enough" if enough_s else "")
    )


def _drawn(
    wanted: Sequence[Wanted], kinds: Mapping[str, FaultKind], room: Room, streams: Streams, once: bool = False
) -> tuple[list[Fault], list[str]]:
    """The faults, held as long as they may be; and what did not fit."""
    missing: list[str] = []
    for shrink in (1.0, 0.75, 0.5, 0.33, 0.2):
        drawer = _Drawer(kinds, room, streams, shrink, _wished(wanted, kinds, room))
        drawer.place_fixed([want for want in wanted if want.start_ns is not None])
        missing = drawer.fill([want for want in wanted if want.start_ns is None], once)
        if not missing:
            return drawer.placed(), []
    return [], missing


def _enough_s(
    wanted: Sequence[Wanted], kinds: Mapping[str, FaultKind], room: Room, streams: Streams
) -> int | None:
    """A load with room for all of it, about as short as can be: tried out."""
    seconds = room.load_ns / 1e9
    for _ in range(_TRIES):
        seconds = math.ceil(1.1 * seconds)
        longer = replace(room, load_ns=seconds * 1_000_000_000)
        if not _drawn(wanted, kinds, longer, streams, once=True)[1]:
            return seconds
    return None


def draw_liars(stream: random.Random, room: Room, wished: Sequence[int] = ()) -> tuple[int, ...]:
    """Whom the plan compromises: the same for all its lies. f, the most that safety survives, or f+1 to break
    it. Half of the time the first primary is one of them; ``wished`` come first."""
    liars = stream.sample(range(room.n), room.f + (room.budget == "break"))
    if 0 not in liars and stream.random() < 1 / 3:
        liars[0] = 0
    first = [*wished, *(liar for liar in liars if liar not in wished)]
    return tuple(sorted(first[: len(liars)]))


def _wished(wanted: Sequence[Wanted], kinds: Mapping[str, FaultKind], room: Room) -> Sequence[int]:
    """Whom the first kind that cares would like to lie: a script's, or the first primary, who has to lead."""
    for want in wanted:
        wishes = getattr(kinds[want.kind], "wished_liars", None)
        if wishes is not None and want.params is None and (liars := wishes(room.n)):
            return [int(liar) for liar in liars]
        if getattr(kinds[want.kind], "leads", False):
            return [0]
    return ()


class _Drawer:
    """Places one fault after the other."""

    def __init__(
        self,
        kinds: Mapping[str, FaultKind],
        room: Room,
        streams: Streams,
        shrink: float,
        wished: Sequence[int],
    ) -> None:
        self._kinds = kinds
        self._room = room
        self._streams = streams
        self._times = streams("fault times")
        self._order = streams("fault order")
        self._shrink = shrink
        self._liars = draw_liars(streams("liars"), room, wished)
        self._faults: list[Fault] = []
        self._charges: list[Charge] = []
        self._counts: dict[str, int] = {}
        long_enough_ns = int((2 * room.patience_ns + 300 * MILLISECOND_NS) * shrink)
        self._hold_ns = (
            max(_SHORTEST_HOLD_NS, long_enough_ns),
            max(_SHORTEST_HOLD_NS, int(1.6 * long_enough_ns)),
        )
        self._gap_ns = (
            max(UNDO_MARGIN_NS, int(500 * MILLISECOND_NS * shrink)),
            int(1200 * MILLISECOND_NS * shrink),
        )
        self._first_ns = (int(500 * MILLISECOND_NS * shrink), int(1000 * MILLISECOND_NS * shrink))
        self._last_stop_ns = room.load_ns - max(room.load_ns // 10, UNDO_MARGIN_NS)

    def placed(self) -> list[Fault]:
        """Everything, in order of start."""
        return sorted(self._faults, key=lambda fault: (fault.start_ns, fault.id))

    def place_fixed(self, wanted: Sequence[Wanted]) -> None:
        """Those with a time of their own. They may overlap as they like: the certificate judges them."""
        for want in wanted:
            assert want.start_ns is not None
            assert want.stop_ns is not None
            params = want.params if want.params is not None else self._draw(want.kind)
            self._place(want.kind, want.start_ns, want.stop_ns, params)

    def fill(self, wanted: Sequence[Wanted], once: bool = False) -> list[str]:
        """Rounds of all that was asked for until no more fit, or one. Which kinds of the first round did not
        fit."""
        moment = self._times.randrange(*_span(self._first_ns))
        first_round = True
        while wanted:
            turn = list(wanted)
            self._order.shuffle(turn)
            for done, want in enumerate(turn):
                placed = self._fit(want, moment)
                if placed is None:
                    return [left.kind for left in turn[done:]] if first_round else []
                moment = self._next_moment(placed)
            first_round = False
            if once:
                break
        return []

    def _next_moment(self, placed: Fault) -> int:
        gap_ns = self._times.randrange(*_span(self._gap_ns))
        if self._room.f > 1 and self._room.budget == "within":
            return placed.start_ns + gap_ns
        return placed.stop_ns + gap_ns

    def _fit(self, want: Wanted, earliest_ns: int) -> Fault | None:
        """Place it as early as it fits from then on, or not at all."""
        hold_ns = self._times.randrange(*_span(self._hold_ns))
        kind = self._kinds[want.kind]
        params = want.params if want.params is not None else self._draw(want.kind)
        least_ns = int(_needs_ns(kind, params) * self._shrink)
        left_ns = self._last_stop_ns - earliest_ns
        if least_ns > left_ns and self._counts.get(want.kind):  # one more, without a chance
            return None
        shortest_ns = getattr(kind, "shortest_hold_ns", 0)
        hold_ns = max(hold_ns, min(least_ns, left_ns), shortest_ns)
        candidate = self._charge(want.kind, earliest_ns, earliest_ns + hold_ns, params)
        while conflict_end_ns := self._conflict(candidate):
            start_ns = max(conflict_end_ns, candidate.start_ns + 1)
            candidate = self._charge(want.kind, start_ns, start_ns + hold_ns, params)
            if start_ns + hold_ns > self._last_stop_ns:
                return None
        if candidate.start_ns + hold_ns > self._last_stop_ns:
            return None
        return self._place(want.kind, candidate.start_ns, candidate.start_ns + hold_ns, params)

    def _draw(self, kind_name: str) -> Params:
        """Parameters, aimed at the primary when it is their turn and the kind can."""
        kind, room = self._kinds[kind_name], self._room
        stream = self._streams(f"fault {kind_name} {self._counts.get(kind_name, 0)}")
        pattern = _AIMED_ALONE if room.f == 1 or room.budget != "within" else _AIMED_OR_TOGETHER
        aim = pattern[len(self._faults) % len(pattern)]
        beyond = room.budget == "break" or (room.budget == "safety" and kind.family in _HONEST)
        params = kind.draw(stream, room.n, room.f, beyond, self._liars)
        for _ in range(_REDRAWS):
            if _strikes_primary(params) == aim:
                break
            params = kind.draw(stream, room.n, room.f, beyond, self._liars)
        later = getattr(kind, "draw_later", None)
        return later(stream, params, room.n) if later is not None and self._faults else params

    def _charge(self, kind: str, start_ns: int, stop_ns: int, params: Params) -> Charge:
        victims = self._kinds[kind].victims(params, self._room.n, self._room.f)
        return charge(Fault("", kind, start_ns, stop_ns, params), victims)

    def _conflict(self, candidate: Charge) -> int:
        """When the last fault it may not overlap with is over; 0 when it fits."""
        beside = [one for one in self._charges if _overlap(one, candidate)]
        for one in beside:
            unknown = one.victims.any_of or candidate.victims.any_of
            if unknown or one.victims.replicas & candidate.victims.replicas:
                return one.end_ns
        if (
            self._room.budget == "within"
            and beside
            and at_once([*beside, candidate], self._room.n) > self._room.f
        ):
            return min(one.end_ns for one in beside)
        return 0

    def _place(self, kind: str, start_ns: int, stop_ns: int, params: Params) -> Fault:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        fault = Fault(f"{kind}-{self._counts[kind]}", kind, start_ns, stop_ns, params)
        victims = self._kinds[kind].victims(params, self._room.n, self._room.f)
        self._faults.append(fault)
        self._charges.append(charge(fault, victims))
        return fault


def _needs_ns(kind: FaultKind, params: Params) -> int:
    """It waits itself for what it needs, so long."""
    needs = getattr(kind, "needs_ns", None)
    return int(getattr(kind, "least_hold_ns", 0) if needs is None else needs(params))


def _strikes_primary(params: Params) -> bool:
    """Is it aimed at whoever is primary then? (``next-primaries`` is not: it changes no view.)"""
    return any(value in ("primary", "isolate-primary") for value in params.values() if isinstance(value, str))


def _overlap(one: Charge, other: Charge) -> bool:
    return one.start_ns < other.end_ns and other.start_ns < one.end_ns


def _span(bounds: tuple[int, int]) -> tuple[int, int]:
    return bounds[0], max(bounds[1], bounds[0] + 1)
