"""Section 4.1, the client: requests accepted, relayed, executed once, answered again; f+1 replies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_cluster import MemoryCluster
from playbook import Playbook

from pbft_node.core import requests
from pbft_node.core.cluster import MILLISECOND_NS
from pbft_node.core.digests import request_digest
from pbft_node.core.effects import Send
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import PrePrepare, Request
from pbft_node.core.operations import MAX_OPERATION_BYTES, encode_fields

Make = Callable[..., Playbook]
OK = encode_fields(b"ok")


def decide(play: Playbook, proposal: PrePrepare) -> None:
    """The replica sees one number through all three phases; the last COMMIT is the latest event."""
    peers = [r for r in play.cast.backups(proposal.view) if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in peers])
    play.after(*[play.cast.commit(proposal, by) for by in peers])


def outcomes(play: Playbook) -> list[tuple[object, object, object]]:
    """(client, timestamp, executed or duplicate) of the latest event."""
    rows = [row for t in play.traces if t.kind == "executed" for row in t.fields["requests"]]
    return [(client, timestamp, outcome) for client, timestamp, _, outcome in rows]


# ---------------------------------------------------------------- accepting


def test_a_backup_relays_a_request_and_watches_it(playbook: Make) -> None:
    play = playbook(me=2)
    request = play.cast.request(1)
    play.receives(request).sends("REQUEST", to=0, client=1000, seq=1).runs("request", ms=1000)


def test_a_relayed_request_is_relayed_again_when_it_comes_again_but_waits_since_it_first_came(
    playbook: Make,
) -> None:
    play = playbook(me=2)
    play.after(play.cast.request(1)).passes(400)
    play.receives(play.cast.request(1)).sends("REQUEST", to=0).runs("request", ms=600)


def test_what_waits_for_long_is_relayed_again_the_oldest_only(playbook: Make) -> None:
    """The relay may be lost, and a client that lies sends it only once: that is no fault of the primary's."""
    play = playbook(me=2, status_idle_ns=500_000_000)
    play.after(play.cast.request(1), play.cast.request(1, client=1001))
    play.fires("status").sends("REQUEST", to=0, client=1000)
    decide(play, play.cast.pre_prepare(1, play.cast.request(1)))
    play.fires("status").sends("REQUEST", to=0, client=1001)
    primary = playbook(me=0)
    primary.after(primary.cast.request(1)).fires("status").does_nothing()


def test_a_client_that_repeats_itself_does_not_put_off_the_suspicion(playbook: Make) -> None:
    """Each repetition is passed on to the primary, which does nothing: its time runs out all the same."""
    play = playbook(me=2, request_timeout_ns=2000 * MILLISECOND_NS)
    play.after(play.cast.request(1)).runs("request", ms=2000)
    for waited_ms in range(200, 2000, 200):
        play.passes(200).receives(play.cast.request(1)).sends("REQUEST", to=0)
        play.runs("request", ms=2000 - waited_ms)


def test_what_came_just_now_is_not_relayed_again(playbook: Make) -> None:
    play = playbook(me=2)
    play.passes(950).after(play.cast.request(1))
    play.fires("status").does_nothing()


@pytest.mark.parametrize("me", [0, 1])
def test_a_request_its_client_did_not_sign_is_rejected(playbook: Make, me: int) -> None:
    play = playbook(me)
    play.receives(play.cast.request(1, client=1001, by=1000)).rejects("REQUEST", "not authentic", sender=1001)
    assert not play.replica.pending


def test_what_is_no_request_is_rejected(playbook: Make) -> None:
    play = playbook(me=0)
    seal = play.cast.seal(1000)
    too_long = b"x" * (MAX_OPERATION_BYTES + 1)
    for view, timestamp, operation, reason in [
        (1, 1, b"", "view 1"),
        (0, 0, b"", "timestamp 0"),
        (0, 1, too_long, "the limit is"),
    ]:
        play.receives(seal.signed(MessageType.REQUEST, view, timestamp, operation)).rejects(
            "datagram", reason
        )
    play.receives(play.cast.seal(2).signed(MessageType.REQUEST, 0, 1, b"")).rejects("datagram", "no client")
    longest = seal.signed(MessageType.REQUEST, 0, 1, too_long[:-1])
    play.receives(longest).persists("PRE_PREPARE").sends("PRE_PREPARE", to=play.others)


def test_a_reply_is_nothing_for_a_replica(playbook: Make) -> None:
    play = playbook(me=0)
    reply = play.cast.sealed(2, MessageType.REPLY, 0, 1, (1000).to_bytes(4, "big") + OK)
    play.receives(reply).rejects("Reply", "not for a replica")


def test_a_newer_request_of_a_client_replaces_the_one_that_waits(playbook: Make) -> None:
    """One outstanding request per client."""
    play = playbook(me=2)
    play.after(play.cast.request(1), play.cast.request(3))
    play.receives(play.cast.request(2)).does_nothing()
    assert [w.request.timestamp for w in play.replica.pending.values()] == [3]


def test_waiting_requests_are_bounded(playbook: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_PENDING", 3)
    play = playbook(me=2)
    for client in (1000, 1001, 1002):
        play.receives(play.cast.request(1, client=client)).sends("REQUEST", to=0)
    play.receives(play.cast.request(1, client=1003)).rejects("REQUEST", "3 requests are waiting", sender=1003)
    play.receives(play.cast.request(2, client=1001)).sends("REQUEST", to=0)
    assert len(play.replica.pending) == 3


def test_a_replica_between_views_keeps_requests_for_the_new_primary(playbook: Make) -> None:
    play = playbook(me=3)
    cast = play.cast
    play.after(cast.view_change(1, 0), cast.view_change(1, 2))
    play.receives(cast.request(1)).does_nothing()
    play.receives(cast.new_view(1, *[cast.view_change(1, by) for by in (0, 1, 2)])).persists("NEW_VIEW")
    play.sends("REQUEST", to=1, client=1000).runs("request")


# ---------------------------------------------------------------- proposing


def test_a_primary_proposes_a_request_once_in_a_view(playbook: Make) -> None:
    play = playbook(me=0)
    request = play.cast.request(1)
    play.receives(request).persists("PRE_PREPARE", seq=1).sends("PRE_PREPARE", to=play.others, seq=1)
    play.receives(request, request).does_nothing()


def test_a_new_primary_proposes_what_waited_again(playbook: Make) -> None:
    """Proposed in the old view by somebody else, and lost there."""
    play = playbook(me=1)
    cast = play.cast
    proposal = cast.pre_prepare(1, cast.request(1))
    play.after(proposal, cast.view_change(1, 2))
    play.after(cast.view_change(1, 3)).skips()
    assert play.replica.active
    assert play.replica.slots[1].pre_prepare.view == 1
    assert play.replica.slots[1].pre_prepare.digest == proposal.digest


def test_the_pipeline_bounds_what_is_under_way(playbook: Make) -> None:
    play = playbook(me=0, pipeline=2)
    cast = play.cast
    for i in range(2):
        play.receives(cast.request(1, client=1000 + i)).persists("PRE_PREPARE", seq=i + 1)
        play.sends("PRE_PREPARE", to=play.others)
    play.receives(cast.request(1, client=1002), cast.request(1, client=1003)).does_nothing()
    proposal = play.replica.slots[1].pre_prepare
    assert proposal is not None
    play.after(*[cast.prepare(proposal, by) for by in (1, 2)], cast.commit(proposal, 1))
    play.receives(cast.commit(proposal, 2)).persists("COMMITTED", seq=1).sends("REPLY", to=1000)
    play.persists("PRE_PREPARE", seq=3).sends("PRE_PREPARE", to=play.others, seq=3)


def test_a_batch_of_too_many_bytes_is_rejected_unless_it_is_one_request(playbook: Make) -> None:
    play = playbook(batch_bytes=1000)
    cast = play.cast
    large = [cast.request(1, b"put", b"k", b"v" * 2000, client=client) for client in (1000, 1001)]
    play.receives(cast.pre_prepare(1, *large)).rejects("PRE-PREPARE", "the limit is 1000")
    play.receives(cast.pre_prepare(1, large[0])).persists("PRE_PREPARE").sends("PREPARE", to=play.others)


def test_a_primary_keeps_to_the_limits_its_backups_check(playbook: Make) -> None:
    play = playbook(me=0, batch_bytes=1000, batch_limit=3, pipeline=1)
    backup = playbook(me=1, batch_bytes=1000, batch_limit=3)
    cast = play.cast
    sizes = [10, 500, 10, 600, 10, 10, 10, 10, 2000, 10]
    play.after(*[cast.request(1, b"put", b"k", b"v" * s, client=1000 + i) for i, s in enumerate(sizes)])
    batches = []
    while len(play.replica.pending):
        proposal = play.replica.slots[play.replica.executed + 1].pre_prepare
        batches.append(len(proposal.batch.requests))
        backup.receives(proposal).persists("PRE_PREPARE").sends("PREPARE", to=backup.others)
        decide(play, proposal)
    assert batches == [1, 2, 3, 2, 1, 1]


# ---------------------------------------------------------------- exactly once


def executed_once(play: Playbook) -> Request:
    request = play.cast.request(5)
    decide(play, play.cast.pre_prepare(1, request))
    assert outcomes(play) == [(1000, 5, "executed")]
    return request


@pytest.mark.parametrize("me", [0, 1])
def test_the_last_request_again_is_answered_from_the_table(playbook: Make, me: int) -> None:
    play = playbook(me)
    request = executed_once(play)
    play.receives(request).sends("REPLY", to=1000, seq=5, view=0, result=OK)
    play.receives(request).sends("REPLY", to=1000, seq=5, view=0, result=OK)


@pytest.mark.parametrize("me", [0, 1])
def test_an_older_request_is_dropped(playbook: Make, me: int) -> None:
    play = playbook(me)
    executed_once(play)
    play.receives(play.cast.request(4), play.cast.request(1)).does_nothing()


def test_duplicates_in_one_batch_execute_once(playbook: Make) -> None:
    play = playbook(service="append")
    request = play.cast.request(1, b"append", b"k", b"e")
    decide(play, play.cast.pre_prepare(1, request, request))
    assert outcomes(play) == [(1000, 1, "executed"), (1000, 1, "duplicate")]


def test_duplicates_between_batches_execute_once_and_older_ones_never(playbook: Make) -> None:
    play = playbook(service="append")
    cast = play.cast
    request = cast.request(5, b"append", b"k", b"e")
    decide(play, cast.pre_prepare(1, request))
    decide(play, cast.pre_prepare(2, request, cast.request(4, b"append", b"k", b"older")))
    assert outcomes(play) == [(1000, 5, "duplicate"), (1000, 4, "duplicate")]
    decide(play, cast.pre_prepare(3, cast.request(6, b"read", b"k")))
    assert play.matched[-1].startswith("send REPLY")
    assert play.replica.clients[1000].result == encode_fields(b"list", b"e")


def test_two_requests_under_one_timestamp_execute_once(playbook: Make) -> None:
    """A lying client: whichever is ordered first counts, at every replica."""
    play = playbook(me=1, service="append")
    cast = play.cast
    one, two = (cast.request(1, b"append", b"k", element) for element in (b"one", b"two"))
    play.after(two)
    decide(play, cast.pre_prepare(1, one))
    assert outcomes(play) == [(1000, 1, "executed")]
    assert not play.replica.pending
    decide(play, cast.pre_prepare(2, two))
    assert outcomes(play) == [(1000, 1, "duplicate")]


def test_a_reply_tells_the_view_the_replica_is_in(playbook: Make) -> None:
    play = playbook(me=2)
    cast = play.cast
    request = executed_once(play)
    changes = [cast.view_change(5, by) for by in (0, 1, 3)]
    play.after(cast.new_view(5, *changes))
    play.receives(request).sends("REPLY", to=1000, view=5, seq=5)


@pytest.mark.parametrize("operation", [b"", b"\x00", b"\xff" * 100, encode_fields(b"put"), encode_fields()])
def test_an_operation_nobody_knows_has_one_answer_and_no_effect(playbook: Make, operation: bytes) -> None:
    play = playbook(me=1)
    before = play.replica.store.image().digest
    raw = play.cast.seal(1000).request(1, operation)
    request = Request(1000, 1, operation, raw, request_digest(raw))
    decide(play, play.cast.pre_prepare(1, request))
    assert play.replica.clients[1000].result.startswith(b"\x00\x02\x00\x00\x00\x05error")
    assert play.replica.store.image().digest == before


# ---------------------------------------------------------------- the client


def test_a_client_asks_the_primary_then_everybody_with_the_same_bytes() -> None:
    cluster = MemoryCluster()
    cluster.network.cut = lambda source, target: target == 0
    cluster.invoke(0, b"put", b"k", b"v")
    cluster.run(2_000)
    requests = [send for source, send in cluster.sent if source == 1000]
    assert [send.to for send in requests[:5]] == [0, 0, 1, 2, 3]
    assert len({send.data for send in requests}) == 1
    assert cluster.completed[1000]


def test_a_client_accepts_f_plus_1_matching_replies_and_no_fewer() -> None:
    """One liar answers first with its own result; alone it convinces nobody."""
    cluster = MemoryCluster()
    lies = []

    def lie(source: int, send: Send) -> list[Send]:
        frame_type = MessageType(send.data[5])
        if source == 3 and frame_type is MessageType.REPLY:
            body = (1000).to_bytes(4, "big") + encode_fields(b"ok", b"a lie")
            timestamp = int.from_bytes(send.data[20:28], "big")
            lies.append(timestamp)
            replica = cluster.replica(3)
            return [Send(1000, replica.seal.for_peer(1000, MessageType.REPLY, 0, timestamp, body))]
        return [send]

    cluster.on_send = lie
    for number in range(8):
        assert cluster.call(0, b"put", b"k", b"%d" % number) == OK
    assert cluster.call(0, b"get", b"k") == encode_fields(b"ok", b"7")
    assert len(lies) >= 8
    assert all(3 not in done.replicas and len(done.replicas) >= 2 for done in cluster.completed[1000])


def test_one_answer_is_not_enough() -> None:
    cluster = MemoryCluster()
    cluster.network.cut = lambda source, target: target == 1000 and source != 2
    cluster.invoke(0, b"put", b"k", b"v")
    assert not cluster.run(3_000, until=lambda: bool(cluster.completed[1000]))
    assert {reply.replica for reply in cluster.client(0).replies} == {2}
    cluster.network.cut = lambda source, target: target == 1000 and source not in (1, 2)
    assert cluster.run(5_000, until=lambda: bool(cluster.completed[1000]))


def test_a_result_larger_than_a_datagram_arrives() -> None:
    cluster = MemoryCluster(service="append")
    for number in range(5):
        assert cluster.call(0, b"append", b"k", bytes([number]) * 30_000) == OK
    assert len(cluster.call(0, b"read", b"k")) > 150_000


def test_a_request_is_passed_on_once_until_its_client_asks_again(playbook: Make) -> None:
    """Two replicas in different views may take each other for the primary: a request must not go to and fro
    between them for ever, and in ever more copies where the network doubles them."""
    play = playbook(me=1)
    request = play.cast.request(1)
    play.receives(request).sends("REQUEST", to=0)
    play.receives(request).does_nothing()
    play.passes(ms=play.cluster.client_retry_ns // MILLISECOND_NS)
    play.receives(request).sends("REQUEST", to=0)
    play.receives(play.cast.request(2)).sends("REQUEST", to=0)
