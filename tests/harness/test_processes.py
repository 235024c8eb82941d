"""A replica's process: its lives, its states, its last words. No namespaces needed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.adapter import ReplicaProgram
from harness.errors import HarnessError
from harness.processes import (
    LAST_LINES,
    LINE_CHARACTERS,
    TRACE_MARGIN_BYTES,
    ReplicaProcess,
    began,
    listens,
    state_letter,
)
from harness.world import Exit

Start = Callable[..., ReplicaProcess]


@pytest.fixture
def exits() -> list[Exit]:
    return []


@pytest.fixture
def start(tmp_path: Path, exits: list[Exit]) -> Iterator[Start]:
    made: list[ReplicaProcess] = []

    def starter(code: str, **changes: object) -> ReplicaProcess:
        fields = {"argv": (sys.executable, "-c", code), "cwd": tmp_path, "env": {}, "folder": tmp_path}
        program = ReplicaProgram(**{**fields, **changes})  # type: ignore[arg-type]
        process = ReplicaProcess(3, program, exits.append)
        process.start(contextlib.nullcontext())
        made.append(process)
        return process

    yield starter
    for process in made:
        process.signal(signal.SIGKILL)
        wait_for(process.reap, "it is dead")


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, f"not within 10 s: {what}"
        time.sleep(0.002)


SLEEP = "import time; time.sleep(1000)"


def test_states_of_a_life(start: Start, exits: list[Exit]) -> None:
    process = start(SLEEP)
    state = process.state()
    assert (state.replica, state.state, state.incarnation, state.pid) == (3, "running", 1, process.pid)
    process.signal(signal.SIGSTOP)
    wait_for(lambda: process.state().state == "stopped", "stopped")
    assert process.state().detail == {"state_letter": "T"}
    process.signal(signal.SIGCONT)
    wait_for(lambda: process.state().state == "running", "running again")
    assert not process.doomed
    process.signal(signal.SIGKILL, expect_exit=True)
    assert process.doomed
    wait_for(lambda: process.state().state == "dead", "dead")
    assert process.state().pid is None
    assert process.state().detail == {"exit_signal": 9, "exit_code": None}
    assert [(e.replica, e.signal, e.code, e.expected, e.last_lines) for e in exits] == [
        (3, 9, None, True, ())
    ]
    process.signal(signal.SIGKILL)
    assert process.pidfd is None


def test_a_second_life_is_another_incarnation_with_its_own_last_words(
    start: Start, exits: list[Exit], tmp_path: Path
) -> None:
    process = start("import sys; print('first', file=sys.stderr); sys.exit(3)")
    wait_for(process.reap, "the first exit")
    process.start(contextlib.nullcontext())
    assert process.incarnation == 2
    wait_for(process.reap, "the second exit")
    assert [(e.code, e.signal, e.expected, e.last_lines) for e in exits] == [(3, None, False, ("first",))] * 2
    assert (tmp_path / "stderr.log").read_text() == "first\nfirst\n"


def test_last_words_are_bounded_whatever_a_replica_writes(start: Start, exits: list[Exit]) -> None:
    process = start("import os; os.write(2, b'\\xff' * 100000 + b'\\n' + b'x\\n' * 50 + b'end')")
    wait_for(process.reap, "the exit")
    assert len(exits[0].last_lines) <= LAST_LINES
    assert exits[0].last_lines[-1] == "end"
    assert all(len(line) <= LINE_CHARACTERS for line in exits[0].last_lines)


def test_output_is_appended_to_a_file_and_input_is_empty(start: Start, tmp_path: Path) -> None:
    process = start(
        "import os, sys; print(sys.stdin.read() == '', os.getsid(0) == os.getpid(), dict(os.environ))"
    )
    wait_for(process.reap, "the exit")
    words = (tmp_path / "stderr.log").read_text()
    assert words.startswith("True True {")
    assert "HOME" not in words, "nothing of our environment is inherited"


def test_a_program_that_cannot_be_started_is_named(start: Start, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"replica 3: /no/such/program: No such file") as caught:
        start("", argv=("/no/such/program",))
    assert caught.value.hint
    (tmp_path / "closed").touch(0o600)
    with pytest.raises(HarnessError, match="Permission denied"):
        start("", argv=(str(tmp_path / "closed"),))


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_listening_is_seen_by_port(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as opened:
        opened.bind(("127.0.0.1", 0))
        port = opened.getsockname()[1]
        if kind == socket.SOCK_STREAM:
            assert not listens(os.getpid(), port)
            opened.listen()
        assert listens(os.getpid(), port)
    assert not listens(os.getpid(), port)
    assert not listens(2**22 + 1, port)


def test_no_process_has_no_state_and_a_name_with_brackets_is_no_trouble(start: Start) -> None:
    assert state_letter(2**22 + 1) is None
    rename = "import ctypes, time; ctypes.CDLL(None).prctl(15, b') Z 1 (', 0, 0, 0); print(1, flush=True)"
    process = start(f"{rename}; time.sleep(99)")
    wait_for(lambda: (process.program.folder / "stderr.log").read_text() == "1\n", "it renamed itself")
    assert process.state().state == "running"


WRITE_STARTED = """
import json, time
line = {"t_ns": time.monotonic_ns(), "e": "started", "schema": "traitor/trace/1"}
open("trace.jsonl", "a").write(json.dumps(line) + "\\n")
time.sleep(1000)
"""


def test_a_life_is_up_when_its_own_trace_says_so(start: Start, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    quiet = start(SLEEP, trace=trace)
    assert quiet.state().up is False
    trace.write_text('{"t_ns": 5, "e": "started"}\n')
    assert quiet.state().up is False, "a life before it"
    speaking = start(WRITE_STARTED, trace=trace)
    wait_for(lambda: speaking.state().up is True, "up")
    speaking.signal(signal.SIGKILL, expect_exit=True)
    wait_for(speaking.reap, "dead")
    assert (speaking.state().state, speaking.state().up) == ("dead", None)
    assert quiet.state().up is True, "this one cannot tell its own line from one written later"


def test_one_that_forgets_is_up_again_when_it_has_recovered(start: Start, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    process = start(WRITE_STARTED, trace=trace, comes_back_by="recovered")
    wait_for(lambda: process.state().up is True, "up: the first life has nothing to recover from")
    process.signal(signal.SIGKILL, expect_exit=True)
    wait_for(process.reap, "dead")
    process.start(contextlib.nullcontext())
    wait_for(lambda: trace.read_text().count("started") == 2, "the second life began")
    assert process.state().up is False
    assert process.state().detail["awaited"] == "recovered"
    with trace.open("a") as file:
        file.write(f'{{"t_ns": {time.monotonic_ns()}, "e": "recovered"}}\n')
    assert process.state().up is True


def test_started_lines_are_found_wherever_they_are_and_whatever_is_around_them(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    assert not began(trace, 0, 0), "no file"
    trace.write_bytes(b"\xff" * 100 + b'\n{"t_ns": 70, "e": "executed", "why": "started"}\n[' + b"[" * 9000)
    assert not began(trace, 0, 0)
    old = trace.stat().st_size
    with trace.open("ab") as file:
        file.write(b'\n{"t_ns": "80", "e": "started"}\n{"t_ns": 90, "e": "started"}\n')
    assert began(trace, max(0, old - TRACE_MARGIN_BYTES), 90)
    assert began(trace, old, 90)
    assert not began(trace, old, 91)
    assert not began(trace, trace.stat().st_size, 0)


def test_a_folder_that_is_gone_is_not_the_interpreters_fault(tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "replicas" / "3"
    with pytest.raises(HarnessError) as raised:
        start(SLEEP, folder=folder, cwd=folder)
    assert f"its folder {folder} is gone" in raised.value.message
    assert "until the run ends" in raised.value.hint
    assert sys.executable not in str(raised.value)


def test_sockets_of_the_dead_are_removed_and_nothing_else(start: Start, tmp_path: Path) -> None:
    process = start(SLEEP)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(tmp_path / "metrics.sock"))
    (tmp_path / "wal").write_bytes(b"log")
    process.remove_sockets()
    assert not (tmp_path / "metrics.sock").exists()
    assert (tmp_path / "wal").read_bytes() == b"log"
