"""The write-ahead log: what comes back is what went in, or a refusal."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbft_node import wal
from pbft_node.errors import LogError, MachineError
from pbft_node.wal import HEADER_BYTES, RECORD, Opened, initialise, open_log, parse

CLUSTER = b"c" * 16
SALT = wal.salt_of(b"k" * 32)
RECORDS = (b"first", b"", b"x" * 300, bytes(range(256)), b"last")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    initialise(tmp_path / "wal", CLUSTER, 2, SALT)
    return tmp_path / "wal"


def open_(path: Path, durability: str = "write") -> Opened:
    return open_log(path, CLUSTER, 2, durability)


def write(path: Path, records: tuple[bytes, ...] = RECORDS, durability: str = "write") -> bytes:
    opened = open_(path, durability)
    for record in records:
        opened.log.append(record)
    opened.log.sync()
    opened.log.close()
    return path.read_bytes()


def boundaries(records: tuple[bytes, ...] = RECORDS) -> list[int]:
    ends = [HEADER_BYTES]
    for record in records:
        ends.append(ends[-1] + RECORD.size + len(record))
    return ends


def reopened(path: Path) -> tuple[bytes, ...]:
    opened = open_(path)
    opened.log.close()
    return opened.records


@pytest.mark.parametrize("durability", ["write", "fsync"])
def test_what_was_synced_comes_back(path: Path, durability: str) -> None:
    write(path, RECORDS[:2], durability)
    write(path, RECORDS[2:], durability)
    opened = open_(path, durability)
    opened.log.close()
    assert opened.records == RECORDS
    assert opened.cut_bytes == 0


def test_nothing_is_written_before_sync_and_one_write_and_one_sync_carry_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    real_write, real_sync = os.write, os.fdatasync
    monkeypatch.setattr(os, "write", lambda fd, data: calls.append("write") or real_write(fd, data))
    monkeypatch.setattr(os, "fdatasync", lambda fd: calls.append("sync") or real_sync(fd))
    opened = open_(path, "fsync")
    for record in RECORDS:
        opened.log.append(record)
    assert calls == []
    assert path.stat().st_size == HEADER_BYTES
    opened.log.sync()
    assert calls == ["write", "sync"]
    opened.log.sync()
    assert calls == ["write", "sync"], "nothing new, nothing to do"
    opened.log.append(b"lost")
    opened.log.close()
    assert reopened(path) == RECORDS


def test_durability_write_leaves_the_disk_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise AssertionError("synced")

    monkeypatch.setattr(os, "fdatasync", refuse)
    monkeypatch.setattr(os, "fsync", refuse)
    write(path)
    opened = open_(path)
    opened.log.compact([b"one"])
    opened.log.sync()
    opened.log.close()
    assert reopened(path) == (b"one",)


def test_cut_at_every_byte_gives_a_prefix_or_a_refusal(path: Path) -> None:
    whole = write(path)
    ends = boundaries()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        if length < HEADER_BYTES:
            with pytest.raises(LogError, match=r"header .* is damaged"):
                open_(path)
            continue
        count = sum(end <= length for end in ends) - 1
        opened = open_(path)
        opened.log.append(b"next")
        opened.log.sync()
        opened.log.close()
        assert opened.records == RECORDS[:count]
        assert opened.cut_bytes == length - ends[count]
        assert reopened(path) == (*RECORDS[:count], b"next"), "the repaired log goes on"


def test_any_flipped_bit_gives_a_prefix_or_a_refusal(path: Path) -> None:
    whole = write(path)
    last = boundaries()[-2]
    for position in range(len(whole)):
        for bit in range(8):
            broken = bytearray(whole)
            broken[position] ^= 1 << bit
            if position >= last:
                assert parse(bytes(broken), path, CLUSTER, 2).records == RECORDS[:-1], "like a torn write"
            else:
                with pytest.raises(LogError):
                    parse(bytes(broken), path, CLUSTER, 2)


@given(data=st.binary(max_size=200), cut=st.integers(0, 2000), insert=st.booleans())
@settings(max_examples=200)
def test_spliced_bytes_never_give_a_wrong_record(data: bytes, cut: int, insert: bool) -> None:
    whole = wal._header(CLUSTER, 2, SALT, 0) + b"".join(
        wal._record(record, index, wal._crc_start(SALT)) for index, record in enumerate(RECORDS)
    )
    cut %= len(whole)
    broken = whole[:cut] + data + whole[cut if insert else cut + len(data) :]
    with contextlib.suppress(LogError):
        records = parse(broken, Path("wal"), CLUSTER, 2).records
        assert records == RECORDS[: len(records)]


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused_without_a_traceback(data: bytes) -> None:
    with pytest.raises(LogError):
        parse(data, Path("wal"), CLUSTER, 2)


def test_hole_is_refused_with_place_and_advice(path: Path) -> None:
    whole = write(path)
    ends = boundaries()
    path.write_bytes(whole[: ends[1]] + whole[ends[2] :])
    with pytest.raises(
        LogError, match=rf"record 1 at byte {ends[1]} is damaged or missing.*Do not start it with"
    ):
        open_(path)
    assert path.stat().st_size == len(whole) - ends[2] + ends[1], "a damaged log is left as it is"


def test_zeros_behind_the_records_are_a_torn_write(path: Path) -> None:
    whole = write(path)
    path.write_bytes(whole + bytes(4096))
    opened = open_(path)
    opened.log.close()
    assert (opened.records, opened.cut_bytes) == (RECORDS, 4096)


def test_payload_cannot_pose_as_a_record(path: Path) -> None:
    """A client that knows the format, but not the salt, hides records in its operation; the write is torn."""
    posing = b"".join(wal._record(b"evil", index, wal._crc_start(0)) for index in range(10))
    whole = write(path, (b"first", posing + b"tail"))
    path.write_bytes(whole[:-2])
    assert reopened(path) == (b"first",)


def test_stale_record_of_the_same_log_is_damage(path: Path) -> None:
    whole = write(path)
    ends = boundaries()
    path.write_bytes(whole + whole[ends[0] : ends[1]])
    with pytest.raises(LogError, match=r"record 5 .* behind it record 0"):
        open_(path)


@pytest.mark.parametrize(
    ("cluster", "replica", "words"),
    [(b"d" * 16, 2, "of cluster 64646464"), (CLUSTER, 3, "this is replica 3")],
)
def test_foreign_log_is_refused(path: Path, cluster: bytes, replica: int, words: str) -> None:
    with pytest.raises(LogError, match=words):
        open_log(path, cluster, replica, "write")


def test_missing_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"the log is missing.*stops rather than forget"):
        open_(tmp_path / "wal")
    assert not (tmp_path / "wal").exists()


def test_other_files_and_versions_are_refused(path: Path) -> None:
    def resealed(header: bytes) -> bytes:
        return header + wal._CRC.pack(wal.zlib.crc32(header))

    with pytest.raises(LogError, match="no log of a replica"):
        parse(resealed(wal.HEADER.pack(b"SQLite 3", 1, 0, CLUSTER, 2, SALT)), path, CLUSTER, 2)
    with pytest.raises(LogError, match="version 2, flags 0"):
        parse(resealed(wal.HEADER.pack(wal.MAGIC, 2, 0, CLUSTER, 2, SALT)), path, CLUSTER, 2)
    with pytest.raises(LogError, match="version 1, flags 4"):
        parse(resealed(wal.HEADER.pack(wal.MAGIC, 1, 4, CLUSTER, 2, SALT)), path, CLUSTER, 2)


def test_compaction_replaces_everything_and_the_log_goes_on(path: Path) -> None:
    write(path)
    opened = open_(path, "fsync")
    opened.log.append(b"superseded before it was written")
    opened.log.compact([b"checkpoint", b"view"])
    opened.log.append(b"after")
    opened.log.sync()
    opened.log.close()
    assert reopened(path) == (b"checkpoint", b"view", b"after")
    assert [entry.name for entry in path.parent.iterdir()] == ["wal"]


def test_compaction_waits_for_the_sync_like_everything_else(path: Path) -> None:
    write(path)
    opened = open_(path, "fsync")
    opened.log.compact([b"checkpoint"])
    opened.log.append(b"after")
    opened.log.close()
    assert reopened(path) == RECORDS


@pytest.mark.parametrize("moment", ["write", "fsync", "rename"])
def test_crash_in_compaction_leaves_the_old_log(
    path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path)
    opened = open_(path, "fsync")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, moment, fail)
        opened.log.compact([b"new"])
        with pytest.raises(LogError, match=r"No space left on device.*may not be promised"):
            opened.log.sync()
    opened.log.close()
    assert path.with_name("wal.new").exists()
    assert reopened(path) == RECORDS
    assert not path.with_name("wal.new").exists(), "the next start cleans up"


def test_failing_disk_stops_the_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_(path, "fsync")
    opened.log.append(b"promise")

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        with pytest.raises(LogError, match="Input/output error"):
            opened.log.sync()
    opened.log.close()


def test_short_writes_are_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: real_write(fd, data[:7]))
        write(path)
    assert reopened(path) == RECORDS


def test_one_process_at_a_time(path: Path) -> None:
    opened = open_(path)
    with pytest.raises(MachineError, match="another process has this log open"):
        open_(path)
    opened.log.compact([b"still locked behind the new name"])
    opened.log.sync()
    with pytest.raises(MachineError, match="another process"):
        open_(path)
    opened.log.close()
    assert reopened(path) == (b"still locked behind the new name",)


def test_replaced_while_opening_counts_as_in_use(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_flock = fcntl.flock

    def compacted_meanwhile(descriptor: int, operation: int) -> None:
        copy = path.with_name("copy")
        copy.write_bytes(path.read_bytes())
        copy.rename(path)
        real_flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", compacted_meanwhile)
    with pytest.raises(MachineError, match="another process"):
        open_(path)


def test_durability_none_keeps_nothing_and_does_not_come_back(path: Path) -> None:
    opened = open_(path, "none")
    opened.log.append(b"promise")
    opened.log.sync()
    opened.log.compact([b"checkpoint"])
    opened.log.close()
    for durability in ("none", "write", "fsync"):
        with pytest.raises(LogError, match="durability 'none' and its promises died with it"):
            open_(path, durability)


def test_only_a_regular_file_is_a_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "full").symlink_to("/dev/full")
    for name in ("fifo", "full"):
        with pytest.raises(LogError, match="no regular file"):
            open_log(tmp_path / name, CLUSTER, 1, "fsync")


def test_unreadable_log_is_the_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "wal").mkdir()
    with pytest.raises(MachineError, match="cannot open the log"):
        open_(tmp_path / "wal")
