"""Limits on what a peer controls: what a liar can make a replica compute, send and keep.

The liar is replica 2 unless a test says so, its words are authentic, and it says them without end. Each test
hits one limit, and shows that an honest peer is still served.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_cluster import SimulatedKeys
from playbook import Playbook

from pbft_node.core.allowances import Allowance
from pbft_node.core.cluster import MILLISECOND_NS
from pbft_node.core.digests import digest_of
from pbft_node.core.fragments import MAX_FRAGMENTS, MAX_PIECES_PER_SENDER
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import PreparedCertificate
from pbft_node.core.normal_case import MAX_BAD_BATCHES, MAX_EARLY, MAX_EARLY_BYTES, batch_bytes
from pbft_node.core.requests import MAX_PENDING_BYTES
from pbft_node.core.state import PROOFS_AT_ONCE, SERVED_AT_ONCE_BYTES, SERVED_PER_SECOND_BYTES
from pbft_node.core.types import ReplicaId

Make = Callable[..., Playbook]
LIAR, HONEST = 2, 1
BIG = b"x" * 30_000


class CountingKeys(SimulatedKeys):
    """Verifications are what a flood buys."""

    verified = 0

    def verify(self, signer: int, message: bytes, signature: bytes) -> bool:
        self.verified += 1
        return super().verify(signer, message, signature)


def counting(play: Playbook) -> CountingKeys:
    keys = CountingKeys(play.me)
    play.replica.seal._keys = keys
    return keys


def window_of_certificates(play: Playbook) -> list[PreparedCertificate]:
    window = play.cluster.window
    return [
        play.cast.certificate(play.cast.pre_prepare(seq, play.cast.request(seq)))
        for seq in range(1, window + 1)
    ]


def sent_bytes(play: Playbook, *kinds: str) -> int:
    found = sum(len(line.data) for line in play.lines if line.verb == "send" and line.what in kinds)
    play.skips()
    return found


# ---------------------------------------------------------------- the bucket


def test_a_bucket_gives_its_brim_at_once_then_by_the_second() -> None:
    bucket, peer = Allowance(4, 2), ReplicaId(1)
    taken = [bucket.take(peer, 1, 0) for _ in range(10)]
    assert taken == [True] * 4 + [False] * 6
    assert bucket.take(ReplicaId(2), 1, 0), "another peer has its own"
    second = 1000 * MILLISECOND_NS
    taken = [bucket.take(peer, 1, second * step // 10) for step in range(1, 101)]
    assert sum(taken) == 20
    assert [bucket.take(peer, 1, 1000 * second) for _ in range(5)] == [True] * 4 + [False]


def test_more_than_the_brim_is_given_by_a_full_bucket_and_owed() -> None:
    bucket, peer = Allowance(4, 2), ReplicaId(1)
    second = 1000 * MILLISECOND_NS
    assert bucket.take(peer, 8, 0)
    assert not bucket.take(peer, 1, 2 * second)
    assert bucket.take(peer, 1, 3 * second)


# ---------------------------------------------------------------- computing


def test_ever_higher_view_changes(playbook: Make) -> None:
    """Each is authentic and differs; each would cost a full window of certificates to verify."""
    play = playbook(me=3)
    certificates = window_of_certificates(play)
    keys = counting(play)
    dear = len(certificates) * play.cluster.quorum
    for view in range(1, 101):
        play.after(play.cast.view_change(view, LIAR, *certificates))
    assert keys.verified <= 100 + PROOFS_AT_ONCE * dear
    play.after(play.cast.view_change(1, HONEST, *certificates))
    assert HONEST in play.replica.view_changes, "the honest one's bucket is its own"


def test_a_view_change_refused_is_taken_later(playbook: Make) -> None:
    """So a correct replica that leaves many views in a row is believed in the end."""
    play = playbook(me=3)
    for view in range(1, PROOFS_AT_ONCE + 2):
        play.after(play.cast.view_change(view, HONEST))
    last = play.cast.view_change(PROOFS_AT_ONCE + 1, HONEST)
    assert play.replica.view_changes[HONEST].view == PROOFS_AT_ONCE
    play.passes(250).after(last)
    assert play.replica.view_changes[HONEST].view == PROOFS_AT_ONCE + 1


def test_new_views_that_are_wrong_at_their_end(playbook: Make) -> None:
    """The primary of view 2 signs a hundred, each with V and O that take all the work to refute."""
    play = playbook(me=3)
    certificates = window_of_certificates(play)
    keys = counting(play)
    changes = [play.cast.view_change(2, by, *certificates) for by in (0, 1, 2)]
    dear = len(changes) * (1 + len(certificates) * play.cluster.quorum) + len(certificates)
    for number in range(100):
        order = play.cast.order(2, changes)[:-1]
        last = play.cast.pre_prepare(len(certificates), view=2, digest=digest_of(b"lie", b"%d" % number))
        play.after(play.cast.new_view(2, *changes, order=[*order, last]))
    assert keys.verified <= 100 + PROOFS_AT_ONCE * dear
    assert play.replica.view == 0
    changes = [play.cast.view_change(1, by, *certificates) for by in (0, 1, 2)]
    play.after(play.cast.new_view(1, *changes))
    assert play.replica.view == 1, "the primary of view 1 is believed at once"


def test_batches_of_requests_nobody_signed(playbook: Make) -> None:
    """Their last request is the bad one, so that all others are verified first."""
    play = playbook(me=3)
    keys = counting(play)
    good = [play.cast.request(client=1000 + number) for number in range(20)]
    for number in range(1, 51):
        bad = play.cast.request(number, client=1900, by=1901)
        play.after(play.cast.pre_prepare(1, *good, bad))
    assert keys.verified <= 50 + MAX_BAD_BATCHES * 21
    play.receives(play.cast.pre_prepare(1, *good)).rejects("PRE-PREPARE", "requests that nobody signed")
    play.after(good[0]).fires("request").skips()
    assert play.replica.view == 1, "it is replaced by the timer"
    changes = [play.cast.view_change(1, by) for by in (0, 1, 2)]
    play.after(play.cast.new_view(1, *changes))
    play.receives(play.cast.pre_prepare(1, *good, view=1)).persists("PRE_PREPARE").skips()


def test_a_batch_with_wrong_macs_is_not_the_primarys_fault(playbook: Make) -> None:
    """With ``client_auth: mac`` a client can make it look so: its batches are looked at for ever."""
    play = playbook(me=3, client_auth="mac")
    authentic = play.replica.seal.authentic_request
    play.replica.seal.authentic_request = lambda client, raw: client != 1900 and authentic(client, raw)
    for _ in range(MAX_BAD_BATCHES + 1):
        play.receives(play.cast.pre_prepare(1, play.cast.request(client=1900)))
        play.rejects("PRE-PREPARE", "did not sign")
    assert play.replica.bad_batches == 0
    play.receives(play.cast.pre_prepare(1, play.cast.request())).persists("PRE_PREPARE").skips()


# ---------------------------------------------------------------- sending


def test_one_batch_fetched_in_a_loop(playbook: Make) -> None:
    """A hundred bytes buy thirty thousand: as many as the allowance holds."""
    play = playbook(me=3)
    proposal = play.cast.pre_prepare(1, play.cast.request(1, b"put", b"k", BIG))
    play.after(proposal)
    sent = 0
    for _ in range(1000):
        play.receives(play.cast.fetch_batch(proposal.digest, LIAR))
        sent += sent_bytes(play, "BATCH")
    assert SERVED_AT_ONCE_BYTES - 2 * len(BIG) < sent < SERVED_AT_ONCE_BYTES + 200_000
    play.receives(play.cast.fetch_batch(proposal.digest, HONEST)).sends("BATCH", to=HONEST)
    play.passes(1000)
    for _ in range(1000):
        play.receives(play.cast.fetch_batch(proposal.digest, LIAR))
        sent += sent_bytes(play, "BATCH")
    assert sent < SERVED_AT_ONCE_BYTES + SERVED_PER_SECOND_BYTES + 400_000


def test_status_in_a_loop(playbook: Make) -> None:
    """It claims to have nothing: an answer in half a busy interval, with batches by the same allowance."""
    play = playbook(me=3, checkpoint_interval=8, window=16, batch_bytes=10**6)
    for seq in range(1, 17):
        requests = [play.cast.request(seq, b"put", b"k", BIG, client=1000 + number) for number in range(15)]
        play.after(play.cast.pre_prepare(seq, *requests))
    sent = 0
    for _ in range(200):
        play.receives(play.cast.status(LIAR))
        sent += sent_bytes(play, "PRE_PREPARE", "FRAGMENT", "PREPARE", "COMMIT", "DECIDED")
        play.passes(10)
    assert 0 < sent < SERVED_AT_ONCE_BYTES + 2 * SERVED_PER_SECOND_BYTES + 600_000
    for _ in range(4):
        play.receives(play.cast.status(HONEST))
        if sent_bytes(play, "PRE_PREPARE", "FRAGMENT"):
            break
        play.passes(100)
    else:
        pytest.fail("the honest peer is not helped")


# ---------------------------------------------------------------- keeping


def test_early_batches(playbook: Make) -> None:
    """For a view to come, of which the liar will be the primary."""
    play = playbook(me=3)
    batch = [play.cast.request(1, b"put", b"k", BIG)]
    for seq in range(1, 301):
        play.after(play.cast.pre_prepare(seq, *batch, view=2))
    held = play.replica.early[ReplicaId(LIAR)]
    assert 0.9 * MAX_EARLY_BYTES < sum(map(batch_bytes, held)) <= MAX_EARLY_BYTES
    play.after(play.cast.prepare(play.cast.pre_prepare(1, *batch, view=1), by=0))
    assert len(play.replica.early[ReplicaId(0)]) == 1


def test_early_votes(playbook: Make) -> None:
    play = playbook(me=3)
    proposal = play.cast.pre_prepare(1, play.cast.request(), view=1)
    for seq in range(1, MAX_EARLY + 101):
        play.after(play.cast.prepare(proposal, LIAR, seq=seq))
    assert len(play.replica.early[ReplicaId(LIAR)]) == MAX_EARLY


def test_pieces_of_messages_never_finished(playbook: Make) -> None:
    """Four as large as a message may be: pieces are kept for one."""
    play = playbook(me=3)
    for message in range(4):
        digest = digest_of(b"message", b"%d" % message)
        for index in range(MAX_FRAGMENTS - 1):
            play.after(play.cast.fragment(LIAR, b"piece", index, MAX_FRAGMENTS, digest))
    held = play.replica.reassembly._pieces[LIAR]
    assert MAX_FRAGMENTS - 1 <= sum(map(len, held.values())) <= MAX_PIECES_PER_SENDER
    request = play.cast.request().raw
    halves = [request[:50], request[50:]]
    whole = digest_of(b"message", request)
    for index, half in enumerate(halves):
        play.after(play.cast.fragment(LIAR, half, index, 2, whole))
    assert play.replica.pending, "a small message beside it is put together"


def test_large_requests_of_many_clients(playbook: Make) -> None:
    """Each has one outstanding, of the size it likes; together they are bounded."""
    play = playbook(me=3)
    needed = MAX_PENDING_BYTES // len(BIG) + 50
    for number in range(needed):
        play.after(play.cast.request(1, b"put", b"k", BIG, client=1000 + number))
    held = sum(len(waiting.request.raw) for waiting in play.replica.pending.values())
    assert MAX_PENDING_BYTES - 2 * len(BIG) < held <= MAX_PENDING_BYTES
    play.receives(play.cast.request(1, b"put", b"k", BIG, client=5000)).rejects("REQUEST", "wait already")
    for number in range(20):
        play.after(play.cast.request(2 + number, b"get", b"k", client=1000))
    assert play.replica.pending[1000].request.timestamp == 21, "who has a place keeps it"


def test_claims_and_votes_outside_the_window_are_not_kept(playbook: Make) -> None:
    play = playbook(me=3)
    for seq in range(1, 2001):
        play.after(play.cast.decided(LIAR, seq, digest_of(b"lie", b"%d" % seq)))
        play.after(play.cast.checkpoint(4 * seq, digest_of(b"lie", b"%d" % seq), LIAR))
        play.after(play.cast.checkpoint(4, digest_of(b"lie", b"%d" % seq), LIAR))
        play.after(play.cast.sealed(LIAR, MessageType.COMMIT, 0, seq, digest_of(b"lie", b"")))
    window = play.cluster.window
    assert len(play.replica.decision_claims) <= window
    assert len(play.replica.slots) <= window
    assert sum(map(len, play.replica.checkpoint_votes.values())) <= 2
