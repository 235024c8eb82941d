"""The schedule: early, dense, aimed at the primary, and within its budget whatever is drawn."""

import hashlib
import itertools
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemesis.faults import KINDS
from nemesis.faults.fault import Fault
from nemesis.ledger import charge, worst
from nemesis.schedule import NoRoom, Room, Wanted, schedule

SECOND_NS = 10**9
THREE = [Wanted("partition"), Wanted("kill"), Wanted("pause")]


def streams(seed: int):
    def stream(purpose: str) -> random.Random:
        return random.Random(int.from_bytes(hashlib.sha256(f"{seed}{purpose}".encode()).digest(), "big"))

    return stream


def room(n: int = 4, seconds: float = 20, budget_break: bool = False) -> Room:
    return Room(
        n, (n - 1) // 3, int(seconds * SECOND_NS), SECOND_NS // 2, "break" if budget_break else "within"
    )


def bad_at_worst(faults: list[Fault], n: int) -> int:
    f = (n - 1) // 3
    return worst([charge(x, KINDS[x.kind].victims(x.params, n, f)) for x in faults], n).bad


DRAWN = sorted(name for name in KINDS if not name.startswith("script"))
"""Scripts need time for several view changes, and some of them the budget ``safety``."""


@given(
    seed=st.integers(0, 2**63),
    n=st.integers(4, 13),
    seconds=st.floats(5, 60),
    kinds=st.lists(st.sampled_from(DRAWN), min_size=1, max_size=3),
)
def test_never_more_than_f_are_bad(seed: int, n: int, seconds: float, kinds: list[str]) -> None:
    faults = schedule([Wanted(kind) for kind in kinds], KINDS, room(n, seconds), streams(seed))
    assert bad_at_worst(faults, n) <= (n - 1) // 3
    assert {fault.kind for fault in faults} == set(kinds)
    assert len({fault.id for fault in faults}) == len(faults)
    assert all(KINDS[fault.kind].check(fault.params, n) is None for fault in faults)
    assert all(fault.start_ns < fault.stop_ns <= seconds * SECOND_NS * 0.91 for fault in faults)


@pytest.mark.parametrize("seed", range(20))
def test_twenty_seconds_are_full_and_hit_the_primary(seed: int) -> None:
    faults = schedule(THREE, KINDS, room(), streams(seed))
    assert faults[0].start_ns <= SECOND_NS
    assert len(faults) >= 5
    gaps = [after.start_ns - before.stop_ns for before, after in itertools.pairwise(faults)]
    assert 0 < max(gaps) <= 1.3 * SECOND_NS
    at_primary = [
        x for x in faults if "primary" in x.params.values() or "isolate-primary" in x.params.values()
    ]
    assert len(at_primary) >= 3
    assert all(fault.stop_ns - fault.start_ns > SECOND_NS for fault in at_primary), "two request timeouts"


def test_with_f_of_two_faults_overlap() -> None:
    faults = schedule(THREE, KINDS, room(7, 120), streams(1))
    assert any(after.start_ns < before.stop_ns for before, after in itertools.pairwise(faults))


def test_a_fault_with_a_time_of_its_own_stays_and_others_go_around_it() -> None:
    fixed = Wanted("kill", {"replicas": [1]}, 5 * SECOND_NS, 7 * SECOND_NS)
    faults = schedule([fixed, Wanted("pause")], KINDS, room(), streams(1))
    assert Fault("kill-1", "kill", 5 * SECOND_NS, 7 * SECOND_NS, {"replicas": [1]}) in faults
    assert bad_at_worst(faults, 4) == 1
    assert len(faults) > 3


def test_breaking_the_budget_is_possible_on_purpose() -> None:
    faults = schedule([Wanted("kill")], KINDS, room(budget_break=True), streams(1))
    assert bad_at_worst(faults, 4) > 1


def test_short_runs_get_short_faults_and_too_short_ones_an_error() -> None:
    assert {fault.kind for fault in schedule(THREE, KINDS, room(seconds=5), streams(1))} == {
        "kill",
        "pause",
        "partition",
    }
    with pytest.raises(NoRoom, match="no room"):
        schedule(THREE, KINDS, room(seconds=1), streams(1))


def test_a_script_says_how_long_it_needs_and_how_long_the_load_must_be() -> None:
    both = [Wanted("script:starvation"), Wanted("script:stale-read")]
    with pytest.raises(NoRoom, match=r"script:starvation needs 11 s\); \d+ s are enough") as refusal:
        schedule(both, KINDS, room(seconds=5), streams(1))
    told = re.search(r"(\d+) s are enough", str(refusal.value))
    assert told is not None
    faults = schedule(both, KINDS, room(seconds=int(told[1])), streams(1))
    assert {fault.kind for fault in faults} == {want.kind for want in both}
    assert all(fault.stop_ns - fault.start_ns >= 3 * SECOND_NS for fault in faults)


def test_where_no_load_is_long_enough_none_is_named() -> None:
    for_ever = Wanted("kill", {"replicas": [1]}, 0, 10**18)
    with pytest.raises(NoRoom, match=r"would not fit$"):
        schedule([for_ever, Wanted("pause")], KINDS, room(seconds=5), streams(1))


def test_nothing_asked_for_is_nothing() -> None:
    assert schedule([], KINDS, room(), streams(1)) == []


@pytest.mark.parametrize("seed", range(10))
def test_after_the_first_fault_nothing_counts_on_who_leads(seed: int) -> None:
    """Replica 0 leads at the beginning only: later twins see to it that it is their turn, and have the time
    for it; silence about batches, which a primary keeps, comes first or not at all."""
    first, *later = schedule([Wanted("twins")], KINDS, room(seconds=30), streams(seed))
    assert "views" not in first.params
    assert later
    assert all(fault.params["views"] is True for fault in later)
    assert all(fault.stop_ns - fault.start_ns >= 5 * SECOND_NS for fault in later), "none is cut short"
    silences = schedule([Wanted("silence")], KINDS, room(seconds=60), streams(seed))
    assert len(silences) > 8
    assert all(fault.params["strategy"] != "bodies" for fault in silences[1:])
