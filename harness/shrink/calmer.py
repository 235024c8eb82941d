"""Moves towards a calm network: one delay for all datagrams, none lost, doubled or held back.

First as settings of the plan. Where the failure needs the unrest of its network, the network's decisions in
the failing run are written down one by one, as exceptions against a calm one (``virtual.deliveries``): that
is the same run, byte for byte. Delta debugging then leaves the few that matter; the oddest are kept longest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median_low

from harness.plan import Plan
from harness.shrink.moves import FirstPlan, chosen, minimised
from harness.virtual.latency import Constant, Exponential, Latency, Uniform, WideArea
from harness.virtual.settings import Delivery, Virtual

MOST_EXCEPTIONS = 100
"""More of them explain nothing: then the plan keeps its network."""
Record = Callable[[Plan], Sequence[Delivery] | None]
"""Runs a plan, and tells the fate of every datagram that its network decided, in order; None: it cannot."""


def calmer_network(plan: Plan, first: FirstPlan) -> Plan:
    """All calm at once; else one thing after the other. The signer is not the network's."""
    return chosen(plan, _calmer, first)


def without_record(plan: Plan, first: FirstPlan) -> Plan:
    """Does it fail without a live run's recorded order, too? (Plans that differ in that only are equal.)"""
    virtual = plan.virtual
    if virtual is None or virtual.schedule is None:
        return plan
    free = replace(plan, virtual=replace(virtual, schedule=None))
    return plan if first([free]) is None else free


def is_calm(virtual: Virtual) -> bool:
    """But for exceptions."""
    steady = isinstance(virtual.latency, Constant)
    return steady and replace(virtual, deliveries=()) == _calm(virtual, virtual.latency)


@dataclass(frozen=True, slots=True)
class FewerDeliveries:
    """See the module. It is the last move: an exception belongs to the n-th datagram of a link, so what
    changes the number of datagrams before makes it another one's."""

    record: Record

    def __call__(self, plan: Plan, first: FirstPlan) -> Plan:
        """A ``Move.smaller``."""
        if plan.virtual is None or plan.virtual.schedule is not None:
            return plan
        if not is_calm(plan.virtual):
            return self._explained(plan, plan.virtual, first)
        return _fewer(plan, plan.virtual, plan.virtual.deliveries, first)

    def _explained(self, plan: Plan, virtual: Virtual, first: FirstPlan) -> Plan:
        decided = self.record(plan)
        if decided is None:
            return plan
        delays = [one.delays_ns[0] for one in decided if len(one.delays_ns) == 1]
        usual_ns = median_low(delays) if delays else Constant().delay_ns
        calm = _calm(virtual, Constant(usual_ns))
        odd = sorted(
            (one for one in decided if one.delays_ns != (usual_ns,)), key=lambda one: _oddness(one, usual_ns)
        )
        explicit = replace(plan, virtual=replace(calm, deliveries=tuple(odd)))
        if first([explicit]) is None:
            return plan
        fewer = _fewer(explicit, calm, tuple(odd), first)
        assert fewer.virtual is not None
        return fewer if len(fewer.virtual.deliveries) <= MOST_EXCEPTIONS else plan


def _fewer(plan: Plan, virtual: Virtual, deliveries: tuple[Delivery, ...], first: FirstPlan) -> Plan:
    def of(kept: tuple[Delivery, ...]) -> Plan:
        return replace(plan, virtual=replace(virtual, deliveries=kept))

    return minimised(plan, deliveries, of, first)


def _oddness(one: Delivery, usual_ns: int) -> tuple[int, int]:
    """The oddest first: what is lost, what comes several times, then the furthest from the usual delay."""
    if len(one.delays_ns) != 1:
        return (0 if not one.delays_ns else 1, 0)
    return 2, -abs(one.delays_ns[0] - usual_ns)


def _calm(virtual: Virtual, latency: Latency) -> Virtual:
    return replace(virtual, latency=latency, loss=0, duplication=0, reordering=0, bandwidth=0, deliveries=())


def _calmer(plan: Plan) -> Iterator[Plan]:
    virtual = plan.virtual
    if virtual is None:
        return
    usual = Virtual(signer=virtual.signer)
    steady = Constant(typical_ns(virtual.latency))
    others: Iterable[Virtual] = (
        _calm(usual, Constant()),
        _calm(usual, steady),
        _calm(virtual, Constant()),
        _calm(virtual, steady),
        replace(virtual, loss=0, duplication=0, reordering=0),
        replace(virtual, loss=0),
        replace(virtual, duplication=0),
        replace(virtual, reordering=0),
        replace(virtual, bandwidth=0),
        replace(virtual, latency=steady),
        replace(virtual, turn_ns=usual.turn_ns, restart_ns=usual.restart_ns),
        replace(virtual, turn_ns=usual.turn_ns),
        replace(virtual, restart_ns=usual.restart_ns),
    )
    for other in others:
        kept = replace(other, deliveries=virtual.deliveries)
        yield replace(plan, virtual=kept)
    yield replace(plan, virtual=_tidy(virtual))


def _tidy(virtual: Virtual) -> Virtual:
    """A setting that says nothing any more has its usual value."""
    return virtual if virtual.reordering else replace(virtual, reorder_by_ns=Virtual().reorder_by_ns)


def typical_ns(latency: Latency) -> int:
    """A delay in the middle of what the model gives."""
    match latency:
        case Constant(delay_ns):
            return delay_ns
        case Uniform(low_ns, high_ns):
            return (low_ns + high_ns) // 2
        case Exponential(mean_ns, least_ns, most_ns):
            return min(least_ns + mean_ns, most_ns)
        case WideArea(one_way_ns=rows):
            return median_low([delay_ns for row in rows for delay_ns in row])
