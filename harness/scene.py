"""The scene of a run's packet faults: the keys of the replicas that the plan compromises, and no others; and
where its hosts are, for the capture of what was done.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.identities import LYING, lying_clients
from harness.plan import Plan, charges_of
from harness.topology import CLIENTS, client_address, replica_address
from nemesis.faults import KINDS
from nemesis.faults.clock import Clock
from nemesis.faults.tampering import TampersWithPackets
from nemesis.faults.twins import Twins
from nemesis.ledger import byzantine
from nemesis.lies.client_signer import ClientSigner
from nemesis.lies.signer import Signer
from nemesis.packets.capture import Places
from nemesis.packets.packet import host
from nemesis.packets.registry import imports_of
from nemesis.packets.scene import Scene
from pbft_node.core.authentication import Keyring
from pbft_node.genesis import Genesis
from pbft_node.keys import SecretKeys


def intercepts(plan: Plan) -> bool:
    """Does any fault of it tamper with packets?"""
    kinds = ((fault, KINDS[fault.kind]) for fault in plan.faults)
    return any(
        isinstance(kind, TampersWithPackets) or (isinstance(kind, Twins) and kind.tampers(fault.params))
        for fault, kind in kinds
    )


def moves_clocks(plan: Plan) -> bool:
    """Does any fault of it move a replica's clock?"""
    return any(fault.kind == Clock.name for fault in plan.faults)


def doubled(plan: Plan) -> frozenset[int]:
    """Who gets a twin in the course of it."""
    kinds = ((fault, KINDS[fault.kind]) for fault in plan.faults)
    found = [kind.doubled(fault.params) for fault, kind in kinds if isinstance(kind, Twins)]
    return frozenset().union(*found)


def compromised(plan: Plan) -> frozenset[int]:
    """Who lies in the course of it."""
    return byzantine(charges_of(plan))


def imports(plan: Plan) -> list[str]:
    """Modules that its rules import only when they act."""
    kinds = ((fault, KINDS[fault.kind]) for fault in plan.faults)
    rules = [
        rule
        for fault, kind in kinds
        if isinstance(kind, TampersWithPackets)
        for rule in kind.rules(fault.params, plan.nodes, plan.f)
    ]
    return sorted(imports_of(rules))


def make_scene(plan: Plan, genesis: Genesis, keys_of: Callable[[SecretKeys], Keyring]) -> Scene:
    """``keys_of`` is given the secrets of the compromised replicas, and of the clients that lie, only."""
    cluster = genesis.cluster
    signers = {
        replica: Signer.of(cluster, replica, keys_of(genesis.replica_secrets[replica]))
        for replica in sorted(compromised(plan))
    }
    liars = lying_clients(plan)
    clients = None if liars is None else ClientSigner(cluster, *liars, keys_of(genesis.client_secrets[LYING]))
    return Scene(plan.seed, cluster, signers, clients)


def places(n: int) -> Places:
    """The addresses of the hosts of a run; in virtual worlds those that they would have in a live one."""
    return {**{host(replica): replica_address(replica) for replica in range(n)}, CLIENTS: client_address()}
