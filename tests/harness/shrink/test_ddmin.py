"""Delta debugging by itself: what it returns fails, nothing in it can be spared, and it asks little."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.shrink.ddmin import coarse_to_fine, ddmin

Fails = Callable[[tuple[int, ...]], bool]
BOTH = pytest.mark.parametrize("minimise", [ddmin, coarse_to_fine])


class Asked:
    """A ``First`` over a predicate, that takes down what it was asked."""

    def __init__(self, fails: Fails, ahead: int = 1) -> None:
        self.fails = fails
        self.ahead = ahead
        self.lists: list[tuple[int, ...]] = []

    def first(self, candidates: Iterable[Sequence[int]]) -> int | None:
        settled = None
        for index, candidate in enumerate(candidates):
            if settled is not None and index >= settled + self.ahead:
                break
            self.lists.append(tuple(candidate))
            if settled is None and self.fails(tuple(candidate)):
                settled = index
        return settled


ITEMS = st.integers(0, 40)
NEEDS = st.lists(st.sets(st.integers(0, 39), max_size=6), min_size=1, max_size=3)


def monotone(needs: list[set[int]]) -> Fails:
    """Fails whenever all of one of these sets is there."""
    return lambda kept: any(need <= set(kept) for need in needs)


@BOTH
@given(count=ITEMS, needs=NEEDS)
def test_the_result_is_minimal(
    minimise: Callable[..., tuple[int, ...]], count: int, needs: list[set[int]]
) -> None:
    needs = [need for need in needs if all(one < count for one in need)] or [set(range(count))]
    asked = Asked(monotone(needs))
    kept = minimise(range(count), asked.first)
    assert set(kept) in needs
    assert not any(need < set(kept) for need in needs)
    assert list(kept) == sorted(kept)


@BOTH
@given(count=st.integers(0, 24), seed=st.integers(0, 1000), ahead=st.integers(1, 5))
def test_of_any_predicate_the_result_fails_and_nothing_can_be_left_out(
    minimise: Callable[..., tuple[int, ...]], count: int, seed: int, ahead: int
) -> None:
    """Also where a larger list may pass: no step was accepted that did not fail."""

    def fails(kept: tuple[int, ...]) -> bool:
        return len(kept) == count or hash((seed, kept)) % 3 == 0

    asked = Asked(fails, ahead)
    kept = minimise(range(count), asked.first)
    assert fails(kept)
    assert not any(fails(kept[:i] + kept[i + 1 :]) for i in range(len(kept)))


@BOTH
@given(count=st.integers(0, 30), seed=st.integers(0, 1000))
def test_the_number_of_tests_is_bounded(
    minimise: Callable[..., tuple[int, ...]], count: int, seed: int
) -> None:
    asked = Asked(lambda kept: len(kept) == count or hash((seed, kept)) % 4 == 0)
    minimise(range(count), asked.first)
    assert len(asked.lists) <= count**2 + 3 * count + 1


@BOTH
@given(count=st.integers(0, 30), seed=st.integers(0, 1000))
def test_nothing_is_asked_twice(minimise: Callable[..., tuple[int, ...]], count: int, seed: int) -> None:
    asked = Asked(lambda kept: len(kept) == count or hash((seed, kept)) % 4 == 0)
    minimise(range(count), asked.first)
    assert len(set(asked.lists)) == len(asked.lists)


@BOTH
@given(needs=NEEDS, ahead=st.integers(1, 6))
def test_looking_ahead_changes_nothing(
    minimise: Callable[..., tuple[int, ...]], needs: list[set[int]], ahead: int
) -> None:
    """Whoever answers may have tried more than needed, or not: the result is the same."""
    fails = monotone([*needs, set(range(40))])
    assert minimise(range(40), Asked(fails).first) == minimise(range(40), Asked(fails, ahead).first)


def test_few_of_many_take_few_tests() -> None:
    """That is what the sweeps are for: three of a thousand."""
    fails = monotone([{17, 500, 998}])
    coarse, paper = Asked(fails), Asked(fails)
    assert coarse_to_fine(range(1000), coarse.first) == (17, 500, 998)
    assert ddmin(range(1000), paper.first) == (17, 500, 998)
    assert len(coarse.lists) <= 2 * 3 * math.log2(1000) + 20
    assert len(coarse.lists) < len(paper.lists)


@BOTH
def test_a_failure_that_needs_nothing(minimise: Callable[..., tuple[int, ...]]) -> None:
    asked = Asked(lambda _kept: True)
    assert minimise("abcdef", asked.first) == ()
    assert asked.lists == [()]


@BOTH
def test_a_failure_that_needs_everything(minimise: Callable[..., tuple[int, ...]]) -> None:
    asked = Asked(lambda kept: len(kept) == 9)
    assert minimise(range(9), asked.first) == tuple(range(9))


def test_the_papers_example() -> None:
    """Section 3.3: of 1 … 8 it takes 1, 7 and 8."""
    asked = Asked(monotone([{1, 7, 8}]))
    assert ddmin(range(1, 9), asked.first) == (1, 7, 8)


@BOTH
def test_what_stops_in_the_middle_is_passed_on(minimise: Callable[..., tuple[int, ...]]) -> None:
    def first(_candidates: Iterable[Sequence[int]]) -> int | None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimise(range(5), first)
