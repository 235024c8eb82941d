"""The modelled log does what the real one does: same records after any crash, same file in the end."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from harness.virtual.memory_log import MemoryLog
from pbft_node import wal
from pbft_node.core.records import LOST_LOG
from pbft_node.errors import LostLogError

IDENTITY = (b"c" * 16, 2, 4711)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("durability", ["fsync", "write"])
def test_as_the_real_log(seed: int, durability: str, tmp_path: Path) -> None:
    stream = random.Random(seed)
    path = tmp_path / "wal"
    wal.initialise(path, *IDENTITY)
    model = MemoryLog(IDENTITY, durability)
    for _ in range(6):
        opened = wal.open_log(path, *IDENTITY[:2], durability)
        assert model.open(Path("unread")) == opened.records
        for number in range(stream.randrange(12)):
            record = b"%d" % number * stream.randrange(1, 9)
            step = stream.choice(["append", "append", "append", "sync", "compact"])
            for log in (opened.log, model):
                if step == "append":
                    log.append(record)
                elif step == "compact":
                    log.compact([b"checkpoint", record])
                else:
                    log.sync()
        opened.log.close()  # as a kill does: what waits is lost
    model.open(Path("unread"))
    model.write(tmp_path / "modelled")
    assert (tmp_path / "modelled").read_bytes() == path.read_bytes()


def test_without_durability_every_later_life_knows_that_it_forgot(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    wal.initialise(path, *IDENTITY)
    model = MemoryLog(IDENTITY, "none")
    opened = wal.open_log(path, *IDENTITY[:2], "none")
    assert model.open(Path("unread")) == opened.records == ()
    for log in (opened.log, model):
        log.append(b"promise")
        log.compact([b"checkpoint"])
        log.sync()
    opened.log.close()
    model.write(tmp_path / "modelled")
    assert (tmp_path / "modelled").read_bytes() == path.read_bytes()
    with pytest.raises(LostLogError):
        wal.open_log(path, *IDENTITY[:2], "none")
    assert model.open(Path("unread")) == LOST_LOG
