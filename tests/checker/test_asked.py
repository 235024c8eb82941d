"""What stands on the wire held against the history: questions and answers of every service."""

from __future__ import annotations

import pytest

from checker.asked import answers_the_same, says_the_same
from checker.history import Operation


def op(f, output=None, given=None):
    return Operation(0, 0, f, "k", given, output, "ok", 0, 1)


def wire(words):
    return tuple(word.encode() for word in words.split())


@pytest.mark.parametrize(
    ("model", "operation", "same", "other"),
    [
        ("kv", op("get", "v"), "ok v", "ok w"),
        ("kv", op("get", None), "nil", "ok v"),
        ("kv", op("put", None, "v"), "ok", "ok v"),
        ("kv", op("cas", (True, "a"), ("a", "b")), "swapped a", "differs a"),
        ("kv", op("cas", (False, None), ("a", "b")), "differs", "differs a"),
        ("append", op("read", ("a", "b")), "list a b", "list b a"),
        ("set", op("read", ("b", "a")), "set a b", "set a"),
        ("set", op("read", ()), "set", "set a"),
        ("set", op("contains", True, "a"), "yes", "no"),
        ("set", op("contains", (False,), "a"), "no", "yes"),
        ("set", op("add", None, "a"), "ok", "full"),
        ("queue", op("dequeue", "a"), "item a", "item b"),
        ("queue", op("dequeue", None), "empty", "item a"),
        ("queue", op("length", 3), "length 3", "length 4"),
        ("queue", op("read", ("a", "b")), "queue a b", "queue b a"),
        ("counter", op("add", 3, 1), "ok 3", "ok 4"),
        ("counter", op("read", 3), "value 3", "value 4"),
        ("bank", op("transfer", "ok", (0, 1, 5)), "ok", "overdraft"),
        ("bank", op("transfer", "overdraft", (0, 1, 5)), "overdraft", "ok"),
        ("bank", op("balance", 7, 0), "balance 7", "balance 8"),
        ("bank", op("read", (1, 2)), "balances 1 2", "balances 2 1"),
    ],
)
def test_an_answer_on_the_wire_is_the_output_or_is_not(model, operation, same, other):
    assert answers_the_same(model, operation, wire(same)) is True
    assert answers_the_same(model, operation, wire(other)) is False
    assert answers_the_same(model, operation, wire("error why")) is False
    assert answers_the_same("kv-append", operation, wire(same)) is None


@pytest.mark.parametrize(
    ("model", "operation", "same", "other"),
    [
        ("register", op("write", None, "v"), "put k v", "put k w"),
        ("register", op("read"), "get k", "get j"),
        ("kv", op("cas", None, ("a", "b")), "cas k a b", "cas k b a"),
        ("set", op("add", None, "a"), "add k a", "remove k a"),
        ("queue", op("dequeue"), "dequeue k", "peek k"),
        ("counter", op("add", None, 1), "add k 1", "add k 2"),
        ("bank", op("transfer", None, (0, 1, 5)), "transfer k 0 1 5", "transfer k 1 0 5"),
    ],
)
def test_a_question_on_the_wire_is_the_operation_or_is_not(model, operation, same, other):
    assert says_the_same(model, operation, wire(same)) is True
    assert says_the_same(model, operation, wire(other)) is False
    assert says_the_same(model, operation, ()) is False
    assert says_the_same("kv-append", operation, wire(same)) is None


def test_booleans_and_nested_inputs_are_not_compared():
    assert says_the_same("kv", op("put", None, True), wire("put k True")) is None
    assert says_the_same("kv", op("put", None, (("a",),)), wire("put k a")) is None
