"""Makes a cluster: keys, configurations and fresh logs, all from one integer seed.

**Test keys.** Whoever knows the seed knows every secret of the cluster. That is the point (a run can be
made again, byte for byte) and the danger: such a cluster guards nothing. The formats written here are read
by ``config``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from pathlib import Path

from . import wal
from .config import CLIENT_SCHEMA, REPLICA_SCHEMA
from .core.cluster import Cluster
from .keys import ClientRange, Directory, NodeKeys, PublicKeys, SecretKeys

KEYS_SCHEMA = "traitor/keys/1"
NOTE = "TEST KEYS: derived from a seed that anyone may know. Never guard anything real with them."


@dataclass(frozen=True, slots=True)
class ClientBlock:
    """Client ids ``first`` … ``last`` (inclusive) behind one key and one UDP address."""

    first: int
    last: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Genesis:
    """Everything about a new cluster, secrets included: keep it in the process that made it."""

    cluster: Cluster
    replicas: tuple[tuple[str, int], ...]
    """(IPv4 address, UDP port) by replica id."""
    clients: tuple[ClientBlock, ...]
    replica_secrets: tuple[SecretKeys, ...] = field(repr=False)
    client_secrets: tuple[SecretKeys, ...] = field(repr=False)
    replica_keys: tuple[PublicKeys, ...]
    client_keys: tuple[PublicKeys, ...]

    def directory(self) -> Directory:
        """Who is who."""
        ranges = [
            ClientRange(b.first, b.last, k) for b, k in zip(self.clients, self.client_keys, strict=True)
        ]
        return Directory(self.cluster.cluster_id, self.replica_keys, ranges)

    def replica_keyring(self, replica: int) -> NodeKeys:
        """What replica ``replica`` holds."""
        return NodeKeys(self.directory(), self.replica_secrets[replica])

    def client_keyring(self, block_index: int) -> NodeKeys:
        """What the clients of a block hold."""
        return NodeKeys(self.directory(), self.client_secrets[block_index])

    def replica_config(
        self,
        replica: int,
        *,
        durability: str = "fsync",
        trace: str | None = "trace.jsonl",
        journal: str | None = None,
        clock: str | None = None,
    ) -> dict[str, object]:
        """``config.json`` of a replica; file names in it are relative to its folder."""
        return {
            "schema": REPLICA_SCHEMA,
            "note": NOTE,
            "cluster": _cluster(self.cluster),
            "replica": replica,
            "secret": _secret(self.replica_secrets[replica]),
            "replicas": self._replicas(),
            "clients": self._clients(),
            "durability": durability,
            "log": "wal",
            "trace": trace,
            "journal": journal,
            **({} if clock is None else {"clock": clock}),
        }

    def client_config(self, block_index: int) -> dict[str, object]:
        """What ``config.load_client`` reads."""
        block = self.clients[block_index]
        return {
            "schema": CLIENT_SCHEMA,
            "note": NOTE,
            "cluster": _cluster(self.cluster),
            "first": block.first,
            "last": block.last,
            "host": block.host,
            "port": block.port,
            "secret": _secret(self.client_secrets[block_index]),
            "replicas": self._replicas(),
        }

    def public(self) -> dict[str, object]:
        """All that is needed to verify signatures offline, and no secret."""
        return {
            "schema": KEYS_SCHEMA,
            "note": NOTE,
            "cluster": _cluster(self.cluster),
            "replicas": self._replicas(),
            "clients": self._clients(),
        }

    def _replicas(self) -> list[dict[str, object]]:
        return [
            {"host": host, "port": port, **_public(keys)}
            for (host, port), keys in zip(self.replicas, self.replica_keys, strict=True)
        ]

    def _clients(self) -> list[dict[str, object]]:
        return [
            {"first": b.first, "last": b.last, "host": b.host, "port": b.port, **_public(keys)}
            for b, keys in zip(self.clients, self.client_keys, strict=True)
        ]


def make_genesis(
    cluster: Cluster, seed: int, replicas: Sequence[tuple[str, int]], clients: Sequence[ClientBlock]
) -> Genesis:
    """A cluster's beginning, the same for the same arguments. ``replicas``: one address per replica."""
    assert isinstance(seed, int), f"seed {seed!r}: seeds are integers"
    assert len(replicas) == cluster.n, f"{len(replicas)} addresses for {cluster.n} replicas"
    replica_secrets = tuple(_derive(cluster, seed, b"replica", i) for i in range(cluster.n))
    client_secrets = tuple(_derive(cluster, seed, b"clients", i) for i in range(len(clients)))
    return Genesis(
        cluster,
        tuple(replicas),
        tuple(clients),
        replica_secrets,
        client_secrets,
        tuple(secret.public() for secret in replica_secrets),
        tuple(secret.public() for secret in client_secrets),
    )


def write_replica(
    genesis: Genesis,
    replica: int,
    folder: Path,
    *,
    durability: str = "fsync",
    trace: str | None = "trace.jsonl",
    journal: str | None = None,
    clock: str | None = None,
) -> Path:
    """Make ``folder`` a replica that never ran: ``config.json`` (mode 0600), returned, and an empty log."""
    folder.mkdir(parents=True, exist_ok=True)
    salt = wal.salt_of(genesis.replica_secrets[replica].sign)
    wal.initialise(folder / "wal", genesis.cluster.cluster_id, replica, salt)
    path = folder / "config.json"
    config = genesis.replica_config(replica, durability=durability, trace=trace, journal=journal, clock=clock)
    write_json(path, config)
    return path


def write_json(path: Path, content: dict[str, object]) -> None:
    """A new file only its owner may read. Never overwrites one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2) + "\n")


def _derive(cluster: Cluster, seed: int, role: bytes, index: int) -> SecretKeys:
    def secret(purpose: bytes) -> bytes:
        parts = (
            b"traitor-pbft/1/test-key",
            cluster.cluster_id.hex().encode(),
            b"%d" % seed,
            role,
            b"%d" % index,
        )
        return blake2b(b"/".join((*parts, purpose)), digest_size=32).digest()

    return SecretKeys(secret(b"sign"), secret(b"exchange"))


def _cluster(cluster: Cluster) -> dict[str, object]:
    values = {f.name: getattr(cluster, f.name) for f in fields(cluster)}
    return {**values, "cluster_id": cluster.cluster_id.hex()}


def _public(keys: PublicKeys) -> dict[str, object]:
    return {"verify": keys.verify.hex(), "exchange": keys.exchange.hex()}


def _secret(secret: SecretKeys) -> dict[str, object]:
    return {"sign": secret.sign.hex(), "exchange": secret.exchange.hex()}
