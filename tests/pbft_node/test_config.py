"""Configurations: every rule has a file that breaks it, and the message says which, where and what to do."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbft_node.config import load_client, load_replica
from pbft_node.core.cluster import Cluster
from pbft_node.errors import ConfigError
from pbft_node.genesis import ClientBlock, make_genesis

GENESIS = make_genesis(
    Cluster(cluster_id=b"c" * 16, n=4),
    7,
    [("127.0.0.1", 7000 + i) for i in range(4)],
    [ClientBlock(1000, 1099, "127.0.0.1", 7100), ClientBlock(1100, 1199, "127.0.0.1", 7101)],
)
OTHER = make_genesis(GENESIS.cluster, 8, GENESIS.replicas, GENESIS.clients)

Spoil = Callable[[dict[str, Any]], object]


def put(*path: str | int, value: object) -> Spoil:
    def spoil(config: Any) -> None:
        for step in path[:-1]:
            config = config[step]
        config[path[-1]] = value

    return spoil


def drop(*path: str | int) -> Spoil:
    def spoil(config: Any) -> None:
        for step in path[:-1]:
            config = config[step]
        del config[path[-1]]

    return spoil


REPLICA_CASES: list[tuple[Spoil, str]] = [
    (put("durabilty", value="none"), "unknown key 'durabilty': known are schema"),
    (put("cluster", "nodes", value=4), "cluster: unknown key 'nodes'"),
    (put("replicas", 2, "weight", value=1), r"replicas\[2\]: unknown key 'weight'"),
    (put("secret", "seed", value="ab"), "secret: unknown key 'seed'"),
    (put("clients", 0, "name", value=""), r"clients\[0\]: unknown key 'name'"),
    (
        put("schema", value="traitor/replica-config/2"),
        "schema = 'traitor/replica-config/2': this program reads",
    ),
    (drop("schema"), "key 'schema' is missing"),
    (drop("replica"), "key 'replica' is missing"),
    (drop("cluster", "n"), "cluster: key 'n' is missing"),
    (drop("replicas", 0, "port"), r"replicas\[0\]: key 'port' is missing"),
    (put("replica", value=4), "replica = 4: give an integer from 0 to 3"),
    (put("replica", value=-1), "replica = -1"),
    (put("replica", value=True), "replica = True"),
    (put("replica", value=1.0), "replica = 1.0"),
    (put("replica", value=2), "'secret' does not belong to the public keys of replicas"),
    (put("cluster", "n", value=3), "cluster: n = 3: PBFT needs"),
    (put("cluster", "n", value="4"), "cluster.n = '4': give an integer"),
    (put("cluster", "n", value=5), "'replicas' has 4 entries but cluster.n = 5"),
    (put("cluster", "window", value=100), "L must|window L = 100"),
    (put("cluster", "auth", value="none"), "auth = 'none'"),
    (put("cluster", "service", value=1), "cluster.service = 1"),
    (put("cluster", "service", value=""), "cluster.service = ''"),
    (put("cluster", "cluster_id", value="00"), "cluster.cluster_id = '00': give 16 bytes as 32 hexa"),
    (put("cluster", "cluster_id", value="zz" * 16), "cluster.cluster_id"),
    (put("cluster", value=[]), r"cluster = \[\]: give a JSON object"),
    (put("replicas", value={}), "replicas = {}: give a list"),
    (put("replicas", value=[1]), r"replicas = \[1\]: give a list of JSON objects"),
    (
        put("replicas", 1, "host", value="localhost"),
        r"replicas\[1\].host = 'localhost': give an IPv4 address",
    ),
    (put("replicas", 1, "host", value="127.0.0.1\x00"), r"replicas\[1\].host"),
    (put("replicas", 1, "port", value=0), r"replicas\[1\].port = 0: give an integer from 1 to 65535"),
    (put("replicas", 1, "port", value=7000), "two replicas have one address"),
    (put("replicas", 1, "verify", value="ab"), r"replicas\[1\].verify = 'ab': give 32 bytes"),
    (put("replicas", 2, "exchange", value="00" * 32), r"replicas\[2\].exchange is no usable X25519 key"),
    (put("replicas", 1, "verify", value=GENESIS.replica_keys[2].verify.hex()), "same key"),
    (put("clients", 1, "first", value=1099), "client ids 1099 to 1199"),
    (put("clients", 0, "first", value=999), "client ids 999 to 1099"),
    (put("secret", "sign", value=OTHER.replica_secrets[1].sign.hex()), "'secret' does not belong"),
    (put("durability", value="sometimes"), "durability = 'sometimes': choose one of none, write, fsync"),
    (put("trace_level", value="all"), "trace_level = 'all': choose one of normal, debug"),
    (put("log", value=""), "log = ''"),
    (put("log", value=None), "log = None"),
    (put("log", value="\ud800"), "log = "),
    (put("trace", value=3), "trace = 3"),
    (put("journal", value=3), "journal = 3"),
    (put("journal", value=""), "journal = ''"),
    (put("journal_bytes", value=65_535), "journal_bytes = 65535: give an integer from 65536"),
    (put("journal_bytes", value="1 GiB"), "journal_bytes = '1 GiB'"),
]


@pytest.mark.parametrize(("spoil", "words"), REPLICA_CASES)
def test_replica_configuration_rejects(tmp_path: Path, spoil: Spoil, words: str) -> None:
    config: dict[str, Any] = copy.deepcopy(GENESIS.replica_config(1))
    spoil(config)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=words) as caught:
        load_replica(path)
    assert str(path) in str(caught.value), "the message names the file"
    assert_no_secret(str(caught.value))


CLIENT_CASES: list[tuple[Spoil, str]] = [
    (put("x", value=1), "unknown key 'x'"),
    (put("schema", value="traitor/replica-config/1"), "this program reads 'traitor/client-config/1'"),
    (put("first", value=1200), "client ids 1200 to 1099"),
    (put("first", value=3), "client ids 3 to 1099"),
    (put("host", value="::1"), "host = '::1': give an IPv4"),
    (put("port", value=65536), "port = 65536"),
    (put("secret", value="ab" * 32), r"secret = \(not shown\)"),
    (put("secret", "sign", value="ab"), r"secret.sign = \(not shown\): give 32 bytes"),
    (drop("secret", "exchange"), "secret: key 'exchange' is missing"),
    (drop("replicas", 3), "'replicas' has 3 entries"),
]


@pytest.mark.parametrize(("spoil", "words"), CLIENT_CASES)
def test_client_configuration_rejects(spoil: Spoil, words: str) -> None:
    config: dict[str, Any] = copy.deepcopy(GENESIS.client_config(0))
    spoil(config)
    with pytest.raises(ConfigError, match=words) as caught:
        load_client(config, "here.json")
    assert str(caught.value).startswith("here.json: ")
    assert_no_secret(str(caught.value))


def assert_no_secret(message: str) -> None:
    for secret in GENESIS.replica_secrets + GENESIS.client_secrets + OTHER.replica_secrets:
        assert secret.sign.hex() not in message
        assert secret.exchange.hex() not in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[]", "holds a list: it must be one JSON object"),
        (b'{"a": 1, "a": 2}', "key 'a' appears twice"),
        (b"[" * 100_000, "not JSON"),
        (b'{"replica": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_file_that_is_no_configuration(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        load_replica(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ConfigError, match="cannot read it"):
            load_replica(path)


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(ConfigError, match="no regular file"):
        load_replica(tmp_path / "config.json")


def test_zero_turns_the_watch_over_slow_primaries_off() -> None:
    config: dict[str, Any] = copy.deepcopy(GENESIS.client_config(0))
    config["cluster"]["slow_primary_factor"] = 0
    assert load_client(config, "here.json").cluster.slow_primary_factor == 0
    config["cluster"]["pipeline"] = 0
    with pytest.raises(ConfigError, match="pipeline = 0: it must be at least 1"):
        load_client(config, "here.json")


def test_defaults_and_relative_paths(tmp_path: Path) -> None:
    config = GENESIS.replica_config(0)
    for key in ("note", "durability", "log", "trace"):
        del config[key]
    config["cluster"] = {"n": 4, "cluster_id": "00" * 16}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    loaded = load_replica(path)
    assert loaded.cluster == Cluster(cluster_id=bytes(16), n=4)
    assert loaded.durability == "fsync"
    assert loaded.trace_level == "normal"
    assert (loaded.log, loaded.trace) == (tmp_path / "wal", tmp_path / "trace.jsonl")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data(), value=JSON)
@settings(max_examples=200)
def test_any_value_anywhere_is_accepted_or_a_config_error(data: st.DataObject, value: object) -> None:
    config: Any = copy.deepcopy(GENESIS.client_config(0))
    place = config
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    try:
        load_client(config)
    except ConfigError as error:
        assert_no_secret(str(error))
