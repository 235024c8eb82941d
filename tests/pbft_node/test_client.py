"""The client: whom it asks, whom it believes, and what a liar cannot make it do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbft_node.core.client import RETRY_TIMER, Client
from pbft_node.core.client_codec import encode_reply, reply_client
from pbft_node.core.cluster import Cluster
from pbft_node.core.codec import decode
from pbft_node.core.effects import CancelTimer, Completed, Effect, Rejected, Send, SetTimer
from pbft_node.core.events import Received, Started, TimerFired
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import Reply, Request
from pbft_node.core.operations import MAX_OPERATION_BYTES
from pbft_node.core.seal import Seal
from pbft_node.core.types import MAX_TIMESTAMP, ClientId, Timestamp, View
from pbft_node.genesis import ClientBlock, Genesis, make_genesis
from pbft_node.keys import NodeKeys

MS = 1_000_000
ME = 1005
HYBRID = Cluster(cluster_id=b"c" * 16, n=4)


def genesis(cluster: Cluster) -> Genesis:
    addresses = [("127.0.0.1", 7000 + i) for i in range(cluster.n)]
    return make_genesis(cluster, 7, addresses, [ClientBlock(1000, 1099, "127.0.0.1", 7100)])


class World:
    """A client and the replicas' seals."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        made = genesis(cluster)
        self.keys: NodeKeys = made.client_keyring(0)
        self.rings = [made.replica_keyring(i) for i in range(cluster.n)]
        self.seals = [Seal(cluster, i, ring) for i, ring in enumerate(self.rings)]

    def client(self, *, retry: bool = True, last_timestamp: int = 0) -> Client:
        return Client(self.cluster, ME, self.keys, retry=retry, last_timestamp=last_timestamp)

    def reply(
        self, replica: int, result: bytes = b"ok", *, timestamp: int = 1, view: int = 0, to: int = ME
    ) -> Received:
        seal = self.seals[replica]
        return Received(seal.reply(ClientId(to), View(view), Timestamp(timestamp), result))


@pytest.fixture(params=["hybrid", "sign"])
def world(request: pytest.FixtureRequest) -> World:
    return World(replace(HYBRID, auth=request.param))


@pytest.fixture(scope="module")
def hybrid() -> World:
    return World(HYBRID)


def receivers(effects: list[Effect]) -> list[int]:
    return [effect.to for effect in effects if isinstance(effect, Send)]


def request_in(effects: list[Effect]) -> Request:
    datagrams = {effect.data for effect in effects if isinstance(effect, Send)}
    assert len(datagrams) == 1, "one request, the same bytes for everyone"
    message, _ = decode(datagrams.pop())
    assert isinstance(message, Request)
    return message


def reason(effects: list[Effect]) -> tuple[int | None, str]:
    assert len(effects) == 1
    effect = effects[0]
    assert isinstance(effect, Rejected), effects
    return effect.sender, effect.reason


def test_request_goes_to_the_primary_signed_and_timed(world: World) -> None:
    client = world.client()
    effects = client.invoke(b"op", 0)
    assert receivers(effects) == [0]
    request = request_in(effects)
    assert (request.client, request.timestamp, request.operation) == (ME, 1, b"op")
    assert world.seals[2].verify_raw(ME, request.raw)
    assert effects[-1] == SetTimer(RETRY_TIMER, 1, 300 * MS)
    assert client.busy


def test_unanswered_request_goes_to_all_with_doubling_pauses_up_to_the_cap(hybrid: World) -> None:
    client = hybrid.client()
    effects = client.invoke(b"op", 0)
    first = request_in(effects).raw
    pauses = []
    for _ in range(6):
        timer = effects[-1]
        assert isinstance(timer, SetTimer)
        pauses.append(timer.delay_ns // MS)
        effects = client.handle(TimerFired(timer.name, timer.generation), 0)
        assert receivers(effects) == [0, 1, 2, 3]
        assert request_in(effects).raw == first
    assert pauses == [300, 600, 1200, 2400, 3000, 3000]
    client.abandon()
    assert client.invoke(b"op", 0)[-1] == SetTimer(RETRY_TIMER, 8 + 1, 300 * MS), "the next one begins anew"


def test_stale_and_strange_events_do_nothing(hybrid: World) -> None:
    client = hybrid.client()
    assert client.handle(TimerFired(RETRY_TIMER, 0), 0) == []
    client.invoke(b"op", 0)
    assert client.handle(TimerFired(RETRY_TIMER, 0), 0) == []
    assert client.handle(TimerFired("request", 1), 0) == []
    assert client.handle(Started(), 0) == []
    client.handle(TimerFired(RETRY_TIMER, 1), 0)
    assert client.handle(TimerFired(RETRY_TIMER, 1), 0) == []


def test_without_retry_it_transmits_once_to_the_primary(hybrid: World) -> None:
    client = hybrid.client(retry=False)
    effects = client.invoke(b"op", 0)
    assert receivers(effects) == [0]
    assert len(effects) == 1, "no timer"
    assert client.handle(hybrid.reply(0), 0) == []
    assert client.handle(hybrid.reply(1), 0) == [Completed(1, b"ok", (0, 1))]
    client.invoke(b"op", 0)
    assert client.abandon() == []


def test_result_is_accepted_at_f_plus_1_matching_replies(world: World) -> None:
    client = world.client()
    client.invoke(b"op", 0)
    assert client.handle(world.reply(3), 0) == []
    assert client.handle(world.reply(3), 0) == [], "a replica counts once"
    assert client.handle(world.reply(1, b"other"), 0) == []
    assert client.handle(world.reply(2, view=5), 0) == [
        CancelTimer(RETRY_TIMER),
        Completed(1, b"ok", (2, 3)),
    ]
    assert not client.busy
    assert client.handle(world.reply(0), 0) == [], "completed once only"
    assert [r.replica for r in client.replies] == [3, 1, 2, 0]
    assert client.handle(TimerFired(RETRY_TIMER, 1), 0) == []


def test_needed_can_be_raised(hybrid: World) -> None:
    client = hybrid.client()
    client.invoke(b"op", 0, needed=4)
    effects = [client.handle(hybrid.reply(i), 0) for i in (2, 0, 1, 3)]
    assert effects[:3] == [[], [], []]
    assert Completed(1, b"ok", (0, 1, 2, 3)) in effects[3]
    client.invoke(b"op", 0)
    assert client.handle(hybrid.reply(0, timestamp=2), 0) == []
    assert len(client.handle(hybrid.reply(1, timestamp=2), 0)) == 2, "for one operation only"


def test_larger_cluster_needs_more() -> None:
    seven = World(replace(HYBRID, n=7))
    client = seven.client()
    client.invoke(b"op", 0)
    assert [client.handle(seven.reply(i), 0) for i in (6, 5)] == [[], []]
    assert Completed(1, b"ok", (4, 5, 6)) in client.handle(seven.reply(4), 0)


def test_liar_cannot_vouch_twice_and_its_first_word_stands(world: World) -> None:
    client = world.client()
    client.invoke(b"op", 0)
    assert client.handle(world.reply(1, b"lie"), 0) == []
    for _ in range(3):
        assert reason(client.handle(world.reply(1, b"other lie"), 0)) == (
            1,
            "two results for one operation; the first stands",
        )
    assert client.handle(world.reply(1, b"lie"), 0) == []
    assert client.handle(world.reply(0), 0) == []
    assert Completed(1, b"ok", (0, 2)) in client.handle(world.reply(2), 0)
    assert [r.result for r in client.replies] == [b"lie", b"ok", b"ok"]


def test_reply_counts_for_the_key_that_made_it_not_for_the_name_in_it(hybrid: World) -> None:
    client = hybrid.client()
    client.invoke(b"op", 0)
    as_two = Seal(hybrid.cluster, 2, hybrid.rings[1]).reply(ClientId(ME), View(0), Timestamp(1), b"lie")
    assert reason(client.handle(Received(as_two), 0)) == (None, f"not authentic as 2's to client {ME}")
    as_nobody = Seal(hybrid.cluster, 4, hybrid.rings[1]).reply(ClientId(ME), View(0), Timestamp(1), b"lie")
    assert reason(client.handle(Received(as_nobody), 0))[1] == "not a message from a replica to a client"
    assert client.replies == ()


def test_reply_to_another_client_or_time_does_not_count(world: World) -> None:
    client = world.client(last_timestamp=7)
    client.invoke(b"op", 0)
    assert client.timestamp == 8
    for_other = client.handle(world.reply(1, timestamp=8, to=ME + 1), 0)
    assert reason(for_other)[1] in (
        f"to client {ME + 1}, sent to {ME}",
        f"not authentic as 1's to client {ME}",
    )
    assert reason(client.handle(world.reply(1, timestamp=9), 0)) == (
        1,
        "to a timestamp this client has not used yet",
    )
    assert client.handle(world.reply(1, timestamp=7), 0) == [], (
        "late replies to an earlier operation are harmless"
    )
    assert client.replies == ()


def test_mac_is_not_enough_where_signatures_are_demanded() -> None:
    hybrid, sign = World(HYBRID), World(replace(HYBRID, auth="sign"))
    for wrong, right in ((hybrid, sign), (sign, hybrid)):
        client = right.client()
        client.invoke(b"op", 0)
        assert reason(client.handle(wrong.reply(1), 0))[1].startswith("not authentic")


def test_view_is_what_f_plus_1_replicas_reached(hybrid: World) -> None:
    client = hybrid.client()
    client.invoke(b"op", 0, needed=4)
    client.handle(hybrid.reply(3, view=2**40), 0)
    assert client.view == 0, "one replica may lie"
    client.handle(hybrid.reply(1, view=5), 0)
    assert client.view == 5
    client.handle(hybrid.reply(2, view=9), 0)
    assert client.view == 9
    client.handle(hybrid.reply(2, view=3), 0)
    assert client.view == 9, "views only grow"
    client.abandon()
    assert receivers(client.invoke(b"op", 0)) == [9 % 4]


def test_late_replies_teach_the_view(hybrid: World) -> None:
    client = hybrid.client()
    client.invoke(b"op", 0)
    client.abandon()
    client.handle(hybrid.reply(0, view=2), 0)
    client.handle(hybrid.reply(3, view=2), 0)
    assert client.view == 2
    assert client.replies == (), "the abandoned operation is forgotten"


def test_abandoned_operation_stays_silent_and_its_timestamp_is_never_used_again(hybrid: World) -> None:
    client = hybrid.client()
    client.invoke(b"op", 0)
    client.handle(hybrid.reply(0), 0)
    assert client.abandon() == [CancelTimer(RETRY_TIMER)]
    assert not client.busy
    assert client.handle(hybrid.reply(1), 0) == []
    assert client.handle(TimerFired(RETRY_TIMER, 1), 0) == []
    assert request_in(client.invoke(b"op", 0)).timestamp == 2
    assert client.handle(hybrid.reply(1), 0) == []
    assert client.busy


def test_misuse_is_an_assertion(hybrid: World) -> None:
    with pytest.raises(AssertionError, match="clients begin at 1000"):
        Client(HYBRID, 3, hybrid.keys)
    client = hybrid.client()
    for needed in (0, 5):
        with pytest.raises(AssertionError, match=f"needed = {needed}"):
            client.invoke(b"op", 0, needed=needed)
    with pytest.raises(AssertionError, match="operation of"):
        client.invoke(bytes(MAX_OPERATION_BYTES + 1), 0)
    client.invoke(b"op", 0)
    with pytest.raises(AssertionError, match="one at a time"):
        client.invoke(b"op", 0)
    with pytest.raises(AssertionError, match="used up"):
        hybrid.client(last_timestamp=MAX_TIMESTAMP).invoke(b"op", 0)


def test_large_reply_arrives_in_fragments_in_any_order(world: World) -> None:
    result = bytes(range(256)) * 700
    client = world.client()
    client.invoke(b"op", 0)
    effects: list[Effect] = []
    for replica in (0, 3):
        pieces = world.seals[replica].fragments(ME, world.reply(replica, result).data)
        assert len(pieces) > 1
        assert {reply_client(piece) for piece in pieces} == {ME}
        for piece in [*reversed(pieces), pieces[0]]:
            effects += client.handle(Received(piece), 0)
    assert effects[-1] == Completed(1, result, (0, 3))


def test_fragments_of_others_are_rejected(hybrid: World) -> None:
    result = bytes(100_000)
    client = hybrid.client()
    client.invoke(b"op", 0)
    two = hybrid.reply(2, result).data
    for piece in hybrid.seals[2].fragments(ME + 1, two):
        assert reason(client.handle(Received(piece), 0))[1].startswith("not authentic")
    relayed = [client.handle(Received(piece), 0) for piece in hybrid.seals[1].fragments(ME, two)]
    assert relayed[-1] == [], "what 1 passes on is still 2's word"
    assert Completed(1, result, (1, 2)) in client.handle(hybrid.reply(1, result), 0)
    assert [r.replica for r in client.replies] == [2, 1]
    junk = [client.handle(Received(piece), 0) for piece in hybrid.seals[1].fragments(ME, bytes(100_000))]
    assert reason(junk[-1])[1] == "wrong magic"
    request = hybrid.client(last_timestamp=3).invoke(bytes(30_000), 0)[0]
    assert isinstance(request, Send)
    batch = hybrid.seals[0].signed(MessageType.BATCH, 0, 0, bytes(8) + b"\x00\x03" + request.data * 3)
    foreign = [client.handle(Received(piece), 0) for piece in hybrid.seals[1].fragments(ME, batch)]
    assert "no authentic reply" in reason(foreign[-1])[1]


def test_reply_client_tells_whose_it_is_without_trusting_it(hybrid: World) -> None:
    assert reply_client(hybrid.reply(0).data) == ME
    assert reply_client(b"") is None
    assert reply_client(hybrid.seals[0].for_peer(1, MessageType.STATUS, 0, 0, b"")) is None
    assert reply_client(hybrid.seals[0].for_peer(ME, MessageType.REPLY, 0, 0, b"\x00")) is None
    small = hybrid.seals[0].for_peer(ME, MessageType.REPLY, 0, 0, encode_reply(ClientId(3), b""))
    assert reply_client(small) is None, "3 is a replica"


@given(data=st.binary(max_size=300))
@settings(max_examples=200)
def test_random_bytes_are_rejected(hybrid: World, data: bytes) -> None:
    client = hybrid.client()
    client.invoke(b"op", 0)
    reason(client.handle(Received(data), 0))


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=300)
def test_mutated_replies_are_rejected(hybrid: World, position: int, bit: int, cut: bool) -> None:
    client = hybrid.client()
    client.invoke(b"op", 0)
    data = bytearray(hybrid.reply(1).data)
    position %= len(data)
    if cut:
        del data[position:]
    else:
        data[position] ^= 1 << bit
    effects = client.handle(Received(bytes(data)), 0)
    if effects or cut or not 20 <= position < 28:  # the timestamp: a late reply is dropped unseen
        reason(effects)
    assert client.replies == ()
    assert client.view == 0


def test_replies_keep_their_authenticated_bytes(world: World) -> None:
    client = world.client()
    client.invoke(b"op", 0)
    datagram = world.reply(2).data
    client.handle(Received(datagram), 0)
    (reply,) = client.replies
    assert isinstance(reply, Reply)
    assert reply.raw == datagram
