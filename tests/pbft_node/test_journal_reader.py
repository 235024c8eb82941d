"""What a reader makes of a journal of hostile bytes, and where the records of a life come from."""

from __future__ import annotations

import contextlib
import random
import struct
from pathlib import Path

import pytest
from journals import CLUSTER, write

from pbft_node.core.effects import (
    Compact,
    Persist,
)
from pbft_node.core.records import LOST_LOG
from pbft_node.journal import (
    Origin,
    records_digest,
)
from pbft_node.journal_file import (
    HEADER_BYTES,
    MIN_LIMIT_BYTES,
    OF_CLIENTS,
    FrameFile,
    FrameType,
    Identity,
    JournalError,
    encode_frame,
    encode_header,
)
from pbft_node.journal_reader import RecordHistory, Start, read_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def turn(entries: int, payload: bytes, flags: int = 0) -> bytes:
    return encode_frame(FrameType.TURN, flags, entries, payload)


def entry(kind: int, data: bytes, length: int | None = None) -> bytes:
    return struct.pack(">QBI8s", 1, kind, len(data) if length is None else length, bytes(8)) + data


END = bytes(8)
START = entry(1, struct.pack(">qIBQ16s", 0, 1, 0, 0, bytes(16)))
BEGIN = turn(1, END + START, 1)
HOSTILE: dict[str, bytes] = {
    "a turn of no life": turn(1, END + entry(2, b"x")),
    "an end of no life": encode_frame(FrameType.END, 0, 0, bytes(8)),
    "no end of the turn": BEGIN + turn(0, b"1234567"),
    "fewer entries than said": BEGIN + turn(2, END + entry(2, b"x")),
    "more entries than said": BEGIN + turn(0, END + entry(2, b"x")),
    "an entry cut off": BEGIN + turn(1, END + entry(2, b"x", 2)),
    "a head cut off": BEGIN + turn(1, END + entry(2, b"x") + b"y"),
    "an unknown kind": BEGIN + turn(1, END + entry(9, b"x" * 40)),
    "a timer without a name": BEGIN + turn(1, END + entry(3, bytes(8))),
    "a timer of a long name": BEGIN + turn(1, END + entry(3, bytes(8) + b"n" * 100)),
    "a timer of no text": BEGIN + turn(1, END + entry(3, bytes(8) + b"\xff\xfe")),
    "a start of an unknown origin": turn(
        1, END + entry(1, struct.pack(">qIBQ16s", 0, 1, 7, 0, bytes(16))), 1
    ),
    "a start too short": turn(1, END + entry(1, b"x"), 1),
    "a start without the flag": BEGIN + turn(1, END + START),
    "the flag without a start": BEGIN + turn(1, END + entry(2, b"x"), 1),
    "the flag of an empty turn": BEGIN + turn(0, END, 1),
    "two starts": turn(2, END + START + START, 1),
    "a note too long": BEGIN + encode_frame(FrameType.END, 0, 0, bytes(9)),
    "a turn behind the end": BEGIN
    + encode_frame(FrameType.END, 0, 0, bytes(8))
    + turn(1, END + entry(2, b"x")),
    "an unknown flag": BEGIN + turn(1, END + entry(2, b"x"), 4),
    "an unknown type": BEGIN + encode_frame(9, 0, 0, b""),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_frames_end_the_good_part(path: Path, name: str) -> None:
    path.write_bytes(encode_header(Identity(1, CLUSTER, 2)) + HOSTILE[name])
    contents = read_journal(path)
    assert contents.ending.why == "damaged"
    begun = HOSTILE[name].startswith(BEGIN)
    assert [life.events for life in contents.lives] == ([1] if begun else [])
    assert contents.ending.offset >= HEADER_BYTES + (len(BEGIN) if begun else 0)


def test_hostile_bytes_raise_nothing_else(path: Path) -> None:
    chance = random.Random(1)
    whole = write(path)[-1]
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            start = chance.randrange(len(data))
            data[start : start + chance.randrange(1, 9)] = chance.randbytes(chance.randrange(9))
        path.write_bytes(data)
        with contextlib.suppress(JournalError):
            for one in read_journal(path).lives:
                list(one.entries())


def test_more_than_the_reader_takes(path: Path) -> None:
    write(path)
    contents = read_journal(path, max_bytes=300)
    assert contents.ending.why == "damaged"
    assert "more than 300 bytes" in contents.ending.reason


def test_a_journal_that_changes_under_its_reader(path: Path) -> None:
    write(path)
    contents = read_journal(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(JournalError, match="changed while it was read"):
        list(contents.lives[0].entries())


def test_the_journal_of_clients_is_none_of_a_replica(path: Path) -> None:
    FrameFile(path, Identity(OF_CLIENTS, CLUSTER), MIN_LIMIT_BYTES, print).close()
    with pytest.raises(JournalError, match="of clients"):
        read_journal(path)


def started(*records: bytes, origin: Origin = Origin.KEPT) -> Start:
    return Start(0, b"", 2, origin, len(records), records_digest(records))


def history() -> RecordHistory:
    """a, b, c; then a turn of d, e."""
    made = RecordHistory()
    for turn in ([b"a"], [b"b", b"c"], [b"d", b"e"]):
        made.take([Persist(record) for record in turn])
        made.turn_ended()
    return made


@pytest.mark.parametrize("kept", ["a", "abc", "abcd", "abcde"])
def test_the_records_of_the_next_life_are_a_prefix(kept: str) -> None:
    records = tuple(character.encode() for character in kept)
    made = history()
    assert made.found(started(*records)) == records
    assert made.found(started(*b"ab".split(b"|"), origin=Origin.LOST)) == LOST_LOG


@pytest.mark.parametrize("records", [(b"b",), (b"a", b"c"), (b"a", b"b", b"c", b"d", b"e", b"f")])
def test_records_that_nothing_led_to_are_not_found(records: tuple[bytes, ...]) -> None:
    assert history().found(started(*records)) is None


def test_a_rewrite_in_the_last_turn_may_have_happened_or_not() -> None:
    old, new = (b"a", b"b", b"c", b"d", b"e"), (b"S", b"f")
    for records in (old, new):
        made = history()
        made.take([Persist(b"x"), Compact((b"S",))])
        made.take([Compact((b"S",)), Persist(b"f")])
        made.turn_ended()
        assert made.found(started(*records)) == records
    made = history()
    made.take([Compact((b"S",))])
    made.turn_ended()
    made.take([Persist(b"f")])
    assert made.found(started(*old)) is None, "the turn with the rewrite was over"
    assert made.found(started(*new)) == new
    made.take([Persist(b"g")])
    assert made.found(started(*new, b"g")) == (*new, b"g"), "it goes on from there"
    assert made.found(started(origin=Origin.NEW)) == ()
    assert made.found(started(b"S")) is None
