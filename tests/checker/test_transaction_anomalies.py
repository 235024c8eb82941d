"""Every anomaly by a history written by hand, and its twin that differs in one thing and is in order."""

from __future__ import annotations

import pytest
from serial_truth import judge, serial, txn


def a(key, element):
    return ("append", key, element)


def r(key, *elements):
    return ("r", key, elements)


def together(*micros):
    """Transactions that all overlap, of a process each."""
    return [txn(i, micro, 0, 100) for i, micro in enumerate(micros)]


def in_turn(*micros, process=None):
    """One after the other in real time."""
    return [txn(i, micro, 10 * i, 10 * i + 5, process=process) for i, micro in enumerate(micros)]


def failed(operations, index):
    return [
        txn(index, op.output, op.call_ns, None, process=op.process, type_="fail") if op.index == index else op
        for op in operations
    ]


# name -> (operations, all anomaly types, strongest models left, a twin in order)
CASES = {
    "G0": (
        together([a("x", 1), a("y", 2)], [a("x", 2), a("y", 1)], [r("x", 1, 2), r("y", 1, 2)]),
        {"G0"},
        [],
        together([a("x", 1), a("y", 1)], [a("x", 2), a("y", 2)], [r("x", 1, 2), r("y", 1, 2)]),
    ),
    "G1a": (
        failed(together([a("x", 1)], [r("x", 1)]), 0),
        {"G1a"},
        ["strong-read-uncommitted"],
        together([a("x", 1)], [r("x", 1)]),
    ),
    "garbage-read": (
        together([a("x", 1)], [r("x", 9)]),
        {"garbage-read"},
        ["strong-read-uncommitted"],
        together([a("x", 9)], [r("x", 9)]),
    ),
    "G1b": (
        together([a("x", 1), a("x", 2)], [r("x", 1)], [r("x", 1, 2)]),
        {"G1b", "G-single"},
        ["strong-read-uncommitted"],
        together([a("x", 1), a("x", 2)], [r("x")], [r("x", 1, 2)]),
    ),
    "G1c": (
        together([a("x", 1), r("y", 1)], [a("y", 1), r("x", 1)]),
        {"G1c"},
        ["strong-read-uncommitted"],
        together([a("x", 1), r("y", 1)], [a("y", 1), r("x")]),
    ),
    "G-single": (
        together([a("x", 1), a("y", 1)], [r("x", 1), r("y")], [r("y", 1)]),
        {"G-single"},
        None,
        together([a("x", 1), a("y", 1)], [r("x", 1), r("y", 1)], [r("y", 1)]),
    ),
    "G-nonadjacent": (  # a long fork
        together([a("x", 1)], [a("y", 1)], [r("x", 1), r("y")], [r("y", 1), r("x")]),
        {"G-nonadjacent"},
        None,
        together([a("x", 1)], [a("y", 1)], [r("x", 1), r("y")], [r("y", 1), r("x", 1)]),
    ),
    "G2-item": (  # write skew
        together([r("x"), r("y"), a("x", 1)], [r("x"), r("y"), a("y", 1)]),
        {"G2-item"},
        None,
        together([r("x"), r("y"), a("x", 1)], [r("x", 1), r("y"), a("y", 1)]),
    ),
    "lost-update": (
        together([r("x"), a("x", 1)], [r("x"), a("x", 2)]),
        {"lost-update", "G2-item"},
        None,
        together([r("x"), a("x", 1)], [r("x", 1), a("x", 2)]),
    ),
    "G0-process": (
        [
            txn(0, [a("x", 1)], 0, 5, process=7),
            txn(1, [a("x", 2)], 10, 15, process=7),
            txn(2, [r("x", 2, 1)], 0, 30),
        ],
        {"G0-process"},
        ["serializable"],
        in_turn([a("x", 1)], [a("x", 2)], [r("x", 1, 2)], process=7),
    ),
    "G1c-process": (
        [
            txn(0, [r("x", 1)], 0, 5, process=7),
            txn(1, [a("x", 1)], 10, 15, process=7),
        ],
        {"G1c-process"},
        ["strong-read-uncommitted", "serializable"],
        in_turn([r("x")], [a("x", 1)], process=7),
    ),
    "G-single-process": (
        [*in_turn([a("x", 1)], [r("x")], process=7), txn(2, [r("x", 1)], 0, 99)],
        {"G-single-process"},
        ["strong-read-committed", "serializable"],
        in_turn([a("x", 1)], [r("x", 1)], process=7),
    ),
    "G0-realtime": (
        [*in_turn([a("x", 1)], [a("x", 2)]), txn(2, [r("x", 2, 1)], 0, 30)],
        {"G0-realtime"},
        ["strong-session-serializable"],
        [*in_turn([a("x", 1)], [a("x", 2)]), txn(2, [r("x", 1, 2)], 0, 30)],
    ),
    "G1c-realtime": (
        in_turn([r("x", 1)], [a("x", 1)]),
        {"G1c-realtime"},
        ["strong-session-serializable", "strong-read-uncommitted"],
        together([r("x", 1)], [a("x", 1)]),
    ),
    "G-single-realtime": (
        [*in_turn([a("x", 1)], [r("x")]), txn(2, [r("x", 1)], 0, 99)],
        {"G-single-realtime"},
        ["strong-session-serializable", "strong-read-committed"],
        [*in_turn([a("x", 1)], [r("x", 1)]), txn(2, [r("x", 1)], 0, 99)],
    ),
    "G-nonadjacent-realtime": (
        [
            txn(0, [a("x", 1)], 0, 5),
            txn(1, [a("y", 1)], 0, 5),
            txn(2, [r("x")], 7, 20),
            txn(3, [r("y")], 7, 20),
        ],
        {"G-single-realtime"},
        None,
        [
            txn(0, [a("x", 1)], 0, 7),
            txn(1, [a("y", 1)], 0, 7),
            txn(2, [r("x")], 7, 20),
            txn(3, [r("y")], 7, 20),
        ],
    ),
    "duplicate-elements": (
        together([a("x", 1)], [r("x", 1, 1)]),
        {"duplicate-elements"},
        [],
        together([a("x", 1)], [r("x", 1)]),
    ),
    "incompatible-order": (
        together([a("x", 1)], [a("x", 2)], [r("x", 1, 2)], [r("x", 2, 1)]),
        {"incompatible-order"},
        ["strong-read-uncommitted"],
        together([a("x", 1)], [a("x", 2)], [r("x", 1, 2)], [r("x", 1)]),
    ),
    "internal": (
        together([a("x", 1), r("x")], [r("x", 1)]),
        {"internal"},
        None,
        together([a("x", 1), r("x", 1)], [r("x", 1)]),
    ),
    "internal, read twice": (
        together([a("x", 1)], [r("x"), r("x", 1)]),
        {"internal", "G-single"},
        None,
        together([a("x", 1)], [r("x", 1), r("x", 1)]),
    ),
    "internal, own order": (
        together([a("x", 1), a("x", 2)], [a("x", 3)], [r("x", 2, 1, 3)]),
        {"internal"},
        None,
        together([a("x", 1), a("x", 2)], [a("x", 3)], [r("x", 1, 2, 3)]),
    ),
    "future-read": (
        together([r("x", 1), a("x", 1)]),
        {"future-read"},
        None,
        together([r("x"), a("x", 1)]),
    ),
    "dirty-update": (
        failed(together([a("x", 1)], [a("x", 2)], [r("x", 1, 2)]), 0),
        {"dirty-update", "G1a"},
        ["strong-read-uncommitted"],
        together([a("x", 1)], [a("x", 2)], [r("x", 1, 2)]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_anomaly_is_named_and_its_twin_is_not(name):
    operations, types, left, twin = CASES[name]
    found = judge(operations)
    assert found.line.verdict == "invalid", found.line.reason
    assert found.line.details["anomaly_types"].keys() == types
    if left is not None:
        assert found.line.details["may_hold"] == left
    assert not serial(operations, "real time")
    assert judge(twin).line.verdict == "valid", judge(twin).line.reason
    assert serial(twin, "real time")
