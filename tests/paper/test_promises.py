"""The watcher of promises sees each kind of contradiction, and none where there is none."""

from __future__ import annotations

import pytest
from members import Members, wire
from promises import Promises

from pbft_node.core.cluster import Cluster
from pbft_node.core.effects import Send
from pbft_node.core.records import RecordType, record

CLUSTER = Cluster(cluster_id=b"promises, tests.", n=4, checkpoint_interval=4, window=8)
CAST = Members(CLUSTER, 0)
A = CAST.pre_prepare(1, CAST.request(1), view=1)
B = CAST.pre_prepare(1, CAST.request(2), view=1)
LATER = CAST.pre_prepare(1, CAST.request(2), view=5)
WITH, WITHOUT = CAST.view_change(2, 1, CAST.certificate(A)), CAST.view_change(2, 1)
OTHERS = [CAST.view_change(5, by) for by in (0, 2, 3)]
DECIDED = [CAST.decided(1, 1, digest) for digest in (b"a" * 32, b"b" * 32)]

CONTRADICTIONS = {
    "two proposals": (A, B),
    "a vote against its own proposal": (A, CAST.commit(B, 1)),
    "a COMMIT for another digest than the PREPARE": (CAST.prepare(A, 1), CAST.commit(B, 1)),
    "two states at one number": (CAST.checkpoint(4, b"a" * 32, 1), CAST.checkpoint(4, b"b" * 32, 1)),
    "two decisions": (DECIDED[0], DECIDED[1]),
    "two VIEW-CHANGEs for one view": (WITH, WITHOUT),
    "back to an earlier view": (CAST.view_change(3, 1), WITHOUT),
    "a vote in a view it left": (WITHOUT, CAST.commit(A, 1)),
    "a proposal against its own O": (
        CAST.new_view(5, *[CAST.view_change(5, by, CAST.certificate(A)) for by in (0, 2, 3)]),
        LATER,
    ),
    "two NEW-VIEWs": (
        CAST.new_view(5, *OTHERS),
        CAST.new_view(5, *OTHERS[:2], CAST.view_change(5, 3, CAST.certificate(A))),
    ),
}


def watcher(*records: bytes) -> Promises:
    return Promises(lambda index: records)


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_seen(name: str) -> None:
    first, second = CONTRADICTIONS[name]
    promises = watcher()
    promises.watch(1, Send(0, wire(first)))
    assert not promises.problems
    promises.watch(1, Send(2, wire(second)))
    assert promises.problems, name
    assert "replica 1" in promises.problems[0]


def test_what_fits_together_is_no_contradiction() -> None:
    promises = watcher()
    new_view = CAST.new_view(5, *OTHERS)
    said = [A, CAST.prepare(A, 1), CAST.commit(A, 1), A, WITH, new_view, LATER, CAST.commit(LATER, 1)]
    for message in said:
        promises.watch(1, Send(0, wire(message)))
    assert not promises.problems
    assert len(promises.made) == 4, promises.made.keys()


def test_words_of_others_passed_on_are_not_ones_own() -> None:
    promises = watcher()
    for message in (A, B):
        promises.watch(2, Send(0, wire(message)))
    assert not promises.problems


def test_a_vote_the_log_promised_before_the_view_was_left_may_come_late() -> None:
    left = record(RecordType.VIEW_CHANGE, WITH.raw)
    accepted = record(RecordType.PRE_PREPARE, wire(A))
    for log, fits in (((accepted, left), True), ((left, accepted), False), ((left,), False)):
        promises = watcher(*log)
        promises.watch(2, Send(0, CAST.view_change(2, 2).raw))
        promises.watch(2, Send(0, wire(CAST.prepare(A, 2))))
        assert (not promises.problems) == fits, log


def test_what_the_own_new_view_proposed_may_be_sent_one_by_one_later() -> None:
    promises = watcher()
    changes = [CAST.view_change(5, by, CAST.certificate(A)) for by in (0, 2, 3)]
    again = CAST.pre_prepare(1, CAST.request(1), view=5)
    for message in (CAST.new_view(5, *changes), CAST.view_change(6, 1), again):
        promises.watch(1, Send(0, wire(message)))
    assert not promises.problems
    promises.watch(1, Send(0, CAST.commit(again, 1)))
    assert promises.problems, "a COMMIT takes a certificate"


def test_a_contradiction_in_fragments_is_seen() -> None:
    promises = watcher()
    for message in (WITH, WITHOUT):
        raw, half = message.raw, len(message.raw) // 2
        for index, part in enumerate((raw[:half], raw[half:])):
            whole = CAST.fragment(1, raw)[36:68]
            promises.watch(1, Send(0, CAST.fragment(1, part, index, 2, whole)))
    (problem,) = promises.problems
    assert problem == "replica 1 signed two contents VIEW_CHANGE view 2 (the second in a VIEW_CHANGE)"
