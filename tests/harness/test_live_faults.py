"""Every kind of fault on real processes and a real packet filter: receipt, undo, and who is bad meanwhile."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.adapter import ReplicaProgram
from harness.live import LiveWorld
from harness.topology import replica_address
from nemesis.faults import KINDS, Params, Receipt

SECOND_NS = 1_000_000_000
ECHO = str(Path(__file__).with_name("echo_replica.py"))

pytestmark = pytest.mark.sandbox


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LiveWorld]:
    from harness import sandbox

    programs = []
    for i in range(4):
        folder = tmp_path / "replicas" / str(i)
        folder.mkdir(parents=True)
        argv = (sys.executable, "-S", ECHO, str(i), "7000")
        programs.append(ReplicaProgram(argv, folder, dict(os.environ), folder))
    made = LiveWorld(n=4, f=1, folder=tmp_path, programs=programs)
    if sandbox.inside():
        made.set_up()
    yield made
    made.tear_down()


def receipt(
    world: LiveWorld, ask: Callable[[], Receipt | None], patience_ns: int = 10 * SECOND_NS
) -> Receipt:
    found: list[Receipt] = []

    def tick() -> None:
        answer = ask()
        if answer is not None:
            found.append(answer)
        else:
            world.call_at(world.now_ns() + 5_000_000, tick)

    tick()
    assert world.run(lambda: bool(found), world.now_ns() + patience_ns), "no receipt in time"
    return found[0]


def test_kill(in_sandbox: None, world: LiveWorld) -> None:
    kind, params = KINDS["kill"], {"replicas": [1, 2]}
    pids = [world.process(i).pid for i in range(4)]
    kind.start(world, "kill-1", params)
    took = receipt(world, lambda: kind.observe(world, "kill-1", params))
    assert took.evidence == {
        "killed": {str(i): {"pid": pids[i], "incarnation": 1, "exit_signal": 9} for i in (1, 2)}
    }
    assert kind.bad_now(world, "kill-1", params) == {1, 2}
    kind.stop(world, "kill-1", params)
    undone = receipt(world, lambda: kind.stopped(world, "kill-1", params))
    running = {str(i): {"pid": world.process(i).pid, "incarnation": 2, "up": True} for i in (1, 2)}
    assert undone.evidence == {"running": running}
    assert kind.bad_now(world, "kill-1", params) == frozenset()


def test_pause(in_sandbox: None, world: LiveWorld) -> None:
    kind, params = KINDS["pause"], {"replicas": "primary"}
    world.primary_from(lambda: 3)
    kind.start(world, "pause-1", params)
    took = receipt(world, lambda: kind.observe(world, "pause-1", params))
    assert took.evidence == {"stopped": {"3": {"pid": world.process(3).pid, "state_letter": "T"}}}
    assert kind.bad_now(world, "pause-1", params) == {3}
    kind.stop(world, "pause-1", params)
    receipt(world, lambda: kind.stopped(world, "pause-1", params))
    assert world.process(3).state == "running"
    assert world.process(3).incarnation == 1


def test_partition(in_sandbox: None, world: LiveWorld) -> None:
    kind = KINDS["partition"]
    params: Params = {"shape": "isolate-primary", "cut_clients": True}
    kind.start(world, "partition-1", params)
    assert kind.observe(world, "partition-1", params) is None, "no packet met it yet"
    assert "no packet met" in kind.trouble(world, "partition-1", params)
    world.send(0, b"echo hello")
    world.send(1, b"pass %s hello" % replica_address(0)[0].encode())
    took = receipt(
        world,
        lambda: (
            found
            if (found := kind.observe(world, "partition-1", params)) and "r1>r0" in str(found.evidence)
            else None
        ),
    )
    assert took.evidence["links"] == 8
    assert took.evidence["bad"] == [0]
    kind.stop(world, "partition-1", params)
    undone = receipt(world, lambda: kind.stopped(world, "partition-1", params))
    dropped = undone.evidence["dropped"]
    assert isinstance(dropped, dict)
    assert dropped["clients>r0"] == 1
    assert world.blocked() == {}
