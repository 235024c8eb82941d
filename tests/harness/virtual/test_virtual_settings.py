"""Settings of a virtual world: in words and in ns they mean the same, and what is wrong is named."""

import itertools
import json
import shlex
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.cluster_settings import cluster_defaults
from harness.errors import UsageError
from harness.run_command import flags_of
from harness.spec import as_yaml_data, make_spec
from harness.spec_file import overlay_settings
from harness.virtual.asked import NAMES, in_words, settle_virtual, unlike_default, virtual_parameter
from harness.virtual.deliveries import MAX_COPIES, delivery_data, read_deliveries
from harness.virtual.latency import Constant, Exponential, Latency, Uniform, WideArea
from harness.virtual.settings import CLIENTS, Delivery, Virtual
from harness.virtual.wan import ONE_WAY_NS, REGIONS
from harness.virtual.words import MAX_DELAY_NS, with_unit
from workloads.registry import WORKLOADS

MS = 1_000_000
OWN = WideArea(("a", "b"), ((0, 5), (MS, 1)), (1, 0, 0), 1, 0.25)

times = st.one_of(st.integers(0, MAX_DELAY_NS), st.integers(0, 600).map(lambda s: s * 1000 * MS))
spans = st.tuples(times, times).map(sorted)
latencies: st.SearchStrategy[Latency] = st.one_of(
    times.map(Constant),
    spans.map(lambda span: Uniform(*span)),
    st.tuples(times, spans).map(lambda t: Exponential(t[0], *t[1])),
    st.just(WideArea()),
    st.just(OWN),
    st.lists(st.integers(0, 9), min_size=1, max_size=12).map(lambda places: WideArea(replicas=tuple(places))),
)
shares = st.one_of(st.sampled_from([0, 1, 0.05, 5e-05]), st.floats(0, 1))
virtuals = st.builds(
    Virtual,
    latency=latencies,
    loss=shares,
    duplication=shares,
    reordering=shares,
    reorder_by_ns=times,
    bandwidth=st.sampled_from([0, 10_000, 10**12]),
    signer=st.sampled_from(["ed25519", "keyed-hash"]),
    turn_ns=st.integers(1000, 1000 * MS),
    restart_ns=st.integers(1000, 60_000 * MS),
)


@given(virtuals)
def test_both_ways_of_writing_it_are_read_back(virtual: Virtual) -> None:
    assert settle_virtual(json.loads(json.dumps(virtual.data()))) == virtual
    assert settle_virtual(yaml.safe_load(yaml.safe_dump(in_words(virtual)))) == virtual


@given(virtuals)
def test_flags_alone_make_it_again(virtual: Virtual) -> None:
    spec = make_spec({"world": "sim", "seed": 7, "virtual": virtual.data()})
    words = shlex.split(flags_of(spec) or "")
    assert words[:3] == ["run", "--world", "sim"]
    settings = [word for before, word in itertools.pairwise(words) if before == "--set"]
    asked: dict[str, object] = {"world": "sim", "seed": 7}
    overlay_settings(asked, settings)
    assert make_spec(asked) == spec


def test_what_is_not_said_has_its_default() -> None:
    assert settle_virtual({}) == Virtual()
    assert settle_virtual({"latency": None, "loss": None}) == Virtual()
    assert settle_virtual({"latency": {"model": "exponential", "mean": "5ms"}}).latency == Exponential(5 * MS)
    assert unlike_default(Virtual()) == {}
    assert unlike_default(Virtual(loss=0.5, turn_ns=1000)) == {"loss": 0.5, "turn": "1us"}


@pytest.mark.parametrize(
    ("asked", "latency"),
    [
        ("5ms", Constant(5 * MS)),
        ("1ms..5ms", Uniform(MS, 5 * MS)),
        ("exponential", Exponential()),
        ("wan", WideArea()),
        ({"model": "wan", "replicas": ["tokyo", "seoul"], "jitter": 0}, WideArea(replicas=(5, 6), jitter=0)),
        ({"model": "wan", "clients": "seoul"}, WideArea(clients=6)),
        (
            {"model": "wan", "regions": ["a", "b"], "one_way": [["0ns", "5ns"], ["1ms", "1ns"]],
             "clients": "b", "replicas": ["b", "a", "a"], "jitter": 0.25},
            OWN,
        ),
    ],
)  # fmt: skip
def test_ways_to_name_a_latency(asked: object, latency: Latency) -> None:
    assert settle_virtual({"latency": asked}).latency == latency


def test_some_of_the_built_in_regions() -> None:
    some = settle_virtual({"latency": {"model": "wan", "regions": ["tokyo", "virginia"]}}).latency
    assert isinstance(some, WideArea)
    near = ONE_WAY_NS[REGIONS.index("tokyo")][REGIONS.index("virginia")]
    assert some.one_way_ns == ((MS, near), (near, MS))
    assert (some.replicas, some.clients) == ((0, 1), 0)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"lost": 0.1}, ["'lost'", "'loss'"]),
        ({"deliveries": []}, ["'deliveries'"]),
        ({"loss_ns": 1}, ["'loss_ns'"]),
        ({"loss": -0.1}, ["virtual.loss = -0.1", "from 0 to 1"]),
        ({"loss": 1.01}, ["loss = 1.01"]),
        ({"loss": True}, ["loss = True"]),
        ({"loss": "5%"}, ["loss = '5%'"]),
        ({"loss": float("nan")}, ["loss = nan"]),
        ({"duplication": 2}, ["duplication = 2"]),
        ({"reordering": []}, ["reordering = []"]),
        ({"reorder_by": 5}, ["reorder_by = 5", "unit"]),
        ({"reorder_by": "11m"}, ["reorder_by = '11m'", "10m"]),
        ({"turn": "1ms", "turn_ns": 5}, ["turn is given twice"]),
        ({"turn": "0ns"}, ["turn = '0ns'", "from 1us to 1s"]),
        ({"turn_ns": "200us"}, ["turn_ns = '200us'", "whole number"]),
        ({"turn_ns": 10**30}, ["turn_ns"]),
        ({"restart": "9" * 400 + "s"}, ["restart"]),
        ({"bandwidth": 5}, ["bandwidth = 5", "10000"]),
        ({"bandwidth": -1}, ["bandwidth = -1"]),
        ({"signer": "rsa"}, ["signer = 'rsa'", "keyed-hash"]),
        ({"latency": 5}, ["virtual.latency = 5", "1ms..5ms"]),
        ({"latency": "unifrom"}, ["'unifrom'", "'uniform'"]),
        ({"latency": "5ms..1ms"}, ["low = 5ms", "high = 1ms"]),
        ({"latency": "1ms.."}, ["latency.high = ''"]),
        ({"latency": "-5ms"}, ["latency = '-5ms'"]),
        ({"latency": {"mean": "5ms"}}, ["latency.model = None"]),
        ({"latency": {"model": ["wan"]}}, ["latency.model"]),
        ({"latency": {"model": "constant", "mean": "5ms"}}, ["'mean'", "delay"]),
        ({"latency": {"model": "exponential", "least": "2s"}}, ["least = 2s is more than most"]),
        ({"latency": {"model": "wan", "one_way": [["1ms"]]}}, ["one_way without regions"]),
        ({"latency": {"model": "wan", "regions": ["atlantis"]}}, ["regions[0] = 'atlantis'", "virginia"]),
        ({"latency": {"model": "wan", "regions": ["tokyo", "tokyo"]}}, ["'tokyo' twice"]),
        ({"latency": {"model": "wan", "regions": []}}, ["regions = []"]),
        ({"latency": {"model": "wan", "regions": "tokyo"}}, ["regions = 'tokyo'"]),
        ({"latency": {"model": "wan", "regions": ["a"], "one_way": [["1ms", "1ms"]]}}, ["1 rows of 1"]),
        ({"latency": {"model": "wan", "regions": ["a"], "one_way": [[1]]}}, ["one_way[0][0] = 1"]),
        ({"latency": {"model": "wan", "regions": ["a"], "one_way_ns": [[-1]]}}, ["one_way_ns[0][0] = -1"]),
        (
            {"latency": {"model": "wan", "regions": ["\x1b"], "one_way_ns": [[1]]}},
            ["regions[0]", "printable"],
        ),
        ({"latency": {"model": "wan", "replicas": ["mars"]}}, ["replicas[0] = 'mars'"]),
        ({"latency": {"model": "wan", "replicas": ["tokyo"] * 65}}, ["1 to 64"]),
        ({"latency": {"model": "wan", "clients": 3}}, ["clients = 3"]),
        ({"latency": {"model": "wan", "jitter": 1.5}}, ["jitter = 1.5"]),
        ({"latency": {"model": "uniform", 3: 4}}, ["not a word"]),
    ],
)
def test_what_is_wrong_is_named(asked: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UsageError) as refusal:
        settle_virtual(asked)
    for word in words:
        assert word in str(refusal.value)
    assert refusal.value.hint
    assert len(str(refusal.value)) < 700


def test_a_live_run_has_a_real_network() -> None:
    assert make_spec({}).virtual is None
    for world in ("live", None):
        with pytest.raises(UsageError, match=r"loss: in a live run(.|\n)*--world sim"):
            make_spec({"world": world, "virtual": {"loss": 0.1}})
    with pytest.raises(UsageError, match=r"virtual = 3"):
        make_spec({"world": "sim", "virtual": 3})
    assert "--world" not in str(flags_of(make_spec({"seed": 7})))


@pytest.mark.parametrize("world", ["sim", "lockstep"])
def test_a_virtual_world_has_a_quiet_network_by_default(world: str) -> None:
    spec = make_spec({"world": world})
    assert spec.virtual == Virtual(latency=Uniform(200_000, MS), loss=0, duplication=0, reordering=0)
    assert make_spec(yaml.safe_load(yaml.safe_dump(as_yaml_data(spec)))) == spec


def test_set_reaches_the_network() -> None:
    asked: dict[str, object] = {"world": "sim", "virtual": {"turn_ns": 5000, "loss": 0.5}}
    settings = [
        "latency={model: exponential, mean: 5ms}",
        "loss=0.05",
        "turn=1ms",
        "duplication=1e-3",
        "keys=3",
    ]
    overlay_settings(asked, settings)
    spec = make_spec(asked)
    assert spec.virtual == Virtual(Exponential(5 * MS), loss=0.05, turn_ns=MS, duplication=0.001)
    assert spec.workload_settings["keys"] == 3


def test_no_name_means_two_things() -> None:
    names = {*NAMES, *(f"{name}_ns" for name in NAMES)}
    others = {"K", "L", *cluster_defaults(), *(n.removesuffix("_ns") for n in cluster_defaults())}
    for workload in WORKLOADS.values():
        others |= {parameter.name for parameter in workload.parameters}
    assert not names & others
    assert virtual_parameter("turn_ns") == virtual_parameter("turn") == "turn"
    assert virtual_parameter("loss_ns") is None


def test_units_are_exact() -> None:
    shown = [with_unit(ns) for ns in (0, 1, 1001, 200_000, 1_500_000, 2 * MS, 90_000 * MS, 120_000 * MS)]
    assert shown == ["0ns", "1ns", "1001ns", "200us", "1500us", "2ms", "90s", "2m"]


DELIVERIES = (
    Delivery(0, 1, 17, ()),
    Delivery(CLIENTS, 3, 0, (5, MAX_DELAY_NS)),
    Delivery(3, CLIENTS, 0, (0,)),
)


def test_deliveries_are_read_back() -> None:
    data = json.loads(json.dumps([delivery_data(each) for each in DELIVERIES]))
    assert data[1] == {"link": ["clients", "r3"], "nth": 0, "delays_ns": [5, MAX_DELAY_NS]}
    assert read_deliveries(data, "deliveries", 4) == DELIVERIES


def delivery(**changes: object) -> list[dict[str, object]]:
    return [{"link": ["r0", "r1"], "nth": 17, "delays_ns": [5]} | changes]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, ["d = {}", "list"]),
        ([3], ["d[0] = 3"]),
        ([{"link": ["r0", "r1"], "nth": 1}], ["d[0]", "delays_ns"]),
        (delivery(why="so"), ["d[0]"]),
        (delivery(link=["r0", "r4"]), ["d[0].link", "clients, r0 … r3"]),
        (delivery(link=["r0", "r0"]), ["d[0].link"]),
        (delivery(link=["r0", {}]), ["d[0].link"]),
        (delivery(link="r0r1"), ["d[0].link"]),
        (delivery(nth=-1), ["d[0].nth = -1"]),
        (delivery(nth=1.0), ["d[0].nth = 1.0"]),
        (delivery(delays_ns=5), ["d[0].delays_ns = 5"]),
        (delivery(delays_ns=[5] * (MAX_COPIES + 1)), ["at most 8"]),
        (delivery(delays_ns=[MAX_DELAY_NS + 1]), ["d[0].delays_ns[0]"]),
        (delivery(delays_ns=[True]), ["d[0].delays_ns[0]"]),
        (delivery() + delivery(delays_ns=[]), ["d[1]: d[0] is about the same"]),
    ],
)  # fmt: skip
def test_a_bad_delivery_is_named(value: Any, words: list[str]) -> None:
    with pytest.raises(UsageError) as refusal:
        read_deliveries(value, "d", 4)
    for word in words:
        assert word in str(refusal.value)
