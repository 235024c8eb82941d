"""Snapshots in the log: changes to the one before, a log that is rewritten seldom, and any prefix of it good.

The table of ``snapshot_records``; what a crash may leave; chains that do not add up.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_cluster import MemoryCluster
from playbook import Playbook

from pbft_node.core.frames import Malformed
from pbft_node.core.messages import PrePrepare
from pbft_node.core.operations import encode_fields
from pbft_node.core.pages import encode_page, image_of
from pbft_node.core.records import RecordType, record
from pbft_node.core.snapshot_records import RECORD_BYTES, SnapshotReader, snapshot_records
from pbft_node.core.snapshots import Snapshot, take_snapshot
from pbft_node.core.store import Store
from pbft_node.core.types import SeqNum
from pbft_node.wal import MAX_RECORD_BYTES

Make = Callable[..., Playbook]
OK = encode_fields(b"ok")


def decide(play: Playbook, proposal: PrePrepare) -> None:
    peers = [r for r in play.cast.backups(proposal.view) if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in peers])
    play.after(*[play.cast.commit(proposal, by) for by in peers])


def run_to(play: Playbook, last: int) -> dict[int, bytes]:
    """Numbers 1 to ``last``, each checkpoint made stable; the digest of the state after each."""
    digests = {0: play.replica.store.image().digest}
    for seq in range(1, last + 1):
        decide(
            play, play.cast.pre_prepare(seq, play.cast.request(seq, b"put", b"k%d" % (seq % 5), b"%d" % seq))
        )
        digests[seq] = play.replica.store.image().digest
        if seq in play.replica.snapshots:
            digest = play.replica.snapshots[seq].digest
            play.after(*[play.cast.checkpoint(seq, digest, by) for by in (0, 2)])
    return digests


def read(records: list[bytes]) -> Snapshot | None:
    reader = SnapshotReader()
    for data in records:
        if data[0] == RecordType.PAGES:
            reader.read_pages(data[1:])
        else:
            reader.read_snapshot(data[1:])
    return reader.last


def snapshot(seq: int, store: Store) -> Snapshot:
    return take_snapshot(seq, store.image(), Store().image())


# ---------------------------------------------------------------- any prefix is good


def test_any_prefix_of_a_log_is_a_state_this_replica_was_in(playbook: Make) -> None:
    """Never a halt; what was executed and stable only grows with the prefix, and is the state it was."""
    play = playbook()
    digests = run_to(play, 18)
    log = list(play.log)
    assert [data[0] for data in log].count(RecordType.STABLE) == 4
    before = (0, 0)
    for length in range(len(log) + 1):
        again = playbook()
        again.restarts(log[:length])
        assert not any(line.verb == "halt" for line in again.lines)
        replica = again.replica
        assert (replica.executed, replica.stable) >= before
        assert replica.stable <= replica.executed
        assert replica.store.image().digest == digests[replica.executed]
        before = (replica.executed, replica.stable)
    assert before == (18, 16)


def test_after_any_restart_the_log_goes_on(playbook: Make) -> None:
    """Changes are to the snapshot that is in the log, also when a write was cut short before."""
    play = playbook()
    run_to(play, 6)
    for cut in range(1, len(play.log) + 1):
        again = playbook()
        again.restarts(play.log[:cut])
        run_to(again, 13)
        state = again.replica.store.image()
        again.restarts()
        assert (again.replica.executed, again.replica.stable) == (13, 12)
        assert again.replica.store.image() == state


def test_a_stable_record_drops_what_is_below_it(playbook: Make) -> None:
    play = playbook()
    run_to(play, 11)
    replica = play.restarts().replica
    assert (replica.stable, sorted(replica.slots), sorted(replica.decided)) == (8, [9, 10, 11], [9, 10, 11])
    assert sorted(replica.snapshots) == [4, 8]
    assert sorted(replica.certificates) == [9, 10, 11]
    assert len(replica.batches) == 3


# ---------------------------------------------------------------- records


def test_a_large_change_takes_several_records_and_counts_when_the_last_is_there() -> None:
    store = Store()
    for number in range(30):
        store.put(b"%d" % number, bytes([number]) * 100_000)
    first = snapshot(4, store)
    store.put(b"0", b"?" * 100_000)
    second = snapshot(8, store)
    records = snapshot_records(first, None)
    assert [data[0] for data in records] == [RecordType.PAGES] * (len(records) - 1) + [RecordType.SNAPSHOT]
    assert len(records) >= 3
    assert max(map(len, records)) < 2 * RECORD_BYTES
    for cut in range(len(records)):
        assert read(records[:cut]) is None
        assert read(records[:cut] + records) == first, "the rest of a write cut short stands for nothing"
    changes = snapshot_records(second, first)
    assert sum(map(len, changes)) < 110_000
    assert read(records + changes) == second
    assert read([*records, *records[:-1], *changes]) == second
    assert read(snapshot_records(second, None)) == second


def test_a_page_of_any_size_takes_records_the_log_can_hold() -> None:
    """Clients choose the keys: with 65 MiB on one page every replica stopped at the checkpoint, for good."""
    large = {b"%d" % number: bytes([number]) * 700_000 for number in range(5)}
    image = image_of([encode_page(large)])
    state = take_snapshot(SeqNum(4), image, Store().image())
    records = snapshot_records(state, None)
    assert len(image.pages[0]) > 3 * RECORD_BYTES
    assert max(map(len, records)) < 2 * RECORD_BYTES < MAX_RECORD_BYTES
    assert read(records) == state


def test_nothing_changed_is_a_small_record() -> None:
    store = Store()
    store.put(b"k", bytes(10_000))
    first, second = snapshot(4, store), snapshot(8, store)
    changes = snapshot_records(second, first)
    assert sum(map(len, changes)) < 100
    assert read(snapshot_records(first, None) + changes) == second


def test_a_store_that_shrinks_is_read_back(playbook: Make) -> None:
    store = Store()
    for number in range(300):
        store.put(b"%d" % number, bytes(100))
    first = snapshot(4, store)
    for number in range(290):
        store.delete(b"%d" % number)
    second = snapshot(8, store)
    assert len(second.service.pages) < len(first.service.pages)
    assert read(snapshot_records(first, None) + snapshot_records(second, first)) == second


def test_chains_that_do_not_add_up_are_refused() -> None:
    store = Store()
    store.put(b"k", b"1")
    first = snapshot(4, store)
    store.put(b"k", b"2")
    second = snapshot(8, store)
    start, changes = snapshot_records(first, None), snapshot_records(second, first)
    payload = changes[0][1:]
    for records, reason in [
        (changes, "not the one before"),
        ([*start, *start], "not the one before"),
        ([*start, record(RecordType.SNAPSHOT, payload[:-1])], "too short"),
        ([*start, record(RecordType.SNAPSHOT, payload[:-1] + b"3")], "digest"),
        ([*start, record(RecordType.SNAPSHOT, payload[:19] + b"\1" + payload[20:])], "records of pages"),
        (
            [*start, record(RecordType.SNAPSHOT, payload[:20] + bytes(4) + payload[24:])],
            "which has none such",
        ),
        ([*start, record(RecordType.SNAPSHOT, payload[:24] + b"\xff" + payload[25:])], "a store of"),
        ([record(RecordType.PAGES, b"\0" * 7)], "too short"),
    ]:
        with pytest.raises(Malformed, match=reason):
            read(records)


def test_a_snapshot_that_passed_its_checksum_but_does_not_decode_halts(playbook: Make) -> None:
    play = playbook()
    run_to(play, 5)
    index = next(i for i, data in enumerate(play.log) if data[0] == RecordType.SNAPSHOT)
    spoiled = play.log[index][:-1] + b"?"
    play.log = [*play.log[:index], spoiled, *play.log[index + 1 :]]
    play.begin()
    play.halts("(SNAPSHOT) does not decode: a state whose digest is").skips()


def test_a_proof_without_its_state_halts(playbook: Make) -> None:
    play = playbook()
    run_to(play, 5)
    play.log = [data for data in play.log if data[0] != RecordType.SNAPSHOT]
    play.begin()
    play.halts("a proof for a state at 4 that is not in the log before it").skips()


# ---------------------------------------------------------------- fetched states


def test_a_fetched_state_and_its_proof_are_one_record(playbook: Make) -> None:
    """A crash never leaves the one without the other."""
    play = playbook(me=3)
    state = play.cast.state(8, {1000: (7, OK)}, k=b"v")
    play.after(*[play.cast.checkpoint(8, state.digest, by) for by in (0, 1, 2)])
    play.fires("status").skips()
    play.fires("status").skips()
    play.after(play.cast.state_meta(state, 1), *play.cast.whole_state(state, 1))
    added = [data[0] for data in play.log]
    assert added == [RecordType.SNAPSHOT]
    play.restarts()
    assert (play.replica.executed, play.replica.stable) == (8, 8)
    assert play.replica.stable_proof


def test_a_wrong_state_is_gone_from_the_log_when_it_was_mended() -> None:
    cluster = MemoryCluster()
    cluster.call(0, b"put", b"k", b"1")
    cluster.replica(2).store.put(b"k", b"corrupt")
    for number in range(13):
        cluster.call(0, b"put", b"x", b"%d" % number)
    cluster.run(500)
    assert cluster.trace("alarm", 2)
    assert not cluster.replica(2).state_is_wrong
    alarms = len(cluster.trace("alarm", 2))
    cluster.crash(2)
    cluster.start(2)
    for number in range(9):
        cluster.call(0, b"put", b"x", b"%d" % number)
    cluster.run(500)
    assert len(cluster.trace("alarm", 2)) == alarms
    assert cluster.replica(2).store.get(b"k") == b"1"
