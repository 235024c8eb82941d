"""By hand: a history for each rule of the engines of lists, sets, queues and counters, and what they name."""

from __future__ import annotations

import pytest
from brute_force import Case
from fuzz import ENGINES, disagreement
from structure_histories import op

from checker.engines.answers import Explained, Refuted, Undecided
from checker.engines.polynomial import engine_for
from checker.models import model_named


def judge(model, *calls, initial=None):
    """`calls`: (f, input, output, call, return). The answer, once brute force agrees."""
    operations = tuple(op(i, *call) for i, call in enumerate(calls))
    name = {"append": "lists", "kv-append": "tangled texts", "grow-only-set": "grow sets", "set": "sets"}
    row = ENGINES[name.get(model, model + "s")]
    assert disagreement(row, Case(model, initial, operations)) is None
    spec = model_named(model, initial)
    return engine_for(spec)(spec, operations)


def refuted(model, *calls, initial=None):
    answer = judge(model, *calls, initial=initial)
    assert isinstance(answer, Refuted), answer
    return answer.kind, answer.core


def put(value, call, end):
    return ("enqueue", value, None, call, end)


def take(value, call, end):
    return ("dequeue", None, value, call, end)


def append(element, call, end):
    return ("append", element, None, call, end)


def read(output, call, end):
    return ("read", None, output, call, end)


def add(element, call, end, told=None):
    return ("add", element, told, call, end)


def remove(element, call, end):
    return ("remove", element, None, call, end)


def asked(element, found, call, end):
    return ("contains", element, found, call, end)


QUEUE = {
    "unwritten": ("unwritten", (0,), [take("a", 0, 1)]),
    "twice": ("duplicate-dequeue", (0, 1, 2), [put("a", 0, 1), take("a", 2, 3), take("a", 4, 5)]),
    "before it was put in": ("dequeued-early", (0, 1), [take("a", 0, 1), put("a", 2, 3)]),
    "second first": (
        "fifo",
        (0, 1, 2, 3),
        [put("a", 0, 1), put("b", 2, 3), take("b", 4, 5), take("a", 6, 7)],
    ),
    "the first is lost": ("fifo", (0, 1, 2), [put("a", 0, 1), put("b", 2, 3), take("b", 4, 5)]),
    "not empty": ("empty-covered", (0, 1, 2), [put("a", 0, 1), take(None, 2, 3), take("a", 4, 5)]),
    "not empty, never taken": ("empty-covered", (0, 1), [put("a", 0, 1), take(None, 2, 3)]),
    "covered by two": (
        "empty-covered",
        (0, 1, 2, 3, 4),
        [put("a", 0, 1), take(None, 2, 9), put("b", 3, 4), take("a", 6, 7), take("b", 10, 11)],
    ),
    "covered by the longer one": (
        "empty-covered",
        (0, 2, 4),
        [put("a", 0, 1), put("b", 0, 2), take(None, 3, 9), take("b", 8, 9), take("a", 10, 11)],
    ),
}


@pytest.mark.parametrize("name", QUEUE)
def test_queues(name):
    kind, core, calls = QUEUE[name]
    assert refuted("queue", *calls) == (kind, core)


def test_queue_intervals_are_closed():
    assert isinstance(judge("queue", take("a", 0, 1), put("a", 1, 3)), Explained)
    order = [put("a", 0, 1), put("b", 2, 3), take("b", 4, 5), take("a", 5, 6)]
    assert isinstance(judge("queue", *order), Explained)
    assert isinstance(judge("queue", put("a", 0, 1), take(None, 1, 3), take("a", 4, 5)), Explained)
    assert isinstance(judge("queue", put("a", 0, 1), take(None, 2, 4), take("a", 4, 5)), Explained)
    both = [put("a", 0, 1), take(None, 2, 9), put("b", 5, 6), take("a", 6, 7), take("b", 10, 11)]
    assert isinstance(judge("queue", *both), Explained)


def test_a_pending_enqueue_counts_if_its_value_came_out():
    assert isinstance(judge("queue", put("a", 0, None), put("b", 1, 2), take("b", 3, 4)), Explained)
    assert isinstance(
        judge("queue", put("a", 0, None), put("b", 1, 2), take("b", 3, 4), take("a", 5, 6)), Explained
    )
    late = [take("a", 0, 1), put("a", 2, None)]
    assert refuted("queue", *late)[0] == "dequeued-early"


def test_a_pending_dequeue_may_have_taken_what_is_missing():
    lost = [put("a", 0, 1), put("b", 2, 3), take("b", 4, 5)]
    assert isinstance(judge("queue", ("dequeue", None, None, 3, None), *lost), Explained)
    assert refuted("queue", *lost, ("dequeue", None, None, 6, None)) == ("fifo", ())
    two = [put("a", 0, 1), put("b", 2, 3), put("c", 4, 5), take("c", 6, 7)]
    pending = ("dequeue", None, None, 5, None)
    assert refuted("queue", *two, pending)[0] == "fifo"
    assert isinstance(judge("queue", *two, pending, pending), Explained)


def test_values_enqueued_twice_are_tried_both_ways():
    twice = [put("a", 0, 1), put("b", 2, 3), put("a", 4, 5), take("b", 6, 7), take("a", 8, 9)]
    assert refuted("queue", *twice)[0] == "fifo"
    assert isinstance(judge("queue", *twice[:2], put("a", 0, 9), *twice[3:], take("a", 10, 11)), Refuted)
    assert isinstance(
        judge("queue", put("a", 0, 9), *twice[1:3], take("b", 6, 7), *[take("a", 8, 9)] * 2), Explained
    )


def test_too_many_choices_are_undecided():
    model = model_named("queue")
    same = [op(i, *put("a", 0, 9)) for i in range(9)] + [op(9 + i, *take("a", 0, 9)) for i in range(7)]
    assert isinstance(engine_for(model)(model, same), Undecided)
    model = model_named("append")
    same = [op(i, *append("a", i, 99 - i)) for i in range(9)] + [op(9, *read(("a",) * 8, 0, 99))]
    assert isinstance(engine_for(model)(model, same), Undecided)


def test_what_a_queue_held_at_first():
    assert isinstance(judge("queue", take("a", 0, 1), take("b", 2, 3), initial=("a", "b")), Explained)
    assert refuted("queue", take("b", 0, 1), take("a", 2, 3), initial=("a", "b")) == ("fifo", (0, 1))
    assert refuted("queue", take(None, 0, 1), initial=("a",)) == ("empty-covered", (0,))


LISTS = {
    "unwritten": ("unwritten", (0,), [read(("a",), 0, 1)]),
    "twice": ("duplicate", (0, 1), [append("a", 0, 1), read(("a", "a"), 2, 3)]),
    "incomparable": (
        "incomparable",
        (0, 1, 2, 3),
        [append("a", 0, 1), append("b", 0, 1), read(("a", "b"), 2, 3), read(("b",), 2, 3)],
    ),
    "not there yet": ("missing", (0, 1), [append("a", 0, 1), read((), 2, 3)]),
    "gone again": (
        "shorter-later",
        (0, 1, 2),
        [append("a", 0, 9), read(("a",), 1, 2), read((), 3, 4)],
    ),
    "read before it was appended": ("read-early", (0, 1), [read(("a",), 0, 1), append("a", 2, 3)]),
    "reordered": (
        "reordered",
        (0, 1, 2),
        [append("a", 0, 1), append("b", 2, 3), read(("b", "a"), 4, 5)],
    ),
    "passed over": (
        "reordered",
        (0, 1, 2),
        [append("a", 0, 1), append("b", 2, 3), read(("b",), 0, 9)],
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists(name):
    kind, core, calls = LISTS[name]
    assert refuted("append", *calls) == (kind, core)
    texts = [call if call[0] == "append" else text("".join(call[2]), *call[3:]) for call in calls]
    assert refuted("kv-append", *texts) == (kind, core)


def test_pending_appends():
    assert isinstance(judge("append", append("a", 0, None), read((), 5, 6), read(("a",), 7, 8)), Explained)
    answer = judge("append", append("a", 0, None), read((), 5, 6))
    assert isinstance(answer, Explained)
    assert answer.dropped == [0]


def test_elements_appended_twice():
    nested = [append("a", 0, 100), append("a", 5, 6), append("z", 50, 60), read(("a", "z", "a"), 101, 102)]
    assert isinstance(judge("append", *nested), Explained)
    assert refuted("append", append("a", 0, 1), append("a", 2, 3), *nested[2:])[0] == "order"


def text(output, call, end):
    return ("get", None, output, call, end)


def test_strings_are_cut_in_one_way_or_not_at_all():
    assert isinstance(judge("kv-append", append("ab", 0, 9), append("a", 0, 9), text("aab", 1, 2)), Explained)
    tangle = [append("a", 0, 9), append("b", 0, 9), append("ab", 0, 9), text("ab", 1, 2)]
    assert isinstance(judge("kv-append", *tangle), Undecided)
    assert refuted("kv-append", append("ab", 0, 9), text("a", 1, 2)) == ("unwritten", (1,))
    torn = [append("ab", 0, 9), append("cd", 0, 9), text("abc", 1, 2), text("abcd", 1, 2)]
    assert refuted("kv-append", *torn) == ("unwritten", (2, 3))
    assert isinstance(judge("kv-append", append("", 0, 1), text("", 2, 3)), Undecided)
    assert isinstance(judge("kv-append", ("put", "a", None, 0, 1), text("a", 2, 3)), Undecided)


def test_what_a_list_held_at_first():
    assert isinstance(judge("append", append("b", 0, 1), read(("a", "b"), 2, 3), initial=("a",)), Explained)
    assert refuted("append", append("b", 0, 1), read(("b",), 2, 3), initial=("a",)) == ("initial", (1,))
    assert refuted("append", read((), 0, 1), read(("a",), 2, 3), initial=("a",)) == ("initial", (0,))
    assert isinstance(judge("kv-append", append("b", 0, 1), text("ab", 2, 3), initial="a"), Explained)


GROW = {
    "unwritten": ("unwritten", (0,), [asked("a", True, 0, 1)]),
    "unwritten in a read": ("unwritten", (0,), [read(("a",), 0, 1)]),
    "repeated": ("repeated", (0, 1), [add("a", 0, 1), read(("a", "a"), 2, 3)]),
    "incomparable": (
        "incomparable",
        (0, 1, 2, 3),
        [add("a", 0, 9), add("b", 0, 9), read(("a",), 1, 2), read(("b",), 1, 2)],
    ),
    "missing": ("missing", (0, 1), [add("a", 0, 1), asked("a", False, 2, 3)]),
    "missing in a read": ("missing", (0, 1), [add("a", 0, 1), read((), 2, 3)]),
    "found, then not": (
        "missing",
        (0, 1, 2),
        [add("a", 0, 9), asked("a", True, 1, 2), asked("a", False, 3, 4)],
    ),
    "found early": ("seen-early", (0, 1), [asked("a", True, 0, 1), add("a", 2, 3)]),
    "read early": ("seen-early", (0, 1), [read(("a",), 0, 1), add("a", 2, 3)]),
    "smaller later": ("missing", (0, 1, 2), [add("a", 0, 9), read(("a",), 1, 2), read((), 3, 4)]),
    "reordered": ("reordered", (0, 1, 2), [add("a", 0, 1), add("b", 2, 3), read(("b",), 0, 9)]),
    "no add is early enough": (
        "seen-early",
        (0, 1, 2),
        [asked("a", True, 0, 1), add("a", 2, 3), add("a", 4, 5)],
    ),
}


@pytest.mark.parametrize("name", GROW)
def test_grow_only_sets(name):
    kind, core, calls = GROW[name]
    assert refuted("grow-only-set", *calls) == (kind, core)
    assert refuted("set", *calls) == (kind, core)


def test_adds_of_one_element_need_not_be_unique():
    calls = [add("a", 0, 1), add("a", 5, None), add("a", 2, 9), asked("a", True, 3, 4), read(("a",), 3, 4)]
    answer = judge("grow-only-set", *calls)
    assert isinstance(answer, Explained)
    assert answer.dropped == [1]
    assert isinstance(judge("grow-only-set", asked("a", False, 0, 1), initial=("b",)), Explained)
    assert refuted("grow-only-set", asked("b", False, 0, 1), initial=("b",))[0] == "missing"


def test_sets_with_removes():
    assert refuted("set", add("a", 0, 1), remove("a", 2, 3), asked("a", True, 4, 5)) == ("element", (0, 1, 2))
    assert refuted("set", remove("a", 0, 1), asked("a", True, 4, 5)) == ("element", (1,))
    assert isinstance(judge("set", remove("a", 0, None), add("a", 2, 3), asked("a", False, 4, 5)), Explained)
    again = [add("a", 0, 1), remove("a", 2, 3), add("a", 4, None), asked("a", True, 5, 6)]
    assert isinstance(judge("set", *again), Explained)
    assert refuted("set", *again, asked("a", False, 7, 8))[0] == "element"
    assert isinstance(judge("set", *again, asked("b", False, 0, 9), remove("b", 7, 8)), Explained)
    whole = [op(i, *call) for i, call in enumerate([*again, read((), 5, 6)])]
    spec = model_named("set")
    assert isinstance(engine_for(spec)(spec, whole), Undecided)


def test_two_pending_of_one_kind_are_two():
    calls = [
        add("a", 0, None),
        add("a", 0, None),
        asked("a", True, 1, 2),
        remove("a", 3, 4),
        asked("a", True, 5, 6),
    ]
    assert isinstance(judge("set", *calls), Explained)
    assert isinstance(judge("set", *calls[1:]), Refuted)


COUNTER = {
    "more than was added": ("unreached", [add(1, 0, 9), read(2, 1, 2)]),
    "below": ("unreached", [add(1, 0, 9), read(-1, 1, 2)]),
    "between": ("unreached", [add(2, 0, 9), read(1, 1, 2)]),
    "not counted": ("uncounted", [add(1, 0, 1), read(0, 2, 3)]),
    "counted early": ("unreached", [read(1, 0, 1), add(1, 2, 3)]),
    "back again": ("inversion", [add(1, 0, 9), read(1, 1, 2), read(0, 3, 4)]),
    "the same twice": ("duplicate", [add(1, 0, 1, 1), add(1, 2, 3, 1)]),
    "told out of order": ("inversion", [add(1, 0, 1, 2), add(1, 2, 3, 1)]),
    "two in one place": (
        "uncounted",
        [add(1, 0, 9), read(1, 0, 0), add(1, 1, 2), add(1, 1, 2), read(2, 5, 6)],
    ),
    "the large one is late": ("unreached", [read(1, 0, 10), add(5, 1, 2), add(1, 3, 4), add(1, 5, 6)]),
}


@pytest.mark.parametrize("name", COUNTER)
@pytest.mark.parametrize("sign", [1, -1])
def test_counters(name, sign):
    kind, calls = COUNTER[name]
    signed = [(f, given and sign * given, told and sign * told, *span) for f, given, told, *span in calls]
    assert refuted("counter", *signed)[0] == kind


def test_counters_that_are_explained():
    assert isinstance(judge("counter", add(1, 0, 9), add(1, 1, 2), read(1, 3, 4), read(2, 10, 11)), Explained)
    assert isinstance(judge("counter", add(1, 0, None), read(0, 2, 3), read(1, 4, 5)), Explained)
    assert isinstance(judge("counter", add(3, 0, 9), add(2, 0, 9, 2), read(0, 1, 2), add(0, 3, 4)), Explained)
    assert isinstance(judge("counter", add(2, 0, 1), add(5, 0, 1), add(1, 0, None)), Explained)


def test_counters_that_are_undecided():
    assert isinstance(judge("counter", add(1, 0, 9), add(-1, 0, 9), read(0, 1, 2)), Undecided)
    assert isinstance(judge("counter", add(1, 0, 9), add(2, 0, 9), read(3, 1, 2)), Undecided)
    assert isinstance(judge("counter", add(1, 0, None), add(2, 0, 9), read(2, 1, 2)), Explained)
