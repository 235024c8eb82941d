"""The plan: pure, the same bytes anywhere, within its budget; and a file one may edit."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.plan import Plan, certify, in_world, make_plan
from harness.plan_file import MAX_PLAN_BYTES, PLAIN_BYTES, parse_plan, plan_text, read_plan
from harness.spec import make_spec
from harness.virtual.settings import CLIENTS, Delivery, Virtual
from nemesis.faults import KINDS
from nemesis.ledger import charge, worst
from workloads.registry import WORKLOADS

SMALL: dict[str, object] = {"time": 6, "rate": 40, "clients": 3, "seed": 7}


def small(**asked: object) -> Plan:
    spec = make_spec(SMALL | asked)
    assert spec.seed is not None
    return make_plan(spec, spec.seed)


PROGRAM = """
import sys
from harness.plan import make_plan
from harness.plan_file import plan_text
from harness.spec import make_spec
for workload in sys.argv[1:]:
    sys.stdout.write(plan_text(make_plan(make_spec({"workload": workload, "time": 8}), 7)))
"""


def test_two_processes_write_the_same_bytes() -> None:
    """Of every workload, whatever the order of sets of strings."""

    def in_process(hash_seed: str) -> bytes:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", PROGRAM, *sorted(WORKLOADS)]
        return subprocess.run(command, env=environment, capture_output=True, check=True).stdout

    here = [plan_text(make_plan(make_spec({"workload": name, "time": 8}), 7)) for name in sorted(WORKLOADS)]
    assert in_process("1") == in_process("2") == "".join(here).encode()


def test_another_seed_is_another_plan() -> None:
    spec = make_spec(SMALL)
    assert make_plan(spec, 7) == make_plan(spec, 7)
    assert make_plan(spec, 7).clients != make_plan(spec, 8).clients


def test_a_fault_more_does_not_reshuffle_the_workload() -> None:
    one, two = small(faults=["kill"]), small(faults=["kill", "pause", "partition"])
    assert one.clients == two.clients
    assert one.faults != two.faults


def test_a_client_more_does_not_reshuffle_the_others_choices() -> None:
    few, many = small(clients=2, rate=40), small(clients=3, rate=60)
    for before, after in zip(few.clients, many.clients):
        assert [(p.at_ns, p.operation.f, p.operation.key) for p in before.operations] == [
            (p.at_ns, p.operation.f, p.operation.key) for p in after.operations
        ]


def test_the_rate_is_what_was_asked_for() -> None:
    plan = make_plan(make_spec({}), 1)
    total = sum(len(client.operations) for client in plan.clients)
    assert 0.95 * 7500 < total < 1.05 * 7500


def test_clients_that_do_not_retransmit() -> None:
    plan = small(workload={"name": "kv", "retry": 0.34})
    assert [client.retry for client in plan.clients] == [True, False, False]


def test_every_key_is_read_at_the_end() -> None:
    plan = small(workload="append")
    used = {planned.operation.key for client in plan.clients for planned in client.operations}
    assert [read.key for read in plan.final_reads] == sorted(used, key=lambda key: (len(key), key))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**63 - 1),
    nodes=st.integers(4, 10),
    time=st.integers(8, 60),
    timeout_ms=st.integers(100, 1000),
    faults=st.lists(
        st.one_of(
            st.sampled_from(sorted(KINDS)),
            st.builds(lambda r: {"kind": "kill", "params": {"replicas": [r]}}, st.integers(0, 3)),
        ),
        max_size=4,
    ),
)
def test_a_plan_never_exceeds_its_budget(
    seed: int, nodes: int, time: int, timeout_ms: int, faults: list[object]
) -> None:
    cluster = {"request_timeout": f"{timeout_ms}ms"}
    asked = {"nodes": nodes, "time": time, "faults": faults, "rate": 1, "clients": 1, "cluster": cluster}
    try:
        plan = make_plan(make_spec(asked), seed)
    except UsageError as refusal:
        assert any(why in str(refusal) for why in ("no room", "bad at once"))  # noqa: PT017
        return
    charges = [charge(x, KINDS[x.kind].victims(x.params, plan.nodes, plan.f)) for x in plan.faults]
    assert worst(charges, plan.nodes).bad <= plan.f
    assert parse_plan(plan_text(plan), "plan") == plan


def test_more_than_f_victims_need_a_word() -> None:
    too_many = [{"kind": "kill", "params": {"replicas": [0, 1]}}]
    with pytest.raises(UsageError) as refusal:
        small(faults=too_many)
    assert "f = 1" in str(refusal.value)
    assert "--budget break" in str(refusal.value)
    assert small(faults=too_many, budget="break").faults[0].params == {"replicas": [0, 1]}


def test_two_faults_at_once_are_counted_together() -> None:
    def kill(replica: int, start: int) -> dict[str, object]:
        return {"kind": "kill", "start": start, "stop": start + 2, "params": {"replicas": [replica]}}

    with pytest.raises(UsageError, match="2 replicas bad at once"):
        small(faults=[kill(0, 1), kill(1, 2)])
    assert len(small(faults=[kill(0, 1), kill(1, 4)]).faults) == 2
    certify(small(faults=[kill(0, 1), kill(1, 2)], nodes=7))


def test_a_load_too_short_for_its_faults_is_refused() -> None:
    with pytest.raises(UsageError, match="no room"):
        small(time=1)


def edited(change: Callable[[dict[str, Any]], object]) -> str:
    data = json.loads(plan_text(small()))
    change(data)
    return json.dumps(data)


def put(path: str, value: object) -> Callable[[dict[str, Any]], object]:
    def change(data: Any) -> None:
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in way:
            data = data[step]
        data[last] = value

    return change


def test_the_file_holds_the_whole_plan() -> None:
    plan = small(workload={"name": "register", "retry": 0.5}, budget="break", cluster={"K": 4})
    assert parse_plan(plan_text(plan), "plan") == plan


def test_a_service_of_the_users_takes_the_place_of_the_workloads() -> None:
    plan = small(workload="register", cluster={"service": "my.services:Registers"})
    assert plan.service == plan.make_cluster().service == "my.services:Registers"
    assert parse_plan(plan_text(plan), "plan") == plan
    assert small(workload="register").service == "kv"


NETWORK = {"latency": "wan", "loss": 0.05, "restart": "1s"}


@pytest.mark.parametrize("world", ["sim", "lockstep"])
def test_a_virtual_plan_holds_its_network(world: str) -> None:
    plan = small(world=world, virtual=NETWORK)
    assert plan.virtual is not None
    assert plan.virtual.loss == 0.05
    decided = (Delivery(CLIENTS, 3, 0, ()), Delivery(0, 1, 17, (5, 6)))
    for each in (plan, replace(plan, virtual=replace(plan.virtual, deliveries=decided))):
        assert parse_plan(plan_text(each), "plan") == each


def test_a_virtual_network_changes_nothing_else_of_the_plan() -> None:
    live, sim = small(), small(world="sim", virtual=NETWORK)
    assert in_world(sim, "live") == live
    assert in_world(sim, "lockstep") == replace(sim, world="lockstep")
    assert in_world(live, "sim") == replace(live, world="sim", virtual=Virtual())


def test_a_live_plan_knows_no_virtual_network() -> None:
    assert "virtual" not in json.loads(plan_text(small()))
    assert parse_plan(edited(put("virtual", None)), "plan") == small()


def virtual_edit(value: object) -> Callable[[dict[str, Any]], object]:
    def change(data: Any) -> None:
        data["world"], data["virtual"] = "sim", value

    return change


def test_a_live_plan_may_be_moved_to_a_virtual_world() -> None:
    assert parse_plan(edited(virtual_edit({})), "plan") == in_world(small(), "sim")


def test_a_good_edit_is_taken() -> None:
    fault = {"id": "mine", "kind": "pause", "start_ns": 0, "stop_ns": 10**9, "params": {"replicas": [3]}}
    plan = parse_plan(edited(put("faults", [fault])), "plan")
    assert [fault.id for fault in plan.faults] == ["mine"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("schema", "traitor/plan/9"), ["schema", "traitor/plan/1"]),
        (lambda data: data.pop("clients"), ["no 'clients'"]),
        (put("duration_ns", "long"), ["duration_ns = 'long'"]),
        (put("duration_ns", True), ["duration_ns = True"]),
        (put("budget", "some"), ["budget = 'some'"]),
        (put("world", "moon"), ["world"]),
        (put("world", "sim"), ["no 'virtual'", '"virtual": {}']),
        (put("virtual", {}), ["plan.virtual", "kernel"]),
        (virtual_edit([]), ["plan.virtual"]),
        (virtual_edit({"loss": 2}), ["plan.virtual.loss = 2"]),
        (virtual_edit({"latency": {"model": "wan", "one_way_ns": [[1]]}}), ["plan.virtual.latency"]),
        (virtual_edit({"deliveries": None}), ["plan.virtual.deliveries"]),
        (
            virtual_edit({"deliveries": [{"link": ["r0", "r9"], "nth": 0, "delays_ns": []}]}),
            ["plan.virtual.deliveries[0].link"],
        ),
        (put("cluster.nodes", 3), ["nodes = 3"]),
        (put("cluster.checkpoint_interval", -1), ["checkpoint_interval"]),
        (put("cluster.colour", "red"), ["'colour'"]),
        (put("cluster.service", "append"), ["service"]),
        (put("cluster.service", "a:b:c"), ["service"]),
        (put("cluster.service", ["a:B"]), ["service"]),
        (put("workload.name", "kw"), ["'kv'"]),
        (put("workload.params.keys", 0), ["keys = 0"]),
        (put("clients.0.operations.1.at_ns", -1), ["clients[0].operations[1].at_ns"]),
        (put("clients.0.operations.1.f", "fly"), ["clients[0].operations[1]", "fly"]),
        (put("clients.0.operations.1.key", 7), ["clients[0].operations[1]", "key = 7"]),
        (put("clients.0.retry", 1), ["clients[0].retry"]),
        (put("clients", {}), ["plan.clients", "list"]),
        (put("faults.0.kind", "kil"), ["'kill'"]),
        (put("faults.0.stop_ns", 10**18), ["faults[0].stop_ns"]),
        (put("faults.0.params", {"replicas": [77]}), ["faults[0].params"]),
        (put("faults.0.params", []), ["faults[0].params"]),
        (put("faults.0.id", ""), ["faults[0].id"]),
        (lambda data: data["faults"].append(data["faults"][0]), ["another fault has it"]),
        (put("clients.0.operations.1.f", ["put"]), ["operations[1].f", "put, cas"]),
        (put("clients.0.operations.1.f", {}), ["operations[1].f"]),
        (put("final_reads.0.f", "put"), ["final_reads[0]"]),
        (
            put("final_reads.0", {"f": "put", "key": "k", "input": "v"}),
            ["final_reads[0].f", "writes nothing"],
        ),
        (lambda data: data["final_reads"].append(data["final_reads"][0]), ["final_reads", "key"]),
        (put("operation_timeout_ns", 1), ["operation_timeout_ns = 1", "100000000"]),
        (put("name", "a/b"), ["name"]),
        (put("seed", None), ["seed"]),
    ],
)
def test_a_bad_edit_is_named(change: Callable[[dict[str, Any]], object], words: list[str]) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_plan(edited(change), "my-plan.json")
    assert "my-plan.json" in str(refusal.value)
    for word in words:
        assert word in str(refusal.value)


def test_an_edit_over_budget_is_refused() -> None:
    start = small().faults[0].start_ns
    extra = {
        "id": "x",
        "kind": "kill",
        "start_ns": start,
        "stop_ns": start + 10**9,
        "params": {"replicas": [0]},
    }
    with pytest.raises(UsageError, match='"budget": "break" in the plan'):
        parse_plan(edited(lambda data: data["faults"].append(extra)), "plan")


def test_a_key_given_twice_is_refused() -> None:
    """Else the one that a reader does not see would be the one that runs."""
    text = edited(lambda data: None).replace('"seed": 7', '"seed": 7, "seed": 8')
    with pytest.raises(UsageError, match="'seed' is there twice"):
        parse_plan(text, "plan")


def test_a_value_written_twice_is_refused() -> None:
    write = {"at_ns": 0, "f": "put", "key": "k0", "input": "same"}
    clients = [{"retry": True, "operations": [write]}, {"retry": True, "operations": [write]}]
    with pytest.raises(UsageError, match="second time"):
        parse_plan(edited(put("clients", clients)), "plan")


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"schema": NaN}', "[" * 100_000, "{}", "null"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_plan(text, "plan")


def test_a_large_file_that_is_no_plan_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    junk = tmp_path / "big.json"
    begin = time.process_time()
    for start in ("[", '{"schema": "traitor/plan/1", "clients": ['):
        with junk.open("w") as file:
            file.write(start)
            for _ in range(50):
                file.write('{"x": 1},' * 110_000)
        with pytest.raises(UsageError, match=r"big\.json: 49500.* with 0 operations in them are no plan"):
            read_plan(junk)
    with junk.open("wb") as file:
        file.truncate(MAX_PLAN_BYTES + 1)
    with pytest.raises(UsageError, match=f"has more than {MAX_PLAN_BYTES} bytes"):
        read_plan(junk)
    assert time.process_time() - begin < 5, "to parse it takes about 5 s a time"


def test_a_large_plan_is_read(tmp_path: Path) -> None:
    plan = small()
    text = plan_text(plan)
    large = text + " " * PLAIN_BYTES
    assert parse_plan(large, "plan") == plan
