"""Metrics of real replicas on request: what they tell, when they do not run, and readers that mean ill."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_by_hand import COMMAND, Cluster, wait_for

from pbft_node import ask_metrics, by_hand, metrics
from pbft_node.core.effects import Rejected
from pbft_node.core.frames import MessageType
from pbft_node.errors import ConfigError
from pbft_node.meter import MAX_REJECTED_KINDS, Histogram, Meter, Traffic
from pbft_node.metrics import METRICS
from pbft_node.metrics_socket import MAX_ANSWER_BYTES, MetricsSocket, NoAnswer, ask

ROOT = Path(__file__).resolve().parents[2]
DEEP = "x" * 60 + "/" + "y" * 60


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Deeper than a unix socket's address may be long."""
    made = Cluster(tmp_path / DEEP / "cluster")
    yield made
    for process in made.processes.values():
        process.kill()
        process.wait()


def told(cluster: Cluster, number: int) -> dict[str, Any]:
    return dict(ask_metrics.fetch(cluster.replica(number), 20)["metrics"])  # type: ignore[call-overload]


def asked(cluster: Cluster, number: int, *options: str) -> tuple[int, str]:
    command = [*COMMAND, "metrics", str(cluster.replica(number)), *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in result.stderr
    return result.returncode, result.stdout or result.stderr


def test_a_running_cluster_tells_what_happened_to_it(cluster: Cluster) -> None:
    cluster.start(0, 1, 2, 3)
    for number in range(5):
        assert cluster.call("put", "k", str(number)) == (0, "ok")
    wait_for(lambda: {told(cluster, i)["executed"] for i in range(4)} == {5}, "all executed 5")
    first = told(cluster, 1)
    assert list(first) == [metric.name for metric in METRICS]
    assert (first["view"], first["active"], first["primary"], first["pending_requests"]) == (0, 1, 0, 0)
    assert first["may_vote"] == 1
    assert (first["low_watermark"], first["high_watermark"]) == (0, 256)
    assert first["events"]["executed"] == first["batch_requests"]["count"] == 5
    assert first["datagrams_in"]["PRE_PREPARE"] >= 5
    assert first["bytes_in"]["PRE_PREPARE"] > 32 * first["datagrams_in"]["PRE_PREPARE"]
    assert first["datagrams_out"]["PREPARE"] >= 15
    assert first["signatures_made"] >= 5
    assert first["signatures_checked"] >= 5 + 10, "a PRE-PREPARE and two PREPAREs each"
    assert first["signatures_bad"] == 0
    assert first["log_writes"] > 0
    assert first["log_bytes"] == (cluster.replica(1) / "wal").stat().st_size
    assert 5_000_000 < first["rss_bytes"] < 500_000_000
    assert first["cpu_ns"] > 0
    assert first["turn_ns"]["count"] == sum(first["turn_ns"]["buckets"].values()) > 5
    cluster.kill(0)
    assert cluster.call("put", "k", "on") == (0, "ok")
    later = told(cluster, 1)
    assert later["view"] >= 1
    assert later["view_changes"]
    assert later["events"]["new-view"] >= 1
    assert later["timer_late_ns"]["count"] > first["timer_late_ns"]["count"]


def test_junk_is_counted_by_type_and_sender(cluster: Cluster) -> None:
    cluster.start(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        for junk in (b"", b"junk", b"PBFT\x01\xff" + b"x" * 40, b"PBFT\x01\x03" + b"\0" * 200):
            attacker.sendto(junk, ("127.0.0.1", cluster.base + 2))
    wait_for(lambda: sum(told(cluster, 2)["datagrams_in"].values()) >= 4, "all four arrived")
    seen = told(cluster, 2)
    assert seen["datagrams_in"] == {"other": 3, "PREPARE": 1}
    assert seen["rejected"] == {"datagram": {"unknown": 4}}


def test_the_three_forms_and_who_may_ask(cluster: Cluster) -> None:
    cluster.start(3)
    mode = (cluster.replica(3) / "metrics.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    code, text = asked(cluster, 3)
    assert code == 0
    assert re.search(r"^view +0$", text, re.MULTILINE)
    assert re.search(r"^turn_ns +\d+, mean \d+, half < \d+, 99 % < \d+, all < \d+$", text, re.MULTILINE)
    code, text = asked(cluster, 3, "--json")
    assert (code, json.loads(text)["schema"], json.loads(text)["replica"]) == (0, "traitor/metrics/1", 3)
    code, text = asked(cluster, 3, "--prometheus")
    assert code == 0
    sample = re.compile(r'^pbft_[a-z_]+\{replica="3"(,[a-z]+="[^"\\]*")*\} \d+$')
    samples = [line for line in text.splitlines() if not line.startswith("# ")]
    assert len(samples) > 40
    assert [line for line in samples if not sample.match(line)] == []
    buckets = [int(line.split()[-1]) for line in samples if line.startswith("pbft_turn_ns_bucket")]
    assert buckets == sorted(buckets), "cumulative"
    assert 'pbft_datagrams_out_total{replica="3",type="STATUS"}' in text


def test_who_does_not_run_or_not_answer_is_said(cluster: Cluster) -> None:
    code, text = asked(cluster, 0)
    assert (code, "no replica answers there. Is it running?" in text) == (3, True)
    assert f"python -m pbft_node --config {cluster.replica(0) / 'config.json'}" in text
    cluster.start(0)
    cluster.processes[0].send_signal(signal.SIGSTOP)
    code, text = asked(cluster, 0, "--timeout", "0.5")
    assert (code, "no answer within 0.5 s. Its process is stopped" in text) == (3, True)
    with contextlib.ExitStack() as crowd, metrics_address(cluster.replica(0) / "metrics.sock") as short:
        crowded = 0
        while not crowded:
            one = crowd.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            one.setblocking(False)
            crowded = one.connect_ex(short)
        code, text = asked(cluster, 0, "--timeout", "0.5")
        assert (code, "no answer within 0.5 s" in text) == (3, True), "the queue is full"
    cluster.kill(0)
    assert (cluster.replica(0) / "metrics.sock").exists(), "a killed replica leaves its socket"
    assert asked(cluster, 0)[0] == 3
    cluster.start(0)
    assert told(cluster, 0)["view"] == 0
    cluster.kill(0, signal_=signal.SIGTERM)
    assert not (cluster.replica(0) / "metrics.sock").exists()
    cluster.set(0, metrics=None)
    cluster.start(0)
    code, text = asked(cluster, 0)
    assert (code, "'metrics' is null: remove it there" in text) == (2, True)
    assert not (cluster.replica(0) / "metrics.sock").exists()


def test_a_replica_runs_where_its_socket_cannot_be(cluster: Cluster) -> None:
    (cluster.replica(1) / "metrics.sock").write_text("not a socket")
    cluster.start(1)
    assert "no metrics can be asked for: a file that is no socket is in its place" in cluster.stderr(1)
    assert (cluster.replica(1) / "metrics.sock").read_text() == "not a socket"
    assert asked(cluster, 1)[0] == 3


def test_readers_that_never_read_hold_nobody_up(cluster: Cluster) -> None:
    cluster.start(0, 1, 2, 3)
    assert cluster.call("put", "k", "v") == (0, "ok")
    before = psutil.Process(cluster.processes[0].pid).num_fds()
    lurkers = []
    try:
        for number in range(4):
            address = cluster.replica(number) / "metrics.sock"
            for _ in range(60):
                lurker = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                lurkers.append(lurker)
                with metrics_address(address) as short:
                    lurker.connect(short)
                with contextlib.suppress(BrokenPipeError):
                    lurker.send(b"GET / HTTP/1.1\r\n\r\n" * 100)
        for number in range(5):
            assert cluster.call("put", "k", str(number)) == (0, "ok")
        assert told(cluster, 0)["executed"] >= 6
        assert psutil.Process(cluster.processes[0].pid).num_fds() == before, "nothing of a reader is kept"
    finally:
        for lurker in lurkers:
            lurker.close()
    assert told(cluster, 1)["turn_ns"]["count"] > 0


def metrics_address(path: Path) -> Any:
    from pbft_node.metrics_socket import _address

    return _address(path)


class Teller:
    """The replica's side with an answer of the test's choice, served by a thread."""

    def __init__(self, path: Path, answer: bytes) -> None:
        self.calls = 0
        self.now_ns = 0

        def made(now_ns: int) -> bytes:
            self.calls += 1
            return answer

        self.socket = MetricsSocket(path, made)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while not self.stop.wait(0.005):
            assert self.socket.serve(self.now_ns)

    def close(self) -> None:
        self.stop.set()
        self.thread.join()
        self.socket.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "cut off or no JSON"),
        (b'{"schema": "traitor/metrics/1", "metr', "cut off or no JSON"),
        (b"[" * 100_000, "cut off or no JSON"),
        (b"[]", "not of schema"),
        (b'{"schema": "traitor/metrics/2", "metrics": {}}', "not of schema"),
        (b'{"schema": "traitor/metrics/1", "error": "KeyError(7)"}', "could not tell: 'KeyError"),
        (b"x" * (MAX_ANSWER_BYTES * 20), "cut off or no JSON"),
    ],
)
def test_answers_that_are_none(tmp_path: Path, answer: bytes, words: str) -> None:
    (tmp_path / "config.json").write_text('{"schema": "traitor/replica-config/1"}')
    teller = Teller(tmp_path / "metrics.sock", answer)
    try:
        with pytest.raises(NoAnswer, match=words):
            ask_metrics.fetch(tmp_path, 20)
    finally:
        teller.close()


def test_many_askers_at_once_cost_one_snapshot(tmp_path: Path) -> None:
    teller = Teller(tmp_path / "metrics.sock", b"{}")
    try:
        for _ in range(30):
            assert ask(tmp_path / "metrics.sock", 20) == b"{}"
        assert teller.calls == 1, "the clock of this test stands still"
        teller.now_ns += 10**9
        for _ in range(100):  # the turn under way may still answer by its own clock
            ask(tmp_path / "metrics.sock", 20)
            if teller.calls > 1:
                break
        assert teller.calls == 2
        with pytest.raises(FileExistsError, match="another process answers there"):
            MetricsSocket(tmp_path / "metrics.sock", lambda now_ns: b"")
        assert ask(tmp_path / "metrics.sock", 20) == b"{}"
    finally:
        teller.close()


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"schema": "traitor/replica-config/1"}')
    evil = {"schema": metrics.SCHEMA, "replica": 1, "metrics": {"view": "\x1b[31m", "rejected": {"\n": 1}}}
    teller = Teller(tmp_path / "metrics.sock", json.dumps(evil).encode())
    try:
        text = ask_metrics.show(tmp_path, 20, "text")
    finally:
        teller.close()
    assert "\x1b" not in text
    assert text.count("\n") == len(METRICS)


SCHEMA = '{"schema": "traitor/replica-config/1", '


def test_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert by_hand.main(["metrics", str(tmp_path)]) == 2
    assert "cannot read it" in capsys.readouterr().err
    for wrong in ('{"metrics": 7}', '{"metrics": ""}', '{"metrics": "a\\u0000b"}'):
        (tmp_path / "config.json").write_text(wrong.replace("{", SCHEMA))
        with pytest.raises(ConfigError, match="give a file name"):
            ask_metrics.socket_of(tmp_path)
    (tmp_path / "config.json").write_text(SCHEMA + '"metrics": "gone/metrics.sock"}')
    assert by_hand.main(["metrics", str(tmp_path)]) == 3
    assert "no replica answers there" in capsys.readouterr().err
    (tmp_path / "client.json").write_text('{"schema": "traitor/client-config/1"}')
    assert by_hand.main(["metrics", str(tmp_path / "client.json")]) == 2
    assert "give a replica's config" in capsys.readouterr().err


def test_counters_are_bounded_and_total() -> None:
    meter = Meter()
    for number in range(5000):
        meter.reject(Rejected(number % 999, f"message {number}", "bad"))
    assert len(meter.rejected) <= MAX_REJECTED_KINDS + 1
    assert sum(meter.rejected.values()) == 5000
    meter.reject(Rejected(1234, "message 1", "bad"))
    meter.reject(Rejected(None, "message 1", "bad"))
    traffic = Traffic()
    traffic.add([b"", b"PBFT\x01" + bytes([MessageType.COMMIT]) + b"x" * 74, b"PBFT\x01\xee"])
    assert traffic.by_name(traffic.datagrams) == {"other": 2, "COMMIT": 1}
    assert traffic.by_name(traffic.bytes) == {"other": 6, "COMMIT": 80}
    histogram = Histogram()
    for value in (0, 1, 1, 5, 2**70):
        histogram.add(value)
    assert metrics.shown(histogram) == {
        "count": 5,
        "sum": 7 + 2**70,
        "buckets": {"1": 1, "2": 2, "8": 1, str(2**64): 1},
    }


def test_architecture_shows_the_list() -> None:
    assert metrics.as_markdown() in (ROOT / "ARCHITECTURE.md").read_text(), (
        "renew the table of metrics in ARCHITECTURE.md: pbft_node.metrics.as_markdown()"
    )
    assert len({metric.name for metric in METRICS}) == len(METRICS)
