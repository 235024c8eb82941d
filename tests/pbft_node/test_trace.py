"""trace.jsonl: whole lines, and a flood of rejections that cannot fill the disk."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from pbft_node.core.effects import Rejected
from pbft_node.errors import MachineError
from pbft_node.trace import BURST, INTERVAL_NS, MAX_DEBUG_LINES, MAX_KINDS, MAX_REASON_CHARACTERS, TraceFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.jsonl"


def lines(path: Path) -> list[dict[str, object]]:
    text = path.read_text()
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_lines_reach_the_file_at_flush_in_one_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = TraceFile(path)
    trace.add(5, "committed", {"view": 0, "seq": 1, "digest": "ab"})
    trace.add(6, "executed", {"seq": 1, "requests": [[1000, 1, "cd", "executed"]]})
    assert lines(path) == []
    sizes = []
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: sizes.append(len(data)) or real_write(fd, data))
    trace.flush()
    trace.flush()
    trace.close()
    assert sizes == [path.stat().st_size]
    assert lines(path) == [
        {"t_ns": 5, "e": "committed", "view": 0, "seq": 1, "digest": "ab"},
        {"t_ns": 6, "e": "executed", "seq": 1, "requests": [[1000, 1, "cd", "executed"]]},
    ]


def test_what_was_not_flushed_is_lost_at_close(path: Path) -> None:
    trace = TraceFile(path)
    trace.add(5, "committed", {})
    trace.close()
    assert lines(path) == []


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        (b"", b""),
        (b"{}\n", b"{}\n"),
        (b'{}\n{"t_ns":1,"e', b"{}\n"),
        (b'{"t_ns":1,"e', b""),
        (b"{}\n" + b"x" * 200_000, b"{}\n"),
        (b"x" * 65_536, b""),
        (b"\n" + b"x" * 65_536, b"\n"),
    ],
)
def test_torn_last_line_is_cut_at_start(path: Path, before: bytes, kept: bytes) -> None:
    path.write_bytes(before)
    trace = TraceFile(path)
    assert trace.cut_bytes == len(before) - len(kept)
    trace.add(1, "started", {})
    trace.flush()
    trace.close()
    assert path.read_bytes() == kept + b'{"t_ns":1,"e":"started"}\n'


def test_alike_rejections_are_counted(path: Path) -> None:
    trace = TraceFile(path)
    for number in range(1000):
        trace.rejected(number, Rejected(3, "PREPARE", "not authentic"))
    trace.rejected(1000, Rejected(2, "PREPARE", "not authentic"))
    trace.end_interval(INTERVAL_NS - 1)
    trace.flush()
    assert len(lines(path)) == BURST + 1
    trace.end_interval(INTERVAL_NS)
    trace.rejected(INTERVAL_NS, Rejected(3, "PREPARE", "not authentic"))
    trace.flush()
    trace.close()
    written = lines(path)
    expected = {"e": "rejected", "sender": 3, "message": "PREPARE", "reason": "not authentic"}
    assert written[BURST + 1] == {"t_ns": INTERVAL_NS, **expected, "count": 1000 - BURST}
    assert written[BURST + 2] == {"t_ns": INTERVAL_NS, **expected}, "a new interval begins anew"
    assert len(written) == BURST + 3


def test_flood_of_different_rejections_is_bounded(path: Path) -> None:
    trace = TraceFile(path)
    for number in range(100_000):
        trace.rejected(0, Rejected(number, "datagram", f"reason {number} " + "x" * 1000))
    trace.finish(0)
    trace.close()
    written = lines(path)
    assert len(written) == MAX_KINDS + 1
    assert written[-1]["count"] == 100_000 - MAX_KINDS
    assert written[-1]["sender"] is None
    assert all(len(str(line["reason"])) <= MAX_REASON_CHARACTERS for line in written)


def test_finish_writes_counts_of_the_interval_under_way(path: Path) -> None:
    trace = TraceFile(path)
    for _ in range(BURST + 2):
        trace.rejected(7, Rejected(None, "datagram", "wrong magic"))
    trace.finish(8)
    trace.close()
    assert [line.get("count", 1) for line in lines(path)] == [1] * BURST + [2]


def test_full_disk_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = TraceFile(path)
    trace.add(1, "started", {})

    def fail(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fail)
        with pytest.raises(MachineError, match="cannot write the trace: No space left on device"):
            trace.flush()
    trace.close()


def test_trace_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot open the trace"):
        TraceFile(tmp_path / "no" / "trace.jsonl")


def test_flood_of_debug_lines_is_bounded_and_counted(path: Path) -> None:
    trace = TraceFile(path)
    for number in range(MAX_DEBUG_LINES + 7):
        trace.add(number, "timer", {"timer": "status", "step": "cancelled"})
    trace.add(1, "committed", {"view": 0, "seq": 1, "digest": "ab"})
    trace.end_interval(INTERVAL_NS)
    trace.add(INTERVAL_NS, "timer", {"timer": "status", "step": "cancelled"})
    trace.end_interval(2 * INTERVAL_NS)
    trace.flush()
    trace.close()
    written = lines(path)
    assert [line["e"] for line in written[-3:]] == ["committed", "debug-dropped", "timer"]
    assert written[-2]["count"] == 7
    assert len(written) == MAX_DEBUG_LINES + 3
