"""A client that lies harms nobody but itself: not the others' requests, not the view, not the bounds.

What one replica does with single hostile requests is in ``test_section_4_1_client`` (signatures, timestamps),
``test_section_5_1_reads`` (flags) and ``test_mac_attack`` (authenticators); here are clusters and floods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from members import Members, wire
from memory_cluster import MemoryCluster
from playbook import Playbook
from run_checks import check_agreement
from test_section_4_1_client import decide

from pbft_node.core import requests
from pbft_node.core.cluster import MILLISECOND_NS
from pbft_node.core.codec import encode_batch
from pbft_node.core.effects import Send
from pbft_node.core.frames import MessageType, parse_frame
from pbft_node.core.messages import Request
from pbft_node.core.operations import MAX_OPERATION_BYTES, encode_fields
from pbft_node.core.types import MAX_TIMESTAMP

Make = Callable[..., Playbook]
OK = encode_fields(b"ok")
LIAR = 1500


class Stage:
    """A cluster with an honest client, and the pen of one that lies."""

    def __init__(self, **settings: object) -> None:
        self.cluster = MemoryCluster(service="append", **settings)
        self.cast = Members(self.cluster.cluster, 0)

    def lies(self, *sends: tuple[Iterable[int], Request]) -> None:
        for to, request in sends:
            self.cluster.carry_out(LIAR, [Send(replica, wire(request)) for replica in to])

    def request(self, timestamp: int, element: bytes = b"lie", client: int = LIAR) -> Request:
        return self.cast.request(timestamp, b"append", b"k", element, client=client)

    def all_is_well(self, view_0: bool = True) -> None:
        """The honest client is served, in view 0 unless told otherwise, and the replicas agree."""
        begun = self.cluster.now_ns
        assert self.cluster.call(0, b"append", b"honest", b"%d" % begun) == OK
        assert self.cluster.now_ns - begun < 50 * MILLISECOND_NS
        self.cluster.run(1_000)
        check_agreement(self.cluster, liars=())
        replicas = [self.cluster.replica(i) for i in range(4)]
        assert {replica.view for replica in replicas} == {0} or not view_0
        assert len({(r.executed, r.store.image().digest) for r in replicas}) == 1
        assert not any(replica.pending for replica in replicas)


# ---------------------------------------------------------------- lies told once


def test_different_requests_under_one_timestamp_to_different_replicas() -> None:
    stage = Stage()
    stage.lies(*[([to], stage.request(1, b"to %d" % to)) for to in range(4)])
    stage.cluster.run(500)
    stage.all_is_well()
    fields = stage.cluster.call(0, b"read", b"k")
    assert fields in [encode_fields(b"list", b"to %d" % to) for to in range(4)], (
        "one of them, at all replicas"
    )


def test_a_later_one_to_the_primary_and_an_earlier_one_to_the_backups() -> None:
    stage = Stage()
    stage.lies(([0], stage.request(9, b"late")), ([1, 2, 3], stage.request(5, b"early")))
    stage.cluster.run(500)
    stage.lies(([1, 2, 3], stage.request(5, b"early")), ([0], stage.request(7, b"between")))
    stage.all_is_well()


@pytest.mark.parametrize("restart", [False, True])
def test_the_last_timestamp_uses_up_the_client_and_nothing_else(restart: bool) -> None:
    stage = Stage()
    stage.lies((range(4), stage.request(MAX_TIMESTAMP)))
    stage.cluster.run(200)
    for number in range(6):
        assert stage.cluster.call(1, b"append", b"k%d" % number, b"e") == OK
    if restart:
        for index in range(4):
            stage.cluster.crash(index)
            stage.cluster.start(index)
        stage.cluster.run(500)
    stage.all_is_well()
    assert stage.cluster.replica(2).clients[LIAR].timestamp == MAX_TIMESTAMP
    stage.lies((range(4), stage.request(1)), (range(4), stage.request(MAX_TIMESTAMP - 1)))
    stage.all_is_well()
    assert stage.cluster.call(0, b"read", b"k") == encode_fields(b"list", b"lie")


@pytest.mark.parametrize("timestamp", [MAX_TIMESTAMP + 1, 2**64 - 1])
def test_a_timestamp_beyond_the_last_is_no_request(playbook: Make, timestamp: int) -> None:
    play = playbook(me=0)
    play.receives(play.cast.seal(LIAR).request(timestamp, b"")).rejects("datagram", "sequence number")


def test_an_operation_that_is_too_long_is_refused_alone_and_in_a_batch(playbook: Make) -> None:
    play = playbook(me=1)
    long = Request(LIAR, 1, b"", play.cast.seal(LIAR).request(1, bytes(MAX_OPERATION_BYTES + 1)), bytes(32))
    play.receives(long).rejects("datagram", "the limit is")
    proposal = play.cast.pre_prepare(1, long)
    play.receives(proposal.raw + encode_batch(proposal.batch)).rejects("datagram", "the limit is")


def test_in_somebody_elses_name_nothing_is_displaced(playbook: Make) -> None:
    play = playbook(me=2)
    honest = play.cast.request(3)
    play.after(honest)
    play.receives(play.cast.request(4, by=LIAR)).rejects("REQUEST", "not authentic", sender=1000)
    proposal = play.cast.pre_prepare(1, play.cast.request(4, by=LIAR))
    play.receives(proposal).rejects("PRE-PREPARE", "client 1000 did not sign")
    assert play.replica.pending[1000].request == honest


# ---------------------------------------------------------------- floods


@pytest.mark.parametrize("to", [[0], [1], [0, 1, 2, 3]])
def test_thousands_of_timestamps_a_second_starve_nobody(to: list[int]) -> None:
    stage = Stage(batch_limit=2)
    sent = 0
    for _ in range(20):
        begun = stage.cluster.now_ns
        stage.cluster.invoke(0, b"append", b"k", b"%d" % begun)
        while stage.cluster.client(0).busy:
            for _ in range(10):
                sent += 1
                stage.lies((to, stage.request(sent)))
            stage.cluster.run(1)
            assert all(len(stage.cluster.replica(i).pending) <= 2 for i in range(4))
        assert stage.cluster.now_ns - begun < 30 * MILLISECOND_NS
    assert sent > 1_000
    stage.cluster.run(500)
    stage.all_is_well()


def test_when_all_places_are_taken_by_hostile_clients_others_get_in_as_they_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each id has one place and ids are authorised, so there must be more of them than places.

    Then replicas hold different ones, and some wait for what the primary had no place for: views may change.
    """
    monkeypatch.setattr(requests, "MAX_PENDING", 50)
    stage = hostile_waves(ids=120)
    stage.all_is_well(view_0=False)


def test_as_many_hostile_clients_as_there_are_places_change_no_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_PENDING", 50)
    hostile_waves(ids=49).all_is_well()


def hostile_waves(ids: int) -> Stage:
    """All of them ask everybody at once, five times, and an honest client after them each time."""
    stage = Stage(batch_limit=8)
    for wave in range(5):
        stage.lies(*[(range(4), stage.request(wave + 1, client=LIAR + number)) for number in range(ids)])
        begun = stage.cluster.now_ns
        assert stage.cluster.call(0, b"append", b"k", b"%d" % wave, within_ms=2_000) == OK
        assert stage.cluster.now_ns - begun < 400 * MILLISECOND_NS, "one retransmission at most"
        assert all(len(stage.cluster.replica(i).pending) <= 50 for i in range(4))
    stage.cluster.run(2_000)
    return stage


def replies_bytes(play: Playbook, data: Request, times: int) -> int:
    """How many bytes of replies a replica sends to that many equal datagrams."""
    said = 0
    for _ in range(times):
        play.receives(data)
        said += sum(len(line.data) for line in play.lines)
        play.skips()
    return said


@pytest.mark.parametrize("read_only", [False, True])
def test_a_small_datagram_repeated_buys_no_endless_answers(playbook: Make, read_only: bool) -> None:
    """By the client, or by anybody who overheard it."""
    play = playbook(me=1, service="append", reads="fast")
    cast = play.cast
    for number in range(1, 4):
        decide(play, cast.pre_prepare(number, cast.request(number, b"append", b"k", bytes(30_000))))
    play.skips()
    read = cast.request(1 if not read_only else 2, b"read", b"k", client=LIAR, read_only=read_only)
    if not read_only:
        decide(play, cast.pre_prepare(4, read))
        play.skips()
    limit = requests.ANSWERS_BYTES
    assert limit / 2 < replies_bytes(play, read, 500) < limit + 200_000
    other = cast.request(9, b"read", b"k", client=1001, read_only=True)
    assert replies_bytes(play, other, 1) > 90_000, "another client's answers are its own"
    play.passes(1_000)
    assert replies_bytes(play, read, 1) > 90_000


def test_what_is_remembered_of_answers_is_bounded(playbook: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_PENDING", 5)
    play = playbook(me=1, reads="fast")
    for number in range(20):
        play.receives(play.cast.request(1, b"get", b"k", client=LIAR + number, read_only=True))
        play.sends("REPLY", to=LIAR + number)
    assert len(play.replica.answered) == 5


def test_a_lying_flag_in_a_cluster_reaches_nobodys_state() -> None:
    stage = Stage(reads="fast")
    request = stage.cast.request(1, b"append", b"k", b"lie", client=LIAR, read_only=True)
    stage.lies((range(4), request))
    stage.cluster.run(300)
    assert stage.cluster.call(0, b"read", b"k", read_only=True) == encode_fields(b"list")
    frames = [parse_frame(send.data)[0] for source, send in stage.cluster.sent if source < 4]
    assert not [frame for frame in frames if frame.type is MessageType.PRE_PREPARE]
    stage.all_is_well()
