"""Reads the configuration of a replica or a block of clients, strictly.

An unknown key, a missing one or a value of the wrong kind is a ``ConfigError`` that names the file, the
key, the value and what to do; secret values are never shown. ``genesis`` writes these files, a person may
too.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .core.cluster import Cluster
from .core.types import ReplicaId
from .errors import ConfigError
from .journal_file import LIMIT_BYTES, MIN_LIMIT_BYTES
from .keys import KEY_BYTES, ClientRange, Directory, NodeKeys, PublicKeys, SecretKeys
from .wal import salt_of

REPLICA_SCHEMA = "traitor/replica-config/1"
CLIENT_SCHEMA = "traitor/client-config/1"
DURABILITIES = ("none", "write", "fsync")
LOST_LOG_CHOICES = ("stop", "silent")
TRACE_LEVELS = ("normal", "debug")
"""``debug``: also the events that ``core/trace_events`` lists at that level."""
MAX_CONFIG_BYTES = 16 * 1024 * 1024

Address = tuple[str, int]
"""IPv4 address, UDP port."""


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """Where replies to clients ``first`` … ``last`` go."""

    first: int
    last: int
    address: Address


@dataclass(frozen=True, slots=True)
class ReplicaConfig:
    """What one replica process needs to run."""

    path: Path
    cluster: Cluster
    replica: ReplicaId
    keyring: NodeKeys
    replica_addresses: tuple[Address, ...]
    client_addresses: tuple[ClientAddress, ...]
    durability: str
    lost_log: str
    """``stop`` when the log is lost, or come back ``silent``."""
    log: Path
    log_salt: int = dataclasses.field(repr=False)
    trace: Path | None
    trace_level: str
    metrics: Path | None
    journal: Path | None
    journal_bytes: int
    """It grows no further."""
    clock: Path | None = None
    """Who writes this file moves the clock of this replica (``clock``)."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """What a process needs to be the clients ``first`` … ``last``."""

    cluster: Cluster
    first: int
    last: int
    address: Address
    """Where replies arrive."""
    replica_addresses: tuple[Address, ...]
    keyring: NodeKeys


def load_replica(path: Path) -> ReplicaConfig:
    """The configuration in a file. Paths in it are relative to its folder. Raises ConfigError."""
    table = _Table(str(path), "", read_json(path))
    table.schema(REPLICA_SCHEMA)
    cluster = _cluster(table.table("cluster"))
    replica = table.integer("replica", 0, cluster.n - 1)
    secret = _secret(table.table("secret"))
    addresses, replica_keys = _replicas(table, cluster)
    client_addresses, ranges = _clients(table)
    durability = table.text("durability", "fsync")
    if durability not in DURABILITIES:
        raise table.error("durability", durability, f"choose one of {', '.join(DURABILITIES)}")
    lost_log = table.text("lost_log", "stop")
    if lost_log not in LOST_LOG_CHOICES:
        raise table.error("lost_log", lost_log, f"choose one of {', '.join(LOST_LOG_CHOICES)}")
    log = table.text("log", "wal")
    trace = table.optional_text("trace", "trace.jsonl")
    trace_level = table.text("trace_level", "normal")
    if trace_level not in TRACE_LEVELS:
        raise table.error("trace_level", trace_level, f"choose one of {', '.join(TRACE_LEVELS)}")
    metrics = table.optional_text("metrics", "metrics.sock")
    journal = table.optional_text("journal", None)
    journal_bytes = table.integer("journal_bytes", MIN_LIMIT_BYTES, 2**50, LIMIT_BYTES)
    clock = table.optional_text("clock", None)
    table.end()
    directory = _directory(table, cluster, replica_keys, ranges)
    keyring = _keyring(table, directory, secret, replica_keys[replica], f"replicas[{replica}]")
    folder = path.parent
    return ReplicaConfig(
        path,
        cluster,
        ReplicaId(replica),
        keyring,
        addresses,
        client_addresses,
        durability,
        lost_log,
        folder / log,
        salt_of(secret.sign),
        None if trace is None else folder / trace,
        trace_level,
        None if metrics is None else folder / metrics,
        None if journal is None else folder / journal,
        journal_bytes,
        None if clock is None else folder / clock,
    )


def load_client(config: Mapping[str, object], source: str = "client configuration") -> ClientConfig:
    """A block's configuration; ``source`` names it in errors. Raises ConfigError."""
    table = _Table(source, "", config)
    table.schema(CLIENT_SCHEMA)
    cluster = _cluster(table.table("cluster"))
    first, last = table.integer("first", 0, 2**32 - 1), table.integer("last", 0, 2**32 - 1)
    secret = _secret(table.table("secret"))
    address = _address(table)
    addresses, replica_keys = _replicas(table, cluster)
    table.end()
    own = secret.public()
    directory = _directory(table, cluster, replica_keys, [ClientRange(first, last, own)])
    keyring = _keyring(table, directory, secret, own, "the block")
    return ClientConfig(cluster, first, last, address, addresses, keyring)


def read_json(path: Path) -> Mapping[str, object]:
    """One JSON object in a file, no key twice. Raises ConfigError."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{path}: is no regular file: give the path of a config file")
            data = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot read it: {error.strerror}. Give the path of a config file"
        ) from None
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_CONFIG_BYTES} bytes: this is no configuration")
    try:
        content = json.loads(data, object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}. Correct it there, or generate it anew") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds a {type(content).__name__}: it must be one JSON object")
    return content


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(n for n in names if names.count(n) > 1)!r} appears twice")
    return table


class _Table:
    """One JSON object, taken apart key by key; ``end`` complains about what nobody took."""

    def __init__(self, source: str, prefix: str, values: Mapping[str, object]) -> None:
        self._source = source
        self._prefix = prefix
        self._left = dict(values)
        self._known: list[str] = []

    def error(self, key: str, value: object, advice: str) -> ConfigError:
        name = self._prefix + key
        shown = "(not shown)" if name.startswith("secret") else repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return ConfigError(f"{self._source}: {name} = {shown}: {advice}")

    def wrong(self, advice: str) -> ConfigError:
        return ConfigError(
            f"{self._source}: {self._prefix.rstrip('.')}{': ' if self._prefix else ''}{advice}"
        )

    def take(self, key: str, default: object = None, *, required: bool = True) -> object:
        self._known.append(key)
        if key not in self._left:
            if required:
                raise self.wrong(f"key {key!r} is missing: add it")
            return default
        return self._left.pop(key)

    def schema(self, expected: str) -> None:
        value = self.take("schema")
        if value != expected:
            raise self.error("schema", value, f"this program reads {expected!r}; generate the file anew")
        self.take("note", required=False)

    def integer(self, key: str, low: int, high: int, default: object = None) -> int:
        value = self.take(key, default, required=default is None)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(key, value, f"give an integer from {low} to {high}")
        return value

    def boolean(self, key: str, default: bool) -> bool:
        value = self.take(key, default, required=False)
        if not isinstance(value, bool):
            raise self.error(key, value, "give true or false")
        return value

    def text(self, key: str, default: object = None) -> str:
        value = self.take(key, default, required=default is None)
        if not isinstance(value, str) or not value or not value.isprintable():
            raise self.error(key, value, "give a string of printable characters that is not empty")
        return value

    def optional_text(self, key: str, default: str | None) -> str | None:
        if self._left.get(key, default) is None:
            return self.take(key, required=False)  # type: ignore[return-value]
        return self.text(key, default)

    def key(self, name: str, length: int) -> bytes:
        value = self.take(name)
        try:
            raw = bytes.fromhex(value) if isinstance(value, str) and len(value) == 2 * length else b""
        except ValueError:
            raw = b""
        if len(raw) != length:
            raise self.error(name, value, f"give {length} bytes as {2 * length} hexadecimal digits")
        return raw

    def table(self, key: str) -> _Table:
        value = self.take(key)
        if not isinstance(value, dict):
            raise self.error(key, value, "give a JSON object")
        return _Table(self._source, f"{self._prefix}{key}.", value)

    def tables(self, key: str) -> list[_Table]:
        value = self.take(key)
        if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
            raise self.error(key, value, "give a list of JSON objects")
        return [_Table(self._source, f"{self._prefix}{key}[{i}].", e) for i, e in enumerate(value)]

    def end(self) -> None:
        for key in self._left:
            raise self.wrong(f"unknown key {key!r}: known are {', '.join(self._known)}; correct or remove it")


def _cluster(table: _Table) -> Cluster:
    values: dict[str, object] = {}
    for field in dataclasses.fields(Cluster):
        default = None if field.default is dataclasses.MISSING else field.default
        if field.type == "bytes":
            values[field.name] = table.key(field.name, 16)
        elif field.type == "int":
            values[field.name] = table.integer(field.name, 0, 2**62, default)
        elif field.type == "bool":
            values[field.name] = table.boolean(field.name, default is True)
        else:
            values[field.name] = table.text(field.name, default)
    table.end()
    try:
        return Cluster(**values)  # type: ignore[arg-type]
    except ValueError as problem:
        raise table.wrong(f"{problem}. Correct it there, in every member's file alike") from None


def _secret(table: _Table) -> SecretKeys:
    secret = SecretKeys(table.key("sign", KEY_BYTES), table.key("exchange", KEY_BYTES))
    table.end()
    return secret


def _address(table: _Table) -> Address:
    host = table.text("host")
    try:
        socket.inet_pton(socket.AF_INET, host)
    except OSError:
        raise table.error(
            "host", host, "give an IPv4 address such as 127.0.0.1 (names are not looked up)"
        ) from None
    return host, table.integer("port", 1, 65535)


def _public(table: _Table) -> PublicKeys:
    return PublicKeys(table.key("verify", KEY_BYTES), table.key("exchange", KEY_BYTES))


def _replicas(table: _Table, cluster: Cluster) -> tuple[tuple[Address, ...], list[PublicKeys]]:
    addresses, keys = [], []
    for entry in table.tables("replicas"):
        addresses.append(_address(entry))
        keys.append(_public(entry))
        entry.end()
    if len(addresses) != cluster.n:
        raise table.wrong(
            f"'replicas' has {len(addresses)} entries but cluster.n = {cluster.n}: list each replica once"
        )
    if len(set(addresses)) != len(addresses):
        raise table.wrong("'replicas': two replicas have one address: give each its own host or port")
    return tuple(addresses), keys


def _clients(table: _Table) -> tuple[tuple[ClientAddress, ...], list[ClientRange]]:
    addresses, ranges = [], []
    for entry in table.tables("clients"):
        first, last = entry.integer("first", 0, 2**32 - 1), entry.integer("last", 0, 2**32 - 1)
        addresses.append(ClientAddress(first, last, _address(entry)))
        ranges.append(ClientRange(first, last, _public(entry)))
        entry.end()
    return tuple(addresses), ranges


def _directory(
    table: _Table, cluster: Cluster, replicas: list[PublicKeys], clients: list[ClientRange]
) -> Directory:
    try:
        return Directory(cluster.cluster_id, replicas, clients)
    except ValueError as problem:
        raise table.wrong(f"{problem}. Correct it there, or generate the files anew") from None


def _keyring(
    table: _Table, directory: Directory, secret: SecretKeys, public: PublicKeys, name: str
) -> NodeKeys:
    keyring = NodeKeys(directory, secret)
    if keyring.public != public:
        raise table.wrong(f"'secret' does not belong to the public keys of {name}: generate the files anew")
    for replica in range(len(directory.replicas)):
        if not keyring.mac(replica, b""):
            raise table.wrong(
                f"replicas[{replica}].exchange is no usable X25519 key: generate the files anew"
            )
    return keyring
