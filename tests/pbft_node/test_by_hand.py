"""Real replica processes on this machine, as a person runs them: calls, kill -9, restarts, exit codes."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_cluster import COMMAND, Cluster, wait_for

from pbft_node import by_hand
from pbft_node.config import load_client, read_json
from pbft_node.core.client import Client
from pbft_node.core.effects import Send
from pbft_node.core.operations import encode_fields
from pbft_node.core.trace_events import DEBUG_KINDS
from pbft_node.errors import ConfigError, MachineError


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "cluster")
    yield made
    for process in made.processes.values():
        process.kill()
        process.wait()
    for number in range(4):
        for line in made.trace(number):
            assert made.problem(line) is None


def test_calls_survive_the_kill_of_one_and_of_all(cluster: Cluster) -> None:
    cluster.set(3, trace_level="debug")
    cluster.start(0, 1, 2, 3)
    assert cluster.call("put", "k", "v1") == (0, "ok")
    assert cluster.call("get", "k") == (0, "ok v1")
    assert cluster.call("fly") == (1, "error unknown operation")
    assert cluster.kill(0) == [-signal.SIGKILL]
    assert cluster.call("put", "k", "v2") == (0, "ok"), "the view changes without the first primary"
    cluster.start(0)
    wait_for(lambda: any(line["e"] == "new-view" for line in cluster.trace(0)), "0 learns the new view")
    assert cluster.call("cas", "k", "v2", "v3") == (0, "swapped v2")
    cluster.kill(0, 1, 2, 3)
    cluster.start(0, 1, 2, 3)
    assert cluster.call("get", "k") == (0, "ok v3")
    assert cluster.kill(0, 1, 2, 3, signal_=signal.SIGTERM) == [0] * 4
    assert all(cluster.stderr(i).endswith("stopped by a signal\n") for i in range(4))
    executed = [[(x["seq"], x["digest"]) for x in cluster.trace(i) if x["e"] == "executed"] for i in range(4)]
    assert len({digest for one in executed for seq, digest in one if seq == 1}) == 1
    assert [number for number in range(4) if {x["e"] for x in cluster.trace(number)} & DEBUG_KINDS] == [3]


def test_restart_is_quick(cluster: Cluster) -> None:
    """In processor time, which does not mind a busy machine."""
    cluster.start(2)
    cluster.kill(2)
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        cluster.start(2)
        cluster.kill(2)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert 0 < min(times) < 0.6, f"{min(times)} s; 0.15 s on an idle machine"


def test_a_replica_outlives_junk_on_its_socket(cluster: Cluster) -> None:
    cluster.start(0, 1, 2, 3)
    assert cluster.call("put", "k", "v")[0] == 0
    config = load_client(read_json(cluster.folder / "client.json"))
    client = Client(config.cluster, 1999, config.keyring)
    (request, *_) = client.invoke(encode_fields(b"get", b"k"), 0)
    assert isinstance(request, Send)
    chance = random.Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        for _ in range(1500):
            mutated = bytearray(request.data)
            mutated[chance.randrange(len(mutated))] ^= 1 << chance.randrange(8)
            for junk in (chance.randbytes(chance.randrange(200)), bytes(mutated)):
                attacker.sendto(junk, ("127.0.0.1", cluster.base + chance.randrange(4)))
    assert cluster.call("get", "k") == (0, "ok v")
    rejected = [line for line in cluster.trace(1) if line["e"] == "rejected"]
    assert 5 <= len(rejected) < 1000, "seen, and limited"
    assert all(process.poll() is None for process in cluster.processes.values())


def test_no_answer_is_said_and_nothing_is_claimed(cluster: Cluster) -> None:
    code, text = cluster.call("put", "k", "v", timeout=0.5)
    assert code == by_hand.EXIT_NO_ANSWER
    assert "no 2 matching replies within 0.5 s (answered: none)" in text
    assert "may still take effect" in text


def stopped(cluster: Cluster, number: int) -> tuple[int, str]:
    """Exit code and last words of a replica that cannot start."""
    command = [*COMMAND, "--config", str(cluster.replica(number) / "config.json")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert "Traceback" not in result.stderr
    return result.returncode, result.stderr


def test_exit_codes_and_words_of_a_replica_that_cannot_run(cluster: Cluster) -> None:
    cluster.start(0)
    code, words = stopped(cluster, 0)
    assert (code, "another process has this log open" in words) == (4, True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("127.0.0.1", cluster.base + 1))
        code, words = stopped(cluster, 1)
        assert (code, "is in use by another process" in words) == (4, True)
    log = cluster.replica(2) / "wal"
    (cluster.replica(3) / "wal").write_bytes(log.read_bytes())
    code, words = stopped(cluster, 3)
    assert (code, "the log of replica 2" in words) == (3, True)
    log.unlink()
    code, words = stopped(cluster, 2)
    assert (code, "the log is missing" in words) == (3, True)
    config = cluster.replica(1) / "config.json"
    config.write_text(config.read_text().replace('"service": "kv"', '"service": "sql"'))
    code, words = stopped(cluster, 1)
    assert (code, "cluster.service 'sql': choose one of append, bank" in words) == (2, True)
    config.unlink()
    code, words = stopped(cluster, 1)
    assert (code, "cannot read it" in words) == (2, True)


def test_full_disk_stops_the_replica_before_it_promises(cluster: Cluster) -> None:
    cluster.start(0, 1, 2, 3)
    assert cluster.call("put", "k", "v") == (0, "ok")
    size = (cluster.replica(3) / "wal").stat().st_size
    resource.prlimit(cluster.processes[3].pid, resource.RLIMIT_FSIZE, (size + 10, size + 10))
    assert cluster.call("put", "k", "w") == (0, "ok"), "the others go on"
    assert cluster.processes.pop(3).wait(20) == 4
    assert "cannot use the log: File too large" in cluster.stderr(3)
    cluster.start(3)
    assert "cut off a torn write" in cluster.stderr(3)


def test_a_bug_of_the_core_is_a_traceback_and_exit_70(cluster: Cluster) -> None:
    config = cluster.replica(0) / "config.json"
    script = (
        "import sys, pathlib; from pbft_node import node; from pbft_node.core.replica import Replica\n"
        "def broken(self, event, now_ns): raise AssertionError('two digests for one number')\n"
        f"Replica.handle = broken; sys.exit(node.main(pathlib.Path({str(config)!r})))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert result.returncode == 70
    assert "stopped by a bug" in result.stderr
    assert "AssertionError: two digests for one number" in result.stderr


def test_a_damaged_log_stops_the_replica(cluster: Cluster) -> None:
    cluster.start(0, 1, 2, 3)
    assert cluster.call("put", "k", "v")[0] == 0
    cluster.kill(1)
    log = cluster.replica(1) / "wal"
    damaged = bytearray(log.read_bytes())
    damaged[100] ^= 1
    log.write_bytes(damaged)
    code, words = stopped(cluster, 1)
    assert code == 3
    assert re.search(r"record 0 at byte 40 is damaged.*stops rather than forget its promises", words)


def test_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert by_hand.main([]) == 2
    assert "give --config FILE" in capsys.readouterr().err
    cases = {
        "n = 3: PBFT needs": ["--nodes", "3"],
        "auth = 'none'": ["--auth", "none"],
        "service 'sql': choose one of": ["--service", "sql"],
        "--base-port 0": ["--base-port", "0"],
        "--base-port 65533": ["--base-port", "65533"],
    }
    for words, options in cases.items():
        assert by_hand.main(["generate", str(tmp_path / "c"), *options]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
    assert by_hand.main(["call", str(tmp_path / "none.json"), "get", "k"]) == 2
    assert by_hand.main(["generate", str(tmp_path / "c")]) == 0
    client = str(tmp_path / "c" / "client.json")
    assert by_hand.main(["call", client, "--client", "7", "get", "k"]) == 2
    assert "speaks for 1000 to 1999" in capsys.readouterr().err
    assert by_hand.main(["call", client, "put", "k", "v" * 40_000]) == 2
    assert by_hand.main(["generate", str(tmp_path / "c")]) == 3, "a cluster is not overwritten"
    (tmp_path / "file").touch()
    assert by_hand.main(["generate", str(tmp_path / "file")]) == 4
    for seconds in ("nan", "0", "soon"):
        with pytest.raises(SystemExit) as end:
            by_hand.main(["call", client, "--timeout", seconds, "get", "k"])
        assert end.value.code == 2
        assert f"'{seconds}': give seconds above 0" in capsys.readouterr().err


def test_a_cluster_with_a_part_gone_is_not_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fresh log in the place of the one that is gone would be a replica that forgot its promises."""
    folder = tmp_path / "c"
    assert by_hand.main(["generate", str(folder)]) == 0
    (folder / "replicas" / "0" / "wal").unlink()
    shutil.rmtree(folder / "replicas" / "2")
    assert by_hand.main(["generate", str(folder)]) == 3
    assert "it comes back with --silent" in capsys.readouterr().err
    assert not (folder / "replicas" / "0" / "wal").exists()
    assert not (folder / "replicas" / "2").exists()
    shutil.rmtree(folder / "replicas")
    assert by_hand.main(["generate", str(folder)]) == 3
    assert not (folder / "replicas").exists()


def test_a_replica_configured_otherwise_is_said_on_stderr(cluster: Cluster) -> None:
    parameters = json.loads((cluster.replica(3) / "config.json").read_text())["cluster"]
    cluster.set(3, cluster=parameters | {"checkpoint_interval": 64})
    cluster.start(0, 1, 2, 3)
    words = "its cluster parameters differ from ours: compare 'cluster' in the two configurations"
    for number in range(3):
        wait_for(lambda: f"replica 3: {words}" in cluster.stderr(number), f"{number} tells")  # noqa: B023
    wait_for(lambda: cluster.stderr(3).count(words) == 3, "3 tells of each of the others")
    assert cluster.call("put", "k", "v") == (0, "ok")
    cluster.kill(0, 1, 2, 3)
    assert [cluster.stderr(number).count(words) for number in range(4)] == [1, 1, 1, 3], "once each"


def test_a_reader_that_has_seen_enough_is_no_mistake(cluster: Cluster) -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as pipe, open("/dev/full", "wb") as full:
        for stdout, code, words in ((pipe, 0, ""), (full, 4, "pbft_node: stdout: No space left")):
            command = [*COMMAND, "trace-events", "--json"]
            ended = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60)
            assert (ended.returncode, ended.stderr[: len(words) or None]) == (code, words)
            assert "Traceback" not in ended.stderr


def test_silent_may_stand_in_front(cluster: Cluster) -> None:
    (cluster.replica(0) / "wal").unlink()
    command = [*COMMAND, "--silent", "--config", str(cluster.replica(0) / "config.json")]
    cluster.processes[0] = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: "silent" in {line["e"] for line in cluster.trace(0)}, "it comes back silent")


def test_timestamps_are_never_used_twice(tmp_path: Path) -> None:
    path = tmp_path / "timestamp"
    assert [by_hand.take_timestamp(path) for _ in range(3)] == [1, 2, 3]
    assert [by_hand.take_timestamp(path, 2), by_hand.take_timestamp(path)] == [4, 6]
    assert path.read_text() == "6\n"
    for content in (b"three", b"-3", b"\xff\xff", b"9223372036854775807", b"9" * 60):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="last timestamp its clients used"):
            by_hand.take_timestamp(path)
        assert path.read_bytes() == content
    with pytest.raises(MachineError, match="cannot keep the timestamp"):
        by_hand.take_timestamp(tmp_path / "no" / "timestamp")


@pytest.mark.parametrize(
    "options", ["--reads fast --auth sign", "--reads fast --client-auth mac --no-digest-replies"]
)
def test_reads_in_one_round_trip(tmp_path: Path, options: str) -> None:
    """Everything signed, and then as few signatures as the protocol can do with."""
    cluster = Cluster(tmp_path / "cluster", more=options)
    try:
        cluster.start(0, 1, 2, 3)
        long = "v" * 200
        assert cluster.call("put", "k", long) == (0, "ok")
        for _ in range(3):
            assert cluster.call("--read-only", "get", "k") == (0, f"ok {long}")
        assert cluster.call("--read-only", "put", "k", "w") == (0, "ok"), "the flag lies: it is ordered"
        assert cluster.call("get", "k") == (0, "ok w")
        executed = [line for line in cluster.trace(0) if line["e"] == "executed"]
        assert len(executed) == 3
        said = {line["reason"] for i in range(4) for line in cluster.trace(i) if line["e"] == "rejected"}
        assert said == {"flagged read-only, but its operation writes"}
    finally:
        cluster.kill(0, 1, 2, 3)
