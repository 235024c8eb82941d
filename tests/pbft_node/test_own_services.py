"""A service of the user's own: found by name, guarded, and replicated by real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_cluster import COMMAND, Cluster, wait_for
from replicated import CLIENT, Replicated

from pbft_node import by_hand
from pbft_node.core.operations import decode_fields, encode_fields
from pbft_node.core.services.counter import Counters
from pbft_node.core.store import ReadOnlyStore, Store, WriteRefused
from pbft_node.errors import ConfigError
from pbft_node.own_services import (
    MAX_RESULT_BYTES,
    MAX_TRACEBACKS,
    GuardedService,
    ServiceError,
    load_service,
)

HERE = Path(__file__).parent
REPORTS: list[str] = []


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path for modules of the user's; forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    REPORTS.clear()
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def load(name: str) -> Replicated:
    return Replicated(load_service(name, REPORTS.append))


def test_the_example_does_what_it_says() -> None:
    registers = load("own_service:Registers")
    assert registers.call("get", "k") == (b"nil",)
    assert registers.call("put", "k", "v") == (b"ok",)
    assert registers.call("cas", "k", "x", "w") == (b"differs", b"v")
    assert registers.call("cas", "k", "v", "w") == (b"swapped", b"v")
    assert registers.call("get", "k") == (b"ok", b"w")
    assert registers.call("author", "k") == (b"author", b"1000")
    assert registers.call("fly") == (b"error", b"unknown operation")


def test_the_example_is_short() -> None:
    lines = (HERE / "own_service.py").read_text().split("\n")
    assert len([line for line in lines if line.strip()]) <= 30


def test_one_of_ours_is_loaded_without_a_guard() -> None:
    assert isinstance(load_service("counter", REPORTS.append), Counters)


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        ("", "fly", ["service 'fly'", "choose one of append, bank", "package.module:Class"]),
        ("", "user:", ["choose one of"]),
        ("", "../user:Class", ["choose one of"]),
        ("", "x" * 300 + ":Y", ["choose one of"]),
        ("", "absent:Class", ["no module 'absent' on the path", "PYTHONPATH"]),
        ("", "user:Class", ["module user has no Class"]),
        ("import absent_too", "user:Class", ["no module 'absent_too'"]),
        ("1 / 0", "user:Class", ["raised ZeroDivisionError: division by zero", "user.py, line 1"]),
        ("def broken(:", "user:Class", ["raised SyntaxError"]),
        ("import sys; sys.exit(3)", "user:Class", ["raised SystemExit"]),
        ("class Class:\n def __init__(self):\n  self.x.y", "user:Class", ["raised AttributeError", "line 3"]),
        ("class Class: pass", "user:Class", ["has no method execute"]),
        ("class Class:\n def execute(self, operation): pass", "user:Class", ["(store, client, operation)"]),
    ],
)
def test_a_service_that_cannot_be_loaded_says_why(
    modules: Path, source: str, name: str, words: list[str]
) -> None:
    (modules / "user.py").write_text(source)
    with pytest.raises(ConfigError) as caught:
        load(name)
    assert all(word in str(caught.value) for word in words), str(caught.value)


FORGETFUL = """
import sys
class Class:
    def execute(self, store, client, operation):
        store.put(b"written first", operation)
        if operation == b"deep":
            return self.execute(store, client, operation)
        if operation == b"memory":
            raise MemoryError
        if operation == b"exit":
            sys.exit(0)
        if operation == b"text":
            return "text"
        if operation == b"large":
            return bytes(3_000_000)
        if operation == b"wrong":
            store.put("key", b"value")
        if operation != b"fine":
            raise KeyError(operation)
        return b"done"
"""


@pytest.fixture
def forgetful(modules: Path) -> Replicated:
    (modules / "forgetful.py").write_text(FORGETFUL)
    return load("forgetful:Class")


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        (b"?", (b"error", b"exception", b"KeyError")),
        (b"exit", (b"error", b"exception", b"SystemExit")),
        (b"deep", (b"error", b"exception", b"RecursionError")),
        (b"wrong", (b"error", b"exception", b"TypeError")),
        (b"text", (b"error", b"no bytes", b"str")),
        (b"large", (b"error", b"result too large", b"3000000")),
    ],
)
def test_an_exception_is_a_result_and_leaves_nothing_half_done(
    forgetful: Replicated, operation: bytes, result: tuple[bytes, ...]
) -> None:
    before = forgetful.digest()
    assert decode_fields(forgetful.execute(operation)) == result
    assert forgetful.digest() == before
    assert forgetful.execute(b"fine") == b"done"
    assert forgetful.store.get(b"written first") == b"fine"
    assert MAX_RESULT_BYTES < 3_000_000


def test_an_exception_is_reported_with_its_place_but_not_for_ever(forgetful: Replicated) -> None:
    for _ in range(3 * MAX_TRACEBACKS):
        forgetful.execute(b"?")
    assert len(REPORTS) == MAX_TRACEBACKS
    assert "service forgetful:Class raised in client 1000's operation b'?'" in REPORTS[0]
    assert "KeyError" in REPORTS[0]
    assert "forgetful.py" in REPORTS[0]
    assert "the last of these that is shown" in REPORTS[-1]


def test_what_depends_on_the_machine_stops_the_replica(forgetful: Replicated) -> None:
    with pytest.raises(ServiceError, match=r"out of memory .*client 1000's operation b'memory'") as caught:
        forgetful.execute(b"memory")
    assert caught.value.exit_code == 70


DEEP = """
class Class:
    def execute(self, store, client, operation):
        def down(levels):
            try:
                return down(levels + 1)
            except RecursionError:
                return levels
        return b"%d" % down(0)
"""


def test_every_operation_has_the_same_room_on_the_stack(modules: Path) -> None:
    """One that recurses is cut off at the same depth, from wherever the replica executes it."""
    (modules / "deep.py").write_text(DEEP)
    deep = load("deep:Class")

    def from_below(levels: int) -> bytes:
        return deep.execute(b"") if levels == 0 else from_below(levels - 1)

    before = sys.getrecursionlimit()
    assert len({from_below(levels) for levels in (0, 1, 17, 300)}) == 1
    assert sys.getrecursionlimit() == before


def test_the_read_only_view_stays_read_only(forgetful: Replicated) -> None:
    with pytest.raises(WriteRefused):
        forgetful.service.execute(ReadOnlyStore(Store()), CLIENT, b"fine")
    reader = GuardedService("x", load_service("own_service:Registers", REPORTS.append), REPORTS.append)
    assert reader.execute(ReadOnlyStore(Store()), CLIENT, encode_fields(b"get", b"k")) == encode_fields(
        b"nil"
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "cluster", service="own_service:Registers", path=HERE)
    yield made
    for process in made.processes.values():
        process.kill()
        process.wait()


def test_the_example_is_replicated_by_real_processes(cluster: Cluster) -> None:
    cluster.start(0, 1, 2, 3)
    assert cluster.call("put", "colour", "green") == (0, "ok")
    assert cluster.call("author", "colour") == (0, "author 1000")
    assert cluster.call("cas", "colour", "red", "blue") == (0, "differs green")
    assert cluster.call("fly") == (1, "error unknown operation")
    cluster.kill(0, 1, 2, 3)
    cluster.start(0, 1, 2, 3)
    assert cluster.call("get", "colour") == (0, "ok green"), "all of them died, and remember"


def test_a_replica_that_cannot_find_the_service_says_so(cluster: Cluster) -> None:
    del cluster.environment["PYTHONPATH"]
    cluster.environment["PYTHONPATH"] = str(HERE.parents[1])
    command = [*COMMAND, "--config", str(cluster.replica(0) / "config.json")]
    environment = cluster.environment
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment, cwd="/")
    assert result.returncode == 2
    assert "config.json: cluster.service own_service:Registers: no module 'own_service'" in result.stderr
    assert "PYTHONPATH" in result.stderr


def test_a_cluster_survives_what_its_service_does_not(modules: Path, tmp_path: Path) -> None:
    (modules / "forgetful.py").write_text(FORGETFUL)
    cluster = Cluster(tmp_path / "forgetful", service="forgetful:Class", path=modules)
    try:
        cluster.start(0, 1, 2, 3)
        assert cluster.call("?") == (1, "error exception KeyError")
        wait_for(lambda: all("KeyError" in cluster.stderr(i) for i in range(4)), "a traceback each")
        assert cluster.call("?") == (1, "error exception KeyError"), "they live"
    finally:
        for process in cluster.processes.values():
            process.kill()
            process.wait()


def test_generate_refuses_a_service_that_does_not_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert by_hand.main(["generate", str(tmp_path / "c"), "--service", "fly"]) == 2
    assert "choose one of append" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
