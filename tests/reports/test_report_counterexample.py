"""A counterexample's operations of every model, what was done to them on the way, and the facts they show."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.anomalies import read_anomalies
from reports.counterexample import MAX_FACTS, read_counterexample
from reports.operations import Operation, read_history
from reports.values import answered_text, asked_text, call_words, value_text
from reports.verdict_view import read_lines


def operation(index: int, f: str, asked: object, told: object, end: int | None = 9) -> dict[str, object]:
    kind = "info" if end is None else "ok"
    return {
        "index": index, "process": index, "f": f, "input": asked, "output": told, "type": kind,
        "call_ns": index, "return_ns": end,
    }  # fmt: skip


def recorded(*operations: Mapping[str, object]) -> list[Operation]:
    """The same operations as a history, in which all completed."""
    lines: list[dict[str, object]] = []
    for one in operations:
        lines.append({**one, "type": "invoke", "time_ns": one["call_ns"]})
        lines.append({**one, "type": "ok", "time_ns": 1_000})
    return list(read_history(enumerate(lines)).operations)


@pytest.mark.parametrize(
    ("f", "asked", "told", "words"),
    [
        ("enqueue", 2, None, "enqueue 2"),
        ("dequeue", None, 2, "dequeue → 2"),
        ("dequeue", None, None, "dequeue → nothing"),
        ("add", "x", None, "add x"),
        ("read", None, ["a", 1], 'read → ["a", 1]'),
        ("read", None, [], "read → []"),
        ("contains", "x", False, "contains x → false"),
        ("add", -3, 17, "add -3 → 17"),
        ("read", None, 0, "read → 0"),
        ("transfer", [6, 1, 55], "ok", "transfer [6, 1, 55] → ok"),
        ("read", None, [["a", 5], ["b", 0]], 'read → [["a", 5], ["b", 0]]'),
        ("append", "text", "", 'append text → ""'),
        ("cas", ["v1", "v2"], [False, "v3"], 'cas ["v1", "v2"] → [false, "v3"]'),
        ("read", ["x", "y"], [1, None], 'read ["x", "y"] → [1, null]'),
        ("txn", [["write", "x", 2], ["read", "y", None]], [["write", "x", 2], ["read", "y", 7]],
         "txn write x 2, read y → y: 7"),
        ("txn", [["append", "x", 2]], [["append", "x", 2]], "txn append x 2"),
        ("txn", [["r", "x", None]], [["r", "x", [1, 2]]], "txn r x → x: [1, 2]"),
        ("txn", [["r", "x", None]], None, "txn r x"),
        ("txn", [["steal", "x", 1]], 5, 'txn [["steal", "x", 1]] → 5'),
        ("txn", [["r", "x"]], [["r"]], 'txn [["r", "x"]] → [["r"]]'),
        ("txn", [["r", "x", None]] * 51, None, None),
    ],
)  # fmt: skip
def test_operations_of_every_model_read_as_words(
    f: str, asked: object, told: object, words: str | None
) -> None:
    example = read_counterexample({"operations": [operation(0, f, asked, told)]})
    assert example
    (entry,) = example.entries
    if words is None:
        assert len(entry.words) < 150
    else:
        assert entry.words == words
        assert recorded(operation(0, f, asked, told))[0].words == words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"), ("1", '"1"'), ("-1.5e3", '"-1.5e3"'), (None, "null"), ("null", '"null"'), (True, "true"),
        ("true", '"true"'), ("", '""'), ("[1]", '"[1]"'), ('"x"', '""x""'), ("v1", "v1"), ("c0-1", "c0-1"),
        ("nullable", "nullable"), ({"a": 1}, '{"a": 1}'), (1.5, "1.5"), ("a\u202eb", "a\\u202eb"),
    ],
)  # fmt: skip
def test_a_string_is_not_taken_for_another_value(value: object, text: str) -> None:
    assert value_text(value) == text


def test_what_was_weakened_cut_or_reduced_is_marked() -> None:
    history = recorded(
        operation(0, "cas", ["a", "b"], True),
        operation(1, "put", "b", None),
        operation(2, "read", None, ["x", "y"]),
        operation(3, "read", None, ["x"]),
    )
    document = {
        "operations": [
            operation(0, "write", "b", None), operation(1, "put", "b", None, None),
            operation(2, "read", None, ["x"]), operation(3, "read", None, ["x"]),
        ],
        "moves": [["cut", [50]], ["project", ["y"]], ["weaken", [0]], ["keep", [0, 1, 2, 3]]],
    }  # fmt: skip
    example = read_counterexample(document, history)
    assert example
    assert [(entry.mark, entry.original) for entry in example.entries] == [
        ("weakened", 'cas ["a", "b"] → true'), ("cut", "put b"), ("reduced", 'read → ["x", "y"]'), ("", ""),
    ]  # fmt: skip
    assert example.changed
    assert str(example.picture).count(" changed") == 3
    assert [said.split(":")[0] for said in example.moves] == ["cut", "project", "weaken", "keep"]
    assert "as it stood 50 ns after the first invocation shown" in example.moves[0]
    assert "does not see y" in example.moves[1]
    assert "1 operation marked below says less" in example.moves[2]


def test_an_operation_that_is_not_the_histories_is_said_to_be_so() -> None:
    document = {"operations": [operation(0, "get", None, "v1")], "moves": []}
    example = read_counterexample(document, recorded(operation(0, "get", None, "v2")))
    assert example
    assert (example.entries[0].mark, example.entries[0].original) == ("not as recorded", "get → v2")


def test_a_pending_operation_of_the_history_is_not_cut() -> None:
    lines = [{**operation(0, "put", "b", None), "type": "invoke", "time_ns": 0}]
    history = read_history(enumerate(lines)).operations
    example = read_counterexample(
        {"operations": [operation(0, "put", "b", None, None)], "moves": [["cut", [5]]]}, history
    )
    assert example
    assert (example.entries[0].mark, example.changed) == ("", False)


def test_moves_in_words() -> None:
    operations = [{**operation(0, "get", None, 1), "call_ns": 2_000}]
    moves = [
        ["after", [500]],
        ["cut", [2_000]],
        ["cut", []],
        ["steal", [1]],
        5,
        ["x"],
        ["project", list(range(99))],
    ]
    example = read_counterexample({"operations": operations, "moves": moves})
    assert example
    said = list(example.moves)
    assert "completed by 1.50 µs before the first invocation shown is forgotten" in said[0]
    assert "as it stood at the first invocation shown" in said[1]
    assert "a moment that is not named" in said[2]
    assert said[3] == "steal: a move this page does not know."
    assert said[4].endswith("and 87 more.")
    assert len(said) == 5


def test_steps_are_facts_each_once() -> None:
    step = {
        "rule": "real-time",
        "operations": [8, 10],
        "text": "#8 ended 3 ms before #10",
        "margin_ns": 1_499_999,
    }
    stuck = {"rule": "stuck", "operations": list(range(20)), "text": "cannot come next", "margin_ns": None}
    example = read_counterexample({"steps": [step, step, stuck, 5, {"margin_ns": -1}]})
    assert example
    facts = [(fact.rule, fact.operations, fact.text, fact.margin) for fact in example.facts]
    assert facts[0] == ("real-time", "#8 #10", "#8 ended 3 ms before #10", "1.50 ms")
    assert facts[1][1].endswith("#11 …")
    assert facts[1][3] == ""
    assert facts[2] == ("null", "", "(no words)", "")
    assert len(facts) == 3
    many = read_counterexample({"steps": [{"text": str(i)} for i in range(999)]})
    assert many
    assert len(many.facts) == MAX_FACTS


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["r", "append"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("index", "process", "f", "input", "output", "type", "call_ns", "return_ns")
OPERATIONS = st.lists(
    st.dictionaries(st.sampled_from(FIELDS), ANY_JSON | st.integers(0, 3), max_size=8), max_size=4
)
MOVES = st.lists(
    st.tuples(st.sampled_from(["cut", "after", "project", "weaken", "keep"]), ANY_JSON).map(list)
)
DETAILS = st.dictionaries(
    st.sampled_from(("engines", "engine", "margin_ns", "guarantees", "still", "furthest", "anomalies", "not",
                     "rejected", "read", "failures", "reasons", "anomaly_types")),
    ANY_JSON | st.lists(st.dictionaries(st.sampled_from(("type", "transactions", "sentences")), ANY_JSON)),
)  # fmt: skip


@settings(max_examples=80)
@given(OPERATIONS, MOVES, ANY_JSON, DETAILS, st.sampled_from(["linearizability", "witness", "coverage"]))
def test_no_shape_of_json_raises(
    operations: list[dict[str, object]], moves: object, other: object, details: dict[str, object], name: str
) -> None:
    document = {
        "operations": operations, "moves": moves, "steps": other, "state_then": other, "stuck_on": 1,
        "longest_prefix": other,
    }  # fmt: skip
    history = [Operation(1, "0", "c", "get", "k", "null", "1", "ok", 0, 5, None, "")]
    read_counterexample(document, history)
    read_counterexample(
        {**document, "moves": other, "steps": [other, {"operations": other, "text": other}]}, history
    )
    read_anomalies(details, history)
    read_lines({"lines": [{"name": name, "verdict": "invalid", "details": details}]})


@settings(max_examples=50)
@given(ANY_JSON, ANY_JSON)
def test_words_are_bounded_and_visible(asked: object, told: object) -> None:
    words = call_words("f", asked_text(asked), answered_text(asked, told), "ok")
    assert len(words) < 4_000
    assert "\n" not in words


def test_huge_and_deep_values_are_cut() -> None:
    deep: object = 1
    for _ in range(5_000):
        deep = [deep]
    assert len(asked_text(deep)) < 150
    assert len(asked_text([["append", "k" * 9_999, "v" * 9_999]] * 50)) < 300
