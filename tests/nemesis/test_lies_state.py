"""Lies about state and questions without end: each strategy on the wire, and what a correct replica makes of
it by the very functions it uses."""

from __future__ import annotations

import random

import pytest
from certified import digest
from stage import Stage

from nemesis.faults import KINDS
from nemesis.lies.state_flood import EVERY_NS, StateFlood
from nemesis.lies.state_lie import FAR_VIEW, StateLie
from nemesis.packets.packet import Packet
from pbft_node.core.certificates import checkpoint_proof_problem
from pbft_node.core.codec import encode_batch, encode_state_meta, encode_status
from pbft_node.core.digests import NULL_DIGEST
from pbft_node.core.fetching import fits, offered_digest
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import (
    CLIENTS,
    SERVICE,
    Address,
    BatchBody,
    Checkpoint,
    Commit,
    Decided,
    FetchBatch,
    FetchParts,
    FetchState,
    Message,
    Part,
    PartKind,
    QueryView,
    StateMeta,
    StateParts,
    Status,
    StoreOffer,
    TellView,
)
from pbft_node.core.pages import Image, encode_page, image_of
from pbft_node.core.snapshots import Snapshot, state_digest, take_snapshot
from pbft_node.core.state_codec import encode_parts
from pbft_node.core.state_transfer import offer_of, part_of
from pbft_node.core.types import ReplicaId, SeqNum

LIAR, SEQ = 2, 8
PARTS = ("forged-parts", "wrong-clients", "truncated", "garbage")
TRIED = {*PARTS, "forged-offer", "inflated-offer", "older-offer", "slow-loris", "stopping"}


def stage_of(strategy: str, action: str = "lie-about-state") -> Stage:
    stage = Stage(liars=(LIAR,), checkpoint_interval=4, window=8)
    stage.rule(action=action, replicas=[LIAR], strategy=strategy)
    return stage


def snapshot(seq: int = SEQ) -> Snapshot:
    service = image_of([encode_page({b"k1": b"one", b"k2": b"two"}), encode_page({b"k3": b"%d" % seq})])
    clients = image_of([encode_page({b"\0\0\3\xe8": bytes(8) + b"reply"})])
    return take_snapshot(SeqNum(seq), service, clients)


def offer(stage: Stage, seq: int = SEQ) -> bytes:
    """The liar's STATE-META, as its process makes it."""
    shot = snapshot(seq)
    votes = [
        Checkpoint(
            SeqNum(seq),
            shot.digest,
            ReplicaId(one),
            stage.seals[one].signed(MessageType.CHECKPOINT, 0, seq, shot.digest),
        )
        for one in range(3)
    ]
    return encode_state_meta(votes, offer_of(shot.service), offer_of(shot.clients))


def send(stage: Stage, kind: MessageType, seq: int, body: bytes, view: int = 0, to: int = 0) -> list[Packet]:
    return stage.send(LIAR, f"r{to}", stage.seals[LIAR].for_peer(to, kind, view, seq, body))


def all_parts() -> list[Part]:
    shot = snapshot()
    addresses = [
        Address(PartKind.GROUP, SERVICE, 0),
        Address(PartKind.PAGE, SERVICE, 0),
        Address(PartKind.PAGE, SERVICE, 1),
        Address(PartKind.GROUP, CLIENTS, 0),
        Address(PartKind.PAGE, CLIENTS, 0),
    ]
    found = [part_of(shot, address) for address in addresses]
    return [part for part in found if part is not None]


def is_the_one(part: Part) -> bool:
    """As a replica that fetches finds out."""
    shot = snapshot()
    image: Image = shot.service if part.address.store == SERVICE else shot.clients
    named = image.group_digests if part.address.kind is PartKind.GROUP else image.page_digests
    return fits(part, named[part.address.number], len(image.pages))


def test_every_strategy_is_tried_here() -> None:
    assert set(StateLie.strategies) == {*TRIED, "false-batch", "false-decided", "false-views"}
    assert set(StateFlood.strategies) == {"state", "parts", "batches", "views", "all"}
    assert all(is_the_one(part) for part in all_parts())


def refused(stage: Stage, message: Message) -> bool:
    """By a replica that is offered this state."""
    assert isinstance(message, StateMeta)
    problem = checkpoint_proof_problem(stage.cluster, stage.seals[0], message.seq, message.proof)
    return problem is not None or message.proof[0].digest != offered_digest(message)


@pytest.mark.parametrize("strategy", ["forged-offer", "inflated-offer"])
def test_a_false_offer_does_not_match_its_proof(strategy: str) -> None:
    true = stage_of("garbage")
    (message,) = true.read(send(true, MessageType.STATE_META, SEQ, offer(true)))
    assert not refused(true, message)
    stage = stage_of(strategy)
    (message,) = stage.read(send(stage, MessageType.STATE_META, SEQ, offer(stage)))
    assert isinstance(message, StateMeta)
    assert refused(stage, message)
    assert message.replica == LIAR
    assert message.seq == (SEQ + 4 if strategy == "inflated-offer" else SEQ)
    assert all(stage.seals[0].verify_raw(vote.replica, vote.raw) for vote in message.proof), "a real proof"


def test_an_older_offer_is_true_and_old() -> None:
    stage = stage_of("older-offer")
    first = send(stage, MessageType.STATE_META, 4, offer(stage, 4))
    assert stage.engine.report("lie-1")["matched"] == 0, "nothing older is known"
    assert len(first) == 1
    (message,) = stage.read(send(stage, MessageType.STATE_META, SEQ, offer(stage)))
    assert isinstance(message, StateMeta)
    assert message.seq == 4
    assert not refused(stage, message)


@pytest.mark.parametrize("strategy", PARTS)
def test_false_parts_are_not_the_ones_proved(strategy: str) -> None:
    stage = stage_of(strategy)
    parts = all_parts()
    (message,) = stage.read(send(stage, MessageType.STATE_PARTS, SEQ, encode_parts(parts)))
    assert isinstance(message, StateParts)
    assert message.seq == SEQ
    assert [part.address for part in message.parts] == [part.address for part in parts]
    false = [part for part in message.parts if not is_the_one(part)]
    about = {"forged-parts": {SERVICE}, "wrong-clients": {CLIENTS}}.get(strategy, {SERVICE, CLIENTS})
    assert {part.address.store for part in false} == about
    assert all(not is_the_one(part) for part in message.parts if part.address.store in about)
    if strategy == "garbage":
        assert [len(part.data) for part in message.parts] == [len(part.data) for part in parts]


def test_a_slow_loris_sends_every_part_by_itself_an_interval_after_the_one_before() -> None:
    stage = stage_of("slow-loris")
    packets = send(stage, MessageType.STATE_PARTS, SEQ, encode_parts(all_parts()))
    assert [one.delay_ns for one in packets] == [n * stage.cluster.status_busy_ns for n in range(1, 6)]
    said = [
        part for message in stage.read(packets) if isinstance(message, StateParts) for part in message.parts
    ]
    assert said == all_parts()


def test_stopping_gives_one_answer_for_each_state_to_each() -> None:
    stage = stage_of("stopping")
    first, *rest = [encode_parts([part]) for part in all_parts()]
    assert len(send(stage, MessageType.STATE_PARTS, SEQ, first)) == 1
    assert [send(stage, MessageType.STATE_PARTS, SEQ, body) for body in rest] == [[], [], [], []]
    assert len(send(stage, MessageType.STATE_PARTS, SEQ, first, to=1)) == 1
    assert len(send(stage, MessageType.STATE_PARTS, SEQ + 4, rest[0])) == 1


def test_a_false_batch_is_another() -> None:
    stage = stage_of("false-batch")
    for batch in (stage.batch(), stage.batch(stage.request())):
        (message,) = stage.read(send(stage, MessageType.BATCH, 0, encode_batch(batch)))
        assert isinstance(message, BatchBody)
        assert message.batch.digest != batch.digest
        assert set(message.batch.requests) <= set(batch.requests)


def test_false_decisions_come_with_a_commit_and_instead_of_true_ones() -> None:
    stage = stage_of("false-decided")
    one, two, commit = stage.read(send(stage, MessageType.COMMIT, 5, digest("a"), view=3))
    assert [(m.seq, m.digest) for m in (one, two) if isinstance(m, Decided)] == [
        (5, NULL_DIGEST),
        (6, NULL_DIGEST),
    ]
    assert isinstance(commit, Commit)
    assert (commit.view, commit.seq, commit.digest) == (3, 5, digest("a"))
    (false,) = stage.read(send(stage, MessageType.DECIDED, 5, digest("a")))
    assert isinstance(false, Decided)
    assert false.digest == NULL_DIGEST


def test_false_views_are_told_to_who_asks_and_unasked() -> None:
    stage = stage_of("false-views")
    nonce = b"n" * 16
    (told,) = stage.read(send(stage, MessageType.TELL_VIEW, 4, nonce, view=3, to=1))
    assert isinstance(told, TellView)
    assert (told.view, told.stable, told.nonce, told.replica) == (FAR_VIEW, FAR_VIEW, nonce, LIAR)
    stage.send(0, "r2", stage.seals[0].signed(MessageType.QUERY_VIEW, 0, 0, nonce))
    status = encode_status(stage.cluster.fingerprint(), True, 3, 4, (), b"")  # type: ignore[arg-type]
    told, true = stage.read(send(stage, MessageType.STATUS, 4, status, view=3))
    assert isinstance(told, TellView)
    assert (told.view, told.stable, told.nonce) == (0, 0, nonce)
    assert isinstance(true, Status)
    assert (true.view, true.stable) == (3, 4)


def test_what_a_strategy_is_not_about_passes() -> None:
    stage = stage_of("garbage")
    body = offer(stage)
    (packet,) = send(stage, MessageType.STATE_META, SEQ, body)
    assert packet.data == stage.seals[LIAR].for_peer(0, MessageType.STATE_META, 0, SEQ, body)
    assert stage.engine.report("lie-1")["matched"] == 0


# ---------------------------------------------------------------- floods


@pytest.mark.parametrize(
    ("strategy", "kind"),
    [("state", FetchState), ("parts", FetchParts), ("batches", FetchBatch), ("views", QueryView)],
)
def test_a_flood_asks_every_other_every_10_ms(strategy: str, kind: type[Message]) -> None:
    stage = stage_of(strategy, "flood-with-questions")
    stage.propose(stage.batch(), view=1)
    stage.vote(1, MessageType.CHECKPOINT, digest("a"), seq=8)
    for turn in range(1, 4):  # the stage let it have its first turn already
        assert stage.engine.due_ns() == turn * EVERY_NS
        packets = stage.engine.tick(turn * EVERY_NS)
        assert {one.target for one in packets} == {"r0", "r1", "r3"}
        messages = stage.read(packets)
        assert len(messages) == len(packets), "all are authentic, so each costs an answer or a refusal"
        assert all(isinstance(message, kind) and message.replica == LIAR for message in messages)
    if strategy == "batches":
        assert stage.batch().digest in {m.digest for m in messages if isinstance(m, FetchBatch)}
    if strategy == "parts":
        assert {m.seq for m in messages if isinstance(m, FetchParts)} <= {0, 4, 8}
        kinds = {a.kind for m in messages if isinstance(m, FetchParts) for a in m.addresses}
        assert kinds == set(PartKind)


def test_views_are_asked_for_with_a_new_nonce_each_time() -> None:
    stage = stage_of("views", "flood-with-questions")
    nonces = set()
    for turn in range(3):
        for message in stage.read(stage.engine.tick(turn * EVERY_NS)):
            assert isinstance(message, QueryView)
            nonces.add(message.nonce)
    assert len(nonces) == 3


# ---------------------------------------------------------------- the kinds


def test_a_state_lie_needs_somebody_behind_who_is_no_liar() -> None:
    kind = KINDS["state-lie"]
    params = {"replicas": [2], "strategy": "garbage", "push": "lag", "behind": 1}
    assert kind.check(params, 4) is None
    assert kind.victims(params, 4, 1).network
    assert "choose a correct replica" in str(kind.check({**params, "behind": 2}, 4))


def test_a_false_batch_is_told_to_who_asks_for_batches() -> None:
    kind = KINDS["state-lie"]
    for seed in range(200):
        params = kind.draw(random.Random(seed), 4, 1, False, [seed % 4])
        assert kind.check(params, 4) is None
        asks = params["push"] == "bodies"
        assert asks == (params["strategy"] == "false-batch")
        assert not asks or params["behind"] != 0, "who proposes has every batch"


def test_collusion_is_two_lies_with_the_same_liars() -> None:
    kind = KINDS["collude"]
    params = {"replicas": [1, 2], "strategy": "erase", "push": "views"}
    assert kind.check(params, 7) is None
    first, second, *push = kind.rules(params, 7, 2)  # type: ignore[attr-defined]
    assert (first["action"], first["strategy"]) == ("lie-view-change", "stripped")
    assert (second["action"], second["strategy"]) == ("lie-new-view", "nulled")
    assert first["replicas"] == second["replicas"] == [1, 2]
    assert [rule["action"] for rule in push] == ["drop", "drop", "drop"]
    assert "choose one of halves" in str(kind.check({**params, "strategy": "nulled"}, 7))
    assert "choose one of halves" in str(kind.check({**params, "strategy": ["erase"]}, 7))


def test_offers_of_the_stage_are_the_replicas_own() -> None:
    shot = snapshot()
    assert shot.digest == state_digest(shot.service.digest, shot.clients.digest)
    assert offer_of(shot.service) == StoreOffer(2, shot.service.group_digests)


def test_who_stumbles_has_a_state_to_fetch() -> None:
    """Were proposals of all numbers lost, no checkpoint would come about in the time of a fault."""
    kind = KINDS["state-lie"]
    params = {"replicas": [2], "strategy": "garbage", "push": "stumble", "behind": 1}
    *_, lost = kind.rules(params, 4, 1)  # type: ignore[attr-defined]
    assert lost["match"] == {"types": ["PRE_PREPARE"], "p": 0.5, "every": [16, 0]}
