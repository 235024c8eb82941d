"""Registers with unique values, decided by one sort (after Gibbons and Korach, "Testing Shared Memories").

Every value is made by one operation, so who reads a value says what it follows. Let a *block* be a write,
the reads of its value, the compare-and-set that swapped it, the reads of that value, and so on; the beginning
is the write of the first block. The argument, for blocks with f = least return and s = greatest call:

- In an explaining order a block is a run of neighbours (a value, once left, does not come back), in the order
  of its chain up to reads of one value. So nothing of a chain may return before something ahead of it was
  called ("inversion"), a value has one swap ("double-consume") and every chain a beginning ("unwritten", and
  "orphan" for a ring of swaps). These suffice inside a block: reads of one value go by call.
- A must precede B iff f(A) < s(B); so the order of blocks must have no cycle of that relation. A cycle has
  one of two ("two-cycle"): let A have the least f in it and P precede A in it. Every other member, P too,
  must follow somebody whose f is at least f(A), hence A.
- Without one, sort by min(f, s). If A must precede B and B need not precede A, then f(A) < s(B) and
  s(A) <= f(B), so min(f(A), s(A)) <= min(f(B), s(B)); equal only if s(A) = f(B) < s(B): at ties blocks with
  s <= f go first. Hence whoever is sorted wrongly is one of two that each must precede the other.
- A pending operation returns after everything. It happened if what it makes is needed by somebody who
  happened: there is no other maker. If not, it may be left out, with all that swapped what it made: nobody
  who is left needs any of that, so what was there before may as well have stayed. That is not so for a failed
  compare-and-set that does not tell what was there. It is left out itself (fewer operations are never harder
  to explain), so that a refutation stands, and placed into the order found (`register_observers`).

Values that are not unique: `register_choices`. Everything found is audited by others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from checker.engines.answers import Answer, Explained, Refuted, Undecided
from checker.engines.polynomial.register_columns import NOTHING, Columns, columns
from checker.engines.polynomial.register_zones import Zones
from checker.history import Operation
from checker.models.base import Model

_FEW = 32
"""Operations among which any choice is quickly tried."""


def decide(model: Model, operations: Sequence[Operation]) -> Answer:
    """Of one key's operations, `fail` left out."""
    table = columns(model, operations)
    if table.impossible != NOTHING:
        return Refuted("impossible", tuple(table.index([table.impossible])))
    if not _is_unique(table):
        return _choose(table) if not _mostly_repeated(table) else _leave_to_search(table)
    zones = Zones(table)
    broken = zones.broken()
    if broken is None:
        return _explained(table, zones.order())
    from checker.engines.polynomial.register_cores import core

    return _refuted(table, broken.kind, core(zones, broken))


def _refuted(table: Columns, kind: str, positions: tuple[int, ...]) -> Answer:
    """A pending compare-and-set that can never swap refutes, but `Model.removable` does not know that."""
    if any(table.need[i] == table.never != NOTHING for i in positions):
        positions = ()
    return Refuted(kind, tuple(table.index(positions)))


def _made(table: Columns) -> list[int]:
    """The value of every maker."""
    make = table.make
    return [make[i] for group in (table.writes, table.swaps, table.maybes) for i in group]


def _is_unique(table: Columns) -> bool:
    """Whether no value is made twice, nor made and initial."""
    made = _made(table)
    values = set(made)
    return len(values) == len(made) and table.initial not in values


def _mostly_repeated(table: Columns) -> bool:
    """Whether most makers make what others make, too. Choosing among them is harder than searching."""
    makers = Counter(_made(table))
    repeated = sum(count for count in makers.values() if count > 1)
    return len(table.calls) > _FEW and 2 * repeated > sum(makers.values())


def _leave_to_search(table: Columns) -> Answer:
    made = {*_made(table), table.initial}
    for i in (*table.reads, *table.swaps):
        if table.need[i] not in made:
            return _refuted(table, "unwritten", (i,))
    return Undecided("most values are made again and again")


def _choose(table: Columns) -> Answer:
    from checker.engines.polynomial.register_choices import Choices

    choices = Choices(table)
    if choices.stuck() != NOTHING:
        return Refuted("overwritten", ())
    found = choices.solve()
    if isinstance(found, str):
        return Undecided(found)
    if isinstance(found, tuple):
        kind, positions = found
        return _refuted(table, kind, positions)
    return _explained(table, found)


def _explained(table: Columns, order: list[int]) -> Answer:
    if table.avoids:
        from checker.engines.polynomial.register_observers import place

        placed = place(table, order)
        if placed is None:
            return Undecided("a failed compare-and-set that does not say what was there fits nowhere")
        order = placed
    if len(order) == len(table.calls):
        return Explained(table.index(order), ())
    happened = bytearray(len(table.calls))
    for i in order:
        happened[i] = 1
    return Explained(table.index(order), table.index([i for i, did in enumerate(happened) if not did]))
