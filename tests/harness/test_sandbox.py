"""The sandbox: it behaves like the command it runs, and nothing outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import launcher, sandbox
from harness.errors import HarnessError

ROOT = Path(__file__).resolve().parents[2]
RUN_INSIDE = "import sys; from harness import sandbox; sys.exit(sandbox.run_inside(sys.argv[1:]))"
DEADLINE_S = 20.0

pytestmark = pytest.mark.sandbox

COUNT_SIGNALS = """
import os, signal, sys
read_end, write_end = os.pipe()
os.set_blocking(write_end, False)
signal.set_wakeup_fd(write_end)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: None)
print("ready", flush=True)
seen = []
while "SIGTERM" not in seen:
    for number in os.read(read_end, 1):
        seen.append(signal.Signals(number).name)
        print(*seen, flush=True)
sys.exit(5)
"""

NEST = """
import os, subprocess, sys, time
from harness.firewall import Firewall
from harness.topology import Topology
from nemesis.machinery import Link
topology, firewall = Topology(4), Firewall(4)
topology.build()
firewall.install()
firewall.cut("test", frozenset({Link("r0", "r1")}))
with topology.inside("r0"):
    subprocess.Popen(["sleep", sys.argv[1]])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        os.execvp("sleep", ["sleep", sys.argv[1]])
    os._exit(0)
print(os.readlink("/proc/self/ns/net"), flush=True)
time.sleep(1000)
"""


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN_INSIDE, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(*command: str) -> tuple[int, str, str]:
    process = start(*command)
    output, errors = process.communicate(timeout=DEADLINE_S)
    return process.returncode, output, errors


def wait_for(condition: Callable[[], bool], what: str, deadline_s: float = 5.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {deadline_s} s: {what}"
        time.sleep(0.01)


def processes_with(word: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes() if folder.name.isdigit() else b""
        except OSError:
            continue
        if word.encode() in command.split(b"\0"):
            found.append(command.decode())
    return found


def namespaces_in_use() -> set[str]:
    def links() -> Iterator[str]:
        for folder in Path("/proc").iterdir():
            try:
                yield os.readlink(folder / "ns" / "net")
            except OSError:
                continue

    return set(links())


def test_the_exit_code_is_the_commands() -> None:
    assert run("sh", "-c", "exit 7")[0] == 7
    assert run("true")[0] == 0


def test_a_signal_that_ends_the_command_is_told_as_a_shell_does() -> None:
    assert run("sh", "-c", "kill -9 $$")[0] == 128 + signal.SIGKILL


def test_an_unknown_command_is_named() -> None:
    with pytest.raises(HarnessError, match="no-such-command"):
        sandbox.run_inside(["no-such-command"])


def test_everything_in_it_is_private() -> None:
    script = "echo $$; ls /run; ls -d /proc/[0-9]* | wc -l; ip -o link | wc -l; readlink /proc/self/ns/net"
    code, output, errors = run("sh", "-c", script)
    assert code == 0, errors
    pid, run_folder, processes, links, network = output.split()
    assert (int(pid), run_folder, int(links)) == (2, "netns", 1)
    assert int(processes) <= 5
    assert network != os.readlink("/proc/self/ns/net")


def test_the_mounts_of_the_outer_are_left_alone() -> None:
    before = Path("/proc/self/mounts").read_text()
    assert run("mount", "-t", "tmpfs", "none", "/mnt")[0] == 0
    assert Path("/proc/self/mounts").read_text() == before


def test_inside_is_true_inside_only(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "from harness import sandbox; print(sandbox.inside())"
    assert run(sys.executable, "-c", script)[1] == "True\n"
    assert not sandbox.inside()
    monkeypatch.setenv(launcher.PLACE_VARIABLE, "pid:[1]")
    assert not sandbox.inside(), "the variable alone must not be believed"


def test_ctrl_c_reaches_the_command_once_and_its_exit_code_comes_back() -> None:
    process = start(sys.executable, "-c", COUNT_SIGNALS)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "SIGINT\n"
    os.killpg(process.pid, signal.SIGTERM)
    output, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, output) == (5, "SIGINT SIGTERM\n"), errors


def test_killing_the_outer_leaves_nothing() -> None:
    """No process (the daemonised escapee included), no namespace; rules and links go with their namespace."""
    mark = f"987654.{os.getpid()}"
    process = start(sys.executable, "-c", NEST, mark)
    assert process.stdout is not None
    network = process.stdout.readline().strip()
    assert network.startswith("net:["), process.communicate(timeout=DEADLINE_S)
    wait_for(lambda: len([p for p in processes_with(mark) if p.startswith("sleep")]) == 2, "two sleepers")
    assert network in namespaces_in_use()
    process.kill()
    process.communicate(timeout=DEADLINE_S)
    wait_for(lambda: not processes_with(mark), "no process left")
    wait_for(lambda: network not in namespaces_in_use(), "its network namespace is gone")
    assert not Path("/run/netns/r0").exists()


def test_what_the_command_leaves_running_dies_with_it() -> None:
    mark = f"987655.{os.getpid()}"
    code, _, errors = run("sh", "-c", f"setsid sleep {mark} >/dev/null 2>&1 & exit 0")
    assert code == 0, errors
    wait_for(lambda: not processes_with(mark), "no process left")


def test_available_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sandbox.available() is None
    monkeypatch.setattr(sandbox, "probe", lambda: {"sandbox": None, "veth": "no veth\nload it"})
    assert sandbox.available() == "no veth\nload it"
    monkeypatch.setattr(sandbox, "probe", lambda: {"sandbox": None, "nfqueue": "not needed by a live run"})
    assert sandbox.available() is None
    monkeypatch.setattr(sandbox, "probe", lambda: {"sandbox": None, "ip rule": "no policy routing"})
    assert sandbox.available(intercepting=True) is None
    assert sandbox.available(doubling=True) == "no policy routing"


def test_a_launcher_that_fails_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "launcher.py"
    script.write_text(
        "import os, sys\n"
        """os.write(int(sys.argv[1]), b'{"step": "unshare", "errno": 1, "text": "not permitted"}')\n"""
    )
    monkeypatch.setattr(sandbox, "_LAUNCHER", str(script))
    with pytest.raises(HarnessError, match="unshare: not permitted") as caught:
        sandbox.run_inside(["true"])
    assert caught.value.hint
    assert caught.value.exit_code == 4


def test_nohup_keeps_its_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run started with nohup goes on when its terminal is closed."""
    seen = []
    monkeypatch.setattr(sandbox, "start_inside", lambda *_: seen.append(signal.getsignal(signal.SIGHUP)))
    monkeypatch.setattr(sandbox, "_exit_code", lambda _: 0)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        sandbox.run_inside(["true"])
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        sandbox.run_inside(["true"])
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen[0] is signal.SIG_IGN
    assert callable(seen[1])


def test_signal_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in launcher.RELAYED]
    sandbox.run_inside(["true"])
    assert [signal.getsignal(number) for number in launcher.RELAYED] == before
