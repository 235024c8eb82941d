"""Replay: what is recorded, when it is sent again, and that memory has a bound."""

from __future__ import annotations

import random

import pytest

from nemesis.faults import KINDS
from nemesis.packets import replay
from nemesis.packets.engine import Engine
from nemesis.packets.packet import Packet
from nemesis.packets.registry import problem_of_rule
from nemesis.packets.scene import Scene
from pbft_node.core.cluster import Cluster
from pbft_node.core.frames import MACED, MessageType, header_and_body

CLUSTER = Cluster(n=4, service="kv", cluster_id=bytes(16))
EVERY_NS = 10_000_000
RULE: dict[str, object] = {"action": "replay", "of": "run", "every_ns": EVERY_NS, "burst": 3}


def vote(target: int, seq: int, view: int = 0, kind: MessageType = MessageType.COMMIT) -> Packet:
    data = header_and_body(kind, MACED, 0, 0, view, seq, bytes(32)) + bytes(16)
    return Packet("r0", f"r{target}", data)


def engine(**changes: object) -> Engine:
    it = Engine(Scene(7, CLUSTER))
    it.set_rules("x", [{**RULE, **changes}], 0)
    return it


def test_of_this_run_a_few_at_a_time_and_nothing_is_stopped() -> None:
    it, other = engine(), engine()
    packets = [vote(target, seq) for target in (1, 2) for seq in range(20)]
    for one in packets:
        assert it.packet(one, 1) is None
        assert other.packet(one, 1) is None
    assert it.packet(Packet("r0", "clients", packets[0].data), 1) is None
    again = [one for moment in range(10) for one in it.tick(1 + moment * EVERY_NS)]
    assert again == [one for moment in range(10) for one in other.tick(1 + moment * EVERY_NS)]
    assert len(again) == 30
    assert set(again) <= set(packets)
    assert it.tick(2 + 9 * EVERY_NS) == []
    assert it.report("x")["matched"] == 10
    assert it.report("x")["dropped"] == 0


def test_before_a_restart_to_the_restarted_replica_alone_and_in_order() -> None:
    it = engine(of="restart")
    assert it.listens
    for seq in range(5):
        for target in (1, 2):
            it.packet(vote(target, seq), seq)
    assert it.heard(2, {"e": "entered-view"}, 9) == []
    again = it.heard(2, {"e": "started"}, 9)
    assert [one._replace(delay_ns=0) for one in again] == [vote(2, seq) for seq in range(5)]
    assert [one.delay_ns for one in again] == [seq * replay.APART_NS for seq in range(5)]
    assert it.due_ns() is None


def test_of_an_older_view_once_there_is_a_later_one() -> None:
    it = engine(of="older-view")
    old = [vote(1, seq) for seq in range(4)]
    for one in old:
        it.packet(one, 1)
    it.packet(vote(1, 1, kind=MessageType.REQUEST), 1)
    assert it.tick(EVERY_NS) == [], "the view is still that one"
    it.packet(vote(1, 9, view=1), 2)
    it.packet(vote(1, 9, view=1, kind=MessageType.PRE_PREPARE), 2)
    again = [one for moment in range(2, 20) for one in it.tick(moment * EVERY_NS)]
    assert set(again) == set(old)


@pytest.mark.parametrize(("of", "kept"), [("run", 1000), ("restart", 1000), ("older-view", 1000)])
def test_memory_is_bounded(of: str, kept: int) -> None:
    it = engine(of=of)
    for seq in range(3000):
        it.packet(vote(1, seq), 1)
    (report,) = it.report("x")["rules"]
    assert report["recorded"] == kept
    big = engine(of=of)
    for seq in range(400):
        big.packet(Packet("r0", "r1", vote(1, seq).data + bytes(60_000)), 1)
    (report,) = big.report("x")["rules"]
    assert report["recorded"] <= replay.MOST_KEPT_BYTES // 60_000


def test_a_sample_of_a_run_is_fair_and_before_a_restart_the_last_ones_count() -> None:
    seen = {}
    for of in ("run", "restart"):
        it = engine(of=of)
        for seq in range(3000):
            it.packet(vote(1, seq), 1)
        again = it.heard(1, {"e": "started"}, 2) if of == "restart" else it.tick(EVERY_NS)
        for moment in range(2, 300):
            again = [*again, *it.tick(moment * EVERY_NS)]
        seen[of] = [int.from_bytes(one.data[20:28], "big") for one in again]
    assert seen["restart"] == list(range(2000, 3000))
    assert sum(seq < 1000 for seq in seen["run"]) > 150
    assert sum(seq >= 2000 for seq in seen["run"]) > 150


@pytest.mark.parametrize("change", [{"of": "hell"}, {"every_ns": 0}, {"burst": 65}, {"burst": None}])
def test_what_is_no_rule_is_refused(change: dict[str, object]) -> None:
    assert problem_of_rule(RULE, 4) is None
    assert problem_of_rule({**RULE, **change}, 4)


def test_what_is_drawn_is_recorded() -> None:
    """Replies are not: nothing to clients is."""
    for seed in range(200):
        params = KINDS["replay"].draw(random.Random(seed), 4, 1, False)
        match = params["match"]
        assert isinstance(match, dict)
        assert match.get("types") != ["REPLY"]
