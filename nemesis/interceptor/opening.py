"""What the interceptor is told when it begins: hosts, traces, the cluster, and the compromised keys.

The first line over its socket. Public keys of all, and the secrets of the compromised principals: others are
not in the message, so nothing in that process can sign for anybody else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nemesis.lies.client_signer import ClientSigner
from nemesis.lies.signer import Signer
from nemesis.packets.scene import Scene
from pbft_node.core.cluster import Cluster
from pbft_node.genesis import Genesis
from pbft_node.keys import ClientRange, Directory, NodeKeys, PublicKeys, SecretKeys

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Opening:
    """As the interceptor reads it."""

    scene: Scene
    hosts: Mapping[str, tuple[str, int]]
    """Name -> IPv4 address and UDP port."""
    traces: Sequence[Path]
    """Of each replica."""
    queues: tuple[int, int]
    """Numbers of the queue of heads and of that of whole packets."""
    capture: Path | None
    """Where what was done is written down (``packets.pcapng``)."""
    imports: Sequence[str]
    """Modules of ``nemesis`` that the rules of the plan will need."""


def opening_data(
    genesis: Genesis,
    seed: int,
    compromised: Sequence[int],
    hosts: Mapping[str, tuple[str, int]],
    traces: Sequence[Path],
    queues: tuple[int, int],
    capture: Path | None,
    imports: Sequence[str] = (),
    lying: int | None = None,
) -> Json:
    """The message. ``lying``: the block of clients that lie, if there is one."""
    secrets = {replica: genesis.replica_secrets[replica] for replica in compromised}
    return {
        "seed": seed,
        "public": genesis.public(),
        "secrets": {str(replica): _hex(secret) for replica, secret in secrets.items()},
        "clients": None if lying is None else _lying(genesis, lying),
        "hosts": {name: list(address) for name, address in hosts.items()},
        "traces": [str(path) for path in traces],
        "queues": list(queues),
        "capture": None if capture is None else str(capture),
        "imports": list(imports),
    }


def read_opening(data: Json) -> Opening:
    """From the message. It comes from our own harness: KeyError, TypeError or ValueError show a bug."""
    public = _mapping(data["public"])
    fields = dict(_mapping(public["cluster"]))
    fields["cluster_id"] = bytes.fromhex(str(fields["cluster_id"]))
    cluster = Cluster(**fields)  # type: ignore[arg-type]
    directory = Directory(
        cluster.cluster_id,
        [_public(_mapping(one)) for one in _list(public["replicas"])],
        [
            ClientRange(_int(block["first"]), _int(block["last"]), _public(block))
            for block in map(_mapping, _list(public["clients"]))
        ],
    )
    signers = {
        int(name): Signer.of(cluster, int(name), NodeKeys(directory, _secret(_mapping(secret))))
        for name, secret in _mapping(data["secrets"]).items()
    }
    clients = None
    if data["clients"] is not None:
        block = _mapping(data["clients"])
        keys = NodeKeys(directory, _secret(block))
        clients = ClientSigner(cluster, _int(block["first"]), _int(block["last"]), keys)
    heads, whole = _list(data["queues"])
    return Opening(
        Scene(_int(data["seed"]), cluster, signers, clients),
        {name: _address(address) for name, address in _mapping(data["hosts"]).items()},
        [Path(str(path)) for path in _list(data["traces"])],
        (_int(heads), _int(whole)),
        None if data["capture"] is None else Path(str(data["capture"])),
        [str(name) for name in _list(data["imports"])],
    )


def _hex(secret: SecretKeys) -> Json:
    return {"sign": secret.sign.hex(), "exchange": secret.exchange.hex()}


def _lying(genesis: Genesis, block: int) -> Json:
    first, last = genesis.clients[block].first, genesis.clients[block].last
    return {"first": first, "last": last, **_hex(genesis.client_secrets[block])}


def _mapping(value: object) -> Json:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.80} is no object")
    return value


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.80} is no list")
    return value


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r:.80} is no whole number")
    return value


def _address(value: object) -> tuple[str, int]:
    host, port = _list(value)
    return str(host), _int(port)


def _public(entry: Json) -> PublicKeys:
    return PublicKeys(bytes.fromhex(str(entry["verify"])), bytes.fromhex(str(entry["exchange"])))


def _secret(entry: Json) -> SecretKeys:
    return SecretKeys(bytes.fromhex(str(entry["sign"])), bytes.fromhex(str(entry["exchange"])))
