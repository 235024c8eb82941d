"""Moves in time: a shorter load, faults that end sooner, everything earlier, and rounder figures.

All but the first keep what happens and its order: times are only moved towards the start.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

from harness.plan import Plan
from harness.shrink.moves import FirstPlan, chosen, with_clients
from nemesis.faults.fault import Fault

MILLISECOND_NS = 1_000_000
_SHORT_NS = 10 * MILLISECOND_NS
"""A gap not longer than this is left alone."""
_MOST_GAPS = 12
"""Looked at one by one, the longest."""
_CAPS_MS = (1, 10, 50, 200, 1000)
_TAILS_MS = (1, 50, 200, 1000)
"""How long the load may go on after the last thing planned in it, in ms."""
_ROUND_NS = tuple(ms * MILLISECOND_NS for ms in (1000, 100, 10, 1))

Clock = Callable[[int], int]
"""Old time of the load -> new time. Does not fall."""


def cut_short(plan: Plan, first: FirstPlan) -> Plan:
    """End the load early, and leave out what comes later. The shortest first: those runs are the quickest."""

    def candidates(now: Plan) -> Iterator[Plan]:
        duration_ns = now.duration_ns
        for eighths in (0.125, 0.25, 0.5, 1, 2, 3, 4, 5, 6, 7):
            end_ns = round(duration_ns * eighths / 8)
            if MILLISECOND_NS <= end_ns < duration_ns:
                yield until(now, end_ns)

    return chosen(plan, candidates, first)


def until(plan: Plan, end_ns: int) -> Plan:
    """What the plan does before then."""
    clients = tuple(
        replace(client, operations=tuple(one for one in client.operations if one.at_ns < end_ns))
        for client in plan.clients
    )
    faults = tuple(
        replace(fault, stop_ns=min(fault.stop_ns, end_ns)) for fault in plan.faults if fault.start_ns < end_ns
    )
    return with_clients(replace(plan, duration_ns=end_ns, faults=faults), clients)


def shorter_faults(plan: Plan, first: FirstPlan) -> Plan:
    """Each fault in turn: undone after an eighth of its time, a quarter, a half, or begun so late."""
    for place in range(len(plan.faults)):

        def candidates(now: Plan, place: int = place) -> Iterator[Plan]:
            fault = now.faults[place]
            hold_ns = fault.stop_ns - fault.start_ns
            for part_ns in (hold_ns // 8, hold_ns // 4, hold_ns // 2):
                if part_ns >= MILLISECOND_NS:
                    yield _with_fault(now, place, replace(fault, stop_ns=fault.start_ns + part_ns))
                    yield _with_fault(now, place, replace(fault, start_ns=fault.stop_ns - part_ns))

        plan = chosen(plan, candidates, first)
    return plan


def earlier(plan: Plan, first: FirstPlan) -> Plan:
    """Nothing after the last thing; then no gap longer than so much; then the longest gaps, one by one."""
    plan = chosen(plan, _tails, first)
    plan = chosen(plan, _capped_gaps, first)
    gaps = _gaps(plan)
    for place in sorted(range(len(gaps)), key=lambda place: (-gaps[place][1], place))[:_MOST_GAPS]:

        def candidates(now: Plan, place: int = place) -> Iterator[Plan]:
            here = _gaps(now)
            if place < len(here) and here[place][1] > _SHORT_NS:
                after_ns, length_ns = here[place]
                for left_ns in (MILLISECOND_NS, length_ns // 4, length_ns // 2):
                    yield retimed(now, _gap_closed(after_ns, length_ns - left_ns))

        plan = chosen(plan, candidates, first)
    return plan


def rounder(plan: Plan, first: FirstPlan) -> Plan:
    """Times cut to whole seconds, tenths, hundredths or thousandths of them: for whoever reads the plan."""

    def candidates(now: Plan) -> Iterator[Plan]:
        for unit_ns in _ROUND_NS:
            yield retimed(now, _in_units(unit_ns))

    return chosen(plan, candidates, first)


def retimed(plan: Plan, clock: Clock) -> Plan:
    """The same plan by another clock. A fault keeps a millisecond at least, and ends with the load."""
    duration_ns = max(clock(plan.duration_ns), MILLISECOND_NS)
    clients = tuple(
        replace(client, operations=tuple(replace(one, at_ns=clock(one.at_ns)) for one in client.operations))
        for client in plan.clients
    )
    faults = []
    for fault in plan.faults:
        start_ns = clock(fault.start_ns)
        stop_ns = min(max(clock(fault.stop_ns), start_ns + MILLISECOND_NS), duration_ns)
        faults.append(replace(fault, start_ns=start_ns, stop_ns=stop_ns))
    return replace(plan, duration_ns=duration_ns, clients=clients, faults=tuple(faults))


def moments(plan: Plan) -> list[int]:
    """All times at which the plan does something, ascending, each once."""
    times = {planned.at_ns for client in plan.clients for planned in client.operations}
    times |= {fault.start_ns for fault in plan.faults} | {fault.stop_ns for fault in plan.faults}
    return sorted(times)


def _with_fault(plan: Plan, place: int, fault: Fault) -> Plan:
    return replace(plan, faults=(*plan.faults[:place], fault, *plan.faults[place + 1 :]))


def _tails(plan: Plan) -> Iterator[Plan]:
    last_ns = max(moments(plan), default=0)
    for tail_ms in _TAILS_MS:
        end_ns = last_ns + tail_ms * MILLISECOND_NS
        if end_ns < plan.duration_ns:
            yield replace(plan, duration_ns=end_ns)


def _capped_gaps(plan: Plan) -> Iterator[Plan]:
    """What comes after the last thing is a gap, too."""
    times = [0, *moments(plan)]
    for most_ms in _CAPS_MS:
        yield retimed(plan, _capped(times, most_ms * MILLISECOND_NS))


def _gaps(plan: Plan) -> list[tuple[int, int]]:
    """(after, length) of all between the start and the last thing."""
    times = [0, *moments(plan)]
    return [(low, high - low) for low, high in itertools.pairwise(times) if high > low]


def _capped(times: list[int], most_ns: int) -> Clock:
    """No more than that between one time and the next. ``times`` ascend from 0."""
    lengths = (min(high - low, most_ns) for low, high in itertools.pairwise(times))
    new = list(itertools.accumulate(lengths, initial=0))

    def clock(at_ns: int) -> int:
        place = bisect.bisect_right(times, at_ns) - 1
        return new[place] + min(at_ns - times[place], most_ns)

    return clock


def _in_units(unit_ns: int) -> Clock:
    return lambda at_ns: at_ns // unit_ns * unit_ns


def _gap_closed(after_ns: int, by_ns: int) -> Clock:
    """What comes after that time comes so much earlier."""
    return lambda at_ns: at_ns if at_ns <= after_ns else max(after_ns, at_ns - by_ns)
