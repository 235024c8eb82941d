"""A spec: defaults, flags over files, and a clear refusal of everything else."""

from pathlib import Path

import pytest
import yaml

from harness.cluster_settings import cluster_defaults, cluster_parameter
from harness.errors import UsageError
from harness.spec import DEFAULTS, Spec, as_yaml_data, make_spec
from harness.spec_file import overlay_settings, read_spec_file
from workloads.registry import WORKLOADS


def test_the_defaults_are_the_main_job() -> None:
    spec = make_spec({})
    assert (spec.workload, spec.nodes, spec.clients, spec.rate, spec.duration_ns) == (
        "kv",
        4,
        5,
        250,
        30 * 10**9,
    )
    assert [fault.kind for fault in spec.faults] == ["partition", "kill", "pause"]
    assert spec.seed is None
    assert spec.cluster["request_timeout_ns"] == 500_000_000


def everything() -> Spec:
    return make_spec(
        {
            "name": "my-run",
            "workload": {"name": "register", "keys": 2, "contention": 0.5},
            "faults": [
                "kill",
                {"kind": "pause", "params": {"replicas": [1]}},
                {"kind": "kill", "start": 1.5, "stop": "2500ms", "params": {"replicas": [0]}},
            ],
            "nodes": 7,
            "clients": 3,
            "rate": 12.5,
            "time": "2m",
            "seed": 7,
            "budget": "break",
            "operation_timeout": "1500ms",
            "cluster": {"K": 4, "request_timeout": "300ms", "auth": "sign"},
        }
    )


def test_every_key_is_taken() -> None:
    spec = everything()
    assert spec.duration_ns == 120 * 10**9
    assert spec.operation_timeout_ns == 1_500_000_000
    assert spec.cluster["checkpoint_interval"] == 4
    assert spec.cluster["window"] == 8, "L follows K unless it is given"
    assert spec.cluster["request_timeout_ns"] == 300_000_000
    assert spec.workload_settings["keys"] == 2
    assert spec.faults[2].stop_ns == 2_500_000_000


@pytest.mark.parametrize("spec", [make_spec({}), everything(), make_spec({"faults": "none"})])
def test_a_spec_survives_its_yaml(spec: Spec) -> None:
    assert make_spec(yaml.safe_load(yaml.safe_dump(as_yaml_data(spec)))) == spec


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"noodles": 4}, ["'noodles'", "'nodes'"]),
        ({"nodes": 3}, ["nodes = 3", "3f+1", "--nodes 4"]),
        ({"nodes": "four"}, ["nodes = 'four'", "whole number"]),
        ({"nodes": True}, ["nodes = True"]),
        ({"nodes": 1000}, ["nodes = 1000", "64"]),
        ({"clients": 0}, ["clients = 0"]),
        ({"rate": -1}, ["rate = -1"]),
        ({"rate": float("nan")}, ["rate = nan"]),
        ({"time": "soon"}, ["time = 'soon'", "20s"]),
        ({"time": 0}, ["time = 0"]),
        ({"time": float("inf")}, ["time = inf"]),
        ({"rate": 100_000, "time": 3600}, ["360000000 operations"]),
        ({"seed": 1.5}, ["seed = 1.5"]),
        ({"seed": -1}, ["seed = -1"]),
        ({"budget": "brake"}, ["'brake'", "'break'"]),
        ({"world": "moon"}, ["'moon'", "live, lockstep, sim"]),
        ({"virtual": {"loss": 0.1}}, ["loss", "--world sim"]),
        ({"world": "sim", "virtual": {"los": 0.1}}, ["virtual", "'los'", "'loss'"]),
        ({"name": "../up"}, ["'../up'"]),
        ({"workload": "kw"}, ["'kw'", "'kv'"]),
        ({"workload": {"keys": 3}}, ["no 'name'"]),
        ({"workload": {"name": "kv", "key": 3}}, ["'key'", "'keys'"]),
        ({"workload": {"name": "kv", "keys": 0}}, ["keys = 0", "from 1"]),
        ({"faults": ["kil"]}, ["'kil'", "'kill'"]),
        ({"faults": 3}, ["faults = 3", "list"]),
        ({"faults": [{"kind": "kill", "strat": 1}]}, ["'strat'", "'start'"]),
        ({"faults": [{"kind": "kill", "start": 2, "stop": 1}]}, ["start = 2", "before stop"]),
        ({"faults": [{"kind": "kill", "start": 2}]}, ["stop = None"]),
        ({"faults": [{"kind": "kill", "start": 2, "stop": 99}]}, ["99", "30 s"]),
        ({"faults": [{"kind": "kill", "params": {"replicas": [9]}}]}, ["faults[0]", "9"]),
        ({"faults": [{"params": {}}]}, ["faults[0].kind"]),
        ({"cluster": {"chekpoint": 3}}, ["'chekpoint'"]),
        ({"cluster": {"K": 0}}, ["K = 0"]),
        ({"cluster": {"K": 8, "L": 8}}, ["L >= 2K"]),
        ({"cluster": {"K": 8, "checkpoint_interval": 8}}, ["twice"]),
        ({"cluster": {"request_timeout": 500}}, ["500", "500ms"]),
        ({"cluster": {"auth": 3}}, ["auth = 3"]),
        ({"cluster": {"auth": "none"}}, ["'hybrid'"]),
        ({"cluster": {"service": "files"}}, ["service = 'files'", "package.module:Class"]),
        ({"cluster": {"service": "../a:B"}}, ["service = '../a:B'"]),
        ({"cluster": {"service": 3}}, ["service = 3"]),
        ({"cluster": [1]}, ["cluster = [1]", "mapping"]),
    ],
)
def test_what_is_wrong_is_named(asked: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UsageError) as refusal:
        make_spec(asked)
    for word in words:
        assert word in str(refusal.value)
    assert refusal.value.hint
    assert refusal.value.exit_code == 2


def test_a_nested_value_does_not_flood_the_message() -> None:
    nested: object = "x" * 10_000
    for _ in range(30):
        nested = [nested, nested]
    for key in ("nodes", "world", "name", "budget", "time"):
        with pytest.raises(UsageError) as refusal:
            make_spec({key: nested})
        assert len(str(refusal.value)) < 500


def test_aliases_cannot_make_a_small_file_big(tmp_path: Path) -> None:
    text = "&a0 [x]"
    for level in range(1, 12):
        text = f"&a{level} [{text}{f', *a{level - 1}' * 9}]"
    path = tmp_path / "spec.yaml"
    for bomb in (f"workload: {{name: kv, keys: {text}}}", "faults: &a [*a]"):
        path.write_text(bomb)
        with pytest.raises(UsageError, match="aliases"):
            read_spec_file(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nodes: [", ["YAML"]),
        (b"- a", ["mapping"]),
        (b"1: 2", ["not a word"]),
        (b"\xff\xfe", ["UTF-8"]),
        (b"!!python/object/apply:os.system [ls]", ["YAML"]),
        (b"a" * (1 << 21), ["bytes"]),
        (b"seed: 1\nnodes: 4\nseed: 2", ["'seed'", "twice"]),
        (b"cluster: {K: 4, K: 8}", ["'K'", "twice"]),
        (b"a: &a {x: 1}\nb: {<<: *a}", ["YAML"]),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as refusal:
        read_spec_file(path)
    for word in (str(path), *words):
        assert word in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_spec_file(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="cannot read"):
        read_spec_file(tmp_path)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null"])
def test_an_empty_file_is_refused_and_an_empty_mapping_is_the_defaults(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="the file is empty"):
        read_spec_file(path)
    path.write_text("{}\n")
    assert read_spec_file(path) == {}


def test_set_reaches_the_cluster_and_the_workload() -> None:
    asked: dict[str, object] = {"cluster": {"checkpoint_interval": 16}}
    overlay_settings(asked, ["K=4", "L=8", "request_timeout=250ms", "keys=3", "distribution=uniform"])
    spec = make_spec(asked)
    assert (spec.cluster["checkpoint_interval"], spec.cluster["window"]) == (4, 8)
    assert spec.cluster["request_timeout_ns"] == 250_000_000
    assert (spec.workload_settings["keys"], spec.workload_settings["distribution"]) == (3, "uniform")


@pytest.mark.parametrize("setting", ["K", "=4", "kays=3"])
def test_a_bad_set_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        overlay_settings({}, [setting])


def test_no_name_means_two_things() -> None:
    of_cluster = {"K", "L", *cluster_defaults(), *(n.removesuffix("_ns") for n in cluster_defaults())}
    for workload in WORKLOADS.values():
        names = {parameter.name for parameter in workload.parameters}
        assert not names & of_cluster
        assert not names & {"name"}
    assert all(cluster_parameter(name) for name in of_cluster)
    assert "seed" in DEFAULTS
