"""A new cluster: the same for the same seed, and made of distinct secrets."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from pbft_node import wal
from pbft_node.config import load_client, load_replica
from pbft_node.core.cluster import Cluster
from pbft_node.errors import LogError
from pbft_node.genesis import ClientBlock, Genesis, make_genesis, write_replica

CLUSTER = Cluster(cluster_id=b"c" * 16, n=5, checkpoint_interval=4, window=8, auth="sign", service="append")


def make(seed: int = 7) -> Genesis:
    blocks = [ClientBlock(1000, 1099, "10.0.0.100", 7100), ClientBlock(1100, 1100, "10.0.0.100", 7101)]
    return make_genesis(CLUSTER, seed, [(f"10.0.0.{i + 1}", 7000) for i in range(5)], blocks)


def test_same_seed_same_cluster_other_seed_other_secrets() -> None:
    assert make() == make()
    secrets = {
        secret
        for made in (make(7), make(8), make(-7))
        for keys in made.replica_secrets + made.client_secrets
        for secret in (keys.sign, keys.exchange)
    }
    assert len(secrets) == 3 * 7 * 2


def test_seed_is_an_integer_and_every_replica_has_an_address() -> None:
    with pytest.raises(AssertionError, match="seeds are integers"):
        make("7")  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="4 addresses for 5"):
        make_genesis(CLUSTER, 7, [("127.0.0.1", 7000 + i) for i in range(4)], [])


def test_written_replica_loads_and_never_ran(tmp_path: Path) -> None:
    made = make()
    path = write_replica(made, 3, tmp_path / "replicas" / "3", durability="write", trace=None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "TEST KEYS" in path.read_text()
    config = load_replica(path)
    assert (config.cluster, config.replica) == (CLUSTER, 3)
    assert config.replica_addresses == made.replicas
    assert (config.durability, config.trace) == ("write", None)
    assert config.log == path.parent / "wal"
    assert (config.journal, config.journal_bytes) == (None, 1 << 30), "a cluster made by hand has none"
    assert config.client_addresses[1].address == ("10.0.0.100", 7101)
    opened = wal.open_log(config.log, CLUSTER.cluster_id, 3, config.durability)
    opened.log.close()
    assert opened.records == ()
    signature = config.keyring.sign(b"m")
    assert made.replica_keyring(0).verify(3, b"m", signature)


def test_a_journal_where_asked_for(tmp_path: Path) -> None:
    path = write_replica(make(), 0, tmp_path / "with", journal="journal")
    assert load_replica(path).journal == path.parent / "journal"
    content = json.loads(path.read_text())
    del content["journal"]
    path.write_text(json.dumps(content | {"journal_bytes": 65_536}))
    assert (load_replica(path).journal, load_replica(path).journal_bytes) == (None, 65_536)


def test_replica_that_ran_is_not_overwritten(tmp_path: Path) -> None:
    write_replica(make(), 0, tmp_path)
    before = (tmp_path / "config.json").read_bytes(), (tmp_path / "wal").read_bytes()
    with pytest.raises(LogError, match="a log already"):
        write_replica(make(8), 0, tmp_path)
    assert before == ((tmp_path / "config.json").read_bytes(), (tmp_path / "wal").read_bytes())


def test_client_configuration_survives_json() -> None:
    made = make()
    config = load_client(json.loads(json.dumps(made.client_config(0))))
    assert (config.first, config.last, config.address) == (1000, 1099, ("10.0.0.100", 7100))
    assert config.replica_addresses == made.replicas
    assert made.replica_keyring(1).verify(1099, b"m", config.keyring.sign(b"m"))
    assert made.replica_keyring(1).verify_mac(1000, b"m", config.keyring.mac(1, b"m"))


def test_public_part_and_other_configs_hold_no_foreign_secret() -> None:
    made = make()
    texts = {i: json.dumps(made.replica_config(i)) for i in range(5)}
    for i, secret in enumerate(made.replica_secrets):
        for half in (secret.sign.hex(), secret.exchange.hex()):
            assert [j for j, text in texts.items() if half in text] == [i]
            assert half not in json.dumps(made.public())
            assert half not in json.dumps(made.client_config(0))
    assert made.replica_keys[4].verify.hex() in json.dumps(made.public())
