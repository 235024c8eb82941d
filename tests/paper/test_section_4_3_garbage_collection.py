"""Section 4.3, garbage collection: checkpoints, what makes one stable, and what is dropped behind it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_cluster import MemoryCluster
from playbook import Playbook

from pbft_node.core.effects import Compact, Effect, Persist
from pbft_node.core.messages import PrePrepare
from pbft_node.core.operations import encode_fields
from pbft_node.core.records import RecordType
from pbft_node.core.replica import Replica
from pbft_node.core.snapshots import ClientTable

Make = Callable[..., Playbook]
OK = encode_fields(b"ok")
OTHER = b"\x66" * 32


def decide(play: Playbook, proposal: PrePrepare) -> None:
    """The replica sees one number through all three phases; the last COMMIT is the latest event."""
    peers = [r for r in play.cast.backups(proposal.view) if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in peers])
    play.after(*[play.cast.commit(proposal, by) for by in peers])


def decide_numbers(play: Playbook, first: int, last: int) -> None:
    """Request n of client 1000 under number n."""
    for seq in range(first, last + 1):
        decide(play, play.cast.pre_prepare(seq, play.cast.request(seq)))


def own_digest(play: Playbook, seq: int) -> bytes:
    return play.replica.snapshots[seq].digest


# ---------------------------------------------------------------- taking one


def test_every_k_numbers_the_state_is_kept_and_announced(playbook: Make) -> None:
    play = playbook()
    decide_numbers(play, 1, 3)
    assert not play.replica.snapshots
    proposal = play.cast.pre_prepare(4, play.cast.request(4))
    play.after(proposal, play.cast.prepare(proposal, 2), play.cast.commit(proposal, 0))
    play.receives(play.cast.commit(proposal, 2)).persists("COMMITTED", seq=4).sends("REPLY", to=1000)
    state = play.cast.state(4, {1000: (4, OK)}, k=b"v")
    play.persists("SNAPSHOT", seq=4).sends("CHECKPOINT", to=play.others, seq=4, digest=state.digest)
    play.traced("checkpoint", seq=4, digest=state.digest.hex()).not_traced("stable")


def test_null_requests_count_for_checkpoints(playbook: Make) -> None:
    play = playbook()
    for seq in range(1, 5):
        decide(play, play.cast.pre_prepare(seq))
    play.traced("checkpoint", seq=4, digest=play.cast.state(4, {}).digest.hex())


def test_the_digest_covers_the_client_table(playbook: Make) -> None:
    """Or a replica that fetched the state would execute a retransmission again."""
    cast = playbook().cast
    tables = ({}, {1000: (1, OK)}, {1000: (2, OK)}, {1000: (1, b"other")}, {1001: (1, OK)})
    digests = {cast.state(4, table, k=b"v").digest for table in tables}
    assert len(digests) == 5
    assert cast.state(4, {}, k=b"other").digest not in digests


def test_a_client_table_comes_back_from_its_image(playbook: Make) -> None:
    table = {1000 + i: (i, b"r" * i) for i in range(200)}
    state = playbook().cast.state(4, table)
    assert len(state.clients.pages) > 3
    clients = ClientTable()
    assert clients.become(state.clients) == 0
    assert {c: (reply.timestamp, reply.result) for c, reply in clients.items()} == table
    assert clients.image(0) == state.clients


# ---------------------------------------------------------------- stable


def at_checkpoint_4(playbook: Make, **settings: object) -> tuple[Playbook, bytes]:
    play = playbook(**settings)
    decide_numbers(play, 1, 4)
    return play, own_digest(play, 4)


def test_a_quorum_of_equal_checkpoints_makes_it_stable(playbook: Make) -> None:
    play, digest = at_checkpoint_4(playbook)
    play.receives(play.cast.checkpoint(4, digest, 0)).does_nothing()
    play.receives(play.cast.checkpoint(4, digest, 2)).persists("STABLE").traced(
        "stable", seq=4, digest=digest.hex()
    )
    assert play.replica.stable == 4
    assert not play.replica.slots
    assert not play.replica.certificates
    assert not play.replica.decided
    assert not play.replica.batches
    assert not play.replica.checkpoint_votes


def test_the_same_checkpoint_counts_once(playbook: Make) -> None:
    play, digest = at_checkpoint_4(playbook)
    play.receives(*[play.cast.checkpoint(4, digest, 0)] * 3).does_nothing()
    assert play.replica.stable == 0


@pytest.mark.parametrize(("n", "others_needed"), [(4, 2), (5, 3), (6, 3), (7, 4)])
def test_stable_takes_a_quorum(playbook: Make, n: int, others_needed: int) -> None:
    play, digest = at_checkpoint_4(playbook, n=n)
    for by in [r for r in range(n) if r != play.me][:others_needed]:
        assert play.replica.stable == 0
        play.after(play.cast.checkpoint(4, digest, by))
    assert play.replica.stable == 4


def test_what_lies_above_the_stable_checkpoint_is_kept(playbook: Make) -> None:
    play, digest = at_checkpoint_4(playbook)
    above = play.cast.pre_prepare(5, play.cast.request(5))
    play.after(above, play.cast.prepare(above, 2))
    play.after(play.cast.checkpoint(4, digest, 0), play.cast.checkpoint(4, digest, 2))
    assert list(play.replica.slots) == list(play.replica.certificates) == [5]
    assert above.digest in play.replica.batches


def test_votes_before_the_own_checkpoint_wait_for_it(playbook: Make) -> None:
    play = playbook()
    digest = play.cast.state(4, {1000: (4, OK)}, k=b"v").digest
    play.receives(play.cast.checkpoint(4, digest, 0), play.cast.checkpoint(4, digest, 3)).does_nothing()
    decide_numbers(play, 1, 4)
    play.traced("stable", seq=4)


def test_a_checkpoint_with_another_digest_does_not_count(playbook: Make) -> None:
    play, digest = at_checkpoint_4(playbook)
    play.receives(play.cast.checkpoint(4, OTHER, 0), play.cast.checkpoint(4, digest, 2)).does_nothing()
    play.receives(play.cast.checkpoint(4, digest, 3)).persists("STABLE")


def test_a_liars_second_checkpoint_is_noted_and_counts_instead_of_its_first(playbook: Make) -> None:
    """Others may hold a proof with that vote: it must not be kept out by a lie told earlier."""
    play, digest = at_checkpoint_4(playbook)
    play.receives(play.cast.checkpoint(4, OTHER, 0), play.cast.checkpoint(4, digest, 2)).does_nothing()
    play.receives(play.cast.checkpoint(4, digest, 0)).rejects("CHECKPOINT", "a second digest", sender=0)
    play.persists("STABLE").traced("stable", seq=4)


@pytest.mark.parametrize("seq", [1, 2, 3, 5, 7, 0])
def test_a_checkpoint_where_none_is_taken_is_rejected(playbook: Make, seq: int) -> None:
    play = playbook()
    play.receives(play.cast.checkpoint(seq, OTHER, 0)).rejects(
        "CHECKPOINT", "no checkpoint is taken", sender=0
    )


def test_checkpoints_outside_the_window_are_not_kept(playbook: Make) -> None:
    """h < n <= h + L; a liar could fill the memory with others."""
    play, digest = at_checkpoint_4(playbook)
    play.after(play.cast.checkpoint(4, digest, 0), play.cast.checkpoint(4, digest, 2))
    for seq in (4, 16, 4 * 10**9):
        play.receives(play.cast.checkpoint(seq, OTHER, 0)).does_nothing()
    play.receives(play.cast.checkpoint(8, OTHER, 0), play.cast.checkpoint(12, OTHER, 0)).does_nothing()
    assert sorted(play.replica.checkpoint_votes) == [8, 12]


def test_a_later_checkpoint_makes_the_earlier_needless(playbook: Make) -> None:
    play, digest = at_checkpoint_4(playbook)
    play.after(play.cast.checkpoint(4, digest, 0))
    decide_numbers(play, 5, 8)
    later = own_digest(play, 8)
    play.receives(play.cast.checkpoint(8, later, 2)).does_nothing()
    play.receives(play.cast.checkpoint(8, later, 3)).persists("STABLE").traced("stable", seq=8)
    play.receives(play.cast.checkpoint(4, digest, 2)).does_nothing()


def test_a_quorum_for_another_digest_raises_the_alarm(playbook: Make) -> None:
    """Own state is wrong: it is not served any longer and the proved one is fetched."""
    play, _ = at_checkpoint_4(playbook)
    play.after(play.cast.checkpoint(4, OTHER, 0), play.cast.checkpoint(4, OTHER, 2))
    play.receives(play.cast.checkpoint(4, OTHER, 3)).sends("FETCH_STATE", to=play.others, seq=0)
    play.traced("alarm").traced("state-transfer", step="started")
    assert play.replica.stable == 0
    play.receives(play.cast.fetch_state(2)).does_nothing()
    proposal = play.cast.pre_prepare(5, play.cast.request(5))
    decide(play, proposal)
    play.not_traced("executed")
    play.receives(play.cast.request(4)).does_nothing()  # its reply is one of the wrong state


# ---------------------------------------------------------------- watermarks


def test_a_primary_at_the_high_watermark_waits_for_a_stable_checkpoint(playbook: Make) -> None:
    play = playbook(me=0)
    for seq in range(1, 9):
        play.after(play.cast.request(seq))
        proposal = play.replica.slots[seq].pre_prepare
        assert proposal is not None
        decide(play, proposal)
    play.receives(play.cast.request(9)).does_nothing()
    digest = own_digest(play, 4)
    play.after(play.cast.checkpoint(4, digest, 1))
    play.receives(play.cast.checkpoint(4, digest, 2)).persists("STABLE")
    play.persists("PRE_PREPARE", seq=9).sends("PRE_PREPARE", to=play.others, seq=9)


def test_one_silent_replica_does_not_stop_the_others_checkpoints() -> None:
    cluster = MemoryCluster()
    cluster.crash(3)
    for number in range(30):
        cluster.call(0, b"put", b"k", b"%d" % number)
    assert min(cluster.replica(i).stable for i in range(3)) >= 24
    assert not cluster.trace("view-change")


class ShortLog(Replica):
    """Rewrites its log early."""

    log_slack_bytes = 4_000


def test_logs_stay_short_however_long_a_cluster_runs() -> None:
    """The bound: twice a rewritten log and the slack at each stable checkpoint, and what a window adds. And
    rewriting is rare: what was rewritten in all is no more than what was appended."""
    cluster = MemoryCluster(replica=ShortLog)
    appended, rewritten, rewrites, added = [0] * 4, [0] * 4, [0] * 4, [0] * 4
    on_effect = cluster.carry_out

    def carry_out(source: int, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Persist):
                appended[source] += len(effect.record)
                added[source] += len(effect.record)
            elif isinstance(effect, Compact):
                rewritten[source] += sum(map(len, effect.records))
                rewrites[source] += 1
        on_effect(source, effects)

    cluster.carry_out = carry_out
    window_bytes, stable = 0, [0] * 4
    for number in range(150):
        cluster.call(0, b"put", b"k%d" % (number % 20), b"%d" % number * 50)
        for index, host in enumerate(cluster.hosts):
            replica = host.replica
            if replica.stable != stable[index]:
                stable[index], added[index] = replica.stable, 0
            window_bytes = max(window_bytes, added[index])
            size = sum(map(len, host.records))
            assert size == replica.log_bytes
            assert size <= 2 * replica.rewritten_bytes + ShortLog.log_slack_bytes + 2 * window_bytes
    for index in range(4):
        assert 3 <= rewrites[index] < 25 < 150 // 4
        assert rewritten[index] <= appended[index]
    for host in cluster.hosts:
        replica = host.replica
        assert replica is not None
        held = [replica.slots, replica.certificates, replica.decided, replica.batches]
        assert max(map(len, held)) <= cluster.cluster.window
        assert len(replica.snapshots) <= 4


def test_a_checkpoint_is_logged_as_what_changed(playbook: Make) -> None:
    """Of half a megabyte one value changes: the next SNAPSHOT record has that page and the client's."""
    play = playbook(window=16)
    for number in range(4_000):
        play.replica.store.put(b"%d" % number, b"x" * 115)
    sizes = {}
    for seq in range(1, 13):
        before = len(play.log)
        decide(play, play.cast.pre_prepare(seq, play.cast.request(seq)))
        found = [data for data in play.log[before:] if data[0] == RecordType.SNAPSHOT]
        sizes |= {seq: sum(map(len, found))} if found else {}
    assert sizes.keys() == {4, 8, 12}
    assert sizes[4] > 400_000
    assert max(sizes[8], sizes[12]) < 10_000
    play.restarts()
    assert play.replica.executed == 12
    assert play.replica.store.get(b"3999") == b"x" * 115
