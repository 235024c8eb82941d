"""What holds for every kind of fault: drawn parameters are right and within budget, wrong ones refused."""

from __future__ import annotations

import gc
import json
import random
import re

import pytest
from fake_machinery import FakeMachinery
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.spec import WORLDS
from nemesis.faults import KINDS, FaultKind
from nemesis.faults.fault import FAMILIES, Victims
from nemesis.faults.tampering import TampersWithPackets

OKABE_ITO = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
CHANGES = st.lists(
    st.tuples(
        st.lists(st.integers(0, 9), min_size=1, max_size=5),
        JSON | st.sampled_from(["primary", "majority", "isolate-primary", "r1", "COMMIT", [0], [0, 1]]),
    ),
    min_size=1,
    max_size=3,
)
"""Where in an example, and what stands there instead; None instead of a whole parameter leaves it out."""

ONE_AT_A_TIME = ("replay-older-view", "replay-restart")
"""What strikes a single replica breaks no budget, however it is drawn."""


def costs_nobody(kind: FaultKind) -> bool:
    """Some of what the network does, and what clients do, is no excuse for any replica."""
    return kind.family in ("network", "client") and bool(
        {"nobody", "late"} & set(re.findall("[a-z]+", kind.charges))
    )


def changed(value: object, place: list[int], new: object) -> object:
    """``value`` with ``new`` at a place in it, or as far down as it goes."""
    if not place or not isinstance(value, dict | list) or not value:
        return new
    at, further = place[0] % len(value), place[1:]
    if isinstance(value, list):
        return [*value[:at], changed(value[at], further, new), *value[at + 1 :]]
    key = sorted(value)[at]
    return {**value, key: changed(value[key], further, new)}


few = settings(max_examples=settings.default.max_examples // 4)  # type: ignore[union-attr]
"""There are many kinds, and most share their checks and how they draw."""
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
BEYOND = {
    name
    for name, kind in KINDS.items()
    if name.startswith("script:") and kind.victims(kind.example, 4, 1).count > 1
}
"""Scripts that cut off a correct replica while another one lies: they need the budget ``safety``."""


@each_kind
def test_a_kind_describes_itself(kind: FaultKind) -> None:
    assert KINDS[kind.name] is kind
    assert kind.label
    assert kind.description.endswith(".")
    assert kind.charges
    assert kind.family in FAMILIES
    assert kind.receipt
    assert set(kind.example) <= set(kind.parameters)
    assert all(kind.parameters.values())
    assert set(kind.worlds) <= set(WORLDS), "a world that does not exist is not promised"
    assert kind.worlds == WORLDS
    assert kind.colour in OKABE_ITO
    assert re.fullmatch(r"[a-z][a-z-]*(:[a-z-]+)?", kind.name)
    assert kind.check(kind.example, 4) is None
    assert len({other.label for other in KINDS.values()}) == len(KINDS)


@each_kind
@few
@given(seed=st.integers(0, 2**32), n=st.integers(4, 20))
def test_a_drawn_fault_stays_within_the_budget(kind: FaultKind, seed: int, n: int) -> None:
    f = (n - 1) // 3
    params = kind.draw(random.Random(seed), n, f, False, tuple(range(f)))
    assert kind.check(params, n) is None
    assert json.loads(json.dumps(params)) == params
    victims = kind.victims(params, n, f)
    assert victims.count <= f or kind.name in BEYOND
    assert len(victims.byzantine) <= f
    assert victims != Victims(frozenset()) or costs_nobody(kind)
    assert victims.byzantine <= victims.replicas
    assert victims.byzantine <= set(range(f))
    assert params == kind.draw(random.Random(seed), n, f, False, tuple(range(f)))


@each_kind
@few
@given(seed=st.integers(0, 2**32), n=st.integers(4, 20))
def test_a_fault_drawn_to_break_the_budget_does(kind: FaultKind, seed: int, n: int) -> None:
    f = (n - 1) // 3
    params = kind.draw(random.Random(seed), n, f, True, tuple(range(f + 1)))
    assert kind.check(params, n) is None
    assert json.loads(json.dumps(params)) == params
    victims = kind.victims(params, n, f)
    assert victims.count > f or victims.network or costs_nobody(kind) or kind.name in ONE_AT_A_TIME


@each_kind
@few
@given(changes=CHANGES)
def test_check_never_raises_and_what_it_lets_pass_works(
    kind: FaultKind, changes: list[tuple[list[int], object]]
) -> None:
    params, names = dict(kind.example), [*kind.parameters, "unheard-of"]
    for (first, *further), new in changes:
        name = names[first % len(names)]
        if new is None and not further:
            params.pop(name, None)
        else:
            params[name] = changed(params.get(name), further, new)


@each_kind
def test_a_world_that_cannot_do_it_says_so(kind: FaultKind) -> None:
    assert kind.available(FakeMachinery()) is None
    reason = kind.available(FakeMachinery(capabilities=frozenset()))
    assert reason is not None
    assert reason.startswith("this world cannot")


@each_kind
def test_stopping_what_never_started_is_harmless(kind: FaultKind) -> None:
    machinery = FakeMachinery()
    kind.stop(machinery, "x", kind.example)
    assert kind.observe(machinery, "x", kind.example) is None
    assert "not started" in kind.trouble(machinery, "x", kind.example)
    receipt = kind.stopped(machinery, "x", kind.example)
    assert receipt is not None
    assert receipt.evidence["note"] == "it was not started"
    assert kind.bad_now(machinery, "x", kind.example) == frozenset()
    assert all(not node.asked for node in machinery.nodes)


@each_kind
def test_nothing_happens_before_the_receipt_and_stop_is_idempotent(kind: FaultKind) -> None:
    machinery = FakeMachinery()
    kind.start(machinery, "x", kind.example)
    assert kind.observe(machinery, "x", kind.example) is None
    assert kind.trouble(machinery, "x", kind.example)
    victims = kind.victims(kind.example, 4, 1)
    assert kind.bad_now(machinery, "x", kind.example) or victims.network or not victims.count
    receipt = None
    for _ in range(4):  # some go from step to step
        machinery.settle()
        machinery.packet("r0", "r1")
        receipt = receipt or kind.observe(machinery, "x", kind.example)
    assert receipt is not None
    assert json.dumps(dict(receipt.evidence))
    assert kind.stopped(machinery, "x", kind.example) is None, "not stopped yet"
    kind.stop(machinery, "x", kind.example)
    machinery.settle()
    kind.stop(machinery, "x", kind.example)
    assert all(not node.asked for node in machinery.nodes if kind.name != "pause")
    undone = kind.stopped(machinery, "x", kind.example)
    assert undone is not None
    assert json.dumps(dict(undone.evidence))
    assert kind.bad_now(machinery, "x", kind.example) == frozenset()


def test_worlds_do_not_see_each_others_faults_and_are_forgotten() -> None:
    kind, one, two = KINDS["kill"], FakeMachinery(), FakeMachinery()
    kind.start(one, "x", {"replicas": [1]})
    kind.start(two, "x", {"replicas": [2]})
    assert kind.bad_now(one, "x", {}) == {1}
    assert kind.bad_now(two, "x", {}) == {2}
    del two
    gc.collect()
    assert kind.bad_now(FakeMachinery(), "x", {}) == frozenset()


@pytest.mark.parametrize(
    ("name", "report", "says"),
    [
        ("drop", {}, "no packet met them"),
        ("new-view-lie", {"matched": 7, "dropped": 7}, "met 7 packets, but what is to prove it"),
        ("byzzfuzz", {"matched": 5, "dropped": 5}, "none of its lies was told; its cuts lost 5 messages"),
        ("byzzfuzz", {}, "no packet met them"),
    ],
)
def test_why_there_is_no_receipt(name: str, report: dict[str, object], says: str) -> None:
    """A push or a cut that met packets is no lie, and is not called nothing either."""
    kind = KINDS[name]
    assert isinstance(kind, TampersWithPackets)
    assert says in kind.unproved({"in_force": True, "matched": 0, "dropped": 0, **report})
