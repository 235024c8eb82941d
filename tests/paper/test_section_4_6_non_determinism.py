"""Section 4.6: the primary chooses the time, everybody executes with the same one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from playbook import Playbook
from test_section_4_2_normal_case import decide

from pbft_node.core.cluster import MILLISECOND_NS
from pbft_node.core.codec import decode_batch, encode_batch
from pbft_node.core.frames import Malformed, MessageType
from pbft_node.core.messages import Batch, PrePrepare
from pbft_node.core.types import MAX_TIME_NS

Make = Callable[..., Playbook]


def timed(play: Playbook, seq: int, time_ns: int) -> PrePrepare:
    """A proposal of the primary of view 0 with that time."""
    batch = Batch((play.cast.request(seq),), time_ns)
    raw = play.cast.seal(0).signed(MessageType.PRE_PREPARE, 0, seq, batch.digest)
    return replace(play.cast.pre_prepare(seq), digest=batch.digest, raw=raw, batch=batch)


def test_the_primary_proposes_its_wall_clock(playbook: Make) -> None:
    play = playbook(me=0)
    play.replica.wall_offset_ns = 5_000
    play.now_ns = 70
    play.after(play.cast.request(1))
    batch = play.replica.slots[1].pre_prepare.batch
    assert batch.time_ns == 5_070


def test_the_primary_never_goes_back(playbook: Make) -> None:
    """Its clock is behind what was executed already, and then stands still."""
    play = playbook(me=0)
    play.replica.time_ns = 900
    play.after(play.cast.request(1, client=1000), play.cast.request(1, client=1001))
    assert [slot.pre_prepare.batch.time_ns for slot in play.replica.slots.values()] == [900, 900]


def test_a_time_far_ahead_is_refused_until_it_comes(playbook: Make) -> None:
    play = playbook(me=1, clock_tolerance_ns=100 * MILLISECOND_NS)
    proposal = timed(play, 1, 100 * MILLISECOND_NS + 1)
    play.receives(proposal).rejects("PRE-PREPARE", "its time is 100000001 ns ahead of ours")
    play.now_ns = 1
    play.receives(proposal).persists("PRE_PREPARE", seq=1).sends("PREPARE", to=play.others)


def test_a_time_that_goes_back_executes_at_the_latest_one(playbook: Make) -> None:
    """A lying primary can slow time down, not turn it back."""
    play = playbook(me=1)
    for seq, time_ns, agreed in ((1, 500, 500), (2, 300, 500), (3, 700, 700)):
        decide(play, timed(play, seq, time_ns))
        assert play.replica.executed == seq
        assert play.replica.time_ns == agreed


def test_the_time_is_part_of_the_digest(playbook: Make) -> None:
    play = playbook(me=1)
    play.after(timed(play, 1, 500))
    play.receives(timed(play, 1, 501)).rejects("PRE-PREPARE", "a second digest for view 0, number 1")


def test_the_agreed_time_is_checkpointed_and_comes_back(playbook: Make) -> None:
    play = playbook(me=1)
    for seq in range(1, 5):
        decide(play, timed(play, seq, 500))
    other = playbook(me=1)
    for seq in range(1, 5):
        decide(other, timed(other, seq, 501 if seq == 2 else 500))
    assert play.replica.snapshots[4].digest != other.replica.snapshots[4].digest
    other.restarts()
    assert (other.replica.time_ns, other.replica.store.time_ns) == (501, 501)


@pytest.mark.parametrize("time_ns", [MAX_TIME_NS + 1, 2**64 - 1])
def test_no_time_after_the_end_of_time(playbook: Make, time_ns: int) -> None:
    request = playbook().cast.request(1)
    assert decode_batch(encode_batch(Batch((request,), MAX_TIME_NS))).time_ns == MAX_TIME_NS
    with pytest.raises(Malformed, match="at time"):
        decode_batch(encode_batch(Batch((request,), time_ns)))


def test_the_null_request_has_one_encoding() -> None:
    assert decode_batch(encode_batch(Batch())) == Batch()
    with pytest.raises(Malformed, match="a batch of 0 requests at time 1"):
        decode_batch(encode_batch(Batch((), 1)))
