"""Timers against the obvious model: a dictionary of due times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pbft_node.core.events import TimerFired
from pbft_node.timers import Timers


def drain(timers: Timers, now_ns: int) -> list[TimerFired]:
    fired = []
    while event := timers.take_due(now_ns):
        fired.append(event)
    return fired


def test_due_in_order_ties_as_set() -> None:
    timers = Timers()
    timers.set("late", 1, 30)
    timers.set("b", 1, 10)
    timers.set("a", 1, 10)
    assert timers.next_due_ns() == 10
    assert drain(timers, 9) == []
    assert drain(timers, 10) == [TimerFired("b", 1), TimerFired("a", 1)]
    assert timers.next_due_ns() == 30


def test_setting_again_replaces_and_cancel_forgets() -> None:
    timers = Timers()
    timers.set("t", 1, 10)
    timers.set("t", 2, 20)
    assert drain(timers, 15) == []
    assert drain(timers, 20) == [TimerFired("t", 2)]
    timers.set("t", 3, 30)
    timers.cancel("t")
    timers.cancel("never set")
    assert timers.next_due_ns() is None
    assert drain(timers, 100) == []


def test_heap_does_not_grow_with_replacements() -> None:
    timers = Timers()
    for generation in range(100_000):
        timers.set("t", generation, generation)
        timers.set("u", generation, generation)
    assert len(timers._heap) < 200
    assert drain(timers, 10**9) == [TimerFired("t", 99_999), TimerFired("u", 99_999)]


STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "cancel", "fire"]), st.sampled_from("abc"), st.integers(0, 50))
)


@given(STEPS)
def test_agrees_with_a_dictionary(steps: list[tuple[str, str, int]]) -> None:
    timers, model = Timers(), dict[str, tuple[int, int]]()
    for generation, (step, name, number) in enumerate(steps):
        if step == "set":
            timers.set(name, generation, number)
            model[name] = (number, generation)
        elif step == "cancel":
            timers.cancel(name)
            model.pop(name, None)
        else:
            due = sorted(
                (due, generation, name) for name, (due, generation) in model.items() if due <= number
            )
            assert drain(timers, number) == [TimerFired(name, generation) for _, generation, name in due]
            for _, _, name in due:
                del model[name]
        assert timers.next_due_ns() == min((due for due, _ in model.values()), default=None)
