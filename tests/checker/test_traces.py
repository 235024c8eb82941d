"""Traces are hostile bytes: torn lines are forgiven where a crash explains them, all else is a flaw."""

from __future__ import annotations

import json
import random

from run_folder_builder import RunFolderBuilder

from checker.trace import Executed, read_trace

STARTED = '{"t_ns":0,"e":"started","schema":"traitor/trace/1","replica":0,"executed":4,"records":0}'
EXECUTED = '{"t_ns":1,"e":"executed","seq":5,"digest":"aa","requests":[[1000,1,"bb","executed"]]}'


def read(tmp_path, *lines, end="\n"):
    path = tmp_path / "trace.jsonl"
    path.write_bytes(("\n".join(lines) + end).encode())
    return read_trace(path, 0)


def test_reads_lives(tmp_path):
    trace = read(tmp_path, STARTED, EXECUTED, STARTED)
    assert [life.position() for life in trace.lives] == [5, 4]
    assert trace.flaws == ()
    (record,) = trace.records()
    assert isinstance(record, Executed)
    assert record.requests[0].client == 1000


def test_forgives_what_a_crash_tore(tmp_path):
    assert read(tmp_path, STARTED, EXECUTED, EXECUTED[:20], end="").flaws == ()
    assert read(tmp_path, STARTED, EXECUTED[:20], STARTED, EXECUTED).flaws == ()
    glued = read(tmp_path, STARTED, EXECUTED[:20] + STARTED, EXECUTED)
    assert glued.flaws == ()
    assert len(glued.lives) == 2


def test_does_not_forgive_the_rest(tmp_path):
    assert [flaw.line for flaw in read(tmp_path, STARTED, EXECUTED[:20], EXECUTED).flaws] == [2]
    assert read(tmp_path, EXECUTED, STARTED, EXECUTED, "{}", EXECUTED).flaws
    assert "before any started" in read(tmp_path, EXECUTED, EXECUTED).flaws[0].reason
    other = STARTED.replace('"replica":0', '"replica":3')
    assert "replica 3" in read(tmp_path, other, EXECUTED, EXECUTED).flaws[0].reason
    newer = STARTED.replace("trace/1", "trace/2")
    assert "schema" in read(tmp_path, newer, EXECUTED).flaws[0].reason
    assert [flaw.line for flaw in read(tmp_path, STARTED, EXECUTED[:20]).flaws] == [2]
    whole = EXECUTED.replace('"seq":5', '"seq":"5"')
    assert [flaw.line for flaw in read(tmp_path, STARTED, whole, STARTED, EXECUTED).flaws] == [2]
    assert [flaw.line for flaw in read(tmp_path, STARTED, whole, end="").flaws] == [2]


def test_ignores_kinds_it_does_not_know(tmp_path):
    trace = read(tmp_path, STARTED, '{"t_ns":1,"e":"daydream"}', EXECUTED)
    assert trace.flaws == ()
    assert len(list(trace.records())) == 1


def test_a_missing_trace_is_said(tmp_path):
    assert "replica 7" in (read_trace(tmp_path / "none.jsonl", 7).missing or "")


def test_no_bytes_raise(tmp_path):
    rng = random.Random(9)
    good = "".join(json.dumps(line) + "\n" for line in RunFolderBuilder().traces[0][:12]).encode()
    path = tmp_path / "trace.jsonl"
    for _ in range(500):
        spoilt = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(spoilt))
            spoilt[at : at + rng.randrange(3)] = rng.choice(
                [b"", b"\xff", b'"', b"[", b"9" * 5_000, b"\n", b"-1"]
            )
        path.write_bytes(bytes(spoilt))
        read_trace(path, 0)
