"""What the workloads ask for and how they read answers."""

import random

import pytest

from workloads.encoding import pack
from workloads.operation import Operation, Outcome, Slot, Workload
from workloads.parameters import settle
from workloads.registry import WORKLOADS


def generate(workload: Workload, clients: int = 3, count: int = 600, **asked: object) -> list[Operation]:
    slots = [Slot(index % clients, index * 1000) for index in range(count)]
    streams = {client: random.Random(client) for client in range(clients)}
    return workload.generate(settle(workload.parameters, asked), slots, streams, random.Random(99))


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_operations_are_sendable_and_values_are_unique(name: str) -> None:
    workload = WORKLOADS[name]
    operations = generate(workload)
    assert [workload.problem(operation) for operation in operations] == [None] * len(operations)
    written = [value for operation in operations if (value := workload.written(operation)) is not None]
    assert len(written) > 100 or name in ("counter", "bank")
    assert len(set(written)) == len(written)
    assert {operation.f for operation in operations} == set(workload.functions)
    assert operations == generate(workload)


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_one_more_client_leaves_the_others_alone(name: str) -> None:
    workload = WORKLOADS[name]
    few, many = generate(workload, clients=2, count=200), generate(workload, clients=3, count=300)
    of_first = [(operation.f, operation.key) for operation in few[0::2]]
    assert [(operation.f, operation.key) for operation in many[0::3]][:100] == of_first or name == "append"


def test_contention_sends_everything_to_one_key() -> None:
    assert {operation.key for operation in generate(WORKLOADS["kv"], contention=1.0)} == {"k0"}


def test_zipf_prefers_the_first_key_and_uniform_none() -> None:
    def first_key(distribution: str) -> int:
        operations = generate(WORKLOADS["kv"], keys=10, distribution=distribution)
        return sum(operation.key == "k0" for operation in operations)

    assert first_key("zipf") > 2 * first_key("uniform") > 40


def test_mix_and_value_bytes() -> None:
    operations = generate(WORKLOADS["register"], read=0, cas=0, value_bytes=40)
    assert {operation.f for operation in operations} == {"write"}
    assert {len(str(operation.input)) for operation in operations} == {40}


def test_most_planned_cas_expect_what_is_there() -> None:
    latest: dict[str, str] = {}
    hits = total = 0
    for operation in generate(WORKLOADS["register"], keys=2):
        if operation.f == "write":
            latest[operation.key] = str(operation.input)
        elif isinstance(operation.input, list):
            expected, new = operation.input
            total += 1
            if latest.get(operation.key) == expected:
                hits += 1
                latest[operation.key] = str(new)
    assert total * 0.6 < hits < total


def test_lists_stay_short() -> None:
    lengths: dict[str, int] = {}
    for operation in generate(WORKLOADS["append"], count=3000, keys=1, read=1, list_length=60):
        if operation.f == "append":
            lengths[operation.key] = lengths.get(operation.key, 0) + 1
    assert max(lengths.values()) <= 60
    assert "k0.3" in lengths


def test_long_elements_make_short_lists() -> None:
    operations = generate(WORKLOADS["append"], keys=1, read=0, value_bytes=8000)
    counts = {operation.key: 0 for operation in operations}
    for operation in operations:
        counts[operation.key] += len(str(operation.input))
    assert max(counts.values()) <= 32 * 1024


@pytest.mark.parametrize(
    ("name", "f", "fields", "outcome"),
    [
        ("kv", "get", ("ok", "v"), Outcome("ok", "v")),
        ("kv", "get", ("nil",), Outcome("ok", None)),
        ("kv", "put", ("ok",), Outcome("ok", None)),
        ("kv", "delete", ("ok",), Outcome("ok", None)),
        ("register", "cas", ("swapped", "a"), Outcome("ok", [True, "a"])),
        ("register", "cas", ("differs", "a"), Outcome("ok", [False, "a"])),
        ("register", "cas", ("differs",), Outcome("ok", [False, None])),
        ("register", "read", ("ok",), Outcome("info", error="unreadable")),
        ("register", "write", ("ok", "v"), Outcome("info", error="unreadable")),
        ("kv", "get", ("error", "why"), Outcome("fail", error="refused")),
        ("append", "append", ("ok",), Outcome("ok", None)),
        ("append", "append", ("full",), Outcome("fail", error="full")),
        ("append", "read", ("list", "a", "b"), Outcome("ok", ["a", "b"])),
        ("append", "read", ("list",), Outcome("ok", [])),
        ("append", "read", ("ok",), Outcome("info", error="unreadable")),
        ("set", "add", ("ok",), Outcome("ok", None)),
        ("set", "remove", ("full",), Outcome("fail", error="full")),
        ("set", "contains", ("yes",), Outcome("ok", True)),
        ("set", "contains", ("no",), Outcome("ok", False)),
        ("set", "contains", ("yes", "no"), Outcome("info", error="unreadable")),
        ("set", "read", ("set", "a", "b"), Outcome("ok", ["a", "b"])),
        ("set", "add", ("ok", "twice"), Outcome("info", error="unreadable")),
        ("queue", "enqueue", ("ok",), Outcome("ok", None)),
        ("queue", "dequeue", ("item", "a"), Outcome("ok", "a")),
        ("queue", "dequeue", ("empty",), Outcome("ok", None)),
        ("queue", "peek", ("item",), Outcome("info", error="unreadable")),
        ("queue", "length", ("length", "12"), Outcome("ok", 12)),
        ("queue", "length", ("length", "012"), Outcome("info", error="unreadable")),
        ("queue", "length", ("length", "9" * 5000), Outcome("info", error="unreadable")),
        ("queue", "read", ("queue", "a"), Outcome("ok", ["a"])),
        ("counter", "add", ("ok", "-3"), Outcome("ok", -3)),
        ("counter", "add", ("overflow",), Outcome("fail", error="overflow")),
        ("counter", "read", ("value", "0"), Outcome("ok", 0)),
        ("counter", "read", ("value", "x"), Outcome("info", error="unreadable")),
        ("bank", "transfer", ("ok",), Outcome("ok", "ok")),
        ("bank", "transfer", ("overdraft",), Outcome("ok", "overdraft")),
        ("bank", "balance", ("balance", "100"), Outcome("ok", 100)),
        ("bank", "read", ("balances", "1", "2"), Outcome("ok", [1, 2])),
        ("bank", "read", (), Outcome("info", error="unreadable")),
        ("bank", "read", ("error", "why"), Outcome("fail", error="refused")),
    ],
)
def test_results_are_read(name: str, f: str, fields: tuple[str, ...], outcome: Outcome) -> None:
    assert WORKLOADS[name].decode(f, pack(*fields)) == outcome


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("kv", Operation("read", "k0", None)),
        ("kv", Operation("get", "", None)),
        ("kv", Operation("get", "k0", "x")),
        ("kv", Operation("put", "k0", None)),
        ("kv", Operation("put", "k0", "")),
        ("kv", Operation("put", "k0", "\ud800")),
        ("kv", Operation("put", "k0", "x" * 40_000)),
        ("kv", Operation("cas", "k0", ["a"])),
        ("kv", Operation("cas", "k0", ["a", None])),
        ("append", Operation("append", "k0", None)),
        ("append", Operation("read", "k0", "x")),
        ("append", Operation("get", "k0", None)),
        ("set", Operation("add", "k0", None)),
        ("set", Operation("read", "k0", "x")),
        ("queue", Operation("dequeue", "k0", "x")),
        ("queue", Operation("enqueue", "k0", ["x"])),
        ("counter", Operation("add", "k0", "1")),
        ("counter", Operation("add", "k0", True)),
        ("counter", Operation("add", "k0", 2**70)),
        ("bank", Operation("transfer", "k0", [0, 1])),
        ("bank", Operation("transfer", "k0", [0, 8, 5])),
        ("bank", Operation("transfer", "k0", [0, 1, -5])),
        ("bank", Operation("transfer", "k0", 3)),
        ("bank", Operation("balance", "k0", [1])),
        ("bank", Operation("balance", "k0", None)),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_reason(name: str, operation: Operation) -> None:
    assert WORKLOADS[name].problem(operation)


@pytest.mark.parametrize(
    "asked",
    [
        {"keys": 0},
        {"keys": 2.5},
        {"keys": True},
        {"distribution": "gauss"},
        {"contention": 1.5},
        {"contention": float("nan")},
        {"get": 0, "put": 0, "cas": 0, "delete": 0},
    ],
)
def test_settings_out_of_bounds_are_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be|weight"):
        settle(WORKLOADS["kv"].parameters, asked)
