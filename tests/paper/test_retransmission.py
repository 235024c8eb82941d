"""Section 5.2, retransmission by STATUS: who lacks something says so, and gets that and no more.

The replica is 0, primary of view 0, so that it is always its turn to send what anybody could.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from members import Members
from memory_cluster import MemoryCluster, Network
from playbook import Playbook

from pbft_node.core.cluster import MILLISECOND_NS
from pbft_node.core.messages import HAS_BATCH, IS_COMMITTED, IS_PREPARED, PrePrepare
from pbft_node.core.retransmission import SLOTS_SENT

Make = Callable[..., Playbook]
OTHER = b"\xaa" * 32
HUGE = 2**64 - 1


def propose(play: Playbook, number: int = 1) -> PrePrepare:
    play.after(play.cast.request(number))
    proposal = play.replica.slots[number].pre_prepare
    assert proposal is not None
    return proposal


def prepare(play: Playbook, proposal: PrePrepare) -> None:
    play.after(*[play.cast.prepare(proposal, by) for by in (1, 2)])


def decide(play: Playbook, proposal: PrePrepare) -> None:
    prepare(play, proposal)
    play.after(*[play.cast.commit(proposal, by) for by in (1, 2)])


# ---------------------------------------------------------------- asking


def test_status_is_sent_at_the_start_and_then_in_intervals(playbook: Make) -> None:
    play = playbook(noise=False)
    play.runs("status", ms=1000)
    play.fires("status").sends("STATUS", to=play.others, view=0, seq=0).runs("status", ms=1000)


def test_who_lacks_something_asks_more_often(playbook: Make) -> None:
    play = playbook(me=1)
    play.after(play.cast.request(1))
    play.fires("status").sends("REQUEST", to=0).runs("status", ms=150)
    for by in (2, 3):
        play.receives(play.cast.status(by, executed=5))
    proposal = play.cast.pre_prepare(1, play.cast.request(1))
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in (2, 3)])
    play.after(*[play.cast.commit(proposal, by) for by in (2, 3)])
    assert play.replica.executed == 1
    play.fires("status").does_nothing().runs("status", ms=150)


def test_status_shows_what_is_held_of_each_number_above_the_last_executed(playbook: Make) -> None:
    play = playbook(me=0)
    decide(play, propose(play, 1))
    prepare(play, propose(play, 2))
    propose(play, 3)
    fourth = play.cast.pre_prepare(4, play.cast.request(4))
    play.after(*[play.cast.commit(fourth, by) for by in (1, 2, 3)])
    assert play.replica.slot_flags() == bytes([HAS_BATCH | IS_PREPARED, HAS_BATCH, IS_COMMITTED])


def test_a_number_above_the_high_watermark_makes_it_ask(playbook: Make) -> None:
    """Others have a stable checkpoint that this replica lacks; it asks once an interval, not more."""
    play = playbook(me=1, noise=False)
    far = [play.cast.pre_prepare(seq, play.cast.request(seq)) for seq in (9, 10, 11)]
    play.now_ns = 200 * MILLISECOND_NS
    play.receives(far[0]).sends("STATUS", to=play.others)
    play.receives(far[1]).does_nothing()
    play.receives(play.cast.prepare(far[0], 2)).does_nothing()
    play.now_ns += 150 * MILLISECOND_NS
    play.receives(play.cast.commit(far[2], 2)).sends("STATUS", to=play.others)
    play.now_ns += 150 * MILLISECOND_NS
    play.receives(play.cast.prepare(far[2], 2)).sends("STATUS", to=play.others)


def test_a_member_with_other_parameters_is_told_apart(playbook: Make) -> None:
    play = playbook(me=0)
    other = Members(replace(play.cluster, pipeline=5), 0)
    propose(play)
    play.receives(other.status(2)).rejects("STATUS", "its cluster parameters differ from ours")
    assert not play.replica.peers
    play.receives(play.cast.status(2)).sends("PRE_PREPARE", to=2)


# ---------------------------------------------------------------- answering: the log


def test_a_peer_without_the_proposal_gets_it_whole(playbook: Make) -> None:
    play = playbook(me=0)
    propose(play)
    play.receives(play.cast.status(2)).sends("PRE_PREPARE", to=2, view=0, seq=1)


def test_a_peer_gets_the_votes_it_lacks_and_not_those_it_needs_no_more(playbook: Make) -> None:
    play = playbook(me=1)
    proposal = play.cast.pre_prepare(1, play.cast.request(1))
    play.after(proposal, play.cast.prepare(proposal, 2))
    answers = [
        (bytes([HAS_BATCH]), ["PREPARE", "COMMIT"]),
        (bytes([HAS_BATCH | IS_PREPARED]), ["COMMIT"]),
        (bytes([HAS_BATCH | IS_PREPARED | IS_COMMITTED]), []),
    ]
    for flags, wanted in answers:
        play.passes(1000).receives(play.cast.status(3, slots=flags))
        for what in wanted:
            play.sends(what, to=3, view=0, seq=1, digest=proposal.digest)
    play.does_nothing()


def test_a_peer_that_has_everything_gets_nothing(playbook: Make) -> None:
    play = playbook(me=0)
    decide(play, propose(play))
    play.receives(play.cast.status(2, executed=1)).does_nothing()


def test_answers_are_bounded_in_length_and_rate(playbook: Make) -> None:
    """A STATUS is small and may be asked often: it must not be worth much to a liar."""
    play = playbook(me=0, window=64, checkpoint_interval=32, pipeline=64)
    for number in range(1, 41):
        propose(play, number)
    play.receives(play.cast.status(2))
    sent = [line for line in play.lines if line.what == "PRE_PREPARE"]
    assert [line.fields["seq"] for line in sent] == list(range(1, SLOTS_SENT + 1))
    play.skips().passes(74).receives(play.cast.status(2)).does_nothing()
    play.receives(play.cast.status(3)).skips()
    play.passes(1).receives(play.cast.status(2, executed=39)).sends("PRE_PREPARE", to=2, seq=40)


@pytest.mark.parametrize(
    "claims",
    [
        {"executed": HUGE},
        {"executed": HUGE, "stable": 2**62},
        {"view": 2**62, "log_view": HUGE},
        {"view": 0, "log_view": HUGE, "slots": b"\xff" * 8000},
    ],
)
def test_absurd_claims_get_no_more_than_modest_ones(playbook: Make, claims: dict[str, int]) -> None:
    play = playbook(me=0)
    proposal = propose(play)
    decide(play, proposal)
    play.receives(play.cast.status(2, **claims))
    assert len(play.lines) <= 2
    play.skips().fires("status").does_nothing()


# ---------------------------------------------------------------- answering: decisions


def test_a_peer_in_any_view_is_told_what_was_decided(playbook: Make) -> None:
    play = playbook(me=0)
    proposal = propose(play)
    decide(play, proposal)
    play.receives(play.cast.status(2, view=7, active=False, log_view=3))
    play.sends("DECIDED", to=2, seq=1, digest=proposal.digest)


def test_f_plus_1_equal_claims_decide_and_f_do_not(playbook: Make) -> None:
    play = playbook(me=3)
    proposal = play.cast.pre_prepare(1, play.cast.request(1))
    play.after(proposal)
    play.receives(*[play.cast.decided(1, 1, proposal.digest)] * 3).does_nothing()
    play.receives(play.cast.decided(2, 1, OTHER)).does_nothing()
    play.receives(play.cast.decided(2, 1, proposal.digest)).rejects("DECIDED", "a second digest", sender=2)
    play.receives(play.cast.decided(0, 1, proposal.digest)).persists("COMMITTED", seq=1)
    play.sends("REPLY", to=1000)


def test_a_claim_counts_as_the_commit_of_who_makes_it(playbook: Make) -> None:
    """It may have decided without being prepared, and then has no COMMIT to repeat."""
    play = playbook(me=3)
    proposal = play.cast.pre_prepare(1, play.cast.request(1))
    play.after(proposal, play.cast.prepare(proposal, 1))
    play.receives(play.cast.commit(proposal, 1), play.cast.decided(1, 1, proposal.digest)).does_nothing()
    play.receives(play.cast.decided(2, 1, OTHER)).does_nothing()
    play.receives(play.cast.commit(proposal, 2)).rejects("COMMIT", "a second digest", sender=2)
    play.receives(play.cast.decided(0, 1, proposal.digest)).persists("COMMITTED", seq=1)
    play.sends("REPLY", to=1000)
    play = playbook(me=3)
    play.after(proposal, play.cast.prepare(proposal, 1), play.cast.commit(proposal, 0))
    play.receives(play.cast.decided(2, 1, proposal.digest)).persists("COMMITTED").sends("REPLY", to=1000)


def test_claims_outside_the_window_are_not_kept(playbook: Make) -> None:
    play = playbook(me=3)
    for seq in (0, 9, 2**62):
        play.receives(play.cast.decided(1, seq, OTHER), play.cast.decided(2, seq, OTHER)).does_nothing()
    assert not play.replica.decision_claims


def test_claims_do_not_change_a_decision(playbook: Make) -> None:
    play = playbook(me=0)
    proposal = propose(play)
    decide(play, proposal)
    play.receives(play.cast.decided(1, 1, OTHER), play.cast.decided(2, 1, OTHER)).does_nothing()
    assert play.replica.decided == {1: proposal.digest}


# ---------------------------------------------------------------- answering: checkpoints, views, batches


def test_a_peer_below_the_stable_checkpoint_gets_its_proof(playbook: Make) -> None:
    play = playbook(me=0)
    for number in range(1, 5):
        decide(play, propose(play, number))
    digest = play.replica.snapshots[4].digest
    play.receives(play.cast.status(3, executed=4)).sends("CHECKPOINT", to=3, seq=4, digest=digest)
    play.after(*[play.cast.checkpoint(4, digest, by) for by in (1, 2)]).passes(1000)
    play.receives(play.cast.status(3, executed=4))
    assert len(play.lines) == 3
    for _ in range(3):
        play.sends("CHECKPOINT", to=3, seq=4, digest=digest)
    play.passes(1000).receives(play.cast.status(3, executed=4, stable=4)).does_nothing()


def test_a_peer_in_an_earlier_view_gets_the_new_view(playbook: Make) -> None:
    play = playbook(me=1)
    play.after(*[play.cast.view_change(1, by) for by in (2, 3)])
    assert play.replica.new_view is not None
    for status in (
        play.cast.status(3),
        play.cast.status(3, view=1, active=False, log_view=0, view_changes=[1, 2, 3]),
    ):
        line = play.passes(1000).receives(status).lines[0]
        play.sends("NEW_VIEW", to=3, view=1)
        assert line.data == play.replica.new_view.raw
    play.passes(1000).receives(play.cast.status(3, view=1)).does_nothing()
    play.passes(1000).receives(play.cast.status(3, view=2, active=False, log_view=0)).does_nothing()


def test_a_batch_is_asked_for_once_and_again_with_every_status(playbook: Make) -> None:
    play = playbook(me=1)
    proposal = play.cast.pre_prepare(1, play.cast.request(1))
    play.after(*[play.cast.commit(proposal, by) for by in (0, 2, 3)])
    play.receives(play.cast.commit(play.cast.pre_prepare(2), 0)).does_nothing()
    for _ in range(3):
        play.fires("status").sends("FETCH_BATCH", to=play.others, digest=proposal.digest)
    play.receives(play.cast.fetch_batch(proposal.digest, 2)).does_nothing()
    play.receives(play.cast.batch_body(2, play.cast.request(1))).persists("BATCH").sends("REPLY", to=1000)
    play.receives(play.cast.fetch_batch(proposal.digest, 2)).sends("BATCH", to=2)
    play.fires("status").does_nothing()


def test_a_batch_nobody_waits_for_is_not_kept(playbook: Make) -> None:
    play = playbook(me=1)
    play.receives(play.cast.batch_body(2, play.cast.request(1)), play.cast.batch_body(2)).does_nothing()
    assert not play.replica.batches


# ---------------------------------------------------------------- clusters


@pytest.mark.parametrize("loss", [0.01, 0.1, 0.3])
def test_a_lossy_doubling_reordering_network(loss: float) -> None:
    network = Network(max_ns=20_000_000, loss=loss, duplication=0.2)
    cluster = MemoryCluster(11, network, service="append")
    for number in range(25):
        cluster.call(number % 2, b"append", b"k", b"%d" % number, within_ms=60_000)
    network.loss = 0.0
    assert cluster.run(5_000, until=lambda: len({cluster.replica(i).executed for i in range(4)}) == 1)
    assert len({cluster.replica(i).store.image().digest for i in range(4)}) == 1
    assert not cluster.trace("alarm")


def test_an_idle_cluster_is_quiet() -> None:
    cluster = MemoryCluster()
    cluster.call(0, b"put", b"k", b"v")
    cluster.run(1_000)
    before = len(cluster.sent)
    cluster.run(10_000)
    statuses = 4 * 3 * 10_000 // 100
    assert len(cluster.sent) - before <= statuses + 12
