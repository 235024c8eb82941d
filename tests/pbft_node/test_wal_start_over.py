"""A log that is lost: kept aside, and a new one begun that says so."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from test_wal import CLUSTER, SALT, open_, reopened, write

from pbft_node import wal
from pbft_node.errors import LogError, LostLogError, MachineError
from pbft_node.wal import HEADER_BYTES, RECORD, initialise, open_log, start_over


@pytest.fixture
def path(tmp_path: Path) -> Path:
    initialise(tmp_path / "wal", CLUSTER, 2, SALT)
    return tmp_path / "wal"


def over(path: Path, durability: str = "fsync") -> tuple[tuple[bytes, ...], Path | None]:
    opened, aside = start_over(path, (CLUSTER, 2, SALT), durability, [b"lost"])
    opened.log.append(b"after")
    opened.log.sync()
    opened.log.close()
    return opened.records, aside


def damaged(path: Path) -> bytes:
    data = bytearray(write(path))
    data[HEADER_BYTES + RECORD.size] ^= 1
    path.write_bytes(data)
    return bytes(data)


def test_a_damaged_log_is_kept_aside_byte_for_byte(path: Path) -> None:
    data = damaged(path)
    with pytest.raises(LostLogError, match=r"start it with --silent"):
        open_(path)
    records, aside = over(path)
    assert records == (b"lost",)
    assert aside == path.with_name("wal.lost-1")
    assert aside.read_bytes() == data
    assert reopened(path) == (b"lost", b"after")
    damaged(path)
    assert over(path)[1] == path.with_name("wal.lost-2"), "the first is never overwritten"
    assert aside.read_bytes() == data


@pytest.mark.parametrize("how", ["missing", "short header", "bad header"])
def test_what_counts_as_lost(path: Path, how: str) -> None:
    whole = write(path)
    path.unlink()
    if how != "missing":
        path.write_bytes(whole[:20] if how == "short header" else b"\x00" + whole[1:])
    with pytest.raises(LostLogError):
        open_(path)
    _, aside = over(path)
    assert (aside is not None) == (how == "bad header"), "nothing to keep below a header"
    assert reopened(path) == (b"lost", b"after")


@pytest.mark.parametrize("wrong", [(CLUSTER, 1), (b"another cluster!", 2)])
def test_somebody_elses_log_is_not_lost_but_misplaced(path: Path, wrong: tuple[bytes, int]) -> None:
    with pytest.raises(LogError) as refused:
        open_log(path, *wrong, "fsync")
    assert not isinstance(refused.value, LostLogError), "--silent would not help: the config is wrong"


def test_without_durability_every_restart_is_lost(path: Path) -> None:
    open_(path, "none").log.close()
    for _ in range(3):
        with pytest.raises(LostLogError, match="durability 'none'"):
            open_(path, "none")
        assert over(path, "none") == ((b"lost",), None)
    assert sorted(file.name for file in path.parent.iterdir()) == ["wal"]


@pytest.mark.parametrize("moment", ["link", "write", "fsync", "rename"])
def test_a_crash_while_starting_over_leaves_the_log_lost(
    path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = damaged(path)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, moment, fail)
        with pytest.raises(LogError, match="No space left on device"):
            over(path)
    with pytest.raises(LostLogError):
        open_(path)
    assert path.read_bytes() == data


def test_a_log_in_use_is_not_started_over(path: Path) -> None:
    running = open_(path)
    with pytest.raises(MachineError, match="another process"):
        over(path)
    running.log.close()


def test_lost_logs_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "MAX_LOST_LOGS", 2)
    for _ in range(2):
        damaged(path)
        over(path)
    damaged(path)
    with pytest.raises(LogError, match="2 lost logs are kept beside it"):
        over(path)


def test_durability_none_locks_the_log_it_marked(path: Path) -> None:
    running = open_(path, "none")
    with pytest.raises(MachineError, match="another process"):
        open_(path, "none")
    running.log.close()
