"""Altered fields: which, closed how, and when it counts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from nemesis.lies.signer import Signer
from nemesis.packets.engine import Engine
from nemesis.packets.packet import Packet
from nemesis.packets.registry import problem_of_rule
from nemesis.packets.scene import Scene
from pbft_node.core import codec
from pbft_node.core.cluster import Cluster
from pbft_node.core.digests import NULL_DIGEST
from pbft_node.core.frames import Malformed, MessageType
from pbft_node.core.messages import Batch, Commit, NewView, PrePrepare, Reply, ViewChange
from pbft_node.core.seal import Seal
from pbft_node.genesis import ClientBlock, make_genesis

CLUSTER = Cluster(n=4, service="kv", cluster_id=bytes(16))
GENESIS = make_genesis(
    CLUSTER,
    1,
    [(f"10.0.0.{i + 1}", 7000) for i in range(4)],
    [ClientBlock(1000, 1999, "10.0.1.1", 7100)],
)
SEALS = [Seal(CLUSTER, i, GENESIS.replica_keyring(i)) for i in range(4)]
CLIENT = Seal(CLUSTER, 1003, GENESIS.client_keyring(0))
D = bytes(range(32))


def engine(rule: Mapping[str, object], liar: int = 1, seed: int = 7) -> Engine:
    """With one rule; the keys of the liar only."""
    it = Engine(Scene(seed, CLUSTER, {liar: Signer.of(CLUSTER, liar, GENESIS.replica_keyring(liar))}))
    it.set_rules("a", [{"action": "alter", **rule}], 0)
    return it


def commit(source: int = 1, target: int = 2, seq: int = 5, view: int = 0, digest: bytes = D) -> Packet:
    data = SEALS[source].for_peer(target, MessageType.COMMIT, view, seq, digest)
    return Packet(f"r{source}", f"r{target}", data)


def became(it: Engine, packet: Packet) -> Packet:
    (one,) = it.packet(packet, 0) or ()
    return one


def lie(**values: object) -> Mapping[str, object]:
    return {"replicas": [1], "set": values}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"seq": "+1"}, Commit(0, 6, D, 1)),
        ({"seq": "-3", "view": 4}, Commit(4, 2, D, 1)),
        ({"digest": "hex:" + "ab" * 32}, Commit(0, 5, b"\xab" * 32, 1)),
        ({"digest": "known"}, Commit(0, 5, NULL_DIGEST, 1)),
        ({"body.digest": "known"}, Commit(0, 5, NULL_DIGEST, 1)),
    ],
)
def test_a_liars_fields_are_set_and_sealed_for_their_receiver(
    values: Mapping[str, object], expected: Commit
) -> None:
    message, frame = codec.decode(became(engine(lie(**values)), commit()).data)
    assert message == expected
    assert SEALS[2].authentic(frame)
    assert not SEALS[3].authentic(frame)


def test_known_is_the_digest_of_the_number_before() -> None:
    it = engine({**lie(digest="known"), "match": {"seq": [6, 9]}})
    assert it.packet(commit(seq=5, digest=b"a" * 32), 0) is None
    assert codec.decode(became(it, commit(seq=6)).data)[0] == Commit(0, 6, b"a" * 32, 1)


def test_chance_is_of_the_slot() -> None:
    rule = lie(digest="random")
    one, again = engine(rule), engine(rule)
    first = became(one, commit(seq=5))
    became(again, commit(seq=9))
    assert became(again, commit(seq=5)) == first
    assert became(engine(rule, seed=8), commit(seq=5)) != first
    flipped = codec.decode(became(engine(lie(digest="flip")), commit()).data)[0].digest
    assert sum((a ^ b).bit_count() for a, b in zip(flipped, D, strict=True)) == 1


def test_another_name_needs_another_key() -> None:
    frame = codec.decode(became(engine(lie(sender="+1")), commit()).data)[1]
    assert frame.sender == 2
    assert not SEALS[2].authentic(frame)


def test_others_and_other_links_are_left_alone() -> None:
    it = engine({**lie(seq="+1"), "match": {"to": ["r2"]}})
    assert it.packet(commit(source=0), 0) is None
    assert it.packet(commit(target=3), 0) is None
    passed_on = Packet("r1", "r2", commit(source=0).data)
    assert it.packet(passed_on, 0) is None, "what others signed is theirs"
    assert it.report("a")["matched"] == 0


def test_only_a_compromised_replica_can_lie() -> None:
    with pytest.raises(ValueError, match="not compromised"):
        engine(lie(seq="+1"), liar=2)


def test_what_changes_nothing_is_not_counted() -> None:
    fetch = SEALS[1].for_peer(2, MessageType.FETCH_BATCH, 0, 0, D)
    packet = Packet("r1", "r2", fetch)
    for values in ({"view": 0}, {"view": 7}, {"result": "flip"}, {"digest": f"hex:{D.hex()}"}):
        it = engine(lie(**values))
        assert it.packet(packet, 0) is None, "FETCH-BATCH has no view"
        report = it.report("a")
        assert (report["matched"], report["rules"][0]["without_effect"]) == (0, 1)
    it = engine(lie(digest="flip"))
    assert it.packet(packet, 0)
    assert it.report("a")["matched"] == 1


def view_change(replica: int, prepared_by: tuple[int, ...], order_by: int = 0) -> bytes:
    order = SEALS[order_by].signed(MessageType.PRE_PREPARE, 0, 3, D)
    votes = [SEALS[i].signed(MessageType.PREPARE, 0, 3, D) for i in prepared_by]
    certificate = order + codec.encode_frames(votes)
    body = codec.encode_frames([]) + (1).to_bytes(2, "big") + certificate
    return SEALS[replica].signed(MessageType.VIEW_CHANGE, 1, 0, body)


def test_nested_parts_are_sealed_again_only_where_they_are_the_liars_own() -> None:
    rule = lie(**{"prepared.0.prepares.0.seq": "+1", "prepared.0.prepares.1.seq": "+1"})
    packet = Packet("r1", "r2", view_change(1, (1, 3)))
    message, frame = codec.decode(became(engine(rule), packet).data)
    assert isinstance(message, ViewChange)
    assert SEALS[2].authentic(frame)
    votes = message.prepared[0].prepares
    assert [vote.seq for vote in votes] == [4, 4]
    assert [SEALS[2].verify_raw(vote.replica, vote.raw) for vote in votes] == [True, False]
    order = message.prepared[0].pre_prepare
    assert SEALS[2].verify_raw(0, order.raw), "what was not altered is as it was"


@pytest.mark.parametrize(("word", "left"), [("empty", 0), ("shorter", 0), ("doubled", 2)])
def test_lists(word: str, left: int) -> None:
    packet = Packet("r1", "r2", view_change(1, (1, 3)))
    message, frame = codec.decode(became(engine(lie(prepared=word)), packet).data)
    assert isinstance(message, ViewChange)
    assert len(message.prepared) == left
    assert SEALS[2].authentic(frame)


def test_a_proposal_and_its_batch() -> None:
    requests = tuple(codec.decode(CLIENT.request(time, b"op"))[0] for time in (1, 2))
    batch = Batch(requests, 77)
    raw = SEALS[1].signed(MessageType.PRE_PREPARE, 1, 9, batch.digest)
    packet = Packet("r1", "r2", raw + codec.encode_batch(batch))
    it = engine(lie(time_ns="+1", requests="reversed", digest="batch"))
    message, frame = codec.decode(became(it, packet).data)
    assert isinstance(message, PrePrepare)
    assert message.batch == Batch(requests[::-1], 78)
    assert message.digest == message.batch.digest
    assert SEALS[2].authentic(frame)
    unmatched = engine(lie(time_ns="+1"))
    with pytest.raises(Malformed, match="digest"):
        codec.decode(became(unmatched, packet).data)
    assert unmatched.report("a")["rules"][0]["unreadable"] == 1


def test_a_reply_is_sealed_for_its_client() -> None:
    packet = Packet("r1", "clients", SEALS[1].reply(1003, 0, 7, b"result"))
    message, frame = codec.decode(became(engine(lie(result="hex:00ff")), packet).data)
    assert isinstance(message, Reply)
    assert (message.result, message.timestamp) == (b"\x00\xff", 7)
    assert CLIENT.authentic(frame)


def test_a_message_in_pieces_is_altered_whole() -> None:
    orders = [
        codec.decode_pre_prepare(SEALS[1].signed(MessageType.PRE_PREPARE, 1, seq, D)) for seq in range(1, 600)
    ]
    big = SEALS[1].signed(MessageType.NEW_VIEW, 1, 0, codec.encode_new_view([], orders))
    first, second = (Packet("r1", "r2", piece) for piece in SEALS[1].fragments(2, big))
    it = engine({**lie(pre_prepares="shorter"), "match": {"types": ["NEW_VIEW"]}})
    assert list(it.packet(first, 0) or ()) == []
    out = it.packet(second, 0) or ()
    pieces = [codec.decode(one.data)[0] for one in out]
    message, frame = codec.decode(b"".join(piece.data for piece in pieces))
    assert isinstance(message, NewView)
    assert len(message.pre_prepares) == 598
    assert SEALS[2].authentic(frame)
    assert it.report("a")["matched"] == 1


def test_without_a_new_seal_it_is_a_bad_link() -> None:
    it = engine({"reseal": False, "set": {"digest": "flip"}, "match": {"types": ["COMMIT"]}})
    before = commit(source=0)
    after = became(it, before)
    message, frame = codec.decode(after.data)
    assert message.digest != D
    assert after.data[64:] == before.data[64:], "the tag is as it was"
    assert not SEALS[2].authentic(frame)


def test_any_bytes_of_a_liar() -> None:
    for rule in (lie(seq="+1"), {"reseal": False, "set": {"seq": "+1"}}):
        it = engine(rule)
        whole = commit().data
        for data in (
            b"",
            b"PBFT",
            bytes(100),
            whole[:40],
            whole + b"more",
            whole[:31] + b"\xff" + whole[32:],
        ):
            it.packet(Packet("r1", "r2", data), 0)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"set": {"seq": 1}}, "replicas = None"),
        ({"set": {"seq": 1}, "replicas": [4]}, "does not exist"),
        ({"set": {"seq": 1}, "replicas": [1], "reseal": 1}, "reseal = 1"),
        ({"set": {"seq": 1}, "replicas": [1], "reseal": False}, "compromises nobody"),
        ({"set": {}, "replicas": [1]}, "set = {}"),
        ({"replicas": [1]}, "set = None"),
        ({"set": {"Seq": 1}, "replicas": [1]}, "is no field"),
        ({"set": {"seq": "up"}, "replicas": [1]}, "give a whole number"),
        ({"set": {"seq": -1}, "replicas": [1]}, "give a whole number"),
        ({"set": {"seq": True}, "replicas": [1]}, "give a whole number"),
        ({"set": {"seq": 2**64}, "replicas": [1]}, "give a whole number"),
        ({"set": {"digest": "hex:0"}, "replicas": [1]}, "give a whole number"),
        ({"set": {"executed": 1}, "replicas": [1], "match": {"types": ["COMMIT"]}}, "no COMMIT has a field"),
        ({"set": {"seq": 1}, "replicas": [1], "match": {"types": ["X"]}}, "match.types"),
        ({"set": {"seq": 1}, "replicas": [1], "more": 1}, "unknown key 'more'"),
        ({"set": {"seq": 1}, "replicas": [1], "match": {"every": [0, 0]}}, "match.every"),
        ({"set": {"seq": 1}, "replicas": [1], "match": {"every": [4, 4]}}, "match.every"),
        ({"set": {"seq": 1}, "replicas": [1], "match": {"every": 4}}, "match.every"),
    ],
)
def test_bad_rules_are_refused_in_a_sentence(rule: Mapping[str, object], said: str) -> None:
    assert said in (problem_of_rule({"action": "alter", **rule}, 4) or "")


def test_every_manieth_number() -> None:
    it = engine({**lie(view="+1"), "match": {"every": [4, 1]}})
    assert [seq for seq in range(12) if it.packet(commit(seq=seq), 0) is not None] == [1, 5, 9]
