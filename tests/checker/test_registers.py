"""The polynomial engine for registers: against brute force, against the search, and a trap for each rule."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest
from fuzz import ENGINES, disagreement
from hard_histories import few_values
from register_histories import Case, register_case

from checker.audit import audit_order
from checker.engines.answers import Budget, Explained, Refuted, Undecided
from checker.engines.contest import decide as search
from checker.engines.polynomial import engine_for, registers
from checker.history import Operation
from checker.models import model_named

ROW = ENGINES["registers"]


def op(index, f, given, output, call, end):
    return Operation(index, index, f, "k", given, output, "info" if end is None else "ok", call, end)


def write(index, value, call, end):
    return op(index, "write", value, None, call, end)


def read(index, value, call, end):
    return op(index, "read", None, value, call, end)


def swap(index, expected, new, call, end):
    return op(index, "cas", (expected, new), None if end is None else (True, expected), call, end)


def failed(index, expected, actual, call, end):
    return op(index, "cas", (expected, f"new{index}"), (False, actual), call, end)


def delete(index, call, end):
    return op(index, "delete", None, None, call, end)


def judge(operations, model="register", initial=None):
    """The answer, once brute force agrees, an order passed the audit and a core refutes by itself."""
    operations = tuple(operations)
    assert disagreement(ROW, Case(model, initial, operations)) is None
    return registers.decide(model_named(model, initial), operations)


def explained(*operations, **how):
    return isinstance(judge(operations, **how), Explained)


def refuted(*operations, **how):
    answer = judge(operations, **how)
    assert isinstance(answer, Refuted), answer
    return answer.kind, sorted(answer.core)


def test_agrees_with_brute_force():
    rng, counts = random.Random(31), Counter()
    for _ in range(4_000):
        case = register_case(rng)
        wrong = disagreement(ROW, case, counts)
        assert wrong is None, f"{wrong}: {case}"
    for kind in ("unwritten", "inversion", "two-cycle", "double-consume", "overwritten", "impossible"):
        assert counts[kind] >= 3, counts
    assert counts["undecided"] < 0.01 * 4_000


def against_search(rng, histories, most):
    """Disagreements with the search, and how many of each answer."""
    found, counts = [], Counter()
    for _ in range(histories):
        case = register_case(rng, rng.randint(most // 10, most))
        model = model_named(case.model, case.initial)
        answer = registers.decide(model, case.operations)
        result = search(model, {"k": case.operations}, Budget(5.0, 30_000)).keys[0]
        counts[f"{type(answer).__name__.lower()}/{result.status}"] += 1
        if isinstance(answer, Explained):
            assert audit_order(model, case.operations, answer.order, answer.dropped) is None
        if {type(answer).__name__.lower(), result.status} == {"explained", "refuted"}:
            found.append(case)
    return found, counts


def test_agrees_with_the_search_on_larger_histories():
    found, counts = against_search(random.Random(3), 250, 80)
    assert found == []
    assert counts["explained/explained"] > 40
    assert counts["refuted/refuted"] > 40


def test_it_is_the_engine_of_our_register_models():
    for name in ("register", "kv", "cas-register"):
        assert engine_for(model_named(name)) is registers.decide


@pytest.mark.parametrize("end", [5, None])
def test_a_value_nobody_wrote(end):
    assert refuted(write(0, "a", 0, end), read(1, "b", 1, 2)) == ("unwritten", [1])
    assert refuted(swap(0, "a", "b", 0, 1)) == ("unwritten", [0])
    assert refuted(failed(0, "x", "a", 0, 1)) == ("unwritten", [0])


def test_a_pending_swap_that_was_read_needs_what_it_expects():
    assert refuted(swap(0, "a", "b", 0, None), read(1, "b", 1, 2)) == ("unwritten", [0, 1])
    unread = [swap(0, "a", "b", 0, None), swap(1, "b", "c", 0, None), read(2, None, 1, 2)]
    assert explained(*unread)
    chain = [swap(0, "a", "b", 0, None), swap(1, "b", "c", 0, None), read(2, "c", 1, 2)]
    assert refuted(*chain) == ("unwritten", [0, 1, 2])
    assert explained(write(3, "a", 0, None), *chain)
    # The closure reaches back over two swaps: "a" was there last before "b", so it cannot be read after "c".
    late = [write(3, "a", 0, None), *chain, read(4, "a", 3, 4)]
    assert refuted(*late)[0] == "inversion"


def test_the_beginning_is_a_write_before_everything():
    assert explained(read(0, None, 0, 1))
    assert explained(read(0, "a", 0, 1), initial="a")
    assert refuted(read(0, None, 0, 1), initial="a") == ("unwritten", [0])
    assert explained(swap(0, "a", "b", 0, 1), read(1, "b", 2, 3), initial="a")
    stale = [write(0, "a", 0, 1), read(1, None, 2, 3)]
    assert refuted(*stale) == ("two-cycle", [0, 1])
    assert explained(write(0, "a", 0, 2), read(1, None, 2, 3))
    assert explained(write(0, "a", 0, None), read(1, None, 2, 3))
    # It is one block with what swapped it, and nothing comes ahead of it.
    chain = [write(0, "w", 0, 1), swap(1, "a", "b", 0, 5), swap(2, "b", "c", 0, 5), read(3, "c", 3, 4)]
    assert refuted(*chain, initial="a") == ("two-cycle", [0, 1, 2, 3])


def test_two_swaps_of_one_value():
    twice = [write(0, "a", 0, 1), swap(1, "a", "b", 2, 3), swap(2, "a", "c", 2, 3)]
    assert refuted(*twice) == ("double-consume", [0, 1, 2])
    assert refuted(*twice[1:], initial="a") == ("double-consume", [1, 2])
    pending = [*twice[:2], swap(2, "a", "c", 2, None)]
    assert explained(*pending)
    assert refuted(*pending, read(3, "c", 4, 5)) == ("double-consume", [0, 1, 2, 3])
    # A swap of a value for itself is a read.
    assert explained(write(0, "a", 0, 1), swap(1, "a", "a", 2, 3), swap(2, "a", "b", 2, 3))


def test_swaps_in_a_ring_never_began():
    ring = [swap(0, "a", "b", 0, 9), swap(1, "b", "c", 0, 9), swap(2, "c", "a", 0, 9)]
    assert refuted(*ring) == ("orphan", [0, 1, 2])
    pending = [swap(0, "a", "b", 0, None), swap(1, "b", "a", 0, None)]
    assert explained(*pending)
    assert refuted(*pending, read(2, "a", 1, 2)) == ("orphan", [0, 1, 2])


def test_a_read_before_its_write():
    assert refuted(read(0, "a", 0, 1), write(1, "a", 2, 3)) == ("inversion", [0, 1])
    assert refuted(read(0, "a", 0, 1), write(1, "a", 2, None)) == ("inversion", [0, 1])
    assert explained(read(0, "a", 0, 2), write(1, "a", 2, 3))


def test_the_order_of_a_chain():
    begin = [write(0, "a", 0, 1), swap(1, "a", "b", 2, 9)]
    assert refuted(*begin, read(2, "b", 3, 4), read(3, "a", 5, 6)) == ("inversion", [0, 1, 2, 3])
    assert explained(*begin, read(2, "b", 3, 5), read(3, "a", 5, 6))
    assert explained(*begin, read(2, "a", 3, 4), read(3, "b", 5, 6))
    # Swaps in the wrong order, and one over two values.
    assert refuted(write(0, "a", 0, 9), swap(1, "b", "c", 1, 2), swap(2, "a", "b", 3, 9)) == (
        "inversion",
        [1, 2],
    )
    long = [*begin, swap(2, "b", "c", 2, 9), read(3, "c", 3, 4), read(4, "a", 5, 6)]
    assert refuted(*long) == ("inversion", [0, 1, 2, 3, 4])


def test_only_the_nearest_segment_of_a_chain_is_named():
    begin = [write(0, "v0", 0, 1), *(swap(i, f"v{i - 1}", f"v{i}", 0, 200) for i in range(1, 7))]
    kind, core = refuted(*begin, read(20, "v5", 100, 101), read(21, "v4", 102, 103))
    assert kind == "inversion"
    assert core == [4, 5, 20, 21]


def test_two_values_that_each_must_come_first():
    writes = [write(0, "a", 0, 9), write(1, "b", 0, 9)]
    reads = [read(2, "a", 10, 11), read(3, "b", 12, 13), read(4, "a", 14, 15)]
    assert refuted(*writes, *reads) == ("two-cycle", [0, 1, 2, 3])
    assert explained(*writes, reads[0])
    # A write that nobody read counts, too, a pending one does not.
    inside = [write(0, "a", 0, 1), read(1, "a", 6, 7)]
    assert refuted(*inside, write(2, "b", 3, 4)) == ("two-cycle", [0, 1, 2])
    assert explained(*inside, write(2, "b", 3, None))
    # Needed, it happened, but maybe later than all this.
    assert explained(*inside, write(2, "b", 3, None), read(3, "b", 8, 9))


def test_intervals_that_touch_overlap():
    assert explained(write(0, "a", 0, 3), write(1, "b", 3, 3), read(2, "a", 3, 4))
    assert refuted(write(0, "a", 0, 2), write(1, "b", 3, 3), read(2, "a", 4, 4)) == ("two-cycle", [0, 1, 2])
    # At one moment a block that may end there goes ahead of one that may begin there.
    assert explained(write(0, "b", 0, 5), read(1, "b", 6, 7), write(2, "a", 3, 5), read(3, "a", 5, 5))
    assert explained(write(0, "a", 3, 9), read(1, "a", 5, 9), write(2, "b", 1, 5), read(3, "b", 6, 9))


def test_every_chain_of_swaps_is_one_block():
    chain = [write(0, "a", 0, 1), swap(1, "a", "b", 4, 5)]
    assert refuted(*chain, write(2, "c", 2, 3), read(3, "c", 6, 7)) == ("two-cycle", [1, 2, 3])
    assert refuted(*chain, write(2, "c", 2, 3)) == ("two-cycle", [0, 1, 2])
    assert explained(*chain, write(2, "c", 2, 6))


def test_a_failed_swap_that_tells_the_value_is_a_read():
    assert explained(write(0, "a", 0, 1), failed(1, "x", "a", 2, 3))
    assert refuted(write(0, "a", 0, 1), failed(1, "x", None, 2, 3)) == ("two-cycle", [0, 1])
    assert refuted(op(0, "cas", ("a", "b"), (False, "a"), 0, 1), initial="a") == ("impossible", [0])
    assert refuted(op(0, "cas", ("a", "b"), (True, "c"), 0, 1), initial="c") == ("impossible", [0])


def test_whether_null_can_be_swapped_is_the_models_to_say():
    swapped = swap(0, None, "a", 0, 1)
    assert explained(swapped, read(1, "a", 2, 3), model="cas-register")
    assert refuted(swapped) == ("impossible", [0])
    pending = [swap(0, None, "a", 0, None), read(1, "a", 2, 3)]
    assert explained(*pending, model="cas-register")
    assert refuted(*pending)[0] == "unwritten"
    failed_swap = op(0, "cas", (None, "a"), (False, None), 0, 1)
    assert explained(failed_swap)
    assert refuted(failed_swap, model="cas-register") == ("impossible", [0])


def bare(index, expected, new, swapped, call, end):
    return op(index, "cas", (expected, new), swapped, call, end)


def test_a_failed_swap_that_does_not_tell_is_placed():
    assert explained(
        write(0, "a", 0, 5), bare(1, "a", "z", False, 2, 9), read(2, "a", 3, 4), write(3, "b", 6, 8)
    )
    assert explained(write(0, "a", 0, 1), bare(1, "b", "z", False, 2, 3), model="cas-register")
    assert explained(bare(0, None, "z", False, 2, 3))
    assert explained(write(0, "a", 0, 1), bare(1, "a", "b", True, 2, 3), read(2, "b", 4, 5))
    # Two of them with but one gap for both.
    both = [bare(1, "a", "z", False, 0, 4), bare(2, "a", "y", False, 2, 9)]
    assert explained(write(0, "a", 1, 9), *both, read(3, "a", 5, 9))
    # Never a refutation: a pending write that nobody read may have been there.
    alone = [write(0, "a", 0, 1), bare(1, "a", "z", False, 2, 3)]
    assert isinstance(judge(alone), Undecided)
    assert isinstance(judge([write(2, "b", 0, None), *alone]), Undecided)
    # But the others alone may be refuted.
    assert refuted(*alone, read(4, "c", 4, 5))[0] == "unwritten"


def test_absent_again_and_again():
    assert explained(
        read(0, None, 0, 1), write(1, "a", 2, 3), delete(2, 4, 5), read(3, None, 6, 7), write(4, "b", 8, 9),
        read(5, "b", 10, 11), delete(6, 12, 13), delete(7, 12, 15), failed(8, "a", None, 14, 16),
        read(9, None, 17, 18),
    )  # fmt: skip
    assert explained(write(0, "a", 0, 1), delete(1, 2, None), read(2, None, 3, 4), read(3, None, 9, 9))
    assert refuted(write(0, "a", 0, 1), read(1, None, 2, 3), delete(2, 4, 5)) == ("overwritten", [])
    assert refuted(delete(0, 0, 1), write(1, "a", 2, 3), read(2, None, 4, 5)) == ("overwritten", [])
    assert refuted(read(0, None, 0, 1), delete(1, 2, 3), initial="a") == ("inversion", [0, 1])
    # Between two reads of "a" it was not absent, whoever was deleting.
    still = [write(0, "a", 0, 1), read(2, "a", 6, 7)]
    assert refuted(*still, delete(1, 2, None), read(3, None, 3, 4), delete(4, 0, 9))[0] == "overwritten"
    # And a delete that nobody saw is a write like any other.
    assert refuted(*still, delete(1, 3, 4))[0] == "two-cycle"


def test_a_value_written_twice():
    twice = [write(0, "a", 0, 1), write(1, "b", 2, 3), write(2, "a", 4, 5)]
    assert explained(*twice, read(3, "a", 6, 7))
    assert explained(twice[0], read(4, "a", 2, 2), *twice[1:], read(3, "a", 6, 7))
    assert refuted(*twice, read(3, "b", 6, 7))[0] == "two-cycle"
    assert refuted(*twice[:2], read(2, "a", 4, 5), write(3, "a", 6, 7)) == ("overwritten", [])
    # Which of them was swapped matters: each may be, once.
    writes = [write(0, "a", 0, 9), write(1, "a", 0, 9)]
    swaps = [swap(2, "a", "b", 0, 9), swap(3, "a", "c", 0, 9)]
    assert explained(*writes, *swaps)
    assert refuted(*writes, *swaps, swap(4, "a", "d", 0, 9)) == ("ambiguous", [])
    # A pending one may have happened or not.
    assert explained(twice[0], write(5, "a", 1, None), twice[1], read(3, "a", 6, 7))


def test_operations_out_of_the_order_of_call():
    assert explained(read(0, "a", 4, 5), read(1, "a", 2, 3), write(2, "a", 0, 1))
    assert refuted(read(0, "a", 4, 5), read(1, "b", 2, 3), write(2, "a", 0, 1), write(3, "b", 0, 1))[0]


def test_order_and_dropped_name_everything_by_its_index():
    operations = [
        write(10, "a", 0, None),
        write(20, "b", 1, None),
        read(30, "b", 2, 3),
        read(40, None, 0, None),
    ]
    answer = judge(operations)
    assert (list(answer.order), sorted(answer.dropped)) == ([20, 30], [10, 40])
    assert audit_order(model_named("register"), operations, answer.order, answer.dropped) is None
    assert judge([]) == Explained([], ())


def test_where_most_values_repeat_the_search_is_asked_at_once():
    """Choosing among thousands of makers of five values took minutes."""
    operations = few_values(1, operations=20_000, concurrency=10)
    began = time.process_time()
    answer = registers.decide(model_named("register"), operations)
    assert isinstance(answer, Undecided)
    assert "again and again" in answer.why
    assert time.process_time() - began < 2
    ghost = Operation(90_000, 90_000, "read", "k", None, "nobody's", "ok", 10**9, 10**9 + 1)
    answer = registers.decide(model_named("register"), [*operations, ghost])
    assert isinstance(answer, Refuted)
    assert (answer.kind, tuple(answer.core)) == ("unwritten", (90_000,))
