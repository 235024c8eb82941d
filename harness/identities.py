"""Who has keys in a run: the replicas, the honest clients, and clients that lie if the plan has such.

The two blocks of clients have a key each. What replicas answer to either goes to the clients' host, where
nobody listens for the liars.
"""

from __future__ import annotations

from harness.plan import Plan
from harness.topology import client_address, replica_address
from nemesis.faults import KINDS
from pbft_node.core.types import FIRST_CLIENT_ID
from pbft_node.genesis import ClientBlock, Genesis, make_genesis

LAST_CLIENT_ID = FIRST_CLIENT_ID + 999_999
"""One key serves them all, so there may be plenty: every timed out operation uses one up."""
HONEST, LYING = 0, 1
"""Blocks of clients."""
_LIARS = (LAST_CLIENT_ID + 1, LAST_CLIENT_ID + 1_000)


def lying_clients(plan: Plan) -> tuple[int, int] | None:
    """The first and the last id of those clients; None when no fault of the plan needs them."""
    return _LIARS if any(KINDS[fault.kind].family == "client" for fault in plan.faults) else None


def genesis_of(plan: Plan) -> Genesis:
    """The same in every world: the same seed makes the same keys."""
    blocks = [(FIRST_CLIENT_ID, LAST_CLIENT_ID)]
    liars = lying_clients(plan)
    return make_genesis(
        plan.make_cluster(),
        plan.seed,
        [replica_address(replica) for replica in range(plan.nodes)],
        [ClientBlock(*block, *client_address()) for block in (blocks if liars is None else [*blocks, liars])],
    )
