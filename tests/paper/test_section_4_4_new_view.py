"""Section 4.4, NEW-VIEW: what follows from a quorum of VIEW-CHANGEs, announced by one and checked by all.

View 1 with primary 1; the backup is replica 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from members import Members
from playbook import Playbook

from pbft_node.core.certificates import max_s, min_s, new_order
from pbft_node.core.codec import decode
from pbft_node.core.digests import NULL_DIGEST
from pbft_node.core.messages import NewView, PrePrepare

Make = Callable[..., Playbook]


def prepare(play: Playbook, proposal: PrePrepare) -> None:
    peers = [r for r in play.cast.backups(proposal.view) if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in peers])


def decide(play: Playbook, proposal: PrePrepare) -> None:
    prepare(play, proposal)
    play.after(*[play.cast.commit(proposal, by) for by in play.others[: play.cluster.quorum - 1]])


# ---------------------------------------------------------------- O follows from V


def test_min_s_max_s_null_requests_and_the_highest_view(playbook: Make) -> None:
    """Stable 4 somewhere; 5 prepared in views 0 and 2; nothing at 6; 7 prepared by one replica only."""
    cast = playbook().cast
    proof = cast.proof(4, cast.state(4, {}).digest)
    old, new = cast.pre_prepare(5, cast.request(1)), cast.pre_prepare(5, cast.request(2), view=2)
    seven, below = cast.pre_prepare(7, cast.request(3), view=1), cast.pre_prepare(3, cast.request(4))
    changes = [
        cast.view_change(5, 0, cast.certificate(old), stable=4, proof=proof),
        cast.view_change(5, 2, cast.certificate(below), cast.certificate(new), cast.certificate(seven)),
        cast.view_change(5, 3, cast.certificate(old)),
    ]
    for order in (changes, changes[::-1]):
        assert (min_s(order), max_s(order)) == (4, 7)
        assert new_order(order) == [(5, new.digest), (6, NULL_DIGEST), (7, seven.digest)]
    assert new_order(changes[1:]) == [
        (1, NULL_DIGEST),
        (2, NULL_DIGEST),
        (3, below.digest),
        (4, NULL_DIGEST),
        (5, new.digest),
        (6, NULL_DIGEST),
        (7, seven.digest),
    ]
    assert new_order([cast.view_change(5, by) for by in (0, 1, 2)]) == []
    assert new_order([cast.view_change(5, 0, stable=4, proof=proof)]) == []


# ---------------------------------------------------------------- the new primary


def test_the_new_primary_announces_with_a_quorum_and_goes_on_behind_max_s(playbook: Make) -> None:
    play = playbook(me=1)
    cast = play.cast
    third = cast.pre_prepare(3, cast.request(1))
    play.receives(cast.view_change(1, 2)).does_nothing()
    play.receives(cast.view_change(1, 3, cast.certificate(third)))
    play.persists("VIEW_CHANGE", view=1).sends("VIEW_CHANGE", to=play.others, view=1)
    new_view = play.persists("NEW_VIEW", view=1).lines[0].data
    play.sends("NEW_VIEW", to=play.others, view=1).sends("FETCH_BATCH", to=play.others, digest=third.digest)
    play.traced("new-view", view=1, primary=1, min_s=0, max_s=3)
    message, _ = decode(new_view)
    assert isinstance(message, NewView)
    assert [change.replica for change in message.view_changes] == [1, 2, 3]
    assert [(p.seq, p.digest) for p in message.pre_prepares] == [
        (1, NULL_DIGEST),
        (2, NULL_DIGEST),
        (3, third.digest),
    ]
    play.receives(cast.request(1, client=1001)).persists("PRE_PREPARE", view=1, seq=4)
    play.sends("PRE_PREPARE", to=play.others, view=1, seq=4)


def test_the_new_primary_shows_exactly_a_quorum_with_its_own(playbook: Make) -> None:
    play = playbook(me=1)
    cast = play.cast
    play.after(*[cast.view_change(1, by) for by in (0, 2, 3)])
    message = play.replica.new_view
    assert message is not None
    assert [change.replica for change in message.view_changes] == [0, 1, 2]


def test_what_the_new_primary_announces_a_backup_accepts(playbook: Make) -> None:
    """The pair of the checks below: one builds, the other validates."""
    primary, backup = playbook(me=1), playbook(me=3)
    for seq in range(1, 6):
        proposal = primary.cast.pre_prepare(seq, primary.cast.request(seq))
        decide(primary, proposal) if seq < 5 else prepare(primary, proposal)
        decide(backup, proposal) if seq < 5 else backup.after(proposal)
    digest = primary.replica.snapshots[4].digest
    primary.after(*[primary.cast.checkpoint(4, digest, by) for by in (0, 2)])
    changes = [primary.cast.view_change(1, by) for by in (0, 2)]
    primary.after(*changes)
    announced = primary.replica.new_view
    assert announced is not None
    assert [p.seq for p in announced.pre_prepares] == [5]
    backup.receives(announced).persists("NEW_VIEW", view=1).sends("PREPARE", to=backup.others, view=1, seq=5)
    backup.persists("STABLE").traced("stable", seq=4).sends("REQUEST", to=1, client=1000)


# ---------------------------------------------------------------- a backup validates


def situation(cast: Members) -> tuple[list[object], list[PrePrepare]]:
    """V with 1 prepared, nothing at 2, 3 prepared in another VIEW-CHANGE; and the O that follows."""
    one, three = cast.pre_prepare(1, cast.request(1)), cast.pre_prepare(3, cast.request(2))
    changes = [
        cast.view_change(1, 0, cast.certificate(one)),
        cast.view_change(1, 1),
        cast.view_change(1, 2, cast.certificate(one), cast.certificate(three)),
    ]
    return changes, cast.order(1, changes)


def bad_new_views(cast: Members) -> Iterator[tuple[str, str, NewView]]:
    v, o = situation(cast)
    other = cast.pre_prepare(3, view=1, digest=b"\x88" * 32)
    follows = "O is not what follows from V"
    yield "O without its last", follows, cast.new_view(1, *v, order=o[:-1])
    yield "O without its first", follows, cast.new_view(1, *v, order=o[1:])
    yield "O empty", follows, cast.new_view(1, *v, order=[])
    yield "O with the null request missing", follows, cast.new_view(1, *v, order=[o[0], o[2]])
    yield "O with another digest", follows, cast.new_view(1, *v, order=[o[0], o[1], other])
    null = cast.pre_prepare(3, view=1)
    yield "O with null for a prepared one", follows, cast.new_view(1, *v, order=[o[0], o[1], null])
    yield "O permuted", follows, cast.new_view(1, *v, order=[o[1], o[0], o[2]])
    yield "O with one twice", follows, cast.new_view(1, *v, order=[o[0], *o])
    longer = [*o, cast.pre_prepare(4, cast.request(9), view=1)]
    yield "O with one more", follows, cast.new_view(1, *v, order=longer)
    old = [cast.pre_prepare(p.seq, view=0, by=1, digest=p.digest) for p in o]
    yield "O of another view", "PRE-PREPARE of view 0", cast.new_view(1, *v, order=old)
    yield "O by another replica", "by replica 2 in O", cast.new_view(1, *v, order=cast.order(1, v, by=2))
    forged = [replace(p, raw=p.raw[:-64] + o[0].raw[-64:]) for p in o]
    yield "O forged", "replica 1 did not sign", cast.new_view(1, *v, order=forged)
    yield "V too small", "2 VIEW-CHANGEs where 3", cast.new_view(1, *v[:2])
    yield "V too large", "4 VIEW-CHANGEs", cast.new_view(1, *v, cast.view_change(1, 3))
    yield "V with one twice", "distinct", cast.new_view(1, v[0], v[0], v[1])
    yield "V out of order", "in order", cast.new_view(1, v[1], v[0], v[2])
    another = cast.view_change(5, 2)
    yield "V of another view", "a VIEW-CHANGE to view 5", cast.new_view(1, *v[:2], another)
    unsigned = replace(v[2], raw=v[2].raw[:-64] + v[1].raw[-64:])
    yield "V forged", "VIEW-CHANGE that replica 2 did not sign", cast.new_view(1, *v[:2], unsigned)
    false = cast.certificate(cast.pre_prepare(1, cast.request(8), by=2))
    bad = cast.view_change(1, 2, false)
    yield "V with a bad certificate", "the VIEW-CHANGE of replica 2 has", cast.new_view(1, *v[:2], bad)
    yield "by a backup of that view", "not the primary of view 1", cast.new_view(1, *v, by=2)


BAD = [what for what, _, _ in bad_new_views(Playbook(3).cast)]


@pytest.mark.parametrize("index", range(len(BAD)), ids=BAD)
def test_a_new_view_with_a_bad_part_is_rejected(playbook: Make, index: int) -> None:
    play = playbook(me=3)
    _, reason, message = list(bad_new_views(play.cast))[index]
    play.receives(message).rejects("NEW-VIEW", reason)
    assert (play.replica.view, play.replica.new_view) == (0, None)


def test_the_good_one_of_that_situation_is_entered(playbook: Make) -> None:
    play = playbook(me=3)
    v, o = situation(play.cast)
    play.receives(play.cast.new_view(1, *v)).persists("NEW_VIEW", view=1)
    for proposal in o:
        if proposal.digest != NULL_DIGEST:
            play.sends("FETCH_BATCH", to=play.others, digest=proposal.digest)
        play.sends("PREPARE", to=play.others, view=1, seq=proposal.seq, digest=proposal.digest)
    play.traced("new-view", view=1, primary=1, min_s=0, max_s=3)


def test_a_new_view_is_no_news_twice_and_an_older_one_never(playbook: Make) -> None:
    play = playbook(me=3)
    cast = play.cast
    changes = [cast.view_change(5, by) for by in (0, 1, 2)]
    play.after(cast.new_view(5, *changes))
    play.receives(cast.new_view(5, *changes)).does_nothing()
    play.receives(cast.new_view(1, *[cast.view_change(1, by) for by in (0, 1, 2)])).does_nothing()
    assert play.replica.view == 5


def test_a_new_view_for_an_earlier_view_than_asked_for_is_too_late(playbook: Make) -> None:
    play = playbook(me=3)
    cast = play.cast
    play.after(cast.view_change(6, 0), cast.view_change(6, 2))
    assert (play.replica.view, play.replica.active) == (6, False)
    play.receives(cast.new_view(5, *[cast.view_change(5, by) for by in (0, 1, 2)])).does_nothing()


def test_nobody_may_announce_in_this_replicas_name(playbook: Make) -> None:
    play = playbook(me=1)
    cast = play.cast
    message = cast.new_view(1, *[cast.view_change(1, by) for by in (0, 2, 3)])
    play.receives(message).rejects("NEW-VIEW", "own", sender=1)


# ---------------------------------------------------------------- in the new view


def test_what_was_executed_is_agreed_again_and_not_executed_again(playbook: Make) -> None:
    play = playbook(me=3)
    cast = play.cast
    proposals = [cast.pre_prepare(seq, cast.request(seq)) for seq in (1, 2)]
    for proposal in proposals:
        decide(play, proposal)
    certificates = [cast.certificate(p) for p in proposals]
    changes = [cast.view_change(1, by, *certificates) for by in (0, 1, 2)]
    play.receives(cast.new_view(1, *changes)).persists("NEW_VIEW")
    for seq in (1, 2):
        play.sends("PREPARE", to=play.others, view=1, seq=seq)
    again = cast.pre_prepare(1, view=1, digest=proposals[0].digest)
    play.receives(cast.prepare(again, 2)).persists("PREPARED", view=1, seq=1)
    play.sends("COMMIT", to=play.others, view=1, seq=1)
    play.receives(cast.commit(again, 1), cast.commit(again, 2)).does_nothing()
    play.traced("committed", view=1, seq=1).not_traced("executed")


def test_a_batch_known_by_digest_only_is_fetched_and_checked(playbook: Make) -> None:
    play = playbook(me=3)
    cast = play.cast
    lost = cast.pre_prepare(1, cast.request(1))
    changes = [cast.view_change(1, by, cast.certificate(lost)) for by in (0, 1, 2)]
    play.after(cast.new_view(1, *changes))
    play.receives(cast.batch_body(0, cast.request(2))).does_nothing()
    play.receives(cast.batch_body(0)).does_nothing()
    play.receives(cast.batch_body(0, cast.request(1))).persists("BATCH")
    again = cast.pre_prepare(1, view=1, digest=lost.digest)
    play.after(cast.prepare(again, 2), cast.commit(again, 1))
    play.receives(cast.commit(again, 2)).persists("COMMITTED").sends("REPLY", to=1000, view=1)


def test_a_second_proposal_under_a_number_of_o_is_rejected(playbook: Make) -> None:
    play = playbook(me=3)
    v, _ = situation(play.cast)
    play.after(play.cast.new_view(1, *v))
    for seq in (1, 2, 3):
        lie = play.cast.pre_prepare(seq, play.cast.request(7), view=1)
        play.receives(lie).rejects("PRE-PREPARE", "a second digest", sender=1)


def test_a_min_s_above_what_was_executed_starts_a_state_transfer(playbook: Make) -> None:
    play = playbook(me=3)
    cast = play.cast
    proof = cast.proof(4, cast.state(4, {}).digest, (0, 1, 2))
    changes = [cast.view_change(1, by, stable=4, proof=proof) for by in (0, 1, 2)]
    play.receives(cast.new_view(1, *changes)).persists("NEW_VIEW").sends("FETCH_STATE", to=play.others)
    play.traced("state-transfer", step="started")


def test_batches_accepted_above_the_stable_checkpoint_are_kept_through_views(playbook: Make) -> None:
    """Only a liar's VIEW-CHANGE may show the certificate, views later: somebody must still have the batch."""
    play = playbook(me=3)
    cast = play.cast
    for seq in range(1, 5):
        decide(play, cast.pre_prepare(seq, cast.request(seq)))
    sixth = cast.pre_prepare(6, cast.request(6))
    play.after(sixth)
    play.after(cast.new_view(1, *[cast.view_change(1, by) for by in (0, 1, 2)]))
    digest = play.replica.snapshots[4].digest
    play.after(cast.checkpoint(4, digest, 0), cast.checkpoint(4, digest, 1))
    assert play.replica.stable == 4
    play.restarts()
    play.receives(cast.fetch_batch(sixth.digest, 0)).sends("BATCH", to=0)


def test_numbers_at_or_below_max_s_belong_to_the_new_view(playbook: Make) -> None:
    """Stable 4 is proved by others: a lying primary may not order something else under 3 for who lags."""
    play = playbook(me=3)
    cast = play.cast
    fifth = cast.pre_prepare(5, cast.request(1))
    proof = cast.proof(4, cast.state(4, {}).digest, (0, 1, 2))
    changes = [cast.view_change(1, by, cast.certificate(fifth), stable=4, proof=proof) for by in (0, 1, 2)]
    play.after(cast.new_view(1, *changes))
    for seq in (1, 3, 4, 5):
        lie = cast.pre_prepare(seq, cast.request(7), view=1)
        play.receives(lie).rejects("PRE-PREPARE", sender=1)
    play.receives(cast.pre_prepare(6, cast.request(7), view=1)).persists("PRE_PREPARE", seq=6)
    play.sends("PREPARE", to=play.others, seq=6).restarts()
    play.receives(cast.pre_prepare(3, cast.request(7), view=1)).rejects("PRE-PREPARE", "NEW-VIEW")


def test_o_binds_also_where_it_lay_beyond_the_window(playbook: Make) -> None:
    """Stable 0 here, 8 there: number 9 was out of reach when the view was entered."""
    play = playbook(me=3)
    cast = play.cast
    ninth = cast.pre_prepare(9, cast.request(1))
    state = cast.state(8, {})
    proof = cast.proof(8, state.digest, (0, 1, 2))
    changes = [cast.view_change(1, by, cast.certificate(ninth), stable=8, proof=proof) for by in (0, 1, 2)]
    play.after(cast.new_view(1, *changes), cast.state_meta(state, 1), *cast.whole_state(state, 1))
    assert play.replica.stable == 8
    play.receives(cast.pre_prepare(9, cast.request(7), view=1)).rejects("PRE-PREPARE", "NEW-VIEW", sender=1)
    again = replace(cast.pre_prepare(9, view=1, digest=ninth.digest), batch=ninth.batch)
    play.receives(again).persists("PRE_PREPARE", seq=9).sends("PREPARE", to=play.others, view=1, seq=9)


def test_a_proof_in_a_new_view_outweighs_a_liars_other_vote(playbook: Make) -> None:
    """Or the liar could keep this replica's window below what a quorum proved."""
    play = playbook(me=3)
    cast = play.cast
    for seq in range(1, 5):
        decide(play, cast.pre_prepare(seq, cast.request(seq)))
    play.after(cast.checkpoint(4, b"\x88" * 32, 1))
    proof = cast.proof(4, play.replica.snapshots[4].digest, (0, 1, 3))
    changes = [cast.view_change(1, by, stable=4, proof=proof) for by in (0, 1, 2)]
    play.after(cast.new_view(1, *changes))
    assert play.replica.stable == 4


def test_of_the_checkpoints_proved_in_many_views_one_that_lags_keeps_the_highest(playbook: Make) -> None:
    play = playbook(me=3)
    for view in (1, 2, 4, 5, 6, 8):  # not those it leads
        seq = 40 * view
        proof = play.cast.proof(seq, b"d" * 32)
        changes = [play.cast.view_change(view, by, stable=seq, proof=proof) for by in (0, 1, 2)]
        play.after(play.cast.new_view(view, *changes))
        assert sorted(play.replica.checkpoint_votes) == [seq]
    assert play.replica.provably_behind() == 320
