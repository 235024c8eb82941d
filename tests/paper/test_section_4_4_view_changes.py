"""Section 4.4, VIEW-CHANGE: what a replica says when it leaves a view, and what it believes of others' words.

View 0 has primary 0, view 1 primary 1. The replica is 3 unless a test needs the new primary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from members import Members
from playbook import Playbook

from pbft_node.core.codec import decode
from pbft_node.core.messages import PreparedCertificate, PrePrepare, ViewChange
from pbft_node.core.operations import encode_fields
from pbft_node.core.types import ReplicaId

Make = Callable[..., Playbook]
OK = encode_fields(b"ok")
OTHER = b"\x77" * 32


def prepare(play: Playbook, proposal: PrePrepare) -> None:
    peers = [r for r in play.cast.backups(proposal.view) if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in peers])


def decide(play: Playbook, proposal: PrePrepare) -> None:
    prepare(play, proposal)
    peers = play.others[: play.cluster.quorum - 1]
    play.after(*[play.cast.commit(proposal, by) for by in peers])


def own_view_change(play: Playbook) -> ViewChange:
    """The VIEW-CHANGE among what the latest event did (expected or not)."""
    message = play.replica.view_changes[play.me]
    again, frame = decode(message.raw)
    assert isinstance(again, ViewChange)
    assert play.replica.seal.verify(play.me, frame.signed, frame.tag)
    return again


def suspects(play: Playbook, client: int = 1099) -> ViewChange:
    """A request nobody orders, and the timer."""
    play.after(play.cast.request(1, client=client))
    play.fires("request").persists("VIEW_CHANGE").sends("VIEW_CHANGE", to=play.others)
    return own_view_change(play)


# ---------------------------------------------------------------- what is said


def test_the_timer_of_a_waiting_request_starts_a_view_change(playbook: Make) -> None:
    play = playbook(me=3)
    play.receives(play.cast.request(1)).sends("REQUEST", to=0)
    play.fires("request").persists("VIEW_CHANGE", view=1).sends("VIEW_CHANGE", to=play.others, view=1, seq=0)
    play.traced("view-change", view=1, reason="request timeout").rests("request").rests("new-view")


def test_p_holds_what_is_prepared_not_what_is_merely_proposed(playbook: Make) -> None:
    play = playbook(me=3)
    cast = play.cast
    prepared, proposed = cast.pre_prepare(1, cast.request(1)), cast.pre_prepare(2, cast.request(2))
    prepare(play, prepared)
    play.after(proposed)
    change = suspects(play)
    assert [(c.pre_prepare.seq, c.pre_prepare.digest) for c in change.prepared] == [(1, prepared.digest)]
    assert [p.replica for p in change.prepared[0].prepares] == [1, 3]  # its own is one of them
    assert change.prepared[0].pre_prepare.raw == prepared.raw


def test_p_holds_executed_numbers_above_the_stable_checkpoint(playbook: Make) -> None:
    """Leaving them out would let a new primary order something else under them."""
    play = playbook(me=3)
    for seq in range(1, 4):
        decide(play, play.cast.pre_prepare(seq, play.cast.request(seq)))
    assert play.replica.executed == 3
    assert [c.pre_prepare.seq for c in suspects(play).prepared] == [1, 2, 3]


def test_c_proves_the_stable_checkpoint_and_p_begins_above_it(playbook: Make) -> None:
    play = playbook(me=3)
    for seq in range(1, 6):
        decide(play, play.cast.pre_prepare(seq, play.cast.request(seq)))
    digest = play.replica.snapshots[4].digest
    play.after(play.cast.checkpoint(4, digest, 0), play.cast.checkpoint(4, digest, 1))
    change = suspects(play)
    assert change.stable == 4
    assert [(c.seq, c.digest, c.replica) for c in change.checkpoint_proof] == [
        (4, digest, by) for by in (0, 1, 3)
    ]
    assert [c.pre_prepare.seq for c in change.prepared] == [5]


def test_p_keeps_the_certificate_of_the_highest_view_through_views(playbook: Make) -> None:
    """Prepared in view 0, proposed but not prepared again in view 1: view 0's certificate still counts."""
    play = playbook(me=3)
    cast = play.cast
    one, two = cast.pre_prepare(1, cast.request(1)), cast.pre_prepare(2, cast.request(1, client=1001))
    prepare(play, one)
    prepare(play, two)
    changes = [cast.view_change(1, by, cast.certificate(one), cast.certificate(two)) for by in (0, 1, 2)]
    play.after(cast.new_view(1, *changes))
    again = replace(cast.pre_prepare(1, view=1, digest=one.digest), batch=one.batch)
    play.after(*[cast.prepare(again, by) for by in (0, 2)])
    play.after(cast.request(1, client=1099))
    play.fires("request").persists("VIEW_CHANGE", view=2).sends("VIEW_CHANGE", to=play.others)
    prepared = own_view_change(play).prepared
    assert [(c.pre_prepare.seq, c.pre_prepare.view) for c in prepared] == [(1, 1), (2, 0)]


def test_after_a_view_change_a_replica_votes_no_more_in_the_old_view(playbook: Make) -> None:
    play = playbook(me=3)
    cast = play.cast
    proposal = cast.pre_prepare(1, cast.request(1))
    play.after(proposal, cast.prepare(proposal, 1))
    suspects(play)
    play.receives(cast.prepare(proposal, 2), cast.pre_prepare(2, cast.request(2))).does_nothing()
    play.receives(cast.checkpoint(4, OTHER, 0), cast.view_change(1, 0)).does_nothing()
    assert play.replica.checkpoint_votes


# ---------------------------------------------------------------- what is believed


def bad_view_changes(cast: Members) -> Iterator[tuple[str, str, ViewChange]]:
    """(what, reason, VIEW-CHANGE to view 5 by replica 2), each wrong in one part."""
    good = cast.pre_prepare(5, cast.request(1), view=1)  # by replica 1
    state = cast.state(4, {})
    proof = cast.proof(4, state.digest)

    def change(*prepared: PreparedCertificate, **parts: object) -> ViewChange:
        return cast.view_change(5, 2, *prepared, **({"stable": 4, "proof": proof} | parts))

    yield "stable checkpoint off the grid", "none is taken", change(stable=3)
    yield "stable without proof", "0 CHECKPOINTs where 3", change(proof=())
    yield "initial state with a proof", "initial state", change(stable=0)
    yield "proof too small", "2 CHECKPOINTs", change(proof=proof[:2])
    yield "proof too large", "4 CHECKPOINTs", change(proof=cast.proof(4, state.digest, range(4)))
    yield "proof by one replica thrice", "distinct", change(proof=[proof[0]] * 3)
    yield "proof out of order", "distinct replicas in order", change(proof=proof[::-1])
    yield "proof of another number", "among those for", change(proof=cast.proof(8, state.digest))
    mixed = (*proof[:2], cast.checkpoint(4, OTHER, 2))
    yield "proof of two digests", "among those for", change(proof=mixed)
    forged = replace(proof[1], raw=proof[1].raw[:-64] + proof[0].raw[-64:])
    yield "proof with a forged vote", "replica 1 did not sign", change(proof=(proof[0], forged, proof[2]))

    def with_prepares(*by: int) -> ViewChange:
        return change(cast.certificate(good, by))

    yield "too few prepares", "1 PREPAREs where 2", with_prepares(0)
    yield "too many prepares", "3 PREPAREs", with_prepares(0, 2, 3)
    yield "one prepare twice", "distinct", with_prepares(2, 2)
    yield "prepares out of order", "in order", with_prepares(3, 2)
    yield "a prepare of the primary", "a PREPARE of the primary", with_prepares(0, 1)
    yield "a prepare of nobody", "distinct replicas in order", with_prepares(0, 7)
    votes = (cast.prepare(good, 0), cast.prepare(good, 2, digest=OTHER))
    yield "a prepare for another digest", "another proposal", change(PreparedCertificate(good, votes))
    votes = (cast.prepare(good, 0), cast.prepare(good, 2, view=0))
    yield "a prepare of another view", "another proposal", change(PreparedCertificate(good, votes))
    votes = (cast.prepare(good, 0), cast.prepare(good, 2, seq=6))
    yield "a prepare for another number", "another proposal", change(PreparedCertificate(good, votes))
    by_liar = replace(cast.prepare(good, 2), replica=ReplicaId(0))
    forged_vote = replace(by_liar, raw=cast.prepare(good, 0).raw[:-64] + by_liar.raw[-64:])
    votes = (forged_vote, cast.prepare(good, 2))
    yield (
        "a forged prepare",
        "a PREPARE that replica 0 did not sign",
        change(PreparedCertificate(good, votes)),
    )
    false = cast.pre_prepare(5, cast.request(1), view=1, by=2)
    yield "a proposal by a backup", "not the primary of view 1", change(cast.certificate(false, (0, 3)))
    fake = replace(good, raw=good.raw[:-64] + cast.pre_prepare(5, cast.request(1), view=1, by=2).raw[-64:])
    yield "a forged proposal", "PRE-PREPARE that replica 1 did not sign", change(cast.certificate(fake))
    future = cast.pre_prepare(5, cast.request(1), view=5)
    yield "a certificate of the view asked for", "certificate of view 5", change(cast.certificate(future))
    low, high = cast.pre_prepare(4, cast.request(1)), cast.pre_prepare(13, cast.request(1))
    yield "a certificate at h", "number 4 after 4", change(cast.certificate(low))
    yield "a certificate at h + L + 1", "number 13", change(cast.certificate(high))
    again = cast.certificate(cast.pre_prepare(5, cast.request(2)))
    yield "two certificates for one number", "number 5 after 5", change(cast.certificate(good), again)
    six = cast.certificate(cast.pre_prepare(6, cast.request(2)))
    yield "certificates out of order", "number 5 after 6", change(six, cast.certificate(good))


BAD = [what for what, _, _ in bad_view_changes(Playbook(3).cast)]


@pytest.mark.parametrize("index", range(len(BAD)), ids=BAD)
def test_a_view_change_with_a_bad_part_is_rejected(playbook: Make, index: int) -> None:
    play = playbook(me=3)
    _, reason, message = list(bad_view_changes(play.cast))[index]
    play.receives(message).rejects("VIEW-CHANGE", reason, sender=2)
    assert not play.replica.view_changes


def test_view_changes_with_good_parts_are_kept(playbook: Make) -> None:
    """The edges: the initial state, P at h + 1 and h + L, certificates of several views."""
    play = playbook(me=3)
    cast = play.cast
    proof = cast.proof(4, cast.state(4, {}).digest)
    low, high = cast.pre_prepare(5, view=4), cast.pre_prepare(12, cast.request(1), view=1)
    prepared = [cast.certificate(low), cast.certificate(high)]
    play.receives(cast.view_change(5, 2, *prepared, stable=4, proof=proof)).does_nothing()
    assert play.replica.view_changes[2].prepared
    other_quorum = cast.proof(4, cast.state(4, {}).digest, (0, 2, 3))
    play.receives(cast.view_change(6, 2, stable=4, proof=other_quorum)).does_nothing()
    assert play.replica.view_changes[2].view == 6


def test_a_view_change_to_view_0_or_by_a_wrong_key_is_rejected(playbook: Make) -> None:
    play = playbook(me=3)
    cast = play.cast
    play.receives(cast.view_change(0, 2)).does_nothing()
    one, two = cast.view_change(1, 1), cast.view_change(1, 2)
    play.receives(one.raw[:-64] + two.raw[-64:]).rejects("VIEW_CHANGE", "not authentic", sender=1)


def test_the_first_view_change_of_a_replica_for_a_view_counts(playbook: Make) -> None:
    play = playbook(me=3)
    cast = play.cast
    certificate = cast.certificate(cast.pre_prepare(1, cast.request(1)))
    play.receives(cast.view_change(1, 2)).does_nothing()
    play.receives(cast.view_change(1, 2)).does_nothing()
    play.receives(cast.view_change(1, 2, certificate)).rejects(
        "VIEW-CHANGE", "a second one for view 1", sender=2
    )
    assert not play.replica.view_changes[2].prepared


def test_only_the_latest_view_change_of_each_replica_is_kept(playbook: Make) -> None:
    """One lone replica may ask for ever later views: it costs one place."""
    play = playbook(me=3)
    for view in (1, 5, 9, 2**62):
        play.receives(play.cast.view_change(view, 2)).does_nothing()
    play.receives(play.cast.view_change(7, 2)).does_nothing()
    assert {r: c.view for r, c in play.replica.view_changes.items()} == {2: 2**62}
    assert play.replica.active


# ---------------------------------------------------------------- the same words again


def test_the_view_change_is_repeated_byte_for_byte_to_who_lacks_it(playbook: Make) -> None:
    play = playbook(me=3)
    change = suspects(play)
    waiting = {"view": 1, "active": False, "log_view": 0}
    for status in (play.cast.status(2), play.cast.status(2, view_changes=[2], **waiting)):
        line = play.passes(1000).receives(status).lines[0]
        play.sends("VIEW_CHANGE", to=2, view=1)
        assert line.data == change.raw
    play.passes(1000).receives(play.cast.status(2, view_changes=[2, 3], **waiting)).does_nothing()
