"""Each side condition of the engine for registers, dropped or bent: brute force notices.

A mutant is the source of a module with one expression changed. What only guesses (`register_periods`) or only
gives up too early cannot be wrong, so it has no mutants here.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import ModuleType

import pytest
from fuzz import ENGINES, disagreement
from register_histories import Case, register_case

from checker.engines.polynomial import (
    register_choices,
    register_columns,
    register_cores,
    register_observers,
    register_periods,
    register_zones,
    registers,
)
from checker.history import Operation

ZONES = (register_zones, "Zones", (registers, register_choices))
COLUMNS = (register_columns, "columns", (registers,))
CORES = (register_cores, "core", (register_cores,))
OBSERVERS = (register_observers, "place", (register_observers,))
CHOICES = (register_choices, "Choices", (register_choices,))
BARRIERS = (register_periods, "Barriers", (register_choices,))

MUTANTS = {
    "a read that touches its write is before it": (
        ZONES, "if low[value] < greatest_call:", "if low[value] <= greatest_call:"),
    "a swap that touches what is ahead is before it": (
        ZONES, "if returns[swap] < greatest_call:", "if returns[swap] <= greatest_call:"),
    "swaps may be before what is ahead": (ZONES, "if returns[swap] < greatest_call:", "if False:"),
    "reads may be before what is ahead": (ZONES, "if low[value] < greatest_call:", "if False:"),
    "touching blocks exclude each other": (ZONES, "if least[block] < latest:", "if least[block] <= latest:"),
    "blocks are not looked at again": (ZONES, "if least[block] < latest:", "if False:"),
    "ties are broken by nothing": (ZONES, "2 * s if s <= f else 2 * f + 1", "min(f, s)"),
    "blocks go by the first return": (ZONES, "2 * s if s <= f else 2 * f + 1", "f"),
    "blocks go by the last call": (ZONES, "2 * s if s <= f else 2 * f + 1", "s"),
    "the beginning may be later": (
        ZONES, "least_return = greatest_call = self._before",
        "least_return, greatest_call = forever, self._before"),
    "nothing is there at the beginning": (ZONES, "first[columns.initial] = INITIAL", "pass"),
    "what a needed swap expects is not needed": (ZONES, "if first[value] in maybe:", "if False:"),
    "pending swaps never happen": (ZONES, "if self.needed(make[i])]", "if False]"),
    "pending swaps always happen": (ZONES, "if self.needed(make[i])]", "if True]"),
    "a value can be swapped twice": (
        ZONES, """if user[value] != NOTHING:
                return Broken("double-consume", (user[value], i))
            user[value] = i
            first""", "user[value] = i\n            first"),
    "a pending swap may be the second": (
        ZONES, """if user[value] != NOTHING:
                return Broken("double-consume", (user[value], i))
            user[value] = i
            if""", "user[value] = i\n            if"),
    "rings are chains": (ZONES, "return None if walked == self._active else self._orphan()", "return None"),
    "nobody need have written": (ZONES, 'return Broken("unwritten", (root,))', "pass"),
    "the last read of a block does not count": (ZONES, "if high[value] > greatest_call:", "if False:"),
    "the first read of a block does not count": (ZONES, "if low[value] < least_return:", "if False:"),
    "a swap is no reason to be late": (ZONES, "if calls[swap] > greatest_call:", "if False:"),
    "a swap is no reason to be early": (ZONES, "if returns[swap] < least_return:", "if False:"),
    "what is pending returns at once": (COLUMNS, "[forever if end", "[0 if end"),
    "what is pending returns with the last": (COLUMNS, "default=0)) + 1", "default=0))"),
    "a failed swap may find what it expects": (COLUMNS, "if can_swap and actual == expected:", "if False:"),
    "a swap may find something else": (COLUMNS, "if not can_swap or actual != expected:", "if False:"),
    "absent can be swapped": (
        COLUMNS, "can_swap = expected is not None or self._absent_swaps", "can_swap = True"),
    "absent cannot be swapped": (
        COLUMNS, "can_swap = expected is not None or self._absent_swaps", "can_swap = expected is not None"),
    "an observer may be anywhere": (
        OBSERVERS, "while gap <= last and avoided != NOTHING and state[gap] == avoided:", "while False:"),
    "an observer may be too late": (OBSERVERS, "if gap > last:", "if gap > len(order):"),
    "who touches a later block is out": (CHOICES, "if limit > returns[i]:", "if limit >= returns[i]:"),
    "makers that touch a later block are out": (
        CHOICES, "if returns[group[at]] >= limit", "if returns[group[at]] > limit"),
    "makers called at the last moment are out": (
        CHOICES, "bisect_right(group, returns[i], key", "bisect_left(group, returns[i], key"),
    "a block that touches is a barrier": (BARRIERS, "bisect_left(self._ends", "bisect_right(self._ends"),
    "the beginning is nobody's choice": (
        CHOICES, "if limit == self._barriers.never and value == columns.initial:", "if False:"),
    "who had a choice refutes": (CHOICES, "if len(self._candidates[i]) > 1)", "if False)"),
    "pending makers are no choice": (
        CHOICES, "for group, latest in ((self._completed, self._latest), (self._pending, None)):",
        "for group, latest in ((self._completed, self._latest),):"),
    "a core needs nobody who completed": (CORES, "while idle := self._idle(found):", "while idle := None:"),
    "a core needs nobody who wrote": (
        CORES, "{best[2], best[3]} | self._makers(values[best[0] : best[1] + 1])", "{best[2], best[3]}"),
}  # fmt: skip


def _mutated(module: ModuleType, name: str, old: str, new: str) -> object:
    assert module.__file__ is not None
    with open(module.__file__, encoding="utf-8") as source:
        text = source.read()
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {module.__name__}"
    text = text.replace(old, new).replace("import bisect_right", "import bisect_left, bisect_right")
    names: dict[str, object] = {"__name__": module.__name__}
    exec(
        compile(text.replace("import bisect_left\n", "import bisect_left, bisect_right\n"), old, "exec"),
        names,
    )
    return names[name]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_brute_force_catches(monkeypatch, mutant):
    (module, name, users), old, new = MUTANTS[mutant]
    changed = _mutated(module, name, old, new)
    for user in users:
        monkeypatch.setattr(user, name, changed)
    assert any(map(_wrong, _cases())), f"nothing notices that {mutant}"


def _cases() -> Iterator[Case]:
    """Traps that chance seldom makes, then what chance makes."""
    ring = (("a", "b"), ("b", "c"), ("c", "a"))
    yield Case("register", None, tuple(_cas(i, given, 9) for i, given in enumerate(ring)))
    pending = tuple(_cas(i, given, None) for i, given in enumerate((("a", "b"), ("b", "c"))))
    read = Operation(2, 2, "read", "k", None, "c", "ok", 1, 2)
    yield Case("register", "a", (*pending, read))
    rng = random.Random(5)
    for _ in range(5_000):
        yield register_case(rng, 8)


def _cas(index: int, given: tuple[str, str], end: int | None) -> Operation:
    if end is None:
        return Operation(index, index, "cas", "k", given, None, "info", 0, None)
    return Operation(index, index, "cas", "k", given, (True, given[0]), "ok", 0, end)


def _wrong(case: Case) -> bool:
    try:
        return disagreement(ENGINES["registers"], case) is not None
    except (AssertionError, IndexError, KeyError, StopIteration, TypeError, ValueError):
        return True
