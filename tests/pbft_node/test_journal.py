"""The journal: what is written is read, whatever a crash or a liar left of the file, and it replays."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from journals import CLUSTER, SEND, TRACE, TURNS, write

from pbft_node import journal as journal_module
from pbft_node.core.effects import (
    CancelTimer,
    Compact,
    Completed,
    Effect,
    Halt,
    Persist,
    Rejected,
    Send,
    SetTimer,
    Trace,
)
from pbft_node.core.events import Received, Started
from pbft_node.core.records import LOST_LOG
from pbft_node.errors import MachineError
from pbft_node.journal import (
    NO_OUTPUT,
    Journal,
    Origin,
    outputs_hash,
    raised_hash,
    records_digest,
    trace_lines,
)
from pbft_node.journal_file import (
    FRAME,
    HEADER_BYTES,
    MIN_LIMIT_BYTES,
    OF_CLIENTS,
    Identity,
    JournalError,
    encode_header,
)
from pbft_node.journal_reader import Contents, Start, read_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def told(contents: Contents) -> list[list[tuple[object, int]]]:
    """Events and times of the turns of the first life."""
    return [[(e.event, e.now_ns) for e in turn.entries] for turn in contents.lives[0].turns()]


def expected(turns: int) -> list[list[tuple[object, int]]]:
    start = Start(-5, b"n" * 16, 1, Origin.NEW, 0, records_digest(()))
    return [
        [(start if isinstance(event, Started) else event, now_ns) for event, now_ns, _ in turn]
        for turn in TURNS[:turns]
    ]


def life(path: Path, *records: bytes) -> None:
    """A short one."""
    journal = Journal(path, CLUSTER, 2)
    journal.add(Started(records), 1, [], [])
    journal.end_turn(2)
    journal.close()


def test_what_is_written_is_read(path: Path) -> None:
    write(path)
    contents = read_journal(path)
    assert (contents.cluster_id, contents.replica, contents.ending.why) == (CLUSTER, 2, "whole")
    assert contents.ending.offset == path.stat().st_size
    assert told(contents) == expected(3)
    (one,) = contents.lives
    assert (one.events, one.number, one.ended_ns, one.cut_bytes) == (4, 1, None, 0)
    assert [turn.end_ns for turn in one.turns()] == [101, 211, 301]
    before = NO_OUTPUT
    hashes = []
    for _, now_ns, effects in [step for turn in TURNS for step in turn]:
        before = outputs_hash(before, effects, trace_lines(effects, now_ns))
        hashes.append(before)
    assert [entry.hash for entry in one.entries()] == hashes
    assert hashes[0] == hashes[1] != hashes[2] != hashes[3]


OTHERWISE: list[list[Effect]] = [
    [],
    [SEND, TRACE],
    [TRACE, SEND, SEND],
    [TRACE, Send(2, b"datagram")],
    [TRACE, Send(1, b"datagran")],
    [Trace("committed", TRACE.fields), SEND],
    [Trace("prepared", {"view": 0, "seq": 4, "digest": "ab"}), SEND],
    [TRACE, Persist(b"datagram")],
    [TRACE, SEND, SetTimer("a", 1, 2)],
    [TRACE, SEND, SetTimer("a", 2, 2)],
    [TRACE, SEND, CancelTimer("a")],
    [TRACE, SEND, Rejected(1, "PREPARE", "late")],
    [TRACE, SEND, Rejected(None, "PREPARE", "late \udcff")],
    [TRACE, SEND, Halt("two digests")],
    [TRACE, SEND, Compact((b"ab", b"c"))],
    [TRACE, SEND, Compact((b"a", b"bc"))],
    [TRACE, SEND, Persist(b"ab"), Persist(b"c")],
]


def test_the_hash_tells_every_effect_and_their_order_apart() -> None:
    def hashed(effects: list[Effect], now_ns: int = 5) -> bytes:
        return outputs_hash(NO_OUTPUT, effects, trace_lines(effects, now_ns))

    hashes = [hashed(effects) for effects in [[TRACE, SEND], *OTHERWISE]]
    assert len(set(hashes)) == len(hashes)
    assert hashed([TRACE, SEND]) == hashes[0] != hashed([TRACE, SEND], 6)
    assert outputs_hash(hashes[0], [SEND], ()) != outputs_hash(NO_OUTPUT, [SEND], ())
    with pytest.raises(AssertionError, match="Completed"):
        hashed([Completed(1, b"", ())])


def test_the_turn_under_way_is_lost_and_the_ones_before_are_not(path: Path) -> None:
    journal = Journal(path, CLUSTER, 2)
    journal.add(Started(), 1, [], [])
    journal.end_turn(2)
    journal.add(Received(b"lost"), 3, [], [])
    journal.close()
    assert [e.event for e in read_journal(path).lives[0].entries()][1:] == []


def test_the_end_in_order_is_told_from_a_kill(path: Path) -> None:
    life(path)
    journal = Journal(path, CLUSTER, 2)
    journal.add(Started(), 3, [], [])
    journal.end_turn(4)
    journal.end_life(77)
    journal.close()
    assert [life.ended_ns for life in read_journal(path).lives] == [None, 77]


def test_a_turn_of_the_trace_alone_is_written_when_asked_for(path: Path) -> None:
    journal = Journal(path, CLUSTER, 2)
    journal.add(Started(), 1, [], [])
    for moment in (2, 3):
        journal.end_turn(moment)
    journal.end_turn(4, empty_too=True)
    journal.close()
    assert [(len(t.entries), t.end_ns) for t in read_journal(path).lives[0].turns()] == [(1, 2), (0, 4)]


def test_a_core_that_raises_is_written_at_once(path: Path) -> None:
    journal = Journal(path, CLUSTER, 2)
    journal.add(Started(), 1, [SEND], [])
    journal.raised(Received(b"poison"), 2, AssertionError("bug"))
    journal.close()
    first, last = read_journal(path).lives[0].entries()
    assert (last.event, last.raised, first.raised) == (Received(b"poison"), True, False)
    assert last.hash == raised_hash(first.hash, AssertionError("other words"))
    assert last.hash != raised_hash(first.hash, ValueError("bug"))


def test_a_large_turn_goes_on_in_more_frames(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "FLUSH_BYTES", 1000)
    events = [(Received(bytes(300)), i, []) for i in range(10)]
    journal = Journal(path, CLUSTER, 2)
    journal.add(Started(), 0, [], [])
    for event, now_ns, effects in events:
        journal.add(event, now_ns, effects, ())
    journal.end_turn(99)
    journal.close()
    turns = list(read_journal(path).lives[0].turns())
    assert [turn.goes_on for turn in turns] == [True, True, False]
    assert sum(len(turn.entries) for turn in turns) == 11


def test_torn_at_every_byte(path: Path) -> None:
    after = write(path)
    whole = after[-1]
    bounds = [len(data) for data in after]
    for length in range(HEADER_BYTES, len(whole)):
        path.write_bytes(whole[:length])
        turns = sum(bound <= length for bound in bounds) - 1
        contents = read_journal(path)
        assert contents.ending.why == ("whole" if length in bounds else "torn"), length
        assert contents.ending.offset == bounds[turns]
        assert (told(contents) if turns else []) == expected(turns)


def test_the_next_life_cuts_a_torn_frame_and_says_so(path: Path) -> None:
    whole = write(path)[-1]
    path.unlink()
    cut = len(whole) - len(write(path)[-2])
    for length in (1, FRAME.size - 1, FRAME.size, FRAME.size + 1, cut - 1):
        path.write_bytes(whole[: len(whole) - cut + length])
        said: list[str] = []
        journal = Journal(path, CLUSTER, 2, report=said.append)
        journal.add(Started((b"r",)), 400, [], [])
        journal.end_turn(401)
        journal.close()
        assert len(said) == 1
        assert f"torn frame of {length} bytes" in said[0]
        first, second = read_journal(path).lives
        assert (first.cut_bytes, first.events) == (length, 3)
        assert second.start == Start(0, b"", 2, Origin.KEPT, 1, records_digest([b"r"]))


@pytest.mark.parametrize("length", [0, 1, 20, HEADER_BYTES - 1])
def test_a_torn_header_begins_anew(path: Path, length: int) -> None:
    path.write_bytes(encode_header(Identity(1, CLUSTER, 2))[:length])
    with pytest.raises(JournalError, match="damaged"):
        read_journal(path)
    life(path)
    assert len(read_journal(path).lives) == 1


def test_lives_follow_each_other(path: Path) -> None:
    life(path)
    life(path, b"one", b"two")
    life(path, *LOST_LOG)
    life(path, *LOST_LOG, b"more")
    starts = [life.start for life in read_journal(path).lives]
    assert [start.life for start in starts] == [1, 2, 3, 4]
    assert [start.origin for start in starts] == [Origin.NEW, Origin.KEPT, Origin.LOST, Origin.KEPT]
    assert [start.count for start in starts] == [0, 2, 1, 2]
    assert starts[1].digest == records_digest([b"one", b"two"]) != records_digest([b"onetwo"])


def test_any_changed_byte_ends_the_good_part_there(path: Path) -> None:
    after = write(path)
    whole = after[-1]
    for position in range(HEADER_BYTES, len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 0x40
        path.write_bytes(changed)
        contents = read_journal(path)
        turns = sum(len(data) <= position for data in after) - 1
        assert contents.ending.why in ("damaged", "torn")
        assert contents.ending.offset == len(after[turns])
        assert (told(contents) if turns else []) == expected(turns)


def test_a_damaged_journal_is_kept_aside_and_the_replica_goes_on(path: Path) -> None:
    whole = write(path)[-1]
    for number, position in ((1, HEADER_BYTES + 2), (2, 3), (3, len(whole) - 1)):
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(changed)
        said: list[str] = []
        Journal(path, CLUSTER, 2, report=said.append).close()
        assert path.with_name(f"journal.damaged-{number}").read_bytes() == changed
        assert len(said) == 1
        assert f"damaged-{number}; a new one begins" in said[0].replace("kept as journal.", "")
        life(path)
        assert len(read_journal(path).lives) == 1


@pytest.mark.parametrize(
    "other", [Identity(1, CLUSTER, 3), Identity(1, bytes(16), 2), Identity(OF_CLIENTS, CLUSTER, 2)]
)
def test_the_journal_of_another_is_left_alone(path: Path, other: Identity) -> None:
    path.write_bytes(encode_header(other))
    with pytest.raises(MachineError, match="this is the journal of"):
        Journal(path, CLUSTER, 2)
    assert path.read_bytes() == encode_header(other)


def test_at_its_limit_it_says_so_and_the_replica_goes_on(path: Path) -> None:
    said: list[str] = []
    journal = Journal(path, CLUSTER, 2, limit=MIN_LIMIT_BYTES, report=said.append)
    journal.add(Started(), 0, [], [])
    for moment in range(100):
        journal.add(Received(bytes(1000)), moment, [], [])
        journal.end_turn(moment)
    journal.end_life(5)
    journal.close()
    assert MIN_LIMIT_BYTES - 1100 < path.stat().st_size <= MIN_LIMIT_BYTES
    assert len(said) == 1
    assert f"limit of {MIN_LIMIT_BYTES} bytes" in said[0]
    contents = read_journal(path)
    assert contents.ending.why == "limit"
    assert str(MIN_LIMIT_BYTES) in contents.ending.reason
    size, events = path.stat().st_size, contents.lives[0].events
    assert 55 < events < 66
    assert contents.lives[0].ended_ns is None
    again = Journal(path, CLUSTER, 2, limit=2 * MIN_LIMIT_BYTES, report=said.append)
    again.add(Started(), 0, [], [])
    again.end_turn(1)
    again.close()
    assert path.stat().st_size == size
    assert "this life is not in it" in said[1]


def test_a_full_disk_stops_the_replica(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path, CLUSTER, 2)

    def fail(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal.add(Started(), 1, [], [])
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fail)
        with pytest.raises(MachineError, match="cannot write the journal: No space left on device"):
            journal.end_turn(2)
    journal.close()


def test_a_journal_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot write the journal: No such file"):
        Journal(tmp_path / "no" / "journal", CLUSTER, 2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MachineError, match="no regular file"):
        Journal(tmp_path / "pipe", CLUSTER, 2)
    for name in ("none", "pipe", "."):
        with pytest.raises(JournalError, match=r"cannot open|no regular file"):
            read_journal(tmp_path / name)
