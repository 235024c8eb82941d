"""A calmer network, and where the failure needs its unrest, the few datagrams that do it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.plan import Plan, make_plan
from harness.scratch import scratch_folder
from harness.shrink import simpler
from harness.shrink.attempts import recorded_fates
from harness.shrink.calmer import FewerDeliveries, calmer_network, is_calm
from harness.shrink.sizes import is_plan
from harness.spec import make_spec
from harness.virtual.latency import Constant, Exponential
from harness.virtual.network import Network
from harness.virtual.settings import CLIENTS, Delivery, Virtual

ROUGH = {"latency": {"model": "exponential"}, "loss": 0.05, "duplication": 0.1, "turn": "1ms"}
WHOLE = make_plan(
    make_spec({"world": "sim", "virtual": ROUGH, "time": 1, "clients": 1, "rate": 5, "faults": "none"}),
    seed=4,
)


def ask(fails: Callable[[Virtual], bool]) -> Callable[[Iterable[Plan]], int | None]:
    def first(plans: Iterable[Plan]) -> int | None:
        for index, one in enumerate(plans):
            assert is_plan(one)
            assert one.virtual is not None
            if fails(one.virtual):
                return index
        return None

    return first


def virtual_of(plan: Plan) -> Virtual:
    assert plan.virtual is not None
    return plan.virtual


def test_what_needs_no_unrest_runs_on_a_calm_network() -> None:
    assert virtual_of(calmer_network(WHOLE, ask(lambda _: True))) == Virtual(latency=Constant())


def test_only_the_unrest_that_is_needed_stays() -> None:
    smaller = virtual_of(calmer_network(WHOLE, ask(lambda virtual: virtual.loss > 0)))
    assert smaller == Virtual(latency=smaller.latency, loss=0.05)
    assert isinstance(smaller.latency, Constant)
    smaller = virtual_of(calmer_network(WHOLE, ask(lambda virtual: isinstance(virtual.latency, Exponential))))
    assert smaller == Virtual(latency=smaller.latency)


def test_exceptions_are_no_unrest() -> None:
    calm = Virtual(latency=Constant(), deliveries=(Delivery(0, 1, 2, ()),))
    assert is_calm(calm)
    assert not is_calm(replace(calm, loss=0.1))
    assert not is_calm(Virtual())


def decided(plan: Plan) -> Sequence[Delivery]:
    """Of the first datagrams of two links."""
    network = Network(plan.seed, virtual_of(plan), plan.nodes)
    links = ((0, 1), (CLIENTS, 2))
    return [Delivery(*link, nth, network.fate(*link, nth, 100)) for nth in range(60) for link in links]


def test_a_network_is_explained_by_the_few_datagrams_that_matter() -> None:
    """Two lost ones do it, wherever the plan says so."""
    lost = [one for one in decided(WHOLE) if not one.delays_ns]
    needed = {(one.source, one.target, one.nth) for one in (lost[0], lost[3])}

    def fails(virtual: Virtual) -> bool:
        network = Network(WHOLE.seed, virtual, WHOLE.nodes)
        return not any(network.fate(*link, 100) for link in needed)

    smaller = virtual_of(FewerDeliveries(decided)(WHOLE, ask(fails)))
    assert is_calm(smaller)
    assert {(one.source, one.target, one.nth) for one in smaller.deliveries} == needed
    again = FewerDeliveries(decided)(replace(WHOLE, virtual=smaller), ask(fails))
    assert virtual_of(again) == smaller


def test_a_network_that_takes_too_many_exceptions_stays() -> None:
    def fails(virtual: Virtual) -> bool:
        network = Network(WHOLE.seed, virtual, WHOLE.nodes)
        return all(
            network.fate(one.source, one.target, one.nth, 100) == one.delays_ns for one in decided(WHOLE)
        )

    assert FewerDeliveries(decided)(WHOLE, ask(fails)) is WHOLE
    assert FewerDeliveries(lambda _: None)(WHOLE, ask(fails)) is WHOLE


def test_a_run_tells_every_fate_and_explicit_fates_give_the_same_run() -> None:
    """Written down as exceptions, they replace the network: the same datagrams meet the same fates."""
    small = replace(WHOLE, clients=WHOLE.clients[:1])
    with scratch_folder() as scratch:
        fates = recorded_fates(small, scratch)
        assert fates is not None
        network = Network(small.seed, virtual_of(small), small.nodes)
        assert all(network.fate(one.source, one.target, one.nth, 0) == one.delays_ns for one in fates)
        explicit = replace(
            virtual_of(small), latency=Constant(7), loss=0, duplication=0, deliveries=tuple(fates)
        )
        assert recorded_fates(replace(small, virtual=explicit), scratch) == fates
        assert list(Path(scratch).iterdir()) == []


def test_a_smaller_cluster_keeps_the_exceptions_of_its_links() -> None:
    deliveries = tuple(Delivery(*link, 0, ()) for link in ((0, 1), (CLIENTS, 3), (6, 0), (2, CLIENTS)))
    larger = make_plan(make_spec({"world": "sim", "nodes": 7, "time": 1, "faults": "none"}), seed=4)
    larger = replace(larger, virtual=Virtual(deliveries=deliveries))
    smaller = simpler.fewer_replicas(larger, ask(lambda _: True))
    assert smaller.nodes == 4
    assert virtual_of(smaller).deliveries == (deliveries[0], deliveries[1], deliveries[3])
