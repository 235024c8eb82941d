"""Section 5.1, digest replies: one replica sends a long result, the others what it must agree with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_cluster import MemoryCluster
from playbook import Playbook

from pbft_node.core.cluster import MILLISECOND_NS
from pbft_node.core.codec import decode
from pbft_node.core.digests import DIGEST_BYTES, result_digest
from pbft_node.core.effects import Send
from pbft_node.core.frames import NAMES_REPLIER, RESULT_DIGEST, MessageType, parse_frame
from pbft_node.core.messages import PrePrepare, Reply
from pbft_node.core.operations import encode_fields

Make = Callable[..., Playbook]
LONG = b"v" * 100
RESULT = encode_fields(b"ok", LONG)
RETRY_MS = 300


def decide(play: Playbook, proposal: PrePrepare) -> Playbook:
    """The replica sees one number through all three phases; the last COMMIT is the latest event."""
    peers = [r for r in play.cast.backups(proposal.view) if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in peers])
    play.after(*[play.cast.commit(proposal, by) for by in peers[:-1]])
    return play.receives(play.cast.commit(proposal, peers[-1])).persists("COMMITTED")


def stored(play: Playbook) -> Playbook:
    """A long value is under k."""
    return decide(play, play.cast.pre_prepare(1, play.cast.request(1, b"put", b"k", LONG))).skips()


# ---------------------------------------------------------------- the replica


def test_the_named_replica_sends_the_result_and_the_others_its_digest(playbook: Make) -> None:
    for me, expected in ((1, {"digest": result_digest(RESULT)}), (2, {"result": RESULT})):
        play = stored(playbook(me))
        read = play.cast.request(2, b"get", b"k", replier=2)
        decide(play, play.cast.pre_prepare(2, read)).sends("REPLY", to=1000, seq=2, **expected)


def test_a_result_no_longer_than_its_digest_is_sent_by_all(playbook: Make) -> None:
    for length in (DIGEST_BYTES - 12, DIGEST_BYTES - 11):
        play = playbook(me=1)
        decide(play, play.cast.pre_prepare(1, play.cast.request(1, b"put", b"k", b"v" * length))).skips()
        result = encode_fields(b"ok", b"v" * length)
        whole = len(result) <= DIGEST_BYTES
        expected = {"result": result} if whole else {"digest": result_digest(result)}
        read = play.cast.request(2, b"get", b"k", replier=2)
        decide(play, play.cast.pre_prepare(2, read)).sends("REPLY", to=1000, seq=2, **expected)
    assert not whole


def test_a_request_that_names_nobody_is_answered_in_full(playbook: Make) -> None:
    play = stored(playbook(me=1))
    decide(play, play.cast.pre_prepare(2, play.cast.request(2, b"get", b"k")))
    play.sends("REPLY", to=1000, seq=2, result=RESULT)


def test_without_digest_replies_all_send_the_result(playbook: Make) -> None:
    play = stored(playbook(me=1, digest_replies=False))
    decide(play, play.cast.pre_prepare(2, play.cast.request(2, b"get", b"k", replier=2)))
    play.sends("REPLY", to=1000, seq=2, result=RESULT)


def test_a_request_that_comes_again_is_answered_in_full_by_all(playbook: Make) -> None:
    play = stored(playbook(me=1))
    read = play.cast.request(2, b"get", b"k", replier=2)
    decide(play, play.cast.pre_prepare(2, read)).sends("REPLY", to=1000, digest=result_digest(RESULT))
    play.receives(read).sends("REPLY", to=1000, seq=2, result=RESULT)


def test_the_name_is_in_the_header_and_under_the_signature(playbook: Make) -> None:
    play = playbook(me=2)
    request = play.cast.request(1, replier=3)
    frame, _ = parse_frame(request.raw)
    assert (frame.flags, frame.view) == (NAMES_REPLIER, 3)
    other = bytearray(request.raw)
    other[19] = 1
    play.receives(bytes(other)).rejects("REQUEST", "not authentic", sender=1000)
    play.receives(request).sends("REQUEST", to=0, view=3)


@pytest.mark.parametrize(("flags", "view"), [(0, 1), (1, 1), (4, 0), (NAMES_REPLIER, 1000), (255, 0)])
def test_other_flags_and_names_are_no_request(playbook: Make, flags: int, view: int) -> None:
    play = playbook(me=0)
    play.receives(play.cast.seal(1000).signed(MessageType.REQUEST, view, 1, b"", flags)).rejects("datagram")


def test_naming_a_replica_that_does_not_exist_harms_the_client_only(playbook: Make) -> None:
    play = stored(playbook(me=1))
    read = play.cast.request(2, b"get", b"k", replier=999)
    decide(play, play.cast.pre_prepare(2, read)).sends("REPLY", to=1000, digest=result_digest(RESULT))
    play.receives(read).sends("REPLY", to=1000, result=RESULT)


# ---------------------------------------------------------------- client and cluster


def replies(cluster: MemoryCluster) -> list[Reply]:
    found = [decode(send.data)[0] for _, send in cluster.sent if send.data[5] == MessageType.REPLY]
    return [reply for reply in found if isinstance(reply, Reply)]


def named(cluster: MemoryCluster) -> list[int]:
    """Whom each request of the client named, in order."""
    frames = [parse_frame(send.data)[0] for source, send in cluster.sent if source >= 1000]
    return list({frame.seq: frame.view for frame in frames if frame.flags & NAMES_REPLIER}.values())


@pytest.mark.parametrize("auth", ["hybrid", "sign"])
def test_one_result_travels_for_each_operation_and_everybody_has_his_turn(auth: str) -> None:
    cluster = MemoryCluster(auth=auth)
    cluster.call(0, b"put", b"k", LONG)
    cluster.run(1_000)
    cluster.sent.clear()
    for _ in range(8):
        assert cluster.call(0, b"get", b"k") == RESULT
        cluster.run(50)
    whole = [reply.replica for reply in replies(cluster) if reply.result is not None]
    assert len(replies(cluster)) == 32
    assert whole == named(cluster)
    assert sorted(whole) == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("fault", ["dead", "lies", "sends digests only"])
def test_a_replier_that_fails_costs_one_retry_and_is_not_named_next(fault: str) -> None:
    cluster = MemoryCluster()
    cluster.call(0, b"put", b"k", LONG)

    def spoil(source: int, send: Send) -> list[Send]:
        frame, _ = parse_frame(send.data)
        if source != 3 or frame.type is not MessageType.REPLY or frame.flags == RESULT_DIGEST:
            return [send]
        if fault == "dead":
            return []
        seal, result = cluster.replica(3).seal, RESULT if fault != "lies" else encode_fields(b"ok", b"x" * 99)
        return [Send(1000, seal.reply(1000, frame.view, frame.seq, result, whole=fault == "lies"))]

    cluster.on_send = spoil
    failures, previous = 0, -1
    for _ in range(12):
        cluster.sent.clear()
        before = cluster.now_ns
        assert cluster.call(0, b"get", b"k") == RESULT
        (replier,) = named(cluster)
        took_ms = (cluster.now_ns - before) / MILLISECOND_NS
        if replier == 3:
            failures += 1
            assert previous != 3
            copies = [send for source, send in cluster.sent if source == 1000]
            assert len(copies) == 1 + 4
            assert took_ms < (RETRY_MS + 20 if fault == "dead" else 20)
        else:
            assert took_ms < 20
        previous = replier
    assert failures == 1


def test_a_whole_result_without_matching_digests_convinces_nobody() -> None:
    """The named liar answers first and alone; only what f others vouch for counts."""
    cluster = MemoryCluster()
    cluster.call(0, b"put", b"k", LONG)
    cluster.network.cut = lambda source, target: target == 1000 and source in (0, 1)
    cluster.on_send = lambda source, send: (
        [Send(1000, cluster.replica(3).seal.reply(1000, 0, 2, b"a lie"))]
        if source == 3 and send.to == 1000
        else [send]
    )
    cluster.invoke(0, b"get", b"k")
    assert not cluster.run(5_000, until=lambda: len(cluster.completed[1000]) > 1)
    assert {reply.replica for reply in cluster.client(0).replies} == {2, 3}
    cluster.network.cut = lambda source, target: False
    assert cluster.run(5_000, until=lambda: len(cluster.completed[1000]) > 1)
    assert cluster.completed[1000][-1].result == RESULT


def test_digests_alone_complete_nothing() -> None:
    cluster = MemoryCluster()
    cluster.call(0, b"put", b"k", LONG)
    cluster.on_send = lambda source, send: (
        [] if send.data[5] == MessageType.REPLY and not send.data[7] else [send]
    )
    cluster.invoke(0, b"get", b"k")
    assert not cluster.run(5_000, until=lambda: len(cluster.completed[1000]) > 1)
    assert len(cluster.client(0).replies) == 3
    assert {reply.result for reply in cluster.client(0).replies} == {None}


def test_who_does_not_retransmit_names_nobody() -> None:
    cluster = MemoryCluster()
    cluster.call(0, b"put", b"k", LONG)
    cluster.client(1, retry=False)
    cluster.sent.clear()
    assert cluster.call(1, b"get", b"k") == RESULT
    assert named(cluster) == []


def test_two_dead_repliers_of_seven_are_both_remembered() -> None:
    cluster = MemoryCluster(n=7)
    cluster.call(0, b"put", b"k", LONG)
    for dead in (5, 6):
        cluster.crash(dead)
    cluster.sent.clear()
    for _ in range(20):
        assert cluster.call(0, b"get", b"k") == RESULT
    assert [name for name in named(cluster) if name > 4] in ([5, 6], [6, 5])
