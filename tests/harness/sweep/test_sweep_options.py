"""Swarm options: one documented table, a stream each, and plans that can be made."""

import json
import shlex
from collections import Counter
from functools import cache

import pytest

from harness import cli
from harness.plan import make_plan
from harness.run_command import flags_of
from harness.spec import make_spec
from harness.spec_file import overlay_settings
from harness.sweep import options as module
from harness.sweep.options import DERIVED, OPTIONS, Option, draw
from harness.sweep.source import Source
from nemesis.faults import KINDS

MANY = 400


def value_at(asked: object, name: str) -> object:
    for step in name.split("."):
        assert isinstance(asked, dict)
        asked = asked[step]
    return asked


@cache
def many() -> list[dict[str, object]]:
    """To be read only."""
    return [draw(seed, "sim") for seed in range(MANY)]


def test_every_seed_gives_a_plan() -> None:
    sizes = []
    scripts = 0
    for seed in range(40):
        plan = make_plan(make_spec(draw(seed, "sim")), seed)
        sizes.append(sum(len(client.operations) for client in plan.clients))
        assert plan.world == "sim"
        scripts += any(fault.kind.startswith("script") for fault in plan.faults)
    assert scripts > 5, "they need more time than others, and some a budget of their own"
    assert min(sizes) >= 80, "coverage needs 50 that complete"


def test_a_seed_draws_the_same_again_and_another_seed_something_else() -> None:
    assert draw(7, "sim") == draw(7, "sim")
    assert len({json.dumps(draw(seed, "sim"), sort_keys=True) for seed in range(50)}) == 50


def test_worlds_draw_alike() -> None:
    assert draw(7, "sim") | {"world": "lockstep"} == draw(7, "lockstep")


def test_every_choice_comes_about_as_often_as_it_says() -> None:
    drawn = many()
    checked = 0
    for option in OPTIONS:
        if option.name.startswith("(") or option.name in ("clients", "cluster.durability"):
            continue  # helpers, and what a helper may override
        seen = Counter(json.dumps(value_at(each, option.name)) for each in drawn)
        total = sum(weight for weight, _ in option.choices)
        for weight, value in option.choices:
            share = weight / total
            spread = 4 * (share * (1 - share) / MANY) ** 0.5
            assert abs(seen[json.dumps(value)] / MANY - share) < spread, (option.name, value)
            checked += 1
    assert checked > 50


def test_the_flags_that_are_printed_make_the_same_plan() -> None:
    told = 0
    for seed in range(25):
        spec = Source({}, swarm=True).spec_of(seed)
        flags = flags_of(spec)
        if flags is None:
            continue  # then the spec.yaml of the kept run does
        options = cli.make_parser().parse_args(shlex.split(flags))
        keys = cli._flags(options) | {"seed": int(options.seed)}
        overlay_settings(keys, options.set)
        assert make_spec(keys) == spec
        told += 1
    assert told > 20


def test_faults_come_in_swarms() -> None:
    drawn = many()
    kinds = [frozenset(value_at(each, "faults")) for each in drawn]  # type: ignore[call-overload]
    for kind in KINDS:
        absent = sum(kind not in each for each in kinds if each)
        assert 0.15 < absent / MANY < 0.99, "a swarm has plans without a kind, and plans with it"
    assert frozenset() in kinds
    assert max(map(len, kinds)) > 5


def test_a_new_option_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [draw(seed, "sim") for seed in range(30)]
    more = (Option("virtual.bandwidth", "", ((1, 0), (1, 10**6))), *OPTIONS)
    monkeypatch.setattr(module, "OPTIONS", more)
    for seed, old in enumerate(before):
        new = draw(seed, "sim")
        network = new["virtual"]
        assert isinstance(network, dict)
        del network["bandwidth"]
        assert new == old


def test_what_is_drawn_is_not_shared() -> None:
    """A wide-area seed must not write into the table that all others draw from."""
    table = json.dumps([option.choices for option in OPTIONS])
    for seed in range(40):
        Source({"virtual": {"loss": 0.5}, "faults": ["kill"]}, ("K=4",), swarm=True).spec_of(seed)
    assert json.dumps([option.choices for option in OPTIONS]) == table


def test_the_user_goes_first() -> None:
    asked = {"nodes": 7, "virtual": {"loss": 0.5}, "workload": "append", "cluster": {"request_timeout": "3s"}}
    specs = [Source(asked, ("K=4", "latency=7ms"), swarm=True).spec_of(seed) for seed in range(20)]
    for spec in specs:
        assert spec.virtual is not None
        assert (spec.nodes, spec.workload, spec.virtual.loss) == (7, "append", 0.5)
        assert spec.cluster["request_timeout_ns"] == 3 * 10**9
        assert spec.cluster["checkpoint_interval"] == 4
        assert getattr(spec.virtual.latency, "delay_ns", None) == 7_000_000
    assert len({spec.virtual.turn_ns for spec in specs if spec.virtual}) > 1, "the rest is drawn"


def test_the_catalogue_is_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweep", "--options", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in told["options"]] == [option.name for option in OPTIONS]
    assert [row["name"] for row in told["derived"]] == [name for name, _ in DERIVED]
    assert cli.main(["sweep", "--options"]) == 0
    text = capsys.readouterr().out
    for option in OPTIONS:
        assert f"\n{option.name}\n    {option.meaning}\n" in text
