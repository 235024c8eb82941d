"""Text and numbers from hostile JSON: everything comes out visible, bounded and without surprise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.untrusted import duration, integer, listing, mapping, number_text, shown, time_ns


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("ünïcode ✓", "ünïcode ✓"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x00\x1b[31m", "\\u0000\\u001b[31m"),
        ("left\u202eright", "left\\u202eright"),
        ("line\u2028break", "line\\u2028break"),
        ("\ud800 alone", "\\ud800 alone"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("tag\U000e0041", "tag\\U000e0041"),
        (None, "null"),
        (True, "true"),
        (17, "17"),
        (float("nan"), "NaN"),
        ([1, "x"], '[1, "x"]'),
        ({"a": None}, '{"a": null}'),
        ("</script>", "</script>"),  # escaping for HTML is the template's
    ],
)
def test_shown(value: object, text: str) -> None:
    assert shown(value) == text


def test_long_text_is_cut_and_says_so() -> None:
    assert shown("x" * 1_000_000, 10) == "x" * 10 + "… (1,000,000 characters)"
    assert len(shown(["y" * 1_000_000], 50)) < 90
    assert len(shown("\ud800" * 500, 20)) < 160


def test_what_is_not_json_is_named() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert "not JSON" in shown(nested)
    assert "not JSON" in shown(object())
    assert shown(10**30) == str(10**30)


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=300), st.integers(1, 100))
def test_shown_is_always_visible_utf8(text: str, limit: int) -> None:
    result = shown(text, limit)
    result.encode("utf-8")
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in result)
    assert len(result) <= 10 * limit + 40


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(), st.lists, max_leaves=10)
)
def test_coercions_never_raise(value: object) -> None:
    assert isinstance(shown(json.loads(json.dumps(value))), str)
    assert integer(value) is None or type(value) is int
    assert (time_ns(value) or 0) >= 0
    assert mapping(value) == {}
    assert list(listing(value)) == (value if isinstance(value, list) else [])


@pytest.mark.parametrize("value", [True, 1.5, "7", None, 1 << 63, -(1 << 63), [], float("nan")])
def test_not_an_integer(value: object) -> None:
    assert integer(value) is None


def test_a_time_is_not_negative() -> None:
    assert time_ns(5) == 5
    assert time_ns(-5) is None


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0"),
        (850, "850 ns"),
        (1_500, "1.50 µs"),
        (42_000_000, "42 ms"),
        (12_345_000_000, "12.3 s"),
        (-5e6, "-5 ms"),
        (999_499, "999 µs"),
        (999_999, "1.00 ms"),
    ],
)
def test_duration(ns: float, text: str) -> None:
    assert duration(ns) == text


def test_number_text() -> None:
    assert number_text(1_234_567) == "1,234,567"
    assert "characters" in number_text(10**60)
