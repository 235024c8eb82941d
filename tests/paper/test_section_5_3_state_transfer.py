"""Section 5.3, state transfer: fetching a checkpoint the log no longer reaches, from sources that may lie.

The replica is 3; others reached a stable checkpoint at 4 or 8 and have dropped the messages below it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from memory_cluster import MemoryCluster
from playbook import Playbook

from pbft_node.core.effects import Send
from pbft_node.core.frames import MAX_DATAGRAM_BYTES, MessageType, parse_frame
from pbft_node.core.messages import Address, Part, PartKind, PrePrepare
from pbft_node.core.operations import encode_fields
from pbft_node.core.pages import PIECE_BYTES, place_of
from pbft_node.core.reader import BodyReader
from pbft_node.core.snapshots import take_snapshot
from pbft_node.core.state_codec import encode_parts, read_parts
from pbft_node.core.state_transfer import part_of

Make = Callable[..., Playbook]
OK = encode_fields(b"ok")


def decide(play: Playbook, proposal: PrePrepare) -> None:
    peers = [r for r in play.cast.backups(proposal.view) if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in peers])
    play.after(*[play.cast.commit(proposal, by) for by in play.others[: play.cluster.quorum - 1]])


def group(store: int, number: int = 0) -> Address:
    return Address(PartKind.GROUP, store, number)


def page(store: int, number: int) -> Address:
    return Address(PartKind.PAGE, store, number)


def piece(store: int, number: int, index: int) -> Address:
    return Address(PartKind.PIECE, store, number, index)


def keys_of_one_page(count: int, bits: int = 14) -> list[bytes]:
    """What a client finds by trying."""
    keys = (b"%d" % number for number in itertools.count())
    return list(itertools.islice((key for key in keys if place_of(key) % 2**bits == 0), count))


# ---------------------------------------------------------------- when it begins


def test_it_begins_only_when_a_whole_tick_brought_no_progress(playbook: Make) -> None:
    """Messages still under way are cheaper."""
    play = playbook(me=3)
    digest = play.cast.state(4, {}).digest
    play.after(*[play.cast.checkpoint(4, digest, by) for by in (0, 1, 2)])
    play.fires("status").does_nothing()
    decide(play, play.cast.pre_prepare(1))
    play.fires("status").does_nothing()
    assert play.replica.transfer is None
    play.fires("status").sends("FETCH_STATE", to=play.others, seq=1)


def test_two_checkpoints_prove_nothing(playbook: Make) -> None:
    play = playbook(me=3)
    digest = play.cast.state(4, {}).digest
    play.after(*[play.cast.checkpoint(4, digest, by) for by in (0, 1)])
    for _ in range(4):
        play.fires("status").does_nothing()


def test_f_plus_1_peers_that_dropped_their_log_are_enough(playbook: Make) -> None:
    """Beyond the window their CHECKPOINTs are not even kept."""
    play = playbook(me=3)
    play.after(play.cast.status(0, stable=40, executed=40))
    for _ in range(3):
        play.fires("status").does_nothing()
    play.after(play.cast.status(1, stable=44, executed=44))
    play.fires("status").does_nothing()
    play.fires("status").sends("FETCH_STATE", to=play.others)


@pytest.mark.parametrize("seq", [0, 4])
def test_nothing_is_taken_that_was_not_wanted(playbook: Make, seq: int) -> None:
    play = playbook(me=3)
    state = play.cast.state(4, {})
    play.receives(play.cast.state_meta(state, 1)).does_nothing()
    play.receives(*play.cast.whole_state(state, 1)).does_nothing()


def test_an_offer_below_what_was_executed_is_not_taken(playbook: Make) -> None:
    play = playbook(me=3)
    state = play.cast.state(4, {})
    play.after(*[play.cast.checkpoint(4, state.digest, by) for by in (0, 1, 2)])
    play.fires("status").skips()
    play.fires("status").sends("FETCH_STATE", to=play.others)
    for seq in range(1, 6):
        decide(play, play.cast.pre_prepare(seq))
    assert (play.replica.executed, play.replica.stable) == (5, 4)
    play.receives(play.cast.state_meta(state, 1)).does_nothing()
    play.fires("status").does_nothing()
    assert not play.replica.fetching_state()


# ---------------------------------------------------------------- serving


def server(playbook: Make) -> Playbook:
    play = playbook(me=1)
    for seq in range(1, 5):
        decide(play, play.cast.pre_prepare(seq, play.cast.request(seq)))
    digest = play.replica.snapshots[4].digest
    play.after(*[play.cast.checkpoint(4, digest, by) for by in (0, 2)])
    assert play.replica.stable == 4
    return play


def test_a_stable_checkpoint_is_offered_to_who_is_below_it(playbook: Make) -> None:
    play = server(playbook)
    play.receives(play.cast.fetch_state(3, above=0)).sends("STATE_META", to=3, seq=4)
    play.receives(play.cast.fetch_state(3, above=4)).does_nothing()


def test_parts_are_served_and_nothing_for_what_there_is_not(playbook: Make) -> None:
    play = server(playbook)
    cast = play.cast
    there = [group(0), page(0, 0), group(1), page(1, 0)]
    play.receives(cast.fetch_parts(4, 3, *there)).sends("STATE_PARTS", to=3, seq=4, parts=there)
    pieces = Address(PartKind.PIECES, 0, 0)
    play.receives(cast.fetch_parts(4, 3, pieces)).sends("STATE_PARTS", to=3, parts=[page(0, 0)])
    nothing = [page(0, 1), group(0, 1), page(0, 2**32 - 1), piece(0, 0, 1), piece(1, 0, 65535)]
    play.receives(cast.fetch_parts(4, 3, *nothing), cast.fetch_parts(4, 3)).does_nothing()
    play.receives(cast.fetch_parts(8, 3, page(0, 0))).does_nothing()


def test_an_answer_is_no_larger_than_a_datagram(playbook: Make) -> None:
    play = server(playbook)
    for number in range(40):
        play.replica.store.put(b"%d" % number, bytes([number]) * 20_000)
    play.replica.snapshots[4] = take_snapshot(4, play.replica.store.image(), play.replica.clients.image(0))
    asked = [page(0, number) for number in range(50)]
    play.receives(play.cast.fetch_parts(4, 3, *asked))
    assert len(play.lines) == 5
    assert all(line.what == "STATE_PARTS" and len(line.data) <= MAX_DATAGRAM_BYTES for line in play.lines)
    assert [part.number for line in play.lines for part in line.fields["parts"]] == list(range(50))
    play.skips()


def test_state_is_handed_out_at_a_limited_rate_to_each_peer(playbook: Make) -> None:
    """Whatever one asks for, the others get theirs, and it gets more in the next STATUS interval."""
    play = server(playbook)
    play.replica.served_bytes_limit = 2_000
    ask = [play.cast.fetch_parts(4, by, page(0, 0), page(1, 0)) for by in (3, 2)]
    times = 0
    while play.receives(ask[0]).lines:
        play.skips()
        times += 1
    assert 3 < times < 40
    play.receives(play.cast.fetch_state(3)).does_nothing()
    play.receives(ask[1]).sends("STATE_PARTS", to=2)
    play.passes(150).receives(ask[0]).sends("STATE_PARTS", to=3)


def test_the_previous_checkpoint_is_served_on_and_an_older_one_replaced(playbook: Make) -> None:
    play = server(playbook)
    for seq in range(5, 13):
        decide(play, play.cast.pre_prepare(seq, play.cast.request(seq)))
        if seq % 4 == 0:
            digest = play.replica.snapshots[seq].digest
            play.after(*[play.cast.checkpoint(seq, digest, by) for by in (0, 2)])
    play.receives(play.cast.fetch_parts(8, 3, page(0, 0))).sends("STATE_PARTS", to=3, seq=8)
    play.receives(play.cast.fetch_parts(4, 3, page(0, 0))).sends("STATE_META", to=3, seq=12)


def test_a_wrong_state_is_not_served(playbook: Make) -> None:
    play = server(playbook)
    play.replica.state_is_wrong = True
    play.receives(play.cast.fetch_parts(4, 3, page(0, 0)), play.cast.fetch_state(3)).does_nothing()


# ---------------------------------------------------------------- clusters


def lag(cluster: MemoryCluster, index: int, operations: int) -> None:
    """One replica is down while the others go past its window."""
    cluster.crash(index)
    for number in range(operations):
        cluster.call(0, b"put", b"k%d" % (number % 7), b"%d" % number * 4000)
    cluster.start(index)


def caught_up(cluster: MemoryCluster, index: int) -> Callable[[], bool]:
    return lambda: (
        cluster.replica(index).executed == max(h.replica.executed for h in cluster.hosts if h.replica)
    )


def test_a_replica_that_lags_past_a_checkpoint_catches_up_and_votes_for_it() -> None:
    cluster = MemoryCluster()
    lag(cluster, 3, 30)
    assert cluster.run(5_000, until=caught_up(cluster, 3))
    assert cluster.trace("state-transfer", 3)[-1].fields["step"] == "finished"
    assert cluster.replica(3).stable >= 24
    votes = [s for source, s in cluster.sent if source == 3 and s.data[5] == MessageType.CHECKPOINT]
    assert votes
    cluster.crash(2)
    assert cluster.call(0, b"get", b"k1").startswith(b"\x00\x02\x00\x00\x00\x02ok")
    assert cluster.replica(3).store.image().digest == cluster.replica(0).store.image().digest


def test_a_liar_that_garbles_every_part_only_delays_it() -> None:
    cluster = MemoryCluster()

    def lie(source: int, send: Send) -> list[Send]:
        if source != 0 or send.data[5] != MessageType.STATE_PARTS:
            return [send]
        seq = int.from_bytes(send.data[20:28], "big")
        parts = read_parts(BodyReader(parse_frame(send.data)[0].body))
        garbled = encode_parts([Part(address, data[:-1] + b"?") for address, data in parts])
        seal = cluster.replica(0).seal
        return [Send(send.to, seal.for_peer(send.to, MessageType.STATE_PARTS, 0, seq, garbled))]

    cluster.on_send = lie
    lag(cluster, 3, 20)
    assert cluster.run(10_000, until=caught_up(cluster, 3))
    for number in range(10):
        cluster.call(0, b"put", b"k", b"%d" % number)
    assert cluster.replica(3).store.image().digest == cluster.replica(1).store.image().digest


def test_a_replica_whose_own_state_went_wrong_mends_it() -> None:
    cluster = MemoryCluster()
    cluster.call(0, b"put", b"k", b"1")
    cluster.replica(2).store.put(b"k", b"corrupt")
    for number in range(12):
        cluster.call(0, b"put", b"x", b"%d" % number)
    assert cluster.trace("alarm", 2)
    assert cluster.run(5_000, until=caught_up(cluster, 2))
    cluster.run(500)
    assert cluster.replica(2).store.image().digest == cluster.replica(0).store.image().digest
    assert not cluster.replica(2).state_is_wrong


@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_a_large_state_comes_while_it_changes_though_a_source_dies(loss: float) -> None:
    """A megabyte; writes go on all the time, so the offers move on, and one source stops half-way."""
    cluster = MemoryCluster(7, n=7)
    for number in range(40):
        cluster.call(0, b"put", b"k%d" % number, bytes([number]) * 25_000)
    cluster.crash(6)
    for number in range(20):
        cluster.call(0, b"put", b"k%d" % number, bytes([number + 100]) * 25_000)
    cluster.start(6)
    cluster.network.loss = loss
    assert cluster.run(5_000, until=lambda: bool(cluster.trace("state-transfer", 6)))
    cluster.run(20)
    cluster.crash(5)
    for number in range(10):
        cluster.call(0, b"put", b"n", b"%d" % number)
    assert cluster.run(20_000, until=caught_up(cluster, 6))
    ours = cluster.replica(6)
    equals = [h.replica for h in cluster.hosts if h.replica and h.replica.executed == ours.executed]
    assert len({replica.store.image().digest for replica in equals}) == 1 < len(equals)
    parts = [
        read_parts(BodyReader(parse_frame(s.data)[0].body))
        for source, s in cluster.sent
        if s.to == 6 and s.data[5] == MessageType.STATE_PARTS
    ]
    sources = {source for source, s in cluster.sent if s.to == 6 and s.data[5] == MessageType.STATE_PARTS}
    assert len(sources) >= 3
    fetched = sum(len(part.data) for message in parts for part in message)
    assert fetched < 1_000_000, "the half that was known was not fetched, nor what came a second time"


def test_a_large_page_asked_for_again_and_again_is_charged_for_what_it_costs(playbook: Make) -> None:
    """Its pieces are all digested for an answer of a few bytes."""
    play = server(playbook)
    play.replica.store.put(b"large", bytes(20 * PIECE_BYTES))
    state = take_snapshot(4, play.replica.store.image(), play.replica.clients.image(0))
    play.replica.snapshots[4] = state
    number = next(i for i, data in enumerate(state.service.pages) if len(data) > PIECE_BYTES)
    answers = 0
    while play.receives(play.cast.fetch_parts(4, 3, page(0, number))).lines:
        play.sends("STATE_PARTS", to=3, parts=[Address(PartKind.PIECES, 0, number)])
        answers += 1
    assert answers == play.replica.served_bytes_limit // (20 * PIECE_BYTES)


@pytest.mark.parametrize("entries", [1, 7])  # over 4 MiB; over 32
def test_the_pieces_of_a_page_larger_than_any_limit_are_served_and_owed(playbook: Make, entries: int) -> None:
    """Else a replica that lags could never fetch such a state."""
    play = server(playbook)
    size_bytes = entries * 5_000_000
    for number, key in enumerate(keys_of_one_page(entries)):
        play.replica.store.put(key, bytes([number]) * 5_000_000)
    state = take_snapshot(4, play.replica.store.image(), play.replica.clients.image(0))
    play.replica.snapshots[4] = state
    number = next(i for i, data in enumerate(state.service.pages) if len(data) > size_bytes)
    ask = play.cast.fetch_parts(4, 3, page(0, number))
    play.receives(ask)
    (line,) = [line for line in play.lines if line.what != "FRAGMENT"] or play.lines[:1]
    assert line.to == [3]
    play.skips()
    (part,) = read_parts(BodyReader(encode_parts([part_of(state, page(0, number))])))
    assert part.address == Address(PartKind.PIECES, 0, number)
    play.passes(150).receives(ask).does_nothing()
    play.receives(play.cast.fetch_parts(4, 2, piece(0, number, 7))).sends("STATE_PARTS", to=2)
    play.passes(150 * size_bytes // play.replica.served_bytes_limit)
    assert play.receives(ask).lines
    play.skips()


def test_an_alarm_while_a_state_is_fetched_begins_anew(playbook: Make) -> None:
    """Nothing of the wrong state is taken for good."""
    play = server(playbook)
    play.replica.start_transfer()
    play.replica.take_effects()
    assert len(play.replica.transfer.own) > 1
    play.replica.own_state_is_wrong(8, b"a" * 32, b"b" * 32)
    play.replica.take_effects()
    assert len(play.replica.transfer.own) == 1
