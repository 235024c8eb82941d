"""EDN: everything the notation has, equal iff Clojure says so, nothing but EdnError for anything else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.formats.edn import (
    FALSE,
    MAX_DEPTH,
    TRUE,
    Atom,
    EdnError,
    EdnMap,
    EdnSet,
    Tagged,
    elements,
    forms,
    write,
)
from checker.formats.scalars import form, scalar


def one(text: str):
    ((_, found),) = forms(text)
    return found


def keyword(name):
    return Atom("keyword", name)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        ("true", TRUE),
        ("false", FALSE),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("12N", 12),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("1.5", Atom("float", "1.5")),
        ("-2.50", Atom("float", "-2.5")),
        ("1e3", Atom("float", "1000.0")),
        ("1.50M", Atom("decimal", "1.50M")),
        ("##NaN", Atom("float", "##NaN")),
        ('"a b"', "a b"),
        ('"\\"\\\\\\n\\t\\r\\u00e9"', '"\\\n\t\ré'),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"two\nlines"', "two\nlines"),
        ('""', ""),
        (":a", keyword(":a")),
        (":a/b.c-d?", keyword(":a/b.c-d?")),
        ("foo/bar", Atom("symbol", "foo/bar")),
        ("\\a", Atom("char", "\\a")),
        ("\\newline", Atom("char", "\\newline")),
        ("\\u0041", Atom("char", "\\u0041")),
        ("\\(", Atom("char", "\\(")),
        ("\\;", Atom("char", "\\;")),
        ("[1 2]", (1, 2)),
        ("(1, 2)", (1, 2)),
        ("[]", ()),
        ("#{1 nil}", EdnSet.fromkeys([1, None])),
        ("{:a 1, :b [2]}", EdnMap({keyword(":a"): 1, keyword(":b"): (2,)})),
        ('#inst "2020-01-01"', Tagged("inst", "2020-01-01")),
        ("#a.b.C{:x 1}", Tagged("a.b.C", EdnMap({keyword(":x"): 1}))),
        ("; a comment\n1 ; another", 1),
        ("#_ 2 1", 1),
        ("#_ #_ 2 3 1", 1),
        ("[#_ (2 3)]", ()),
        ("#_#a b 1", 1),
        (" ,\r\n\t1,", 1),
    ],
)
def test_reads(text, value):
    assert one(text) == value


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("1", "true", False),
        ("0", "false", False),
        ("1", "1.0", False),
        ("1", "1N", True),
        ("1.0", "1e0", True),
        ('"a"', "\\a", False),
        ('":a"', ":a", False),
        ('"a"', "a", False),
        ("[1]", "(1)", True),
        ("[1]", "#{1}", False),
        ("{1 2, 3 4}", "{3 4, 1 2}", True),
        ("#{1 2}", "#{2 1}", True),
        ("{}", "#{}", False),
        ("nil", "[]", False),
        ("[true]", "[1]", False),
    ],
)
def test_equal_iff_clojure_says_so(left, right, equal):
    a, b = one(left), one(right)
    assert (a == b) is equal
    assert len({a, b}) == (1 if equal else 2)
    assert (write(a) == write(b)) is equal


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("\n1/2", 2, "ratio"),
        ("007 ", 1, "not a number"),
        ("1.2.3 ", 1, "not a number"),
        ("{:a} ", 1, "without a value"),
        ("{:a 1 :a 2} ", 1, "key twice"),
        ("#{1 1} ", 1, "element twice"),
        ("[1}", 1, "cannot end"),
        (")", 1, "closes nothing"),
        ("[\n1", 2, "vector that begins in line 1"),
        ('"a\n', 2, "string that begins in line 1"),
        ("@a ", 1, "not EDN"),
        ("'a ", 1, "not EDN"),
        ('"\\x" ', 1, "escape"),
        ("\\nope ", 1, "character"),
        ("#_", 1, "discarded form"),
        ("#a", 1, "tagged"),
        ("[#_]", 1, "cannot end"),
        ("9" * 5000, 1, "digits"),
        ("1" * 5000 + ".0 ", 1, "number"),
        ("\x00 ", 1, "not EDN"),
        ("[" * 10_000, 1, "nested"),
        ("#a " * 10_000, 1, "nested"),
        ("#_" * 10_000, 1, "nested"),
    ],
)
def test_refuses(text, line, reason):
    with pytest.raises(EdnError) as caught:
        list(forms(text))
    assert reason in caught.value.reason
    assert caught.value.line == line
    assert len(caught.value.reason) < 200


def test_nesting_up_to_the_limit_is_read_and_written():
    for opening, closing in (("[", "]"), ("#{", "}"), ("{1 ", "}"), ("#a ", ""), ("{", " 1}")):
        text = opening * (MAX_DEPTH - 1) + "[]" + closing * (MAX_DEPTH - 1)
        assert one(write(one(text))) == one(text)


def test_elements_of_an_outermost_vector_come_one_by_one():
    found = elements("[1\n2 [3]\n(4)")
    assert [next(found) for _ in range(4)] == [(1, 1), (2, 2), (2, (3,)), (3, (4,))]
    with pytest.raises(EdnError, match="ends inside the vector"):
        next(found)
    assert [value for _, value in elements("[1] (2) 3 [#_ 4]")] == [1, 2, 3]


ATOMS = st.one_of(
    st.none(), st.integers(), st.text(), st.sampled_from([TRUE, FALSE, keyword(":a"), Atom("float", "1.5")])
)
HARD = (":a", ":a b", ":", "#edn 1", "#edn 1.5", "#edn :a", '#edn "x"', '#edn ":a"', "#edn ", keyword(":b"))
FORMS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(EdnSet.fromkeys),
        st.dictionaries(inner, inner, max_size=4).map(EdnMap),
        inner.map(lambda value: Tagged("t", value)),
    ),
    max_leaves=20,
)


@settings(max_examples=80, deadline=None)
@given(FORMS)
def test_what_is_written_reads_the_same(value):
    assert one(write(value)) == value


@settings(max_examples=80, deadline=None)
@given(FORMS | st.sampled_from(HARD), FORMS | st.sampled_from(HARD))
def test_scalars_are_equal_iff_the_values_are(left, right):
    assert (scalar(left) == scalar(right) and type(scalar(left)) is type(scalar(right))) is (left == right)
    assert form(scalar(left)) == left


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet='[](){}#_"\\:;/ \n01.aN-+é\x00', max_size=40))
def test_nothing_but_edn_errors(text):
    found = []
    with contextlib.suppress(EdnError):
        found.extend(forms(text))
    assert [one(write(value)) for _, value in found] == [value for _, value in found]
