"""The ledger: charges before a run, windows after it."""

from nemesis.faults.fault import Fault, Victims
from nemesis.ledger import UNDO_MARGIN_NS, Book, Charge, Overdraft, at_once, charge, worst


def of(name: str, start_ns: int, end_ns: int, *replicas: int, any_of: int = 0) -> Charge:
    return Charge(name, start_ns, end_ns, Victims(frozenset(replicas), any_of))


def test_a_charge_lasts_until_the_undo_has_had_time() -> None:
    fault = Fault("kill-1", "kill", 5, 10, {})
    victims = Victims(frozenset({2}))
    assert charge(fault, victims) == Charge("kill-1", 5, 10 + UNDO_MARGIN_NS, victims)


def test_known_replicas_count_once_and_unknown_ones_each() -> None:
    assert at_once([of("a", 0, 1, 2), of("b", 0, 1, 2, 3)], 4) == 2
    assert at_once([of("a", 0, 1, 2), of("b", 0, 1, any_of=1), of("c", 0, 1, any_of=1)], 4) == 3
    assert at_once([of("a", 0, 1, 0, 1, 2, 3, any_of=1)], 4) == 4


def test_the_worst_moment() -> None:
    charges = [of("a", 0, 10, 1), of("b", 10, 20, 2), of("c", 15, 25, 3)]
    assert worst(charges, 4) == Overdraft(15, 2, ("b", "c"))
    assert worst(charges[:2], 4).bad == 1
    assert worst([], 4) == Overdraft(0, 0, ())


def test_windows_cover_the_run_without_a_gap() -> None:
    book = Book(4, 1)
    book.note(10, "kill-1", "killed by kill-1", frozenset({2}))
    book.note(15, "kill-1", "killed by kill-1", frozenset({2}))
    book.note(20, "cut-1", "cut off by cut-1", frozenset({2, 3}))
    book.note(30, "kill-1", "", frozenset())
    book.note(40, "cut-1", "", frozenset())
    windows = book.windows(0, 50)
    assert [(w.from_ns, w.to_ns, sorted(w.bad), w.within_liveness_budget) for w in windows] == [
        (0, 10, [], True),
        (10, 20, [2], True),
        (20, 30, [2, 3], False),
        (30, 40, [2, 3], False),
        (40, 50, [], True),
    ]
    assert windows[2].bad[2] == "killed by kill-1; cut off by cut-1"
    assert windows[3].bad[2] == "cut off by cut-1"


def test_a_fault_that_never_ended_is_charged_to_the_end() -> None:
    book = Book(4, 1)
    book.note(10, "a", "why", frozenset({0}))
    assert [(w.from_ns, w.to_ns) for w in book.windows(0, 50)] == [(0, 10), (10, 50)]
    assert [(w.from_ns, w.to_ns) for w in book.windows(20, 50)] == [(20, 50)]
    assert book.bad() == {0: "why"}
