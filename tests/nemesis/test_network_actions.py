"""What the network does to packets: how late, how often, in which order, with which bits."""

from __future__ import annotations

import statistics

import pytest

from nemesis.packets.activation import Activation
from nemesis.packets.engine import Engine, held_until_ns
from nemesis.packets.packet import Packet
from nemesis.packets.registry import problem_of_rule
from nemesis.packets.scene import Scene
from pbft_node.core.cluster import Cluster
from pbft_node.core.frames import HEADER_BYTES, MACED, MessageType, header_and_body

CLUSTER = Cluster(n=4, service="kv", cluster_id=bytes(16))
MS = 1_000_000
DELAY = {"action": "delay", "model": "normal", "ns": 20 * MS, "spread_ns": 5 * MS, "most_ns": 50 * MS}
PARETO = {"action": "delay", "model": "pareto", "ns": 2 * MS, "shape": 1, "most_ns": 400 * MS}


def commit(source: int, target: int, seq: int, size: int = 32) -> Packet:
    data = header_and_body(MessageType.COMMIT, MACED, 0, source, 0, seq, bytes(size)) + bytes(16)
    return Packet(f"r{source}", f"r{target}", data)


def engine(*rules: dict[str, object], seed: int = 7) -> tuple[Engine, list[Activation]]:
    seen: list[Activation] = []
    it = Engine(Scene(seed, CLUSTER), seen.append)
    assert not it.set_rules("x", list(rules), 0)
    return it, seen


def sent(it: Engine, packet: Packet, now_ns: int = 0) -> list[Packet]:
    became = it.packet(packet, now_ns)
    return [packet] if became is None else list(became)


def delays(rule: dict[str, object], seed: int = 7) -> list[int]:
    it, _ = engine(rule, seed=seed)
    return [sent(it, commit(0, 1, seq))[0].delay_ns for seq in range(2000)]


def test_a_constant_delay() -> None:
    assert set(delays({"action": "delay", "model": "constant", "ns": 3})) == {3}


def test_a_normal_delay_has_its_mean_and_deviation() -> None:
    late = delays(DELAY)
    assert statistics.mean(late) == pytest.approx(20 * MS, rel=0.02)
    assert statistics.stdev(late) == pytest.approx(5 * MS, rel=0.05)
    inside = sum(abs(one - 20 * MS) < 5 * MS for one in late) / len(late)
    assert 0.64 < inside < 0.72
    assert late == delays(DELAY)
    assert late != delays(DELAY, seed=8)


def test_a_heavy_tail_is_heavy_and_bounded() -> None:
    late = delays(PARETO)
    assert min(late) >= 2 * MS
    assert max(late) == 400 * MS
    assert statistics.median(late) == pytest.approx(4 * MS, rel=0.1)
    beyond = sum(one > 40 * MS for one in late) / len(late)
    assert 0.03 < beyond < 0.07, "a twentieth is ten times the median and more: no normal tail is"


def test_the_delay_of_an_earlier_rule_is_added_once() -> None:
    first = {"action": "delay", "model": "constant", "ns": 5}
    it, _ = engine(first, {"action": "duplicate", "copies": 1, "apart_ns": 2})
    assert [one.delay_ns for one in sent(it, commit(0, 1, 1))] == [5, 7]
    assert held_until_ns(it.report("x")) == 5


def test_copies() -> None:
    it, _ = engine({"action": "duplicate", "copies": 2, "apart_ns": 10})
    packet = commit(0, 1, 1)
    assert sent(it, packet) == [packet, packet._replace(delay_ns=10), packet._replace(delay_ns=20)]
    report = it.report("x")
    assert (report["matched"], report["emitted"], report["altered"], report["dropped"]) == (1, 3, 0, 0)
    assert held_until_ns(it.report("x")) == 20


REORDER = {"action": "reorder", "match": {"seq": [1, 1]}, "behind": 2, "most_ns": 100}


def test_a_packet_is_held_back_behind_later_ones_of_its_link() -> None:
    it, seen = engine({**REORDER, "match": {"p": 1e-9}})
    held = engine({"action": "reorder", "behind": 2, "most_ns": 100})[0]
    first, other, second, third = commit(0, 1, 1), commit(0, 2, 9), commit(0, 1, 2), commit(0, 1, 3)
    assert [sent(held, one) for one in (first, second)] == [[], []]
    assert sent(held, third) == [first], "two later ones came, and it is held back itself"
    assert sent(held, other) == []
    assert held.due_ns() == 100
    assert held.tick(100) == [second, third, other]
    assert held.due_ns() is None
    report = held.report("x")
    assert (report["held_back"], report["dropped"], report["altered"]) == (4, 0, 0)
    assert sent(it, first) == [first]
    assert not seen


def test_what_is_held_back_leaves_when_the_fault_ends() -> None:
    it, _ = engine({"action": "reorder", "behind": 9, "most_ns": 100})
    packet = commit(0, 1, 1)
    assert sent(it, packet) == []
    assert it.set_rules("x", [], 50) == [packet]
    assert it.report("x")["emitted"] == 1
    assert it.set_rules("x", [], 60) == []


def test_no_more_are_held_back_than_may_be() -> None:
    it, _ = engine({"action": "reorder", "behind": 64, "most_ns": 100})
    passed = [len(sent(it, commit(seq % 4, (seq + 1) % 4, seq))) for seq in range(300)]
    assert sum(passed) >= 300 - 256


def test_a_link_of_limited_rate_queues_and_then_loses() -> None:
    rule = {"action": "rate", "bytes_per_s": 80_000, "queue_bytes": 200}
    it, seen = engine(rule)
    late = [[one.delay_ns for one in sent(it, commit(0, 1, seq), 5)] for seq in range(5)]
    assert late == [[MS], [2 * MS], [3 * MS], [], []]
    assert sent(it, commit(0, 2, 1), 5)[0].delay_ns == MS, "another link has its own"
    assert sent(it, commit(0, 1, 9), 5 + 10 * MS)[0].delay_ns == MS
    assert "bytes wait already" in seen[3].note


@pytest.mark.parametrize(
    ("where", "first", "end"),
    [("anywhere", 0, 80), ("header", 0, 32), ("body", 32, 64), ("tag", 64, 80)],
)
def test_bits_are_flipped_where_they_shall_be(where: str, first: int, end: int) -> None:
    rule = {"action": "corrupt", "bits": 3, "where": where, "checksum": "repaired"}
    it, _ = engine(rule)
    for seq in range(50):
        packet = commit(0, 1, seq)
        (now,) = sent(it, packet)
        assert not now.spoilt
        different = {i for i, (a, b) in enumerate(zip(packet.data, now.data, strict=True)) if a != b}
        flipped = sum((a ^ b).bit_count() for a, b in zip(packet.data, now.data, strict=True))
        assert 1 <= flipped <= 3
        assert different <= set(range(first, end))
    assert it.report("x")["altered"] == 50


@pytest.mark.parametrize("data", [b"", b"PBFT", bytes(32), b"\xff" * HEADER_BYTES, b"\xff" * 90])
def test_any_bytes_can_be_corrupted(data: bytes) -> None:
    for where in ("anywhere", "header", "body", "tag"):
        it, _ = engine({"action": "corrupt", "bits": 8, "where": where, "checksum": "repaired"})
        assert [len(one.data) for one in sent(it, Packet("r0", "r1", data))] == [len(data)]


def test_a_broken_checksum_is_a_loss_that_says_so() -> None:
    it, seen = engine({"action": "corrupt", "bits": 1, "where": "body", "checksum": "broken"})
    (now,) = sent(it, commit(0, 1, 1))
    assert now.spoilt
    assert it.report("x")["dropped"] == 1
    assert "lost" in seen[0].note


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "delay"},
        {**DELAY, "ns": 10**12},
        {**DELAY, "ns": -1},
        {**DELAY, "ns": True},
        {**DELAY, "shape": 2},
        {**DELAY, "model": ["normal"]},
        {**PARETO, "shape": 0},
        {**PARETO, "shape": float("nan")},
        {**PARETO, "most_ns": None},
        {"action": "delay", "model": "constant", "ns": 5, "most_ns": 7},
        {"action": "duplicate", "copies": 0, "apart_ns": 0},
        {"action": "duplicate", "copies": 10**6, "apart_ns": 0},
        {"action": "duplicate", "copies": 1},
        {**REORDER, "behind": 0},
        {**REORDER, "most_ns": 10**11},
        {"action": "rate", "bytes_per_s": 0, "queue_bytes": 0},
        {"action": "rate", "bytes_per_s": 1000, "queue_bytes": 10**9},
        {"action": "corrupt", "bits": 1, "where": "body"},
        {"action": "corrupt", "bits": 0, "where": "body", "checksum": "broken"},
        {"action": "corrupt", "bits": 1, "where": "soul", "checksum": "broken"},
    ],
)
def test_what_is_no_rule_is_refused(rule: dict[str, object]) -> None:
    problem = problem_of_rule(rule, 4)
    assert problem
    assert "\n" not in problem
