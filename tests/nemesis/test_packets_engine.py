"""The engine: order of rules, counts, determinism, bad data."""

from __future__ import annotations

import pytest

from nemesis.packets.activation import Activation
from nemesis.packets.engine import Engine
from nemesis.packets.packet import Packet
from nemesis.packets.registry import problem_of_rule
from nemesis.packets.scene import Scene
from pbft_node.core.cluster import Cluster
from pbft_node.core.frames import MACED, MessageType, header_and_body

CLUSTER = Cluster(n=4, service="kv", cluster_id=bytes(16))


def commit(source: int, target: int, seq: int, view: int = 0) -> Packet:
    data = header_and_body(MessageType.COMMIT, MACED, 0, source, view, seq, bytes(32)) + bytes(16)
    return Packet(f"r{source}", f"r{target}", data)


def engine(seed: int = 7) -> tuple[Engine, list[Activation]]:
    seen: list[Activation] = []
    return Engine(Scene(seed, CLUSTER), seen.append), seen


def test_a_packet_no_rule_is_about_is_untouched() -> None:
    it, seen = engine()
    it.set_rules("drop-1", [{"action": "drop", "match": {"to": ["r2"], "types": ["COMMIT"]}}], 0)
    assert it.packet(commit(0, 1, 1), 5) is None
    assert it.packet(commit(0, 2, 1), 5) == []
    assert [(one.owner, one.time_ns, one.header.seq) for one in seen] == [("drop-1", 5, 1)]
    report = it.report("drop-1")
    assert (report["matched"], report["dropped"], report["in_force"]) == (1, 1, True)
    assert report["cells"] == [["COMMIT", "drop", "normal", "primary", 1]]
    it.set_rules("drop-1", [], 9)
    assert it.packet(commit(0, 2, 1), 10) is None
    assert (it.report("drop-1")["matched"], it.report("drop-1")["in_force"]) == (1, False)


def test_what_view_changes_are_made_of_counts_as_view_change_and_the_rest_by_what_passed() -> None:
    it, _ = engine()
    it.set_rules("drop-1", [{"action": "drop"}], 0)
    for kind, view in (("COMMIT", 0), ("VIEW_CHANGE", 1), ("COMMIT", 0), ("NEW_VIEW", 1), ("VIEW_CHANGE", 1)):
        frame = header_and_body(MessageType[kind], MACED, 0, 1, view, 1, b"")
        assert it.packet(Packet("r1", "r2", frame), 0) == []
    assert it.report("drop-1")["cells"] == [
        ["COMMIT", "drop", "normal", "backup", 1],
        ["COMMIT", "drop", "view-change", "backup", 1],
        ["NEW_VIEW", "drop", "view-change", "primary", 1],
        ["VIEW_CHANGE", "drop", "view-change", "primary", 2],
    ]


def test_chance_hangs_on_the_slot_and_not_on_the_order() -> None:
    packets = [commit(source, target, seq) for source in range(4) for target in range(4) for seq in range(50)]
    rule = {"action": "drop", "match": {"p": 0.3}}

    def dropped(order: list[Packet], seed: int) -> set[Packet]:
        it, _ = engine(seed)
        it.set_rules("drop-1", [rule], 0)
        return {packet for packet in order if it.packet(packet, 0) is not None}

    assert dropped(packets, 7) == dropped(packets[::-1], 7)
    assert dropped(packets, 7) != dropped(packets, 8)
    assert 180 < len(dropped(packets, 7)) < 300


def test_a_copy_has_a_fate_of_its_own() -> None:
    it, _ = engine()
    it.set_rules("drop-1", [{"action": "drop", "match": {"copy": [1, 1]}}], 0)
    assert [it.packet(commit(0, 1, 1), 0) for _ in range(3)] == [None, [], None]


@pytest.mark.parametrize(
    ("match", "met"),
    [
        ({"from": ["r0"]}, True),
        ({"from": ["r1"]}, False),
        ({"view": [1, 1]}, False),
        ({"seq": [1, 3]}, True),
        ({"by_primary": False}, False),
        ({"types": ["PREPARE"]}, False),
    ],
)
def test_match(match: dict[str, object], met: bool) -> None:
    it, _ = engine()
    it.set_rules("drop-1", [{"action": "drop", "match": match}], 0)
    assert (it.packet(commit(0, 1, 3), 0) == []) is met


@pytest.mark.parametrize(
    "rule",
    [
        None,
        {},
        {"action": "dorp"},
        {"action": "drop", "more": 1},
        {"action": "drop", "match": []},
        {"action": "drop", "match": {"from": "r0"}},
        {"action": "drop", "match": {"from": ["r4"]}},
        {"action": "drop", "match": {"seq": [3, 1]}},
        {"action": "drop", "match": {"p": 0}},
        {"action": "drop", "match": {"types": ["COMMITS"]}},
    ],
)
def test_what_is_no_rule_is_refused_and_changes_nothing(rule: object) -> None:
    problem = problem_of_rule(rule, 4)
    assert problem
    if isinstance(rule, dict):
        it, _ = engine()
        it.set_rules("drop-1", [{"action": "drop"}], 0)
        with pytest.raises(ValueError, match=r"known|choose|give"):
            it.set_rules("drop-1", [rule], 0)
        assert it.packet(commit(0, 1, 1), 0) == []
