"""A replica process under the scheduler: real signals, real ends, and a process that does not answer."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.processes import state_letter
from harness.virtual import lockstep_host
from harness.virtual.lockstep_host import LockstepHost
from harness.virtual.nursery import Nursery, Room
from pbft_node.core.cluster import Cluster
from pbft_node.genesis import ClientBlock, make_genesis, write_replica

SECOND = 1_000_000_000
NONCE = b"n" * 16
SITE = """
import os
from pbft_node import assembly

def make_replica(config, report, correct=assembly.make_replica):
    replica = correct(config, report)
    handle = replica.handle
    def planted(event, now_ns):
        data = getattr(event, "data", b"")
        if data == b"raise":
            raise RuntimeError("planted")
        if data == b"leave":
            os._exit(9)
        if data == b"stall":
            while True:
                pass
        if data == b"babble":
            for number in range(100):
                try:
                    os.write(number, b"x" * 100)
                except OSError:
                    pass
        return handle(event, now_ns)
    replica.handle = planted
    return replica

assembly.make_replica = make_replica
"""
MakeHost = Callable[..., LockstepHost]


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Whose replicas do odd things when they are told odd words."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(SITE)
    made = Nursery({"PATH": os.environ["PATH"], "PYTHONPATH": str(site)})
    yield made
    made.close()


@pytest.fixture
def make_host(nursery: Nursery, tmp_path: Path) -> Iterator[MakeHost]:
    room = nursery.room()
    made: list[LockstepHost] = []

    def make(durability: str = "fsync", room: Room = room) -> LockstepHost:
        addresses = [("127.0.0.1", 7000 + replica) for replica in range(4)]
        cluster = Cluster(n=4, cluster_id=b"c" * 16)
        genesis = make_genesis(cluster, 1, addresses, [ClientBlock(1000, 1099, "127.0.0.1", 7100)])
        config = write_replica(genesis, 2, tmp_path / "replicas/2", durability=durability)
        made.append(LockstepHost(2, config, room, forgetful=durability == "none"))
        return made[-1]

    yield make
    for host in made:
        host.close()
    room.close()


def begin(host: LockstepHost, now_ns: int = 0) -> int:
    """A life that has come up; its pid."""
    host.begin_life(now_ns, 5, NONCE)
    end = host.end_turn(now_ns + 1)
    assert end.ended is None
    assert end.next_due_ns is not None
    assert end.next_due_ns > now_ns
    return pid(host)


def pid(host: LockstepHost) -> int:
    assert host._process is not None
    return host._process.pid


def test_lives_are_processes_of_their_own_and_their_pids_are_told_on_stderr_only(
    make_host: MakeHost, tmp_path: Path
) -> None:
    host = make_host()
    first = begin(host)
    assert os.readlink(f"/proc/{first}/cwd") == str(tmp_path / "replicas/2")
    assert os.getsid(first) == first
    assert Path(f"/proc/{first}/comm").read_text() == "pbft_node 2\n"
    assert host.is_up()
    host.kill()
    host.kill()
    assert not host.is_up()
    assert state_letter(first) is None, "killed and reaped"
    second = begin(host, SECOND)
    assert second != first
    said = (tmp_path / "replicas/2/stderr.log").read_text()
    assert [f"process {one}, in lockstep" in said for one in (first, second)] == [True, True]
    assert str(first) not in (tmp_path / "replicas/2/trace.jsonl").read_text()


def test_a_pause_is_a_stop_of_the_process(make_host: MakeHost) -> None:
    host = make_host()
    process = begin(host)
    host.deliver(2, b"handled before it stands still")
    host.pause()
    host.pause()
    assert state_letter(process) == "T"
    host.resume()
    host.resume()
    assert state_letter(process) in ("S", "R")
    assert host.end_turn(SECOND).ended is None
    host.deliver(SECOND, b"x")
    host.pause()
    host.kill()
    assert state_letter(process) is None, "also where it stood still"


@pytest.mark.parametrize(
    ("word", "code", "number", "last"),
    [
        (b"raise", 70, None, "RuntimeError: planted"),
        (b"leave", 9, None, "pbft_node: replica 2 of 4, 0 records in its log"),
    ],
)
def test_one_that_ends_by_itself_is_noticed_at_the_turns_end(
    make_host: MakeHost, word: bytes, code: int | None, number: int | None, last: str
) -> None:
    host = make_host()
    begin(host)
    host.kill()
    begin(host)
    host.deliver(2, word)
    host.deliver(3, b"and nobody hears this")
    end = host.end_turn(4)
    assert (end.sends, end.next_due_ns) == ((), None)
    assert end.ended is not None
    assert (end.ended.code, end.ended.signal) == (code, number)
    assert end.ended.last_lines[-1] == last
    assert sum("in lockstep" in line for line in end.ended.last_lines) <= 1, "of this life"
    assert not host.is_up()
    begin(host, SECOND)


def test_one_that_somebody_else_killed(make_host: MakeHost) -> None:
    host = make_host()
    process = begin(host)
    os.kill(process, signal.SIGKILL)
    end = host.end_turn(2)
    assert end.ended is not None
    assert (end.ended.code, end.ended.signal) == (None, signal.SIGKILL)


def test_a_kill_in_a_failed_turn_is_a_kill(make_host: MakeHost) -> None:
    host = make_host()
    begin(host)
    host.deliver(2, b"raise")
    host.kill()
    begin(host, SECOND)


@pytest.mark.parametrize("broken", ["config.json", "wal"])
def test_what_it_cannot_start_with_ends_it_in_its_first_turn(
    make_host: MakeHost, tmp_path: Path, broken: str
) -> None:
    host = make_host()
    (tmp_path / "replicas/2" / broken).write_text("{}" * 100)
    host.begin_life(0, 5, NONCE)
    end = host.end_turn(1)
    assert end.ended is not None
    assert end.ended.code == {"config.json": 2, "wal": 3}[broken]
    assert broken in end.ended.last_lines[-1]


def test_one_that_does_not_answer(make_host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockstep_host, "ANSWER_SECONDS", 1)
    host = make_host()
    process = begin(host)
    host.deliver(2, b"stall")
    with pytest.raises(HarnessError, match=rf"replica 2 \(process {process}, state R\) said nothing for 1 s"):
        host.end_turn(3)
    host.close()
    assert state_letter(process) is None


def test_one_that_somebody_else_stopped(make_host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockstep_host, "ANSWER_SECONDS", 1)
    host = make_host()
    process = begin(host)
    os.kill(process, signal.SIGSTOP)
    with pytest.raises(HarnessError, match=r"(?s)state T\) said nothing for 1 s.*last words:\n.*in lockstep"):
        host.end_turn(3)


def test_one_that_does_not_keep_to_the_protocol(make_host: MakeHost) -> None:
    host = make_host()
    begin(host)
    host.deliver(2, b"babble")
    with pytest.raises(HarnessError, match="does not keep to the protocol: a frame of kind 120"):
        host.end_turn(3)


def test_without_durability_a_later_life_is_up_when_it_recovered(make_host: MakeHost) -> None:
    host = make_host("none")
    begin(host)
    assert host.is_up()
    host.kill()
    begin(host, SECOND)
    assert not host.is_up(), "alone it cannot recover"


def test_a_folder_that_is_gone(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host()
    (tmp_path / "replicas").rename(tmp_path / "elsewhere")
    with pytest.raises(HarnessError, match=r"(?s)cannot start replica 2.*Leave a run's folder alone"):
        host.begin_life(0, 5, NONCE)
