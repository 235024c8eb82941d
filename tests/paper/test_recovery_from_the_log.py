"""Recovery: every promise is durable before it is made, and a restarted replica keeps exactly those it made.

The table of ``records.py``, row by row; then the log cut anywhere, and logs that cannot be ours.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from members import wire
from memory_cluster import MemoryCluster, SimulatedKeys
from playbook import Playbook

from pbft_node.core.effects import Compact, Effect, Persist, Send
from pbft_node.core.events import Received, Started
from pbft_node.core.frames import MessageType, parse_frame
from pbft_node.core.messages import PrePrepare
from pbft_node.core.records import RecordType, record
from pbft_node.core.replica import Replica
from pbft_node.core.services import SERVICES
from pbft_node.core.types import FIRST_CLIENT_ID

Make = Callable[..., Playbook]
OTHER = b"\x99" * 32


def prepare(play: Playbook, proposal: PrePrepare) -> None:
    peers = [r for r in play.cast.backups(proposal.view) if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in peers])


def decide(play: Playbook, proposal: PrePrepare) -> None:
    prepare(play, proposal)
    play.after(*[play.cast.commit(proposal, by) for by in play.others[: play.cluster.quorum - 1]])


# ---------------------------------------------------------------- persist before send, row by row


def test_a_proposal_is_durable_before_it_leaves_and_before_a_prepare_leaves(playbook: Make) -> None:
    primary = playbook(me=0)
    primary.receives(primary.cast.request(1)).persists("PRE_PREPARE").sends("PRE_PREPARE", to=primary.others)
    backup = playbook(me=1)
    proposal = backup.cast.pre_prepare(1, backup.cast.request(1))
    backup.receives(proposal).persists("PRE_PREPARE").sends("PREPARE", to=backup.others)


def test_a_certificate_is_durable_before_a_commit_leaves(playbook: Make) -> None:
    play = playbook()
    proposal = play.cast.pre_prepare(1, play.cast.request(1))
    play.after(proposal)
    play.receives(play.cast.prepare(proposal, 2)).persists("PREPARED").sends("COMMIT", to=play.others)


def test_a_decision_is_durable_before_its_reply_leaves(playbook: Make) -> None:
    play = playbook()
    proposal = play.cast.pre_prepare(1, play.cast.request(1))
    play.after(proposal, play.cast.prepare(proposal, 2), play.cast.commit(proposal, 0))
    play.receives(play.cast.commit(proposal, 2)).persists("COMMITTED").sends("REPLY", to=1000)


def test_a_state_is_durable_before_its_checkpoint_leaves(playbook: Make) -> None:
    play = playbook(checkpoint_interval=1, window=2)
    proposal = play.cast.pre_prepare(1)
    play.after(proposal, play.cast.prepare(proposal, 2), play.cast.commit(proposal, 0))
    play.receives(play.cast.commit(proposal, 2)).persists("COMMITTED").persists("SNAPSHOT", seq=1)
    play.sends("CHECKPOINT", to=play.others, seq=1)


def test_a_view_change_is_durable_before_it_leaves(playbook: Make) -> None:
    play = playbook()
    play.after(play.cast.request(1))
    play.fires("request").persists("VIEW_CHANGE").sends("VIEW_CHANGE", to=play.others)


def test_a_new_view_is_durable_before_it_leaves_and_before_votes_in_it(playbook: Make) -> None:
    primary, backup = playbook(me=1), playbook(me=2)
    cast = primary.cast
    certificate = cast.certificate(cast.pre_prepare(1))
    primary.after(cast.view_change(1, 2, certificate)).receives(cast.view_change(1, 3))
    primary.persists("VIEW_CHANGE").sends("VIEW_CHANGE", to=primary.others)
    primary.persists("NEW_VIEW").sends("NEW_VIEW", to=primary.others)
    assert primary.replica.new_view is not None
    backup.receives(primary.replica.new_view).persists("NEW_VIEW").sends("PREPARE", to=backup.others, view=1)


# ---------------------------------------------------------------- the same promises again


def test_a_restarted_primary_goes_on_behind_its_numbers(playbook: Make) -> None:
    play = playbook(me=0)
    play.after(play.cast.request(1), play.cast.request(1, client=1001))
    play.restarts().receives(play.cast.request(1, client=1002)).persists("PRE_PREPARE", seq=3)
    play.sends("PRE_PREPARE", to=play.others, seq=3)


def test_a_restarted_primary_with_an_empty_log_above_its_checkpoint_does_too(playbook: Make) -> None:
    play = playbook(me=0)
    for seq in range(1, 5):
        play.after(play.cast.request(seq))
        decide(play, play.replica.slots[seq].pre_prepare)
    digest = play.replica.snapshots[4].digest
    play.after(play.cast.checkpoint(4, digest, 1), play.cast.checkpoint(4, digest, 2))
    assert not play.replica.slots
    play.restarts().receives(play.cast.request(5)).persists("PRE_PREPARE", seq=5)
    play.sends("PRE_PREPARE", to=play.others, seq=5)


def test_a_restarted_backup_repeats_its_prepare_and_accepts_no_other_digest(playbook: Make) -> None:
    play = playbook()
    cast = play.cast
    proposal = cast.pre_prepare(1, cast.request(1))
    vote = play.receives(proposal).persists("PRE_PREPARE").lines[0].data
    play.sends("PREPARE", to=play.others)
    play.restarts()
    play.receives(cast.pre_prepare(1, cast.request(2))).rejects("PRE-PREPARE", "a second digest")
    play.receives(proposal).does_nothing()
    line = play.receives(cast.status(2, slots=b"\x01")).lines[0]
    assert (play.sends("PREPARE", to=2).matched[-1], line.data) == (str(line), vote)
    play.receives(cast.prepare(proposal, 3)).persists("PREPARED").sends("COMMIT", to=play.others)


def test_a_restarted_replica_repeats_its_commit(playbook: Make) -> None:
    play = playbook()
    proposal = play.cast.pre_prepare(1, play.cast.request(1))
    prepare(play, proposal)
    play.restarts().passes(1000).receives(play.cast.status(2, slots=b"\x03"))
    play.sends("COMMIT", to=2, seq=1, digest=proposal.digest)
    play.receives(play.cast.commit(proposal, 2)).does_nothing()
    play.receives(play.cast.commit(proposal, 3)).persists("COMMITTED").sends("REPLY", to=1000)


def test_what_was_decided_is_executed_again_and_replies_are_kept(playbook: Make) -> None:
    play = playbook(service="append")
    cast = play.cast
    for seq in range(1, 7):
        decide(play, cast.pre_prepare(seq, cast.request(seq, b"append", b"k", b"%d" % seq)))
    state = play.replica.store.image().digest
    play.restarts()
    assert play.replica.executed == 6
    assert play.replica.store.image().digest == state
    play.receives(cast.request(6, b"append", b"k", b"6")).sends("REPLY", to=1000, seq=6)
    play.receives(cast.request(5, b"append", b"k", b"5")).does_nothing()


def test_a_restarted_replica_repeats_its_checkpoint(playbook: Make) -> None:
    play = playbook()
    for seq in range(1, 5):
        decide(play, play.cast.pre_prepare(seq))
    digest = play.replica.snapshots[4].digest
    play.restarts().passes(1000).receives(play.cast.status(2, executed=4))
    play.sends("CHECKPOINT", to=2, seq=4, digest=digest)
    play.after(play.cast.checkpoint(4, digest, 0)).receives(play.cast.checkpoint(4, digest, 2)).persists(
        "STABLE"
    )


def test_a_replica_restarted_between_views_stays_there_and_repeats_its_view_change(playbook: Make) -> None:
    play = playbook(me=3)
    cast = play.cast
    proposal = cast.pre_prepare(1, cast.request(1))
    prepare(play, proposal)
    play.after(cast.request(1, client=1001))
    sent = play.fires("request").persists("VIEW_CHANGE").lines[0].data
    play.sends("VIEW_CHANGE", to=play.others).restarts()
    assert (play.replica.view, play.replica.active) == (1, False)
    play.receives(cast.pre_prepare(2, cast.request(2)), cast.prepare(proposal, 2)).does_nothing()
    line = play.passes(1000).receives(cast.status(2)).lines[0]
    assert line.data == sent
    play.sends("VIEW_CHANGE", to=2).skips()
    play.after(cast.view_change(1, 0), cast.view_change(1, 2)).runs("new-view")


def test_a_replica_restarted_in_a_later_view_is_in_that_view_with_its_certificates(playbook: Make) -> None:
    play = playbook(me=3)
    cast = play.cast
    one, two = cast.pre_prepare(1, cast.request(1)), cast.pre_prepare(2, cast.request(1, client=1001))
    prepare(play, one)
    prepare(play, two)
    changes = [cast.view_change(1, by, cast.certificate(one), cast.certificate(two)) for by in (0, 1, 2)]
    play.after(cast.new_view(1, *changes))
    again = cast.pre_prepare(1, view=1, digest=one.digest)
    play.after(cast.prepare(again, 2)).restarts()
    replica = play.replica
    assert (replica.view, replica.active, replica.log_view) == (1, True, 1)
    assert {n: c.pre_prepare.view for n, c in replica.certificates.items()} == {1: 1, 2: 0}
    play.receives(cast.pre_prepare(2, cast.request(9), view=1)).rejects("PRE-PREPARE", "a second digest")
    play.receives(cast.pre_prepare(3, cast.request(9), view=0)).does_nothing()


def test_a_new_view_that_proves_the_own_checkpoint_survives_a_crash_right_after_it(playbook: Make) -> None:
    """The NEW-VIEW is durable, the shorter log that follows from its proof is not."""
    play = playbook(me=3)
    cast = play.cast
    for seq in range(1, 5):
        decide(play, cast.pre_prepare(seq))
    proof = cast.proof(4, play.replica.snapshots[4].digest, (0, 1, 2))
    before = list(play.log)
    changes = [cast.view_change(1, by, stable=4, proof=proof) for by in (0, 1, 2)]
    new_view = cast.new_view(1, *changes)
    play.receives(new_view).persists("NEW_VIEW").skips_to("compact", f"{len(play.log)} records").skips()
    play.restarts([*before, record(RecordType.NEW_VIEW, new_view.raw)])
    assert (play.replica.view, play.replica.executed, play.replica.stable) == (1, 4, 4)


# ---------------------------------------------------------------- cut anywhere


def drive(play: Playbook) -> list[bytes]:
    """A run through checkpoints and a view change, as the datagrams the replica received."""
    cast, inputs = play.cast, []

    def proposal_runs(proposal: PrePrepare) -> None:
        peers = [r for r in cast.backups(proposal.view) if r != play.me][:2]
        inputs.append(proposal)
        inputs.extend(cast.prepare(proposal, by) for by in peers)
        inputs.extend(cast.commit(proposal, by) for by in play.others[:2])

    for seq in range(1, 7):
        proposal_runs(cast.pre_prepare(seq, cast.request(seq)))
    inputs.append(cast.pre_prepare(7, cast.request(7)))
    play.after(*inputs)
    digest = play.replica.snapshots[4].digest
    votes = [cast.checkpoint(4, digest, by) for by in (0, 2)]
    certificates = [cast.certificate(cast.pre_prepare(seq, cast.request(seq))) for seq in (5, 6)]
    proof = cast.proof(4, digest)
    changes = [cast.view_change(1, by, *certificates, stable=4, proof=proof) for by in (0, 1, 2)]
    inputs += [*votes, changes[0], changes[2], cast.new_view(1, *changes)]
    again = cast.pre_prepare(5, view=1, digest=certificates[0].pre_prepare.digest)
    inputs += [cast.prepare(again, 2), cast.prepare(again, 0), cast.commit(again, 1), cast.commit(again, 2)]
    proposal_runs(cast.pre_prepare(7, cast.request(8), view=1))
    return [wire(message) for message in inputs]


def promises(effects: list[Effect], into: dict[object, bytes]) -> None:
    """No two contents under one (type, view, number); raises at the first contradiction."""
    for effect in effects:
        if not isinstance(effect, Send):
            continue
        frame, _ = parse_frame(effect.data)
        voting = (MessageType.PREPARE, MessageType.COMMIT, MessageType.CHECKPOINT, MessageType.VIEW_CHANGE)
        if frame.type in voting and frame.sender == 3:
            key = (frame.type, frame.view, 0 if frame.type is MessageType.VIEW_CHANGE else frame.seq)
            assert into.setdefault(key, frame.body) == frame.body, f"two promises for {key}"


class AlwaysRewrites(Replica):
    """Its log is rewritten at every stable checkpoint."""

    log_slack_bytes = -(10**9)


def run_with_crash(
    datagrams: list[bytes], crash_at: int, after_effects: int, make: type[Replica] = Replica
) -> tuple[Playbook, int]:
    """Feed the run; die in event ``crash_at`` after so many effects, come back, feed all of it again."""
    play = Playbook(me=3)
    play.replica = make(play.cluster, play.me, SimulatedKeys(3), SERVICES["kv"]())
    play.replica.handle(Started(()), 0)
    made: dict[object, bytes] = {}
    log: list[bytes] = list(play.log)

    def carry_out(effects: list[Effect]) -> None:
        promises(effects, made)
        for effect in effects:
            if isinstance(effect, Persist):
                log.append(effect.record)
            elif isinstance(effect, Compact):
                log[:] = effect.records

    count = 0
    for index, data in enumerate(datagrams):
        effects = play.replica.handle(Received(data), index)
        if index == crash_at:
            count = len(effects)
            carry_out(effects[:after_effects])
            break
        carry_out(effects)
    again = Playbook(me=3)
    again.replica = make(again.cluster, again.me, SimulatedKeys(3), SERVICES["kv"]())
    carry_out(again.replica.handle(Started(tuple(log)), 10**9))
    for index, data in enumerate(datagrams):
        carry_out(again.replica.handle(Received(data), 2 * 10**9 + index))
    return again, count


@pytest.mark.parametrize("make", [Replica, AlwaysRewrites])
def test_a_crash_anywhere_in_a_run_breaks_no_promise(make: type[Replica]) -> None:
    """Every event of the run, cut after every effect: the second life never contradicts the first."""
    datagrams = drive(Playbook(me=3))
    whole, _ = run_with_crash(datagrams, len(datagrams), 0, make)
    assert (whole.replica.view, whole.replica.executed) == (1, 7)
    cuts = 0
    for index in range(len(datagrams)):
        effects, total = 0, 1
        while effects <= total:
            play, total = run_with_crash(datagrams, index, effects, make)
            assert play.replica.executed == 7, f"cut in event {index} after effect {effects}"
            assert play.replica.store.image().digest == whole.replica.store.image().digest
            effects, cuts = effects + 1, cuts + 1
    assert cuts > 150


# ---------------------------------------------------------------- logs that are not ours


@pytest.mark.parametrize("type_", list(RecordType))
@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x00" * 7, b"\x00\x00", b"\xff" * 40])
def test_a_record_that_does_not_decode_halts(playbook: Make, type_: RecordType, payload: bytes) -> None:
    readable = type_ in (RecordType.COMMITTED, RecordType.PAGES) and len(payload) >= 8
    readable |= type_ in (RecordType.SILENT, RecordType.RECOVERED) and not payload
    if readable or (type_ is RecordType.BATCH and payload == b"\x00\x00"):
        return
    play = playbook()
    play.log = [record(type_, payload)]
    play.begin()
    assert any(line.verb == "halt" for line in play.lines), play.lines
    assert not any(line.verb == "send" for line in play.lines), play.lines


def test_a_record_of_another_version_halts(playbook: Make) -> None:
    play = playbook()
    for data in (b"", b"\x00x", b"\xc8x"):
        play.log = [data]
        play.begin()
        assert play.lines[0].verb == "halt"


# ---------------------------------------------------------------- clusters


def test_all_four_crash_at_once_and_no_acknowledged_write_is_lost() -> None:
    cluster = MemoryCluster(service="append")
    acknowledged = []
    for number in range(40):
        cluster.call(number % 3, b"append", b"k", b"%d" % number)
        acknowledged.append(b"%d" % number)
        if number % 7 == 3:
            cluster.invoke((number + 1) % 3, b"append", b"open", b"%d" % number)
            cluster.run(2)
            for index in range(4):
                cluster.crash(index)
            for index in range(4):
                cluster.start(index)
            client = FIRST_CLIENT_ID + (number + 1) % 3
            done = len(cluster.completed[client])
            cluster.run(20_000, until=lambda c=client, d=done: len(cluster.completed[c]) > d)
    result = cluster.call(0, b"read", b"k")
    assert all(element in result for element in acknowledged)
    assert cluster.replica(0).store.image().digest == cluster.replica(3).store.image().digest
    assert not cluster.halted
    cluster.run(1_000)
    states = {cluster.replica(i).store.image().digest for i in range(4)}
    assert len(states) == 1


def test_a_rolling_restart_goes_unnoticed() -> None:
    cluster = MemoryCluster(service="append")
    for number in range(40):
        cluster.call(0, b"append", b"k", b"%d" % number)
        cluster.crash(number % 4)
        cluster.call(0, b"append", b"k", b"down-%d" % number)
        cluster.start(number % 4)
        cluster.run(200)
    elements = cluster.call(0, b"read", b"k")
    assert elements.count(b"down-") == 40
    assert not cluster.trace("alarm")
