"""The plan: every random choice of a run, resolved and written down. ``make_plan(spec, seed)`` is pure.

One stream of chance per purpose, derived by hashing (seed, purpose): adding a fault does not reshuffle the
workload, adding a client leaves the other clients' choices alone. The same spec and seed give the same
bytes of ``plan.json`` on any machine: no clock, no hash order, no floating point in what is written.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.cluster_settings import SERVICE, make_cluster
from harness.errors import UsageError
from harness.request import SECOND_NS
from harness.spec import VIRTUAL_WORLDS, Budget, Spec
from harness.virtual.settings import ED25519, Virtual
from nemesis.faults import KINDS
from nemesis.faults.fault import Fault
from nemesis.ledger import Charge, byzantine, charge, worst
from nemesis.schedule import NoRoom, Room, Streams, Wanted, schedule
from pbft_node.core.cluster import Cluster
from workloads.operation import Operation, Slot
from workloads.parameters import Setting, Settings
from workloads.registry import WORKLOADS

PLAN_SCHEMA = "traitor/plan/1"


@dataclass(frozen=True, slots=True)
class PlannedOperation:
    """Not invoked before ``at_ns`` of the load phase."""

    at_ns: int
    operation: Operation


@dataclass(frozen=True, slots=True)
class PlannedClient:
    """One logical client."""

    retry: bool
    """Whether it retransmits."""
    operations: tuple[PlannedOperation, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a world needs to know to run."""

    name: str
    seed: int
    world: str
    duration_ns: int
    """Of the load phase."""
    budget: Budget
    nodes: int
    service: str
    """The workload's own, or a class of the user's in its place."""
    cluster: Mapping[str, int | str]
    """Every other parameter of it."""
    workload: str
    model: str
    workload_settings: Mapping[str, Setting]
    operation_timeout_ns: int
    clients: tuple[PlannedClient, ...]
    faults: tuple[Fault, ...]
    final_reads: tuple[Operation, ...]
    virtual: Virtual | None = None
    """Network and time of a virtual world; None: the world is live."""

    @property
    def f(self) -> int:
        """Faulty replicas the cluster tolerates."""
        return (self.nodes - 1) // 3

    def make_cluster(self) -> Cluster:
        """What every member agrees on."""
        return make_cluster(self.nodes, self.service, self.cluster, self.seed)


def streams_of(seed: int) -> Streams:
    """One independent stream per purpose."""

    def stream(purpose: str) -> random.Random:
        digest = hashlib.sha256(f"traitor/{seed}/{purpose}".encode()).digest()
        return random.Random(int.from_bytes(digest, "big"))

    return stream


def make_plan(spec: Spec, seed: int) -> Plan:
    """The plan of that request. Raises UsageError when it cannot be made within its budget or its time."""
    streams = streams_of(seed)
    workload = WORKLOADS[spec.workload]
    slots = _slots(spec, streams)
    operations = workload.generate(
        Settings(spec.workload_settings),
        slots,
        {client: streams(f"operations of client {client}") for client in range(spec.clients)},
        streams("races"),
    )
    planned: list[list[PlannedOperation]] = [[] for _ in range(spec.clients)]
    for slot, operation in zip(slots, operations, strict=True):
        planned[slot.client].append(PlannedOperation(slot.at_ns, operation))
    retrying = round(float(spec.workload_settings["retry"]) * spec.clients)
    keys = sorted({operation.key for operation in operations}, key=lambda key: (len(key), key))
    plan = Plan(
        name=spec.name,
        seed=seed,
        world=spec.world,
        duration_ns=spec.duration_ns,
        budget=spec.budget,
        nodes=spec.nodes,
        service=str(spec.cluster[SERVICE]) or workload.service,
        cluster={name: value for name, value in spec.cluster.items() if name != SERVICE},
        workload=workload.name,
        model=workload.model,
        workload_settings=spec.workload_settings,
        operation_timeout_ns=spec.operation_timeout_ns,
        clients=tuple(
            PlannedClient(client < retrying, tuple(planned[client])) for client in range(spec.clients)
        ),
        faults=tuple(_faults(spec, streams)),
        final_reads=tuple(workload.final_read(key) for key in keys),
        virtual=spec.virtual,
    )
    certify(plan)
    return plan


def in_world(plan: Plan, world: str) -> Plan:
    """The same plan in another world. What it says of a virtual network is kept, or has its defaults. Real
    replicas sign as they do, and cannot be handed the single events of a schedule."""
    virtual = plan.virtual or Virtual() if world in VIRTUAL_WORLDS else None
    if virtual is not None and world != "sim":
        virtual = replace(virtual, signer=ED25519, schedule=None)
    return replace(plan, world=world, virtual=virtual)


def certify(plan: Plan) -> None:
    """The faults stay within the budgets of safety and liveness, as far as the plan does not break them on
    purpose. Raises UsageError."""
    if plan.budget == "break":
        return
    f = plan.f
    charges = charges_of(plan)
    liars = byzantine(charges)
    if len(liars) > f:
        raise UsageError(
            f"replicas {', '.join(map(str, sorted(liars)))} lie in the course of the run, but "
            f"n = {plan.nodes} tolerates f = {f} that ever do",
            "Let the same f replicas tell all lies, or say that it is meant: --budget break "
            "('budget: break').",
        )
    if plan.budget == "safety":
        return
    most = worst(charges, plan.nodes)
    if most.bad > f:
        raise _over_budget(
            plan.nodes, f, most.bad, most.faults, f"{most.at_ns / SECOND_NS:g} s into the load"
        )


def charges_of(plan: Plan) -> list[Charge]:
    """What each of its faults costs."""
    return [
        charge(fault, KINDS[fault.kind].victims(fault.params, plan.nodes, plan.f)) for fault in plan.faults
    ]


def _slots(spec: Spec, streams: Streams) -> list[Slot]:
    """When each client would like to begin each operation: its share of the rate, with some jitter."""
    interval_ns = round(SECOND_NS * spec.clients / spec.rate)
    slots = []
    for client in range(spec.clients):
        stream = streams(f"arrivals of client {client}")
        moment = stream.randrange(interval_ns)
        while moment < spec.duration_ns:
            slots.append(Slot(client, moment))
            moment += stream.randrange(interval_ns // 2, interval_ns + interval_ns // 2 + 1)
    return sorted(slots, key=lambda slot: (slot.at_ns, slot.client))


def _faults(spec: Spec, streams: Streams) -> Sequence[Fault]:
    cluster = make_cluster(spec.nodes, "kv", spec.cluster, seed=0)
    wanted = [Wanted(fault.kind, fault.params, fault.start_ns, fault.stop_ns) for fault in spec.faults]
    for fault in wanted:
        if fault.params is not None and spec.budget == "within":
            bad = KINDS[fault.kind].victims(fault.params, spec.nodes, cluster.f).count
            if bad > cluster.f:
                raise _over_budget(spec.nodes, cluster.f, bad, (fault.kind,), "while it lasts")
    room = Room(spec.nodes, cluster.f, spec.duration_ns, cluster.request_timeout_ns, spec.budget)
    try:
        return schedule(wanted, KINDS, room, streams)
    except NoRoom as error:
        raise UsageError(f"{error}", "Raise --time ('time'), or ask for fewer faults.") from None


def _over_budget(n: int, f: int, bad: int, faults: Sequence[str], when: str) -> UsageError:
    return UsageError(
        f"{', '.join(faults)}: up to {bad} replicas bad at once ({when}), but n = {n} tolerates f = {f}",
        "Make fewer replicas bad at a time, or say that it is meant: --budget safety (more may be down or "
        "cut off than liveness survives, but no more lie) or --budget break.",
    )
