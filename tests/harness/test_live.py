"""The live world, with replicas that only echo: life, signals, exits, datagrams, cuts, and what is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import live
from harness.adapter import PbftNodeAdapter, ReplicaProgram
from harness.errors import HarnessError
from harness.live import LiveWorld
from harness.topology import client_address, replica_address
from nemesis.machinery import Link
from pbft_node.core.cluster import Cluster
from pbft_node.genesis import ClientBlock

SECOND_NS = 1_000_000_000
ECHO = str(Path(__file__).with_name("echo_replica.py"))


def program(folder: Path, replica: int, *command: str) -> ReplicaProgram:
    own = folder / "replicas" / str(replica)
    own.mkdir(parents=True, exist_ok=True)
    argv = command or (sys.executable, "-S", ECHO, str(replica), "7000")
    return ReplicaProgram(argv, own, dict(os.environ), own)


def world_of(folder: Path, n: int = 4) -> LiveWorld:
    return LiveWorld(n=n, f=(n - 1) // 3, folder=folder, programs=[program(folder, i) for i in range(n)])


@contextlib.contextmanager
def running(world: LiveWorld) -> Iterator[list[bytes]]:
    """The world set up; the list is what clients get."""
    inbox: list[bytes] = []
    world.on_datagram(inbox.append)
    world.set_up()
    try:
        yield inbox
    finally:
        world.tear_down()


def until(
    world: LiveWorld, condition: Callable[[], bool], what: str, patience_ns: int = 10 * SECOND_NS
) -> None:
    """Asked every few milliseconds, as a fault's observe is."""

    def tick() -> None:
        world.call_at(world.now_ns() + 2_000_000, tick)

    tick()
    assert world.run(condition, world.now_ns() + patience_ns), f"not in time: {what}; exits {world.exits()}"


def answers(world: LiveWorld, inbox: list[bytes], replica: int) -> None:
    """Ask the replica again and again until it answers."""
    inbox.clear()

    def asked() -> bool:
        world.send(replica, b"echo hello")
        return b"echo %d hello" % replica in inbox

    until(world, asked, f"an answer of replica {replica}")


def leftovers() -> str:
    commands = (
        r"ip -o addr | grep -v ' lo .*/\(8\|128\) '",
        "ls /run/netns",
        "iptables-legacy-save | grep '^-A'",
        "pgrep -f [e]cho_replica",
    )
    script = "; ".join(commands)
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False).stdout


def test_outside_a_sandbox_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.sandbox, "inside", lambda: False)
    with pytest.raises(HarnessError, match="sandbox"):
        world_of(tmp_path).set_up()


@pytest.mark.sandbox
def test_kill_restart_pause_resume(in_sandbox: None, tmp_path: Path) -> None:
    world = world_of(tmp_path)
    with running(world) as inbox:
        assert world.capabilities == {"kill", "pause", "cut", "disks"}
        for replica in range(4):
            answers(world, inbox, replica)
        first = world.process(2).pid
        world.kill(2)
        world.restart(2)
        until(world, lambda: world.process(2).incarnation == 2, "a second life, though it was still dying")
        assert world.process(2).pid != first
        world.restart(2)
        answers(world, inbox, 2)
        assert world.process(2).incarnation == 2, "a running replica is left alone"
        world.pause(1)
        until(world, lambda: world.process(1).state == "stopped", "stopped")
        world.kill(1)
        until(world, lambda: world.process(1).state == "dead", "killed while stopped")
        world.resume(1)
        world.pause(1)
        world.restart(1)
        answers(world, inbox, 1)
        assert [(e.replica, e.signal, e.expected) for e in world.exits()] == [(2, 9, True), (1, 9, True)]
        world.pause(3)
    assert len(world.exits()) == 6
    assert all(ended.expected for ended in world.exits())
    assert leftovers() == ""
    world.tear_down()


@pytest.mark.sandbox
def test_an_exit_nobody_asked_for_comes_with_its_last_words(in_sandbox: None, tmp_path: Path) -> None:
    world = world_of(tmp_path)
    with running(world):
        world.send(1, b"orphan")
        world.send(1, b"exit 3")
        assert world.run(lambda: bool(world.exits()), world.now_ns() + 10 * SECOND_NS), "seen without asking"
        ended = world.exits()[0]
        assert (ended.replica, ended.code, ended.signal, ended.expected) == (1, 3, None, False)
        assert ended.last_lines[-1] == "something is wrong here"
        assert world.process(1).detail == {"exit_signal": None, "exit_code": 3}
        assert not world.run(lambda: False, world.now_ns() + SECOND_NS // 5)
        assert world.process(1).state == "dead", "it is not started again by itself"


@pytest.mark.sandbox
def test_links_are_cut_and_counted(in_sandbox: None, tmp_path: Path) -> None:
    world = world_of(tmp_path)

    def count(inbox: list[bytes]) -> bytes:
        inbox.clear()
        world.send(1, b"count")
        until(world, lambda: bool(inbox), "the count")
        return inbox[0]

    with running(world) as inbox:
        target = replica_address(1)[0].encode()
        world.cut("one", frozenset({Link("r0", "r1"), Link("clients", "r3")}))
        assert world.blocked() == {Link("r0", "r1"): 0, Link("clients", "r3"): 0}
        world.send(0, b"pass %s hello" % target)
        world.send(3, b"echo hello")
        wanted = {Link("r0", "r1"): 1, Link("clients", "r3"): 1}
        until(world, lambda: world.blocked() == wanted, "both counted")
        assert count(inbox) == b"count 1 0"
        world.cut("one", frozenset())
        assert world.blocked() == {}
        world.send(0, b"pass %s hello" % target)
        until(world, lambda: count(inbox) == b"count 1 1", "through again")
        answers(world, inbox, 3)
        assert world.unsent == 0


@pytest.mark.sandbox
def test_what_fails_while_setting_up_leaves_nothing(
    in_sandbox: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = [program(tmp_path, i) for i in range(4)]
    programs[2] = program(tmp_path, 2, "sh", "-c", "echo bad config >&2; exit 2")
    world = LiveWorld(n=4, f=1, folder=tmp_path, programs=programs)
    with pytest.raises(HarnessError, match=r"replica 2 did not come up.*exit code 2\n  bad config"):
        world.set_up()
    assert leftovers() == ""
    programs[2] = program(tmp_path, 2, "/no/such/program")
    with pytest.raises(HarnessError, match="/no/such/program"):
        LiveWorld(n=4, f=1, folder=tmp_path, programs=programs).set_up()
    assert leftovers() == ""
    programs[2] = program(tmp_path, 2, "sleep", "1000")
    monkeypatch.setattr(live, "READY_NS", SECOND_NS // 2)
    with pytest.raises(HarnessError, match="replica 2 did not listen on port 7000"):
        LiveWorld(n=4, f=1, folder=tmp_path, programs=programs).set_up()
    assert leftovers() == ""


@pytest.mark.sandbox
def test_a_signal_stops_the_run(in_sandbox: None, tmp_path: Path) -> None:
    world = world_of(tmp_path)
    with running(world):
        before = signal.signal(signal.SIGINT, lambda number, frame: world.stop("interrupted by SIGINT"))
        world.call_at(world.now_ns() + 10_000_000, lambda: os.kill(os.getpid(), signal.SIGINT))
        start_ns = world.now_ns()
        assert not world.run(lambda: False, start_ns + 60 * SECOND_NS)
        assert world.now_ns() - start_ns < 10 * SECOND_NS
        signal.signal(signal.SIGINT, before)
        assert world.stopped == "interrupted by SIGINT"
        assert world.primary_hint() == 0
        world.primary_from(lambda: 6)
        assert world.primary_hint() == 2


@pytest.mark.sandbox
@pytest.mark.parametrize("n", [4, 7])
def test_the_first_adapter_starts_a_cluster(in_sandbox: None, tmp_path: Path, n: int) -> None:
    adapter = PbftNodeAdapter.make(
        Cluster(bytes(16), n),
        1,
        [replica_address(i) for i in range(n)],
        [ClientBlock(1000, 1009, *client_address())],
        os.environ,
    )
    programs = [adapter.prepare(i, tmp_path / "replicas" / str(i)) for i in range(n)]
    world = LiveWorld(n=n, f=(n - 1) // 3, folder=tmp_path, programs=programs)
    with running(world):
        for i in range(n):
            world.kill(i)
        until(world, lambda: all(world.process(i).state == "dead" for i in range(n)), "all dead at once")
        for i in range(n):
            world.restart(i)
        until(world, lambda: all(world.process(i).state == "running" for i in range(n)), "all are back")
        assert not world.run(lambda: False, world.now_ns() + SECOND_NS // 2)
        assert [e for e in world.exits() if not e.expected] == []
