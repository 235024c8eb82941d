"""Real replica processes whose logs are lost: told to come back silent, or without any durability."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_cluster import COMMAND, Cluster, wait_for


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "cluster")
    yield made
    for process in made.processes.values():
        process.kill()
        process.wait()
    for number in range(4):
        for line in made.trace(number):
            assert made.problem(line) is None


def last(cluster: Cluster, number: int) -> list[str]:
    """What its present life traced of its silence."""
    kinds = [str(line["e"]) for line in cluster.trace(number)]
    life = kinds[len(kinds) - kinds[::-1].index("started") :]
    return [kind for kind in life if kind in ("silent", "recovered")]


def recovered(cluster: Cluster, number: int) -> None:
    wait_for(
        lambda: last(cluster, number)[-1:] == ["recovered"], f"{number} recovers: {cluster.stderr(number)}"
    )


def test_a_replica_without_its_log_stops_and_comes_back_silent_when_told(cluster: Cluster) -> None:
    cluster.start(0, 1, 2, 3)
    assert cluster.call("put", "k", "v1") == (0, "ok")
    cluster.kill(0)
    (cluster.replica(0) / "wal").unlink()
    command = [*COMMAND, "--config", str(cluster.replica(0) / "config.json")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=20, env=cluster.environment)
    assert refused.returncode == 3
    assert "the log is missing" in refused.stderr
    assert "--silent" in refused.stderr
    assert not (cluster.replica(0) / "wal").exists()
    cluster.set(0, lost_log="silent")
    cluster.start(0)
    recovered(cluster, 0)
    assert "needs 3: it may vote from view" in cluster.stderr(0)
    assert cluster.stderr(0).endswith("recovered: it votes again, in view 1\n")
    cluster.kill(3)
    assert cluster.call("put", "k", "v2") == (0, "ok"), "its vote is needed now"
    cluster.kill(0)
    cluster.start(0)
    assert last(cluster, 0) == [], "from its own new log"
    assert cluster.call("get", "k") == (0, "ok v2")


def test_damage_is_kept_and_silence_needs_a_quorum_of_others(cluster: Cluster) -> None:
    cluster.start(0, 1, 2, 3)
    assert cluster.call("put", "k", "v") == (0, "ok")
    cluster.kill(0, 1)
    for number in (0, 1):
        log = cluster.replica(number) / "wal"
        log.write_bytes(log.read_bytes()[:39] + b"\xff" + log.read_bytes()[40:])
        cluster.set(number, lost_log="silent")
    cluster.start(0, 1)
    wait_for(lambda: "silent: answered by 2, 3, needs 3" in cluster.stderr(0), "the two others answered")
    assert (cluster.replica(0) / "wal.lost-1").exists()
    assert cluster.call("put", "k", "w", timeout=1)[0] == 3, "two of four cannot agree, and nobody guesses"
    assert (last(cluster, 0)[-1], last(cluster, 1)[-1]) == ("silent", "silent")


def test_without_durability_one_after_the_other_may_die(cluster: Cluster) -> None:
    for number in range(4):
        cluster.set(number, durability="none")
    cluster.start(0, 1, 2, 3)
    for round_, victim in enumerate((0, 1, 0)):
        assert cluster.call("put", "k", f"v{round_}") == (0, "ok")
        cluster.kill(victim)
        cluster.start(victim)
        recovered(cluster, victim)
    assert cluster.call("get", "k") == (0, "ok v2")
    assert sum(line["e"] == "alarm" for number in range(4) for line in cluster.trace(number)) == 0
