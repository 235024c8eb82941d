"""Every strategy of the normal case: the wire shows exactly that lie, sealed with the liar's own key."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from stage import Stage

from nemesis.lies.wrong_field import NUMBERS
from nemesis.packets.packet import Packet
from pbft_node.core.cluster import Cluster
from pbft_node.core.codec import decode, encode_batch
from pbft_node.core.frames import Malformed, MessageType
from pbft_node.core.messages import NULL_BATCH, Batch, Commit, Prepare, PrePrepare, Request
from pbft_node.core.types import MAX_SEQUENCE, Digest

D = Digest(b"d" * 32)
MS = 1_000_000


def lying(action: str, strategy: str, liar: int = 0, **more: object) -> Stage:
    """A stage with that lie at work."""
    stage = Stage(liars=(liar,))
    stage.rule(action=action, strategy=strategy, replicas=[liar], **more)
    return stage


def told(stage: Stage, packets: Sequence[Packet]) -> list[PrePrepare]:
    """The proposals among what a receiver takes for authentic."""
    return [one for one in stage.read(packets) if isinstance(one, PrePrepare)]


def batches(stage: Stage, batch: Batch, target: str = "r1", seq: int = 1) -> list[Batch]:
    """What that receiver is told in place of a batch; each under its own digest."""
    found = [one.batch for one in told(stage, stage.propose(batch, seq=seq)[target])]
    return [one for one in found if one is not None]


# ---------------------------------------------------------------- wrong-field


@pytest.mark.parametrize(
    ("strategy", "more", "seen"),
    [
        ("view", {"by": 1}, (1, 40)),
        ("view", {"by": -1}, (1, 40)),
        ("view", {"by": 1000}, (1000, 40)),
        *(
            ("number", {"number": name}, (0, seq))
            for name, seq in zip(NUMBERS, (41, 39, 24, 32, 57, 40 + 2**31, MAX_SEQUENCE), strict=True)
        ),
    ],
)
def test_a_vote_for_another_view_or_number(
    strategy: str, more: dict[str, object], seen: tuple[int, int]
) -> None:
    stage = Stage(liars=(2,), checkpoint_interval=8, window=16)
    stage.rule(action="wrong-field", strategy=strategy, replicas=[2], **more)
    for kind in (MessageType.PREPARE, MessageType.COMMIT):
        (vote,) = stage.read(stage.vote(2, kind, D, seq=40)["r1"])
        assert isinstance(vote, Prepare | Commit)
        assert (vote.view, vote.seq, vote.digest, vote.replica) == (*seen, D, 2)
    primary = Stage(liars=(0,), checkpoint_interval=8, window=16)
    primary.rule(action="wrong-field", strategy=strategy, replicas=[0], **more)
    (proposed,) = told(primary, primary.propose(primary.batch(), seq=40)["r1"])
    assert (proposed.view, proposed.seq, proposed.batch) == (*seen, primary.batch())


def test_gaps_leave_every_second_number_out() -> None:
    stage = lying("wrong-field", "gaps")
    seqs = [told(stage, stage.propose(stage.batch(), seq=seq)["r1"])[0].seq for seq in (1, 2, 3)]
    assert seqs == [2, 4, 6]


def test_a_vote_for_an_unseen_digest_to_some() -> None:
    stage = lying("wrong-field", "digest", 2, whom="one")
    votes = [stage.read(packets)[0] for packets in stage.vote(2, MessageType.PREPARE, D).values()]
    assert sorted(vote.digest == D for vote in votes) == [False, True, True]  # type: ignore[union-attr]


def test_a_backup_proposes() -> None:
    stage = lying("wrong-field", "usurp", 2)
    batch = stage.batch()
    stage.propose(batch)
    proposed, vote = stage.read(stage.vote(2, MessageType.PREPARE, batch.digest)["r1"])
    assert isinstance(proposed, PrePrepare)
    assert isinstance(vote, Prepare)
    assert (proposed.view, proposed.seq, proposed.primary) == (0, 1, 2)
    assert proposed.batch is not None
    assert proposed.batch.requests == batch.requests
    assert proposed.digest != batch.digest


def test_a_primary_prepares_its_own_proposal() -> None:
    stage = lying("wrong-field", "own-prepare")
    proposed, vote = stage.read(stage.propose(stage.batch())["r1"])
    assert isinstance(vote, Prepare)
    assert (vote.replica, vote.digest) == (0, proposed.digest)  # type: ignore[union-attr]


def test_other_names_over_its_own_key_convince_nobody() -> None:
    stage = lying("wrong-field", "sender", 2)
    for kind in (MessageType.PREPARE, MessageType.COMMIT):
        packets = stage.vote(2, kind, D)["r1"]
        assert [decode(one.data)[1].sender for one in packets] == [2, 0, 1, 3]
        assert len(stage.read(packets)) == 1


def test_a_prepare_that_says_it_is_a_commit_is_not_authentic() -> None:
    stage = lying("wrong-field", "relabel", 2)
    for kind, other in ((MessageType.PREPARE, Commit), (MessageType.COMMIT, Prepare)):
        packets = stage.vote(2, kind, D)["r1"]
        assert isinstance(decode(packets[1].data)[0], other)
        assert len(stage.read(packets)) == 1


def test_a_batch_under_another_digest_cannot_be_read() -> None:
    stage = lying("wrong-field", "body")
    (packet,) = stage.propose(stage.batch())["r1"]
    with pytest.raises(Malformed, match="not that of its batch"):
        decode(packet.data)


# ---------------------------------------------------------------- forged-request


def authentic(stage: Stage, request: Request) -> bool:
    """For a correct replica."""
    return stage.seals[1].authentic_request(request.client, request.raw)


@pytest.mark.parametrize(
    ("strategy", "forged", "more"),
    [("unsigned", 1, 1), ("own-key", 1, 1), ("unknown-client", 1, 1), ("altered", 1, 0), ("duplicate", 0, 2)],
)
def test_nobody_but_a_client_can_sign_for_it(strategy: str, forged: int, more: int) -> None:
    stage = lying("forged-request", strategy)
    true = stage.batch()
    (batch,) = batches(stage, true)
    assert sum(not authentic(stage, one) for one in batch.requests) == forged
    assert len(batch.requests) == len(true.requests) + more
    assert stage.scene.told.requests() == true.requests, "a forged request is none to lie with"


def test_requests_of_earlier_batches_come_again() -> None:
    stage = lying("forged-request", "again")
    first, second = stage.batch(stage.request(0)), stage.batch(stage.request(1))
    assert batches(stage, first, seq=1) == [first]
    (again,) = batches(stage, second, seq=2)
    assert again.requests == (*first.requests, *second.requests)
    assert all(authentic(stage, one) for one in again.requests)


def test_a_batch_too_large_and_times_too_early_and_too_late() -> None:
    (huge,) = batches(lying("forged-request", "huge"), Stage().batch())
    limit = Cluster(n=4, cluster_id=bytes(16)).batch_limit
    assert len(huge.requests) == limit + 1
    (ahead,) = batches(lying("forged-request", "ahead"), Stage().batch())
    assert ahead.time_ns >= 2_000 * MS
    (back,) = batches(lying("forged-request", "back"), Stage().batch())
    assert back.time_ns == 1


def test_only_half_are_lied_to_and_votes_agree() -> None:
    stage = lying("forged-request", "back", whom="half")
    true = stage.batch()
    said = {target: told(stage, packets)[0].digest for target, packets in stage.propose(true).items()}
    assert len(set(said.values())) == 2
    for target, packets in stage.vote(0, MessageType.COMMIT, true.digest).items():
        assert stage.read(packets)[0].digest == said[target]  # type: ignore[union-attr]


def test_a_backup_relays_what_no_client_said_and_what_was_done_long_ago() -> None:
    stage = lying("forged-request", "relay-altered", 2)
    *_, relayed = stage.propose(stage.batch())["r2"]
    request, _ = decode(relayed.data)
    assert (relayed.source, relayed.target) == ("r2", "r0")
    assert isinstance(request, Request)
    assert not authentic(stage, request)
    stage = lying("forged-request", "relay-old", 2)
    old = stage.request(5)
    stage.propose(stage.batch(old))
    *_, relayed = stage.propose(stage.batch(), seq=2)["r2"]
    assert (relayed.target, relayed.data) == ("r0", old.raw)


# ---------------------------------------------------------------- checkpoint-lie, silence


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("digest", [(128, False)]),
        ("both", [(128, False), (128, True)]),
        ("future", [(128, True), (256, False), (384, False), (512, False)]),
        ("odd", [(128, True), (129, True)]),
        ("far", [(128, True), (1 << 40, True)]),
        ("withhold", []),
        ("old", [(128, True)]),
        ("flood", [(128, True)] * 20),
    ],
)
def test_checkpoints(strategy: str, said: list[tuple[int, bool]]) -> None:
    stage = lying("checkpoint-lie", strategy, 2)
    for target, packets in stage.vote(2, MessageType.CHECKPOINT, D, seq=128).items():
        assert [(one.seq, one.digest == D) for one in stage.read(packets)] == said, target  # type: ignore[union-attr]


def test_old_checkpoints_come_again() -> None:
    stage = lying("checkpoint-lie", "old", 2)
    stage.vote(2, MessageType.CHECKPOINT, D, seq=128)
    again = stage.read(stage.vote(2, MessageType.CHECKPOINT, D, seq=256)["r1"])
    assert [one.seq for one in again] == [256, 128]  # type: ignore[union-attr]


def heard(
    stage: Stage, liar: int, kinds: Sequence[MessageType], seqs: Sequence[int]
) -> list[tuple[str, str, int]]:
    """Who hears what of that liar's votes."""
    return [
        (target, kind.name, seq)
        for kind in kinds
        for seq in seqs
        for target, packets in stage.vote(liar, kind, D, seq=seq).items()
        if packets
    ]


VOTES = (MessageType.PREPARE, MessageType.COMMIT)


@pytest.mark.parametrize(
    ("strategy", "types", "left"),
    [
        ("types", "any", 0),
        ("types", "votes", 0),
        ("types", "checkpoints", 3 * 2 * 4),
        ("odd", "any", 3 * 2 * 2),
        ("after-first", "votes", 3 * 2),
        ("starve", "any", 2 * 2 * 4),
    ],
)
def test_silence(strategy: str, types: str, left: int) -> None:
    stage = lying("silence", strategy, 2, types=types)
    said = heard(stage, 2, VOTES, (1, 2, 3, 4))
    assert len(said) == left
    if strategy == "odd":
        assert {seq for _, _, seq in said} == {2, 4}
    if strategy == "after-first":
        assert {seq for _, _, seq in said} == {1}
    if strategy == "starve":
        assert len({target for target, _, _ in said}) == 2, "f of three hear nothing"


def test_a_proposal_without_its_batch() -> None:
    stage = lying("silence", "bodies")
    (bare,) = told(stage, stage.propose(stage.batch())["r1"])
    assert bare.batch is None
    assert bare.digest == stage.batch().digest
    body = stage.seals[0].for_peer(1, MessageType.BATCH, 0, 0, encode_batch(stage.batch()))
    assert stage.send(0, "r1", body) == []


# ---------------------------------------------------------------- slow-primary, unfair-order


def delays(stage: Stage, seqs: Sequence[int], now_ns: int = 0) -> list[set[int]]:
    """In ms, of the proposals of those numbers, all made now."""
    out = []
    for seq in seqs:
        data = stage.seals[0].signed(MessageType.PRE_PREPARE, 0, seq, NULL_BATCH.digest)
        sent = [stage.send(0, f"r{i}", data + encode_batch(NULL_BATCH), now_ns)[0] for i in (1, 2, 3)]
        out.append({packet.delay_ns // MS for packet in sent})
    return out


def test_a_primary_as_slow_as_it_may_be() -> None:
    assert delays(lying("slow-primary", "delay", percent=80), (1, 2)) == [{800}, {800}]
    assert delays(lying("slow-primary", "drip", percent=90), (1, 2, 3)) == [{0}, {900}, {1800}]
    stage = lying("slow-primary", "just-in-time", percent=90)
    request = stage.request()
    stage.send("clients", "r0", request.raw, now_ns=100 * MS)
    batch = stage.batch(request)
    data = stage.seals[0].signed(MessageType.PRE_PREPARE, 0, 1, batch.digest) + encode_batch(batch)
    assert stage.send(0, "r1", data, now_ns=300 * MS)[0].delay_ns == 700 * MS, (
        "1 s is the timer, 200 ms are gone"
    )


@pytest.mark.parametrize(
    ("strategy", "ordered"),
    [
        ("overtake", [[], [3, 2, 0, 1]]),
        ("favour", [[0], [1]]),
        ("last", [[1], [2, 3, 0]]),
        ("censor", [[1], [2, 3]]),
        ("stuff", [[], [2, 3]]),
    ],
)
def test_unfair_order(strategy: str, ordered: list[list[int]]) -> None:
    stage = lying("unfair-order", strategy)
    first = stage.batch(stage.request(0), stage.request(1))
    second = stage.batch(stage.request(2), stage.request(3))
    for seq, (batch, clients) in enumerate(zip((first, second), ordered, strict=True), 1):
        said = stage.propose(batch, seq=seq)
        found = [told(stage, said[target])[0].batch for target in ("r1", "r2", "r3")]
        assert found[0] is not None
        assert found == [found[0]] * 3, "the same for everybody"
        assert [request.client - 1000 for request in found[0].requests] == clients
        assert all(authentic(stage, request) for request in found[0].requests)


def test_who_does_not_lead_proposes_all_the_same_and_votes_late() -> None:
    stage = lying("unfair-order", "censor", 2)
    batch = stage.batch()
    said = [packet for packet in stage.propose(batch)["r2"] if packet.source == "r2"]
    assert [packet.target for packet in said] == ["r0", "r1", "r3"]
    for message in stage.read(said):
        assert isinstance(message, PrePrepare)
        assert (message.primary, message.view, message.seq) == (2, 0, 1)
        assert message.batch is not None
        assert message.batch.requests == batch.requests[1:]
    slow = lying("slow-primary", "delay", 2, percent=50)
    assert [one.delay_ns for one in slow.vote(2, MessageType.PREPARE, D)["r1"]] == [500 * MS]
    assert [one.delay_ns for one in slow.vote(2, MessageType.PREPARE, D, view=2)["r1"]] == [0]


# ---------------------------------------------------------------- replay-own, spam-status


def test_replays() -> None:
    stage = lying("replay-own", "storm", 2, times=5)
    packets = stage.vote(2, MessageType.PREPARE, D)["r1"]
    assert packets == packets[:1] * 5
    stage = lying("replay-own", "late", 2, times=3)
    assert [one.delay_ns for one in stage.vote(2, MessageType.PREPARE, D)["r1"]] == [0, 300 * MS]
    stage = lying("replay-own", "astray", 2)
    packets = stage.vote(2, MessageType.COMMIT, D)["r1"]
    assert [one.target for one in packets] == ["r0", "r1", "r3"]
    assert len(stage.read(packets)) == 1, "a MAC is good before its receiver only"
    stage = lying("replay-own", "old", 2, times=2)
    for seq in (1, 2, 3):
        stage.vote(2, MessageType.PREPARE, D, view=0, seq=seq)
    again = stage.read(stage.vote(2, MessageType.PREPARE, D, view=1, seq=9)["r1"])
    assert again[0].seq == 9  # type: ignore[union-attr]
    assert len(again) == 3
    again = stage.read(stage.vote(2, MessageType.PREPARE, D, view=1, seq=10)["r1"])
    assert {one.view for one in again[1:]} == {0}, "of earlier views first"  # type: ignore[union-attr]
