"""A script at work: triggers on traces and packets, what is done then, what is told."""

from __future__ import annotations

from collections.abc import Mapping

from stage import Stage

from nemesis.packets.activation import Activation
from nemesis.packets.engine import Engine
from nemesis.packets.packet import Packet
from nemesis.packets.scene import Scene
from pbft_node.core.cluster import Cluster
from pbft_node.core.frames import MACED, MessageType, header_and_body

CLUSTER = Cluster(n=4, service="kv", cluster_id=bytes(16))
DIGEST = "ab" * 32
SECOND = 1_000_000_000


def packet(kind: MessageType, source: int, target: int, view: int = 0, seq: int = 1) -> Packet:
    data = header_and_body(kind, MACED, 0, source, view, seq, bytes(32)) + bytes(16)
    return Packet(f"r{source}", f"r{target}", data)


def commit(source: int, target: int, seq: int = 1) -> Packet:
    return packet(MessageType.COMMIT, source, target, 0, seq)


def begun(*stages: Mapping[str, object], attempts: int = 1, cut: int = 4) -> tuple[Engine, list[Activation]]:
    seen: list[Activation] = []
    engine = Engine(Scene(7, CLUSTER), seen.append)
    script = {"name": "it", "charges": {"cut": cut}, "stages": list(stages), "attempts": attempts}
    engine.set_rules("script-1", [{"action": "script", "script": script, "liars": []}], 0)
    return engine, seen


def traced(engine: Engine, replica: int, kind: str, now_ns: int = 5, **fields: object) -> list[Packet]:
    return list(engine.heard(replica, {"t_ns": 0, "e": kind, **fields}, now_ns))


def committed(engine: Engine, replica: int, seq: int = 1) -> list[Packet]:
    return traced(engine, replica, "committed", view=0, seq=seq, digest=DIGEST)


def told(engine: Engine) -> Mapping[str, object]:
    rules = engine.report("script-1")["rules"]
    assert isinstance(rules, list)
    return dict(rules[0])


AT_ONE = {"committed": {"at": {"exactly": 1, "of": "correct"}, "as": {"seq": "s", "replica": "x"}}}


def test_what_is_met_is_done_at_once_and_binds() -> None:
    engine, seen = begun({"name": "one", "when": AT_ONE, "do": [{"isolate": "x"}]})
    assert engine.packet(commit(2, 1), 1) is None
    assert not told(engine)["final"]
    assert "committed" in str(told(engine)["stuck"])
    committed(engine, 2)
    assert engine.packet(commit(2, 1), 6) == []
    assert engine.packet(commit(1, 2), 6) == []
    assert engine.packet(commit(1, 3), 6) is None
    assert engine.packet(Packet("r2", "clients", b"x"), 6) is None, "clients see it still"
    report = told(engine)
    assert report["final"] is True
    assert report["stages"] == [{"stage": "one", "attempt": 1, "reached_ns": 5, "bound": {"s": 1, "x": 2}}]
    assert report["hurt"] == [2]
    assert [(one.action, one.note) for one in seen] == [("isolate", "one: r2 cut off")] * 2
    assert engine.report("script-1")["cells"] == [
        ["COMMIT", "isolate", "normal", "backup", 2],
    ]


def test_exactly_means_no_more_and_the_newest_place_counts() -> None:
    stage = {"when": {**AT_ONE}, "do": []}
    late = {
        "when": {"committed": {"at": {"exactly": 1, "of": "all"}, "seq": "s + 1", "as": {"replica": "y"}}}
    }
    engine, _ = begun(stage, late)
    committed(engine, 2)
    committed(engine, 1, 2)
    committed(engine, 0, 2)
    stages = told(engine)["stages"]
    assert isinstance(stages, list)
    assert [one["bound"] for one in stages] == [{"s": 1, "x": 2}, {"s": 1, "x": 2, "y": 1}]
    engine, _ = begun(
        {"when": {"executed": {}}}, {"when": {"committed": {"at": {"exactly": 2, "of": "all"}}}}
    )
    for replica in (0, 1, 2):
        committed(engine, replica)
    traced(engine, 0, "executed", seq=1, digest=DIGEST)
    assert not told(engine)["final"], "three have it by now"


def test_fresh_looks_no_further_back_than_its_stage() -> None:
    for fresh, final in ((False, True), (True, False)):
        engine, _ = begun({"when": {"executed": {}}}, {"when": {"committed": {"fresh": fresh}}})
        committed(engine, 0)
        traced(engine, 0, "executed", seq=1, digest=DIGEST)
        assert told(engine)["final"] is final
        committed(engine, 1)
        assert told(engine)["final"] is True


def test_a_packet_that_meets_a_trigger_meets_what_is_done_then() -> None:
    seen_prepare = {"seen": {"types": ["PREPARE"], "count": 2, "as": {"from": "x", "seq": "s"}}}
    engine, _ = begun({"when": seen_prepare, "do": [{"drop": {"match": {"from": "$x", "seq": "$s"}}}]})
    assert engine.packet(packet(MessageType.PREPARE, 1, 2), 1) is None
    assert engine.packet(packet(MessageType.COMMIT, 1, 2), 1) is None
    assert engine.packet(packet(MessageType.PREPARE, 3, 2, seq=4), 2) == []
    assert engine.packet(packet(MessageType.PREPARE, 3, 2, seq=5), 2) is None


def test_what_is_held_leaves_in_order_when_it_is_released_but_past_no_wall() -> None:
    engine, seen = begun(
        {"when": {"after": 0}, "do": [{"hold": {"types": ["COMMIT"]}, "as": "commits"}]},
        {"when": {"executed": {"as": {"seq": "s"}}}, "do": [{"isolate": 3}, {"release": "commits"}]},
    )
    assert engine.packet(commit(0, 1, 1), 1) == []
    assert engine.packet(commit(0, 3, 1), 1) == []
    assert engine.packet(commit(0, 1, 2), 1) == []
    assert traced(engine, 0, "executed", seq=1, digest=DIGEST) == [commit(0, 1, 1), commit(0, 1, 2)]
    assert [one.action for one in seen] == ["hold"] * 3
    assert engine.walled(commit(0, 3)), "what other rules held meets it, too"
    assert not engine.walled(commit(0, 1))


def test_orders_are_given_once_and_taken_back_when_it_gives_up() -> None:
    engine, _ = begun(
        {"when": AT_ONE, "do": [{"kill": "x"}, {"pause": 0}]},
        {"when": {"stable": {}}, "within": 2},
    )
    committed(engine, 2)
    assert [(one.what, one.replica, one.owner) for one in engine.take_orders()] == [
        ("kill", 2, "script-1"),
        ("pause", 0, "script-1"),
    ]
    assert told(engine)["down"] == [2]
    assert engine.due_ns() == 5 + 2 * SECOND
    engine.tick(5 + 2 * SECOND)
    assert [(one.what, one.replica) for one in engine.take_orders()] == [("restart", 2), ("resume", 0)]
    assert "stuck at stage 2 of 2 (stage 2) because stable" in str(told(engine)["stuck"])
    assert told(engine)["down"] == []
    committed(engine, 1)
    assert not engine.take_orders(), "it gave up"


def test_it_begins_again_as_often_as_it_may() -> None:
    engine, _ = begun(
        {"when": {"pre-prepare": {"fresh": True, "as": {"seq": "s"}}}, "do": [{"isolate": 1}]},
        {"when": {"committed": {"seq": "s"}}, "within": 1, "else": "again"},
        attempts=2,
    )
    for attempt in (0, 1):
        traced(engine, 0, "pre-prepare", attempt * 2 * SECOND, view=0, seq=attempt + 1, digest=DIGEST)
        assert engine.packet(commit(0, 1), attempt * 2 * SECOND) == []
        engine.tick(attempt * 2 * SECOND + SECOND)
        assert engine.packet(commit(0, 1), attempt * 2 * SECOND + SECOND) is None
    assert told(engine)["attempts"] == 2
    assert "committed" in str(told(engine)["stuck"])


def test_time_is_a_trigger_with_a_call_of_its_own() -> None:
    engine, _ = begun({"when": {"executed": {}}}, {"when": {"after": 0.5}, "do": [{"isolate": 1}]})
    assert engine.due_ns() is None
    traced(engine, 0, "executed", seq=1, digest=DIGEST)
    due_ns = engine.due_ns()
    assert due_ns == SECOND // 2 + 5
    engine.tick(due_ns)
    assert engine.packet(commit(0, 1), due_ns) == []
    assert engine.due_ns() is None


def test_the_primary_is_the_one_of_the_moment() -> None:
    engine, _ = begun({"when": {"in": ["next-primary", [3]]}, "do": [{"isolate": "primary"}]})
    assert engine.packet(commit(2, 1), 1) is None
    traced(engine, 1, "new-view", view=2, primary=2, min_s=0, max_s=0)
    assert engine.packet(commit(0, 1), 2) is None
    assert engine.packet(commit(2, 1), 2) == []


def test_a_rule_that_is_none_in_that_moment_ends_it_with_the_reason() -> None:
    nobody = {"drop": {"match": {"from": "$all - some"}}}
    everywhere = {"executed": {"at": {"all": "all"}, "as": {"replica": "some"}}}
    engine, _ = begun({"when": everywhere, "do": [{"isolate": 1}, nobody]})
    for replica in range(4):
        traced(engine, replica, "executed", seq=1, digest=DIGEST)
    assert "was reached and could not be acted on: match.from = []" in str(told(engine)["stuck"])
    assert engine.packet(commit(0, 1), 9) is None


def test_lines_that_are_none_of_its_business_and_hostile_bytes_do_no_harm() -> None:
    engine, _ = begun({"when": {"all": [{"seen": {}}, {"committed": {}}]}})
    for data in (b"", b"PBFT", bytes(40), b"\xff" * 64):
        assert engine.packet(Packet("r0", "r1", data), 1) is None
    for event in ({}, {"e": 4}, {"e": "committed", "view": "x", "seq": None, "digest": 3}, {"e": "alarm"}):
        engine.heard(0, event, 2)
    assert told(engine)["final"] is True


def test_a_lie_that_met_nothing_is_told_in_the_receipt_and_one_that_did_is_not() -> None:
    stage = Stage(liars=(1,))
    lies = [
        {"silence": {"replicas": "$liars", "strategy": "types", "types": types}}
        for types in ("votes", "views")
    ]
    script = {
        "charges": {"liars": 1},
        "stages": [{"when": {"after": 0}, "do": [*lies, {"bind": {"v": "view"}}]}],
    }
    stage.engine.set_rules("script-1", [{"action": "script", "script": script, "liars": [1]}], 0)
    assert told(stage.engine)["untold"] == []
    stage.vote(0, MessageType.COMMIT, bytes(32))
    assert told(stage.engine)["final"]
    both = [f"stages[0].do[{at}].silence (silence)" for at in (0, 1)]
    assert told(stage.engine)["untold"] == both
    stage.vote(1, MessageType.COMMIT, bytes(32))
    assert told(stage.engine)["untold"] == both[1:]
    stage.engine.set_rules("script-1", [], 3)
    assert told(stage.engine)["untold"] == both[1:]
