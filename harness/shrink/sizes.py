"""How large a plan is, and whether it is one."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from harness.errors import UsageError
from harness.plan import Plan
from harness.plan_file import parse_plan, plan_text
from harness.request import SECOND_NS, counted


@dataclass(frozen=True, slots=True)
class Size:
    """What shrinking makes small, in the order in which people look at it."""

    faults: int
    operations: int
    """That clients are to do."""
    clients: int
    keys: int
    final_reads: int
    replicas: int
    duration_ns: int
    deliveries: int
    """Datagrams whose fate the plan itself decides."""

    def data(self) -> dict[str, int]:
        """As in ``shrink.json``."""
        return asdict(self)

    def text(self) -> str:
        """One line."""
        parts = (
            counted(self.faults, "fault"),
            counted(self.operations, "operation"),
            counted(self.clients, "client"),
            counted(self.keys, "key"),
            counted(self.replicas, "replica"),
        )
        return f"{', '.join(parts)}, {self.duration_ns / SECOND_NS:g} s"


def size_of(plan: Plan) -> Size:
    """Of a plan."""
    operations = [planned.operation for client in plan.clients for planned in client.operations]
    return Size(
        faults=len(plan.faults),
        operations=len(operations),
        clients=len(plan.clients),
        keys=len({operation.key for operation in (*operations, *plan.final_reads)}),
        final_reads=len(plan.final_reads),
        replicas=plan.nodes,
        duration_ns=plan.duration_ns,
        deliveries=len(plan.virtual.deliveries) if plan.virtual else 0,
    )


def is_plan(plan: Plan, text: str | None = None) -> bool:
    """Would it be read back from its file as it is?"""
    try:
        return parse_plan(text or plan_text(plan), "a smaller plan") == plan
    except UsageError:
        return False
