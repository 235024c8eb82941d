"""Where lockstep replicas come from: nothing outlives whom it serves, and a life is cheap."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.errors import HarnessError
from harness.processes import state_letter
from harness.virtual import nursery as nursery_module
from harness.virtual.lockstep_host import LockstepHost
from harness.virtual.nursery import Nursery, Room
from harness.virtual.one_core import OneCore
from pbft_node.core.cluster import Cluster
from pbft_node.genesis import ClientBlock, make_genesis, write_replica

ENVIRONMENT = {"PATH": os.environ["PATH"]}
ROOT = Path(__file__).resolve().parents[3]
MakeHost = Callable[[Room], LockstepHost]
NONCE = b"n" * 16
LIVES = 20
MOST_MS = 60
"""A fresh start costs 250 ms of processor time. Measured: 8 ms."""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery(ENVIRONMENT)
    yield made
    made.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    cluster = Cluster(n=4, cluster_id=b"c" * 16)
    addresses = [("127.0.0.1", 7000 + replica) for replica in range(4)]
    made = make_genesis(cluster, 1, addresses, [ClientBlock(1000, 1099, "127.0.0.1", 7100)])
    return write_replica(made, 0, tmp_path / "replicas/0")


@pytest.fixture
def make(config: Path) -> Iterator[MakeHost]:
    made: list[LockstepHost] = []

    def new(room: Room) -> LockstepHost:
        made.append(LockstepHost(0, config, room))
        return made[-1]

    yield new
    for host in made:
        host.close()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"not within 20 s: {what}"
        select.poll().poll(2)


def gone(*pids: int) -> bool:
    return all(state_letter(pid) in (None, "Z") for pid in pids)


def begin(host: LockstepHost) -> int:
    host.begin_life(0, 5, NONCE)
    assert host.end_turn(1).ended is None
    assert host._process is not None
    return host._process.pid


def test_lives_are_cheap(nursery: Nursery, make: MakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    room = nursery.room()
    host = make(room)
    before_s = nursery_module.spent_s()
    ours_s = time.process_time()
    for _ in range(LIVES):
        begin(host)
        host.kill()
    ours_s = time.process_time() - ours_s
    room.close()
    each_ms = (nursery_module.spent_s() - before_s + ours_s) / LIVES * 1000
    with capsys.disabled():
        print(f" [{each_ms:.1f} ms of processor time a life] ", end="")
    assert each_ms < MOST_MS


def test_a_closed_room_and_a_closed_nursery_leave_nothing(make: MakeHost) -> None:
    nursery = Nursery(ENVIRONMENT)
    room = nursery.room()
    replica = begin(make(room))
    (room_pid,) = [child.pid for child in psutil.Process(nursery.pid).children()]
    os.kill(replica, signal.SIGSTOP)
    room.close()
    room.close()
    wait_for(lambda: gone(replica, room_pid), "the room's are gone, also one that stands still")
    other = nursery.room()
    second = begin(make(other))
    pids = [child.pid for child in psutil.Process(nursery.pid).children(recursive=True)]
    assert second in pids
    nursery.close()
    nursery.close()
    wait_for(lambda: gone(nursery.pid, *pids), "all are gone")
    other.close()


def test_everything_dies_with_the_harness(config: Path) -> None:
    """Killed without a chance to do anything about it, its replica standing still."""
    script = (
        "import json, os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from harness.virtual.lockstep_host import LockstepHost\n"
        "from harness.virtual.nursery import Nursery, Room\n"
        f"nursery = Nursery({ENVIRONMENT!r})\n"
        f"host = LockstepHost(0, Path({str(config)!r}), nursery.room())\n"
        f"host.begin_life(0, 5, {NONCE!r}); host.end_turn(1); host.pause()\n"
        "print(json.dumps([nursery.pid, host._process.pid]), flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script]
    harness = subprocess.Popen(command, stdout=subprocess.PIPE, env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)})
    with harness:
        assert harness.stdout is not None
        pids = json.loads(harness.stdout.readline())
        assert not gone(*pids)
        harness.kill()
    wait_for(lambda: gone(*pids), "nursery and replica are gone")


def test_a_fork_of_the_harness_has_rooms_too_and_they_end_with_it(nursery: Nursery, make: MakeHost) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            host = make(nursery.room())
            os.write(writing, b"%d" % begin(host))
            host.pause()
            signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    replica = int(os.read(reading, 100))
    os.close(reading)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    wait_for(lambda: gone(replica), "the replica of the fork is gone")
    room = nursery.room()
    begin(make(room))
    room.close()


def test_a_nursery_that_died_is_an_error_of_the_harness(make: MakeHost) -> None:
    nursery = Nursery(ENVIRONMENT)
    room = nursery.room()
    host = make(room)
    replica = begin(host)
    os.kill(nursery.pid, signal.SIGKILL)
    wait_for(lambda: gone(replica), "its replica is gone")
    with pytest.raises(HarnessError, match="ended with signal 9, and all replicas are gone with it"):
        host.end_turn(2)
    host.close()
    room.close()
    with pytest.raises(HarnessError, match="signal 9"):
        nursery.room()
    assert not nursery.runs()
    nursery.close()


def test_a_nursery_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os.write(2, b'no such luck'); os._exit(3)")
    nursery = Nursery({**ENVIRONMENT, "PYTHONPATH": str(tmp_path)})
    wait_for(lambda: not nursery.runs(), "it ended")
    with pytest.raises(HarnessError, match=r"exit code 3, and all .*\nno such luck"):
        nursery.room()
    nursery.close()


def test_a_room_refuses_what_it_does_not_know(nursery: Nursery, make: MakeHost) -> None:
    room = nursery.room()
    for request, why in (
        ({"do": "dance"}, "cannot dance: ValueError: 'dance'"),
        ({"do": "ended", "pid": 1}, "cannot ended: ChildProcessError"),
        ({"do": "begin", "config": "x", "folder": "/"}, "not enough values"),
    ):
        with pytest.raises(HarnessError, match=why):
            room._ask(request, [])
    begin(make(room))
    room.close()


def test_the_shared_one_is_made_once_for_an_environment() -> None:
    first = nursery_module.shared(ENVIRONMENT)
    assert nursery_module.shared(dict(ENVIRONMENT)) is first
    other = nursery_module.shared({**ENVIRONMENT, "LANG": "C"})
    assert other is not first
    assert not first.runs()
    os.kill(other.pid, signal.SIGKILL)
    wait_for(lambda: not other.runs(), "it is dead")
    third = nursery_module.shared({**ENVIRONMENT, "LANG": "C"})
    assert third is not other
    third.close()


def test_replicas_are_held_to_the_limits_of_the_harness(nursery: Nursery, make: MakeHost) -> None:
    """Those it has when the room is opened: a trial's child has less than its parent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, hard))
    place = OneCore()
    cores = os.sched_getaffinity(0)
    try:
        room = nursery.room()
    finally:
        place.release()
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    replica = begin(make(room))
    assert resource.prlimit(replica, resource.RLIMIT_FSIZE)[0] == 1 << 30
    assert os.sched_getaffinity(replica) == cores
    room.close()
