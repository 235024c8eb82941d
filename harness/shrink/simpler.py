"""Moves towards an ordinary cluster: fewer replicas and victims, the usual parameters, within the budget."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from harness.cluster_settings import SERVICE, cluster_defaults
from harness.plan import Plan
from harness.shrink.moves import FirstPlan, chosen, minimised
from harness.shrink.parameters import names_replicas, with_params
from harness.spec import Budget
from harness.virtual.settings import CLIENTS, Delivery, Virtual
from nemesis.faults.fault import Fault, Params

_HOST = re.compile(r"r(0|[1-9][0-9]{0,3})\Z")
_COUPLED = ("checkpoint_interval", "window")
"""Only together can they be changed, sometimes: L is 2K at least."""
NewNumber = Callable[[int], int | None]
"""Replica -> its number in a smaller cluster; None: it is not there."""


def fewer_replicas(plan: Plan, first: FirstPlan) -> Plan:
    """n = 4, 7 … Replicas that faults name are numbered anew, or what is done to them is left out."""
    return chosen(plan, _fewer_replicas, first)


def fewer_victims(plan: Plan, first: FirstPlan) -> Plan:
    """Of each fault that names several replicas, links, lies or cuts, as few as will do."""
    for place in range(len(plan.faults)):
        for name in ("replicas", "liars", "links", "lies", "cuts"):
            named = plan.faults[place].params.get(name)
            if isinstance(named, list) and len(named) > 1:

                def of(
                    kept: tuple[object, ...], plan: Plan = plan, place: int = place, name: str = name
                ) -> Plan:
                    fault = plan.faults[place]
                    return with_params(plan, place, {**fault.params, name: list(kept)})

                plan = minimised(plan, named, of, first)
    return plan


def usual_cluster(plan: Plan, first: FirstPlan) -> Plan:
    """The parameters that a run has when nothing is asked for: all of them, else one after the other."""
    usual = {name: value for name, value in cluster_defaults().items() if name != SERVICE}

    def candidates(now: Plan) -> Iterator[Plan]:
        unusual = [name for name in usual if now.cluster.get(name) != usual[name]]
        yield replace(now, cluster=usual)
        yield from (_with_usual(now, usual, (name,)) for name in unusual)
        yield _with_usual(now, usual, _COUPLED)

    return chosen(plan, candidates, first)


def within_budget(plan: Plan, first: FirstPlan) -> Plan:
    """A failure that needs no more than f bad replicas at once is the graver one; then one with f liars."""
    graver: Mapping[Budget, tuple[Budget, ...]] = {
        "break": ("within", "safety"),
        "safety": ("within",),
        "within": (),
    }
    return chosen(plan, lambda now: [replace(now, budget=kept) for kept in graver[now.budget]], first)


def renumbered(params: Params, number: NewNumber) -> Params | None:
    """The parameters of a fault in a cluster with other numbers; None when nothing is left of it."""
    left: dict[str, object] = {}
    for name, value in params.items():
        renamed = _renumbered(value, number, names_replicas(name, params))
        if renamed is None and value is not None:
            return None
        left[name] = renamed
    return left


def _renumbered(value: object, number: NewNumber, is_replica: bool) -> object:
    """None: it named a replica that is gone. A list of which nothing is left is gone, a link with an end."""
    if isinstance(value, list):
        renamed = [_renumbered(one, number, is_replica) for one in value]
        is_link = len(value) == 2 and all(isinstance(one, str) for one in value)
        if is_link and None in renamed:
            return None
        return [one for one in renamed if one is not None] or (None if value else value)
    if isinstance(value, Mapping):
        return renumbered(value, number)
    if isinstance(value, str) and (match := _HOST.fullmatch(value)):
        new = number(int(match[1]))
        return None if new is None else f"r{new}"
    if is_replica and isinstance(value, int) and not isinstance(value, bool):
        return number(value)
    return value


def _fewer_replicas(plan: Plan) -> Iterator[Plan]:
    """Those that faults name most often stay, in their order; then those whose numbers stay."""
    named = _named(plan)
    most_first = sorted(named, key=lambda replica: (-named[replica], replica))
    for nodes in range(4, plan.nodes, 3):
        kept = sorted(most_first[:nodes])
        if kept and kept[-1] >= nodes:
            yield _smaller(plan, nodes, dict(zip(kept, range(nodes), strict=False)).get)
        yield _smaller(plan, nodes, {replica: replica for replica in range(nodes)}.get)


def _named(plan: Plan) -> Counter[int]:
    """Replicas that faults name, and how often."""
    seen: Counter[int] = Counter()

    def note(replica: int) -> int:
        seen[replica] += 1
        return replica

    for fault in plan.faults:
        renumbered(fault.params, note)
    return seen


def _smaller(plan: Plan, nodes: int, number: NewNumber) -> Plan:
    faults: list[Fault] = []
    for fault in plan.faults:
        params = renumbered(fault.params, number)
        if params is not None:
            faults.append(replace(fault, params=params))
    return replace(plan, nodes=nodes, faults=tuple(faults), virtual=_fewer_links(plan.virtual, number))


def _fewer_links(virtual: Virtual | None, number: NewNumber) -> Virtual | None:
    """The plan's own word on single datagrams, of links that are still there."""
    if virtual is None or not virtual.deliveries:
        return virtual
    left: list[Delivery] = []
    for one in virtual.deliveries:
        source, target = (end if end == CLIENTS else number(end) for end in (one.source, one.target))
        if source is not None and target is not None:
            left.append(replace(one, source=source, target=target))
    return replace(virtual, deliveries=tuple(left))


def _with_usual(plan: Plan, usual: Mapping[str, int | str], names: tuple[str, ...]) -> Plan:
    return replace(plan, cluster={**plan.cluster, **{name: usual[name] for name in names}})
