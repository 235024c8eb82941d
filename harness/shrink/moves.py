"""Moves that leave something out of a plan: faults, clients, operations, keys, final reads.

A move is given a plan that fails and somebody to ask: which of these plans, in this order, is the first that
fails the same way? It hands back the smallest it found, which fails, or the plan itself. What it proposes
need not be a valid plan: whoever is asked passes over those that are none. Moves are pure but for the asking,
and go by the plan alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.plan import Plan, PlannedClient
from harness.shrink.ddmin import First, coarse_to_fine, ddmin
from nemesis.faults.fault import Fault
from workloads.operation import Operation

MOST_REPEATS = 64
"""Of one move that goes on choosing, so that it ends whatever it proposes."""
FirstPlan = Callable[[Iterable[Plan]], int | None]
"""Index of the first plan that fails the same way; None when none does."""
Item = TypeVar("Item")
Minimise = Callable[[Sequence[Item], First[Item]], tuple[Item, ...]]


@dataclass(frozen=True, slots=True)
class Move:
    """One kind of step."""

    name: str
    """For people, as in ``shrink.json``."""
    smaller: Callable[[Plan, FirstPlan], Plan]


def minimised(
    plan: Plan,
    items: Sequence[Item],
    of: Callable[[tuple[Item, ...]], Plan],
    first: FirstPlan,
    minimise: Minimise[Item] = coarse_to_fine,
) -> Plan:
    """The plan of as few of the items as still fail; ``of`` makes it from those that are kept."""
    kept = minimise(items, lambda lists: first(of(tuple(one)) for one in lists))
    return plan if len(kept) == len(items) else of(kept)


def chosen(plan: Plan, candidates: Callable[[Plan], Iterable[Plan]], first: FirstPlan) -> Plan:
    """Take the first candidate that fails, and choose again from there, until none does."""
    for _ in range(MOST_REPEATS):
        asked: list[Plan] = []

        def others(now: Plan = plan, asked: list[Plan] = asked) -> Iterator[Plan]:
            for candidate in candidates(now):
                if candidate != now:
                    asked.append(candidate)
                    yield candidate

        found = first(others())
        if found is None:
            break
        plan = asked[found]
    return plan


def fewer_faults(plan: Plan, first: FirstPlan) -> Plan:
    """``ddmin`` over the faults."""

    def of(kept: tuple[Fault, ...]) -> Plan:
        return replace(plan, faults=kept)

    return minimised(plan, plan.faults, of, first, ddmin)


def fewer_keys(plan: Plan, first: FirstPlan) -> Plan:
    """Leave out all that is done to a key; then let two keys be one."""
    counts: dict[str, int] = {}
    for client in plan.clients:
        for planned in client.operations:
            counts[planned.operation.key] = counts.get(planned.operation.key, 0) + 1
    busiest_first = sorted(counts, key=lambda key: (-counts[key], len(key), key))

    def of(kept: tuple[str, ...]) -> Plan:
        return keep_operations(plan, lambda _client, _index, operation: operation.key in kept)

    return chosen(minimised(plan, busiest_first, of, first), _keys_joined, first)


def fewer_clients(plan: Plan, first: FirstPlan) -> Plan:
    """Leave out clients; then let two be one, which does what both did, in the order of time."""

    def of(kept: tuple[PlannedClient, ...]) -> Plan:
        return with_clients(plan, kept)

    return chosen(minimised(plan, plan.clients, of, first), _clients_joined, first)


def fewer_operations(plan: Plan, first: FirstPlan) -> Plan:
    """Leave out operations, the last ones first."""
    places = sorted(
        (planned.at_ns, client, index)
        for client, one in enumerate(plan.clients)
        for index, planned in enumerate(one.operations)
    )

    def of(kept: tuple[tuple[int, int, int], ...]) -> Plan:
        these = {(client, index) for _, client, index in kept}
        return keep_operations(plan, lambda client, index, _operation: (client, index) in these)

    return minimised(plan, places, of, first)


def fewer_final_reads(plan: Plan, first: FirstPlan) -> Plan:
    """Leave out final reads."""

    def of(kept: tuple[Operation, ...]) -> Plan:
        return replace(plan, final_reads=kept)

    return minimised(plan, plan.final_reads, of, first)


def keep_operations(plan: Plan, keep: Callable[[int, int, Operation], bool]) -> Plan:
    """Those of which ``keep(client, index, operation)``; clients stay, final reads of keys untouched go."""
    return with_clients(
        plan,
        tuple(
            replace(
                client,
                operations=tuple(
                    planned
                    for index, planned in enumerate(client.operations)
                    if keep(number, index, planned.operation)
                ),
            )
            for number, client in enumerate(plan.clients)
        ),
    )


def with_clients(plan: Plan, clients: tuple[PlannedClient, ...]) -> Plan:
    """These clients (one that does nothing, if there are none), and the final reads of what they touch."""
    touched = {planned.operation.key for client in clients for planned in client.operations}
    reads = tuple(read for read in plan.final_reads if read.key in touched)
    return replace(plan, clients=clients or (PlannedClient(True, ()),), final_reads=reads)


def _keys_joined(plan: Plan) -> Iterator[Plan]:
    """All of them one; then each by itself goes into the first."""
    keys = [read.key for read in plan.final_reads]
    keys += sorted({p.operation.key for c in plan.clients for p in c.operations} - set(keys))
    if len(keys) < 2:
        return
    into, rest = keys[0], keys[1:]
    yield _renamed(plan, set(rest), into)
    if len(rest) > 1:
        for key in reversed(rest):
            yield _renamed(plan, {key}, into)


def _renamed(plan: Plan, keys: set[str], into: str) -> Plan:
    def moved(operation: Operation) -> Operation:
        return replace(operation, key=into) if operation.key in keys else operation

    clients = tuple(
        replace(client, operations=tuple(replace(p, operation=moved(p.operation)) for p in client.operations))
        for client in plan.clients
    )
    reads = {read.key: read for read in map(moved, plan.final_reads)}
    return replace(plan, clients=clients, final_reads=tuple(reads.values()))


def _clients_joined(plan: Plan) -> Iterator[Plan]:
    """All of them one; then each by itself goes into the first of its kind."""
    clients = plan.clients
    if len(clients) < 2:
        return
    alike = [client for client in clients if client.retry == clients[0].retry]
    if len(alike) == len(clients):
        yield replace(plan, clients=(_one(clients),))
    if len(clients) > 2 or len(alike) < len(clients):
        for last in range(len(clients) - 1, 0, -1):
            for into in range(last):
                if clients[into].retry == clients[last].retry:
                    both = _one((clients[into], clients[last]))
                    left = [*clients[:into], both, *clients[into + 1 : last], *clients[last + 1 :]]
                    yield replace(plan, clients=tuple(left))
                    break


def _one(clients: Sequence[PlannedClient]) -> PlannedClient:
    operations = [planned for client in clients for planned in client.operations]
    return replace(clients[0], operations=tuple(sorted(operations, key=lambda planned: planned.at_ns)))
