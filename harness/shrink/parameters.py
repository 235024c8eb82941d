"""Moves over the parameters of faults, whatever their kind: JSON that gets smaller and plainer.

Nothing is known of a kind but its example; what its ``check`` refuses is no plan, and is passed over unrun.
So it goes for the filters of a rule, the options of a lie, the steps of a script alike. In this order: what
is optional goes, two things that need each other together; lists lose items; a word or a truth value becomes
the example's; a number becomes the example's, or comes half of the way there. Nothing is added and each step
goes one way, so that it ends. A list of names (of hosts, types, links) only gets shorter: without it the
fault would do more, not less. Numbers of replicas stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from harness.plan import Plan
from harness.shrink.moves import FirstPlan, chosen
from nemesis.faults import KINDS
from nemesis.faults.fault import Params

Path = tuple[str | int, ...]
"""Keys and places, from the outside to the inside."""
_REPLICAS = ("replica", "replicas", "liars", "peers")
"""Parameters that hold numbers of replicas. Hosts (``r2``) are known by their looks."""
_MOST_DEPTH = 20


def simpler_faults(plan: Plan, first: FirstPlan) -> Plan:
    """Each fault in turn."""
    for place in range(len(plan.faults)):

        def candidates(now: Plan, place: int = place) -> Iterator[Plan]:
            fault = now.faults[place]
            for params in simpler_params(fault.params, KINDS[fault.kind].example):
                yield with_params(now, place, params)

        plan = chosen(plan, candidates, first)
    return plan


def names_replicas(name: str, params: Params) -> bool:
    """Are numbers there replicas? ``behind`` is of a push; of ``reorder`` it says how many packets."""
    return name in _REPLICAS or (name == "behind" and "push" in params)


def with_params(plan: Plan, place: int, params: Params) -> Plan:
    """The plan with other parameters for the fault there."""
    fault = replace(plan.faults[place], params=params)
    return replace(plan, faults=(*plan.faults[:place], fault, *plan.faults[place + 1 :]))


def simpler_params(params: Params, example: Params) -> Iterator[Params]:
    """A step simpler each, what saves most first."""
    everything = list(_inside((), params))
    objects = [(path, value) for path, value in everything if isinstance(value, Mapping)]
    for path, there in objects:
        optional = [key for key in there if not _selects(there[key])]
        for key in optional:
            yield _without(params, path, (key,))
        for both in combinations(optional, 2) if not path else ():
            yield _without(params, path, both)
    for path, value in everything:
        if isinstance(value, list) and len(value) > 1:
            for place in reversed(range(len(value))):
                yield _with(params, path, [*value[:place], *value[place + 1 :]])
    for path, there in objects:
        for key, value in there.items():
            if not names_replicas(key, there):
                for plainer in _plainer(value, _at(example, (*path, key))):
                    yield _with(params, (*path, key), plainer)


def _plainer(value: object, example: object) -> Iterator[object]:
    """Items of lists have none: a number there is a replica's, or one end of a range."""
    if isinstance(value, bool | str):
        if type(example) is type(value) and example != value:
            yield example
    elif isinstance(value, int):
        usual = example if isinstance(example, int) and not isinstance(example, bool) else 0
        if value != usual:
            yield usual
            half = usual + int((value - usual) / 2)
            if half not in (usual, value):
                yield half
    elif isinstance(value, float) and isinstance(example, float) and value != example:
        yield example


def _selects(value: object) -> bool:
    """A list of names, or of links between names; or an object with such a list."""
    if isinstance(value, Mapping):
        return any(_selects(one) for one in value.values())
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(one, str) or (isinstance(one, list) and _selects(one)) for one in value)


def _inside(path: Path, value: object) -> Iterator[tuple[Path, object]]:
    """Everything, from the outside to the inside, in the order in which it is written."""
    yield path, value
    if len(path) >= _MOST_DEPTH:
        return
    items: Sequence[tuple[str | int, object]] = ()
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, one in items:
        yield from _inside((*path, key), one)


def _at(value: object, path: Path) -> object:
    """None: there is nothing."""
    for key in path:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def _with(params: Params, path: Path, new: object) -> Params:
    changed = _changed(params, path, new)
    assert isinstance(changed, Mapping)
    return changed


def _without(params: Params, path: Path, keys: Sequence[str]) -> Params:
    there = _at(params, path)
    assert isinstance(there, Mapping)
    return _with(params, path, {key: value for key, value in there.items() if key not in keys})


def _changed(value: object, path: Path, new: object) -> object:
    if not path:
        return new
    key, *rest = path
    if isinstance(value, Mapping):
        return {k: _changed(one, tuple(rest), new) if k == key else one for k, one in value.items()}
    assert isinstance(value, list)
    return [_changed(one, tuple(rest), new) if k == key else one for k, one in enumerate(value)]
