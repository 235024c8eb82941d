"""The metrics that are the core's own state, in whole runs: waiting, behind, fetching a state."""

from __future__ import annotations

from memory_cluster import MemoryCluster

from pbft_node.metrics import METRICS, of_protocol


def test_waiting_shows_and_ends() -> None:
    cluster = MemoryCluster()
    cluster.network.cut = lambda source, target: source < 4 and target < 4
    cluster.invoke(0, b"put", b"k", b"v")
    cluster.run(100)
    waiting = of_protocol(cluster.replica(0), cluster.now_ns)
    assert (waiting["pending_requests"], waiting["under_way"], waiting["executed"]) == (1, 1, 0)
    assert 90_000_000 < int(str(waiting["oldest_pending_ns"])) <= 100_000_000
    cluster.run(3000)
    stuck = of_protocol(cluster.replica(1), cluster.now_ns)
    assert (stuck["active"], stuck["view"], stuck["failed_views"]) == (0, 1, 1)
    cluster.network.cut = lambda source, target: False
    assert cluster.run(20_000, until=lambda: len(cluster.completed[1000]) == 1)
    cluster.run(1000)
    done = of_protocol(cluster.replica(1), cluster.now_ns)
    assert (done["pending_requests"], done["oldest_pending_ns"], done["under_way"]) == (0, 0, 0)
    assert done["known_clients"] == 1


def test_a_state_transfer_shows_its_progress() -> None:
    cluster = MemoryCluster()
    value = b"x" * 20_000
    for number in range(10):
        cluster.call(0, b"put", b"key%d" % number, value)
    cluster.crash(3)
    for number in range(10):
        cluster.call(0, b"put", b"key%d" % number, value + b"!")
    cluster.hosts[3].records.clear()
    cluster.start(3)
    seen: list[tuple[int, int]] = []

    def finished() -> bool:
        now = of_protocol(cluster.replica(3), cluster.now_ns)
        if now["transfer_active"]:
            seen.append((int(str(now["transfer_parts"])), int(str(now["transfer_parts_wanted"]))))
        return bool(now["executed"] == 20)

    assert cluster.run(60_000, until=finished)
    assert any(wanted > 5 and parts > 0 for parts, wanted in seen), set(seen)
    assert [parts for parts, _ in seen] == sorted(parts for parts, _ in seen)
    assert of_protocol(cluster.replica(3), cluster.now_ns)["low_watermark"] == 20


def test_what_the_core_tells_is_on_the_list() -> None:
    values = of_protocol(MemoryCluster().replica(0), 0)
    assert set(values) < {metric.name for metric in METRICS}
