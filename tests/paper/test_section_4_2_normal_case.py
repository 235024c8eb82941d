"""Section 4.2, the normal case: each condition of PRE-PREPARE, PREPARE and COMMIT held, and broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playbook import Playbook

from pbft_node.core.codec import encode_batch
from pbft_node.core.digests import NULL_DIGEST, batch_digest, request_digest
from pbft_node.core.frames import MACED, MessageType, header_and_body
from pbft_node.core.messages import NULL_BATCH, PrePrepare
from pbft_node.core.operations import encode_fields

Make = Callable[..., Playbook]
OTHER = b"\x55" * 32
OK = encode_fields(b"ok")


def decide(play: Playbook, proposal: PrePrepare) -> None:
    """The replica sees one number through all three phases."""
    cast = play.cast
    peers = [r for r in cast.backups(proposal.view) if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[cast.prepare(proposal, by) for by in peers])
    play.after(*[cast.commit(proposal, by) for by in peers])


# ---------------------------------------------------------------- the three phases


def test_a_backup_goes_through_the_three_phases(playbook: Make) -> None:
    play = playbook(me=1)
    cast = play.cast
    proposal = cast.pre_prepare(1, cast.request(1))
    accepted = play.receives(proposal).persists("PRE_PREPARE", view=0, seq=1, digest=proposal.digest)
    accepted.sends("PREPARE", to=play.others, view=0, seq=1, digest=proposal.digest)
    play.traced("pre-prepare", view=0, seq=1, role="backup", requests=1)
    prepared = play.receives(cast.prepare(proposal, 2)).persists("PREPARED", view=0, seq=1)
    prepared.sends("COMMIT", to=play.others, view=0, seq=1, digest=proposal.digest)
    play.traced("prepared", seq=1, digest=proposal.digest.hex()).not_traced("committed")
    play.receives(cast.commit(proposal, 2)).does_nothing()
    play.receives(cast.commit(proposal, 0)).persists("COMMITTED", seq=1, digest=proposal.digest)
    play.sends("REPLY", to=1000, view=0, seq=1, result=OK).traced("committed", seq=1).traced(
        "executed", seq=1
    )


def test_the_primary_proposes_and_needs_2f_prepares_of_backups(playbook: Make) -> None:
    play = playbook(me=0)
    cast = play.cast
    request = cast.request(1)
    proposal = cast.pre_prepare(1, request)
    play.receives(request).persists("PRE_PREPARE", seq=1, digest=proposal.digest)
    play.sends("PRE_PREPARE", to=play.others, view=0, seq=1, digest=proposal.digest)
    play.traced("pre-prepare", role="primary", seq=1, requests=1)
    play.receives(cast.prepare(proposal, 1)).does_nothing()
    play.receives(cast.prepare(proposal, 2)).persists("PREPARED", seq=1).sends("COMMIT", to=play.others)


@pytest.mark.parametrize(("n", "backups_needed"), [(4, 2), (5, 3), (6, 3), (7, 4)])
def test_prepared_takes_a_quorum_less_the_primary(playbook: Make, n: int, backups_needed: int) -> None:
    """n = 5 and 6: 2f+1 would not do (two quorums of 3 of 5 may share a liar only)."""
    play = playbook(me=0, n=n)
    cast = play.cast
    request = cast.request(1)
    proposal = cast.pre_prepare(1, request)
    play.after(request)
    for by in range(1, backups_needed):
        play.receives(cast.prepare(proposal, by)).does_nothing()
    play.receives(cast.prepare(proposal, backups_needed)).persists("PREPARED").sends("COMMIT", to=play.others)
    for by in range(1, backups_needed):
        play.receives(cast.commit(proposal, by)).does_nothing()
    play.receives(cast.commit(proposal, backups_needed)).persists("COMMITTED").sends("REPLY", to=1000)


# ---------------------------------------------------------------- PRE-PREPARE, the conditions


@pytest.mark.parametrize("seq", [1, 7, 8])
def test_numbers_inside_the_window_are_accepted(playbook: Make, seq: int) -> None:
    """h < n <= H with h = 0, H = 8."""
    play = playbook()
    play.receives(play.cast.pre_prepare(seq, play.cast.request(1))).persists("PRE_PREPARE", seq=seq)
    play.sends("PREPARE", to=play.others, seq=seq)


@pytest.mark.parametrize("seq", [0, 9, 10, 2**62])
def test_numbers_outside_the_window_are_not(playbook: Make, seq: int) -> None:
    """n = h, n = h + L + 1 and far beyond."""
    play = playbook()
    play.receives(play.cast.pre_prepare(seq, play.cast.request(1))).does_nothing()
    assert not play.replica.slots


def test_the_window_moves_with_the_stable_checkpoint(playbook: Make) -> None:
    """After h = 4: 4 is out, 5 and 12 are in, 13 is out."""
    play = playbook()
    cast = play.cast
    for seq in range(1, 5):
        decide(play, cast.pre_prepare(seq, cast.request(seq)))
    digest = play.replica.snapshots[4].digest
    play.after(cast.checkpoint(4, digest, 0), cast.checkpoint(4, digest, 2))
    assert play.replica.stable == 4
    for seq in (4, 13):
        play.receives(cast.pre_prepare(seq, cast.request(9))).does_nothing()
    for seq in (5, 12):
        play.receives(cast.pre_prepare(seq, cast.request(9))).persists("PRE_PREPARE", seq=seq)
        play.sends("PREPARE", to=play.others, seq=seq)


@pytest.mark.parametrize("by", [2, 3])
def test_only_the_primary_of_the_view_proposes(playbook: Make, by: int) -> None:
    play = playbook()
    play.receives(play.cast.pre_prepare(1, play.cast.request(1), by=by))
    play.rejects("PRE-PREPARE", "the primary of view 0 is 0", sender=by)


def test_a_proposal_of_an_earlier_view_is_dropped(playbook: Make) -> None:
    play = playbook(me=2)
    cast = play.cast
    play.after(cast.new_view(1, *[cast.view_change(1, by) for by in (0, 1, 3)]))
    play.receives(cast.pre_prepare(1, cast.request(1), view=0)).does_nothing()
    play.receives(cast.pre_prepare(1, cast.request(1), view=1)).persists("PRE_PREPARE", view=1)
    play.sends("PREPARE", to=play.others, view=1)


def test_a_second_digest_for_a_number_is_rejected(playbook: Make) -> None:
    play = playbook()
    cast = play.cast
    play.after(cast.pre_prepare(1, cast.request(1)))
    play.receives(cast.pre_prepare(1, cast.request(2))).rejects("PRE-PREPARE", "a second digest", sender=0)


def test_the_same_proposal_again_changes_nothing(playbook: Make) -> None:
    play = playbook()
    proposal = play.cast.pre_prepare(1, play.cast.request(1))
    play.after(proposal)
    play.receives(proposal, proposal).does_nothing()


def test_a_digest_that_is_not_the_batchs_is_rejected(playbook: Make) -> None:
    play = playbook()
    play.receives(play.cast.pre_prepare(1, play.cast.request(1), digest=OTHER))
    play.rejects("datagram", "not that of its batch")


def test_a_proposal_without_its_batch_is_rejected(playbook: Make) -> None:
    play = playbook()
    play.receives(play.cast.pre_prepare(1, play.cast.request(1)).raw).rejects(
        "PRE-PREPARE", "without its batch"
    )


def test_a_request_its_client_did_not_sign_is_rejected(playbook: Make) -> None:
    play = playbook()
    cast = play.cast
    play.receives(cast.pre_prepare(1, cast.request(1), cast.request(1, client=1001, by=1000)))
    play.rejects("PRE-PREPARE", "client 1001 did not sign", sender=0)


def test_a_request_with_a_mac_instead_of_a_signature_is_rejected(playbook: Make) -> None:
    """The last 48 bytes of the operation and the tag could pass for a signature over the rest."""
    play = playbook()
    cast = play.cast
    body = encode_fields(b"put", b"k", b"v" * 100)
    content = header_and_body(MessageType.REQUEST, MACED, 0, 1000, 0, 1, body)
    signature = cast.seal(1000)._keys.sign(cast.seal(1000)._signed_domain + content[:-48])
    request = content[:-48] + signature
    batch = (1).to_bytes(2, "big") + request
    digest = batch_digest(0, [request_digest(request)])
    play.receives(cast.pre_prepare(1, digest=digest).raw + batch).rejects("datagram")


def test_a_batch_above_the_limit_is_rejected(playbook: Make) -> None:
    play = playbook(batch_limit=2)
    cast = play.cast
    requests = [cast.request(1, client=1000 + i) for i in range(3)]
    play.receives(cast.pre_prepare(1, *requests)).rejects("PRE-PREPARE", "the limit is 2")
    play.receives(cast.pre_prepare(1, *requests[:2])).persists("PRE_PREPARE").sends("PREPARE", to=play.others)


def test_the_null_request_is_ordered_and_executes_nothing(playbook: Make) -> None:
    play = playbook()
    null = play.cast.pre_prepare(1)
    assert null.digest == NULL_DIGEST
    play.receives(null).persists("PRE_PREPARE", seq=1, digest=NULL_DIGEST).sends("PREPARE", to=play.others)
    play.after(play.cast.prepare(null, 2), play.cast.commit(null, 0))
    play.receives(play.cast.commit(null, 2)).persists("COMMITTED", seq=1).traced(
        "executed", seq=1, requests=[]
    )


def test_a_proposal_by_a_wrong_key_or_for_another_cluster_is_rejected(playbook: Make) -> None:
    play = playbook()
    cast = play.cast
    proposal = cast.pre_prepare(1, cast.request(1))
    forged = proposal.raw[:-64] + cast.pre_prepare(1, cast.request(1), by=2).raw[-64:]
    play.receives(forged + encode_batch(proposal.batch or NULL_BATCH)).rejects("PRE_PREPARE", "not authentic")
    foreign = Playbook(n=5).cast
    foreign.cluster = type(play.cluster)(cluster_id=b"another cluster!", n=4)
    play.receives(foreign.pre_prepare(1, cast.request(1))).rejects("PRE_PREPARE", "not authentic")


# ---------------------------------------------------------------- PREPARE


def test_a_prepare_from_the_primary_is_rejected(playbook: Make) -> None:
    play = playbook()
    proposal = play.cast.pre_prepare(1, play.cast.request(1))
    play.after(proposal)
    play.receives(play.cast.prepare(proposal, 0)).rejects("PREPARE", "from the primary", sender=0)


def test_the_same_prepare_counts_once(playbook: Make) -> None:
    play = playbook(me=0)
    cast = play.cast
    play.after(cast.request(1))
    proposal = cast.pre_prepare(1, cast.request(1))
    play.receives(*[cast.prepare(proposal, 1)] * 5).does_nothing()
    play.receives(cast.prepare(proposal, 3)).persists("PREPARED").sends("COMMIT", to=play.others)


def test_a_prepare_for_another_digest_does_not_count_and_a_change_of_mind_neither(playbook: Make) -> None:
    play = playbook(me=0)
    cast = play.cast
    play.after(cast.request(1))
    proposal = cast.pre_prepare(1, cast.request(1))
    play.receives(cast.prepare(proposal, 1, digest=OTHER)).does_nothing()
    play.receives(cast.prepare(proposal, 1)).rejects("PREPARE", "a second digest", sender=1)
    play.receives(cast.prepare(proposal, 2)).does_nothing()
    play.receives(cast.prepare(proposal, 3)).persists("PREPARED").sends("COMMIT", to=play.others)


@pytest.mark.parametrize("lie", [{"view": 4}, {"seq": 2}, {"seq": 0}, {"seq": 9}])
def test_a_prepare_for_another_view_or_number_does_not_count(playbook: Make, lie: dict[str, int]) -> None:
    play = playbook(me=0)
    cast = play.cast
    play.after(cast.request(1))
    proposal = cast.pre_prepare(1, cast.request(1))
    play.receives(cast.prepare(proposal, 1, **lie), cast.prepare(proposal, 2)).does_nothing()
    assert 9 not in play.replica.slots


def test_prepares_before_the_proposal_are_kept(playbook: Make) -> None:
    play = playbook()
    cast = play.cast
    proposal = cast.pre_prepare(1, cast.request(1))
    play.receives(cast.prepare(proposal, 2), cast.prepare(proposal, 3)).does_nothing()
    play.receives(proposal).persists("PRE_PREPARE").sends("PREPARE", to=play.others)
    play.persists("PREPARED").sends("COMMIT", to=play.others)


@pytest.mark.parametrize("type_", [MessageType.PREPARE, MessageType.CHECKPOINT])
def test_a_mac_where_a_signature_is_due_is_rejected(playbook: Make, type_: MessageType) -> None:
    """It would count here and prove nothing to anybody else."""
    play = playbook()
    proposal = play.cast.pre_prepare(4, play.cast.request(1))
    play.after(proposal)
    seal = play.cast.seal(2)
    content = header_and_body(type_, MACED, 0, 2, 0, 4, proposal.digest)
    play.receives(content + seal._keys.mac(play.me, seal._maced_content(play.me, content)))
    play.rejects(type_.name, "not authentic")


# ---------------------------------------------------------------- COMMIT


def prepared_backup(playbook: Make) -> tuple[Playbook, PrePrepare]:
    play = playbook()
    proposal = play.cast.pre_prepare(1, play.cast.request(1))
    play.after(proposal, play.cast.prepare(proposal, 2))
    return play, proposal


def test_the_same_commit_counts_once(playbook: Make) -> None:
    play, proposal = prepared_backup(playbook)
    play.receives(*[play.cast.commit(proposal, 2)] * 3).does_nothing()
    play.receives(play.cast.commit(proposal, 3)).persists("COMMITTED").sends("REPLY", to=1000)


def test_commits_for_another_digest_do_not_count(playbook: Make) -> None:
    play, proposal = prepared_backup(playbook)
    play.receives(play.cast.commit(proposal, 2, digest=OTHER)).does_nothing()
    play.receives(play.cast.commit(proposal, 2)).rejects("COMMIT", "a second digest", sender=2)
    play.receives(play.cast.commit(proposal, 3)).does_nothing()
    play.receives(play.cast.commit(proposal, 0)).persists("COMMITTED").sends("REPLY", to=1000)


@pytest.mark.parametrize("lie", [{"view": 1}, {"view": 4}, {"seq": 2}, {"seq": 0}, {"seq": 9}])
def test_commits_for_another_view_or_number_do_not_count(playbook: Make, lie: dict[str, int]) -> None:
    play, proposal = prepared_backup(playbook)
    play.receives(play.cast.commit(proposal, 2, **lie), play.cast.commit(proposal, 3)).does_nothing()
    assert all(play.replica.in_window(seq) for seq in play.replica.slots)


def test_commits_before_everything_else_are_kept(playbook: Make) -> None:
    """pbft implementations that drop them stall."""
    play = playbook()
    cast = play.cast
    proposal = cast.pre_prepare(1, cast.request(1))
    play.receives(cast.commit(proposal, 0), cast.commit(proposal, 2)).does_nothing()
    play.receives(proposal).persists("PRE_PREPARE").sends("PREPARE", to=play.others)
    play.receives(cast.prepare(proposal, 3)).persists("PREPARED").sends("COMMIT", to=play.others)
    play.persists("COMMITTED").sends("REPLY", to=1000)


def test_a_quorum_of_others_commits_decides_without_being_prepared(playbook: Make) -> None:
    """committed(m, v, n): f+1 correct replicas are prepared."""
    play = playbook()
    cast = play.cast
    proposal = cast.pre_prepare(1, cast.request(1))
    play.after(proposal, cast.commit(proposal, 0), cast.commit(proposal, 2))
    play.receives(cast.commit(proposal, 3)).persists("COMMITTED").sends("REPLY", to=1000)


def test_a_decision_whose_batch_is_unknown_is_fetched_then_executed(playbook: Make) -> None:
    play = playbook()
    cast = play.cast
    proposal = cast.pre_prepare(1, cast.request(1))
    play.receives(*[cast.commit(proposal, by) for by in (0, 2)]).does_nothing()
    play.receives(cast.commit(proposal, 3)).persists("COMMITTED", seq=1)
    play.sends("FETCH_BATCH", to=play.others, digest=proposal.digest)
    play.receives(cast.batch_body(2, cast.request(2))).does_nothing()
    play.receives(cast.batch_body(2, cast.request(1))).persists("BATCH").sends("REPLY", to=1000, result=OK)


def test_a_commit_maced_for_somebody_else_is_rejected(playbook: Make) -> None:
    play, proposal = prepared_backup(playbook)
    play.cast.to = 3
    play.receives(play.cast.commit(proposal, 2)).rejects("COMMIT", "not authentic")


# ---------------------------------------------------------------- execution


def test_execution_is_in_order_of_numbers(playbook: Make) -> None:
    play = playbook()
    cast = play.cast
    first, second = cast.pre_prepare(1, cast.request(1)), cast.pre_prepare(2, cast.request(2))
    decide(play, second)
    play.traced("committed", seq=2).not_traced("executed")
    decide(play, first)
    order = [trace.fields["seq"] for trace in play.traces if trace.kind == "executed"]
    assert order == [1, 2]


def test_votes_of_a_view_to_come_are_counted_when_it_is_entered(playbook: Make) -> None:
    """The NEW-VIEW may be slower than the votes that follow it."""
    play = playbook(me=2)
    cast = play.cast
    proposal = cast.pre_prepare(1, cast.request(1), view=1)
    play.receives(proposal, cast.prepare(proposal, 0), cast.commit(proposal, 0), cast.commit(proposal, 1))
    play.does_nothing()
    play.receives(cast.new_view(1, *[cast.view_change(1, by) for by in (0, 1, 3)])).persists(
        "NEW_VIEW", view=1
    )
    play.persists("PRE_PREPARE", view=1).sends("PREPARE", to=play.others, view=1)
    play.persists("PREPARED", view=1).sends("COMMIT", to=play.others, view=1)
    play.persists("COMMITTED", seq=1).sends("REPLY", to=1000, view=1)


def test_early_votes_are_bounded_and_a_false_primarys_proposals_are_not_kept(playbook: Make) -> None:
    play = playbook(me=2)
    cast = play.cast
    proposal = cast.pre_prepare(1, cast.request(1), view=1)
    for seq in range(600):
        play.receives(cast.prepare(proposal, 3, view=1 + 4 * seq)).does_nothing()
    assert len(play.replica.early[3]) <= 512
    play.receives(cast.pre_prepare(1, cast.request(1), view=1, by=3)).rejects("PRE-PREPARE", sender=3)


def test_in_a_view_change_only_commits_of_the_old_view_still_count(playbook: Make) -> None:
    """A decision stays one; a new vote would break the promise of the VIEW-CHANGE."""
    play = playbook(me=3)
    cast = play.cast
    proposal, second = cast.pre_prepare(1, cast.request(1)), cast.pre_prepare(2, cast.request(2))
    play.after(proposal, cast.view_change(1, 0), cast.view_change(1, 2))
    assert not play.replica.active
    play.receives(second, cast.prepare(proposal, 1), cast.prepare(proposal, 2)).does_nothing()
    play.receives(cast.commit(proposal, 0), cast.commit(proposal, 1)).does_nothing()
    play.receives(cast.commit(proposal, 2)).persists("COMMITTED", seq=1).sends("REPLY", to=1000)
