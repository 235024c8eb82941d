"""Section 5.3, state transfer: fetching a checkpoint the log no longer reaches, from sources that may lie.

The replica is 3; others reached a stable checkpoint at 4 or 8 and have dropped the messages below it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from memory_cluster import MemoryCluster
from playbook import Playbook

from pbft_node.core.effects import Send
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import PrePrepare
from pbft_node.core.operations import encode_fields
from pbft_node.core.snapshots import Snapshot

Make = Callable[..., Playbook]
OK = encode_fields(b"ok")


def decide(play: Playbook, proposal: PrePrepare) -> None:
    peers = [r for r in play.cast.backups(proposal.view) if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in peers])
    play.after(*[play.cast.commit(proposal, by) for by in play.others[: play.cluster.quorum - 1]])


def pages(state: Snapshot) -> tuple[bytes, ...]:
    return (*state.service.pages, *state.clients.pages)


def large_state(play: Playbook) -> Snapshot:
    """The state at 4, of three pages."""
    state = play.cast.state(4, {1000: (7, OK)}, **{f"k{i}": b"%d" % i * 1_000 for i in range(9)})
    assert len(pages(state)) == 3
    return state


def wanting(playbook: Make, **settings: object) -> Playbook:
    """Proved behind, for two ticks: the transfer has begun."""
    play = playbook(me=3, **settings)
    digest = large_state(play).digest
    play.after(*[play.cast.checkpoint(4, digest, by) for by in (0, 1, 2)])
    play.fires("status").skips()
    play.fires("status").sends("FETCH_STATE", to=play.others, seq=0).traced("state-transfer", step="started")
    return play


def offered(playbook: Make, by: int = 1) -> tuple[Playbook, Snapshot]:
    play = wanting(playbook)
    state = large_state(play)
    play.receives(play.cast.state_meta(state, by))
    for index in range(3):
        play.sends("FETCH_CHUNK", to=by, seq=4, index=index)
    return play, state


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


# ---------------------------------------------------------------- fetching


def test_a_state_is_fetched_chunk_by_chunk_installed_kept_and_vouched_for(playbook: Make) -> None:
    play, state = offered(playbook)
    for index in (2, 0):
        play.receives(play.cast.state_chunk(4, index, pages(state)[index], 1)).does_nothing()
    play.receives(play.cast.state_chunk(4, 1, pages(state)[1], 1)).compacts()
    play.sends("CHECKPOINT", to=play.others, seq=4, digest=state.digest)
    play.traced("state-transfer", seq=4, step="finished").traced("stable", seq=4).traced("checkpoint", seq=4)
    replica = play.replica
    assert (replica.executed, replica.stable, replica.fetching_state()) == (4, 4, False)
    assert replica.snapshots[4] == state
    play.receives(play.cast.request(7)).sends("REPLY", to=1000, seq=7, result=OK)
    play.receives(play.cast.request(6)).does_nothing()
    play.restarts()
    assert (play.replica.executed, play.replica.stable) == (4, 4)


def test_what_was_decided_above_it_meanwhile_is_executed_on_it(playbook: Make) -> None:
    play, state = offered(playbook)
    decide(play, play.cast.pre_prepare(5, play.cast.request(8)))
    play.not_traced("executed")
    play.after(*[play.cast.state_chunk(4, i, pages(state)[i], 1) for i in range(3)])
    play.traced("executed", seq=5)


def test_requests_the_new_state_answered_wait_no_longer(playbook: Make) -> None:
    play, state = offered(playbook)
    play.after(play.cast.request(7), play.cast.request(1, client=1001))
    play.after(*[play.cast.state_chunk(4, i, pages(state)[i], 1) for i in range(3)])
    assert list(play.replica.pending) == [1001]
    play.runs("request", ms=1000)


def test_missing_chunks_are_asked_for_again_elsewhere(playbook: Make) -> None:
    play, state = offered(playbook)
    play.after(play.cast.state_chunk(4, 0, pages(state)[0], 1))
    for source in (2, 0, 1):
        play.fires("status")
        for index in (1, 2):
            play.sends("FETCH_CHUNK", to=source, seq=4, index=index)
        play.skips()
    play.receives(play.cast.state_chunk(4, 1, pages(state)[1], 0)).does_nothing()
    play.receives(play.cast.state_chunk(4, 2, pages(state)[2], 2)).compacts().skips()


def test_a_dry_source_is_given_up_for_a_later_offer(playbook: Make) -> None:
    play, _ = offered(playbook)
    later = play.cast.state(8, {}, k=b"later")
    play.receives(play.cast.state_meta(later, 2)).does_nothing()
    for _ in range(5):
        play.fires("status").skips()
    play.receives(play.cast.state_meta(later, 2)).sends("FETCH_CHUNK", to=2, seq=8, index=0).skips()
    play.after(*[play.cast.state_chunk(8, i, page, 2) for i, page in enumerate(pages(later))])
    assert play.replica.stable == 8


# ---------------------------------------------------------------- lies


def test_forged_offers_are_rejected(playbook: Make) -> None:
    play = wanting(playbook)
    cast = play.cast
    state, other = large_state(play), cast.state(4, {}, k=b"other")
    proof = cast.proof(4, state.digest)
    forged = replace(proof[0], raw=proof[0].raw[:-64] + proof[1].raw[-64:])
    longer = replace(state, clients=other.service)
    for reason, meta in [
        ("2 CHECKPOINTs", cast.state_meta(state, 1, proof[:2])),
        ("0 CHECKPOINTs", cast.state_meta(state, 1, ())),
        ("replica 0 did not sign", cast.state_meta(state, 1, (forged, *proof[1:]))),
        ("among those for 4", cast.state_meta(state, 1, cast.proof(8, state.digest))),
        ("not those of the proof", cast.state_meta(other, 1, proof)),
        ("not those of the proof", cast.state_meta(longer, 1, proof)),
    ]:
        play.receives(meta).rejects("STATE-META", reason, sender=1)
    play.receives(cast.state_meta(state, 1)).sends("FETCH_CHUNK", to=1, index=0).skips()


def test_forged_chunks_are_rejected(playbook: Make) -> None:
    play, state = offered(playbook)
    cast = play.cast
    play.receives(cast.state_chunk(4, 0, pages(state)[1], 1)).rejects("STATE-CHUNK", "not the one proved", 1)
    play.receives(cast.state_chunk(4, 0, b"", 2)).rejects("STATE-CHUNK", sender=2)
    play.receives(cast.state_chunk(4, 3, b"x", 1), cast.state_chunk(4, 2**31, b"x", 1)).does_nothing()
    play.receives(cast.state_chunk(8, 0, pages(state)[0], 1)).does_nothing()
    play.receives(cast.state_chunk(4, 0, pages(state)[0], 1)).does_nothing()
    play.receives(cast.state_chunk(4, 0, b"x", 1)).does_nothing()
    assert list(play.replica.transfer.chunks) == [0]


@pytest.mark.parametrize("seq", [0, 4])
def test_nothing_is_taken_that_was_not_wanted(playbook: Make, seq: int) -> None:
    play = playbook(me=3)
    state = play.cast.state(4, {})
    play.receives(play.cast.state_meta(state, 1)).does_nothing()
    play.receives(play.cast.state_chunk(4, 0, pages(state)[0], 1)).does_nothing()


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
    play.receives(play.cast.fetch_chunk(4, 0, by=3)).sends("STATE_CHUNK", to=3, seq=4, index=0)
    play.receives(play.cast.fetch_chunk(4, 2, by=3), play.cast.fetch_chunk(4, 2**32 - 1, by=3)).does_nothing()
    play.receives(play.cast.fetch_chunk(8, 0, by=3)).does_nothing()


def test_the_previous_checkpoint_is_served_on_and_an_older_one_replaced(playbook: Make) -> None:
    play = server(playbook)
    for seq in range(5, 13):
        decide(play, play.cast.pre_prepare(seq, play.cast.request(seq)))
        if seq % 4 == 0:
            digest = play.replica.snapshots[seq].digest
            play.after(*[play.cast.checkpoint(seq, digest, by) for by in (0, 2)])
    play.receives(play.cast.fetch_chunk(8, 0, by=3)).sends("STATE_CHUNK", to=3, seq=8)
    play.receives(play.cast.fetch_chunk(4, 0, by=3)).sends("STATE_META", to=3, seq=12)


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


def test_a_liar_that_garbles_every_chunk_only_delays_it() -> None:
    cluster = MemoryCluster()

    def lie(source: int, send: Send) -> list[Send]:
        if source == 0 and send.data[5] == MessageType.STATE_CHUNK:
            replica = cluster.replica(0)
            seq = int.from_bytes(send.data[20:28], "big")
            return [
                Send(send.to, replica.seal.for_peer(send.to, MessageType.STATE_CHUNK, 0, seq, b"\0" * 500))
            ]
        return [send]

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
