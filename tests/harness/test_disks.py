"""What is done to a log is what the replica's own reader finds: torn, rotten, or merely shorter."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.disks import harm_log
from harness.virtual.memory_log import MemoryLog
from pbft_node import wal
from pbft_node.core.records import LOST_LOG
from pbft_node.errors import LostLogError, UnwritableLogError

IDENTITY = (bytes(16), 2, 77)
RECORDS = tuple(b"record %d" % number * number for number in range(1, 8))


def log_of(path: Path, records: tuple[bytes, ...] = RECORDS) -> Path:
    path.write_bytes(wal.image(*IDENTITY, records))
    return path


def reread(path: Path) -> tuple[bytes, ...]:
    return wal.parse(path.read_bytes(), path, *IDENTITY[:2]).records


@pytest.mark.parametrize("records", [(), RECORDS[:1], RECORDS])
def test_a_torn_write_is_cut_off_and_costs_no_record(tmp_path: Path, records: tuple[bytes, ...]) -> None:
    path = log_of(tmp_path / "wal", records)
    size = path.stat().st_size
    assert harm_log(path, "torn", 0)["torn_bytes"] == path.stat().st_size - size > 0
    opened = wal.open_log(path, *IDENTITY[:2], "fsync")
    opened.log.close()
    assert opened.records == records
    assert opened.cut_bytes > 0


@pytest.mark.parametrize("records", [(), RECORDS[:1], RECORDS[:2], (b"", b"", b""), RECORDS])
def test_bit_rot_is_always_seen(tmp_path: Path, records: tuple[bytes, ...]) -> None:
    path = log_of(tmp_path / "wal", records)
    before = path.read_bytes()
    at = harm_log(path, "bit-rot", 0)["flipped_byte"]
    assert [i for i, (x, y) in enumerate(zip(before, path.read_bytes(), strict=True)) if x != y] == [at]
    with pytest.raises(LostLogError):
        reread(path)


@pytest.mark.parametrize(("keep", "left"), [(0.0, 0), (0.5, 3), (0.99, 6)])
def test_a_rolled_back_log_looks_like_any_other(tmp_path: Path, keep: float, left: int) -> None:
    path = log_of(tmp_path / "wal")
    assert harm_log(path, "rollback", keep)["lost_records"] == 7 - left
    assert reread(path) == RECORDS[:left]


def filled(path: Path) -> MemoryLog:
    log = MemoryLog(IDENTITY, "fsync")
    assert log.open(path) == ()
    for record in RECORDS:
        log.append(record)
    log.sync()
    log.write(path, harmed=True)
    return log


def test_the_model_reads_what_is_left_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    log = filled(path)
    harm_log(path, "rollback", 0.5)
    assert log.open(path) == RECORDS[:3]
    log.write(path)
    assert reread(path) == RECORDS[:3]


def test_the_model_comes_back_silent_where_the_real_log_would(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    log = filled(path)
    harm_log(path, "bit-rot", 0)
    with pytest.raises(LostLogError):
        log.open(path)
    log.write(path)
    with pytest.raises(LostLogError):
        reread(path)
    assert log.open(path, silent=True) == LOST_LOG
    assert reread(path) == LOST_LOG
    assert (tmp_path / "wal.lost-1").exists(), "what was left is kept"


def test_a_disk_that_takes_nothing_stops_whoever_would_promise(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    log = filled(path)
    log.refuses = 28
    log.sync()
    log.append(b"more")
    with pytest.raises(UnwritableLogError, match="No space"):
        log.sync()
    real = wal.open_log(path, *IDENTITY[:2], "fsync").log
    real.refuses = 30
    real.sync()
    real.append(b"more")
    with pytest.raises(UnwritableLogError, match="Read-only"):
        real.sync()
    real.close()
    assert reread(path) == RECORDS
