"""What Jepsen's usual names of operations mean to our models, and which model a history is of.

An event of Jepsen has one value: a write's is what is written, a read's (on `:ok`) what was found, a cas's
`[old new]`. Here it becomes the input and the output of an operation, in the form the model takes. Where an
operation's value is null in the call and not in the answer, the answer's is taken, as Knossos does.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from checker.formats.edn import Atom, EdnMap, EdnSet, Form, write
from checker.formats.scalars import scalar
from checker.history import Outcome

_LOOKS = frozenset({"read", "get", "dequeue", "peek", "length"})
"""What they were told is their value when they end."""
_STEPS = frozenset({"increment", "decrement", "inc", "dec"})
_LISTS = frozenset({"append", "grow-only-set", "queue", "set"})
"""Models whose reads are told a collection."""


class ShapeError(Exception):
    """A value that does not fit its operation. `at_end`: it is the answer's."""

    def __init__(self, reason: str, at_end: bool = True) -> None:
        super().__init__(reason)
        self.at_end = at_end


class Ending(NamedTuple):
    """How a call ended."""

    type: Outcome
    value: Form
    observes: bool = False
    """A failed compare-and-set found another value, instead of never having happened."""
    unknown_result: bool = False
    """It happened, but what it was told is not known."""


class Part(NamedTuple):
    """One operation that a call stands for."""

    f: str
    input: Hashable
    output: Hashable
    type: Outcome


OPEN = Ending("info", None)


def parts(model: str, f: str, asked: Form, ended: Ending) -> Sequence[Part]:
    """The operations of a call: one, but for a drain. Raises ShapeError."""
    if f == "cas":
        return [_cas(asked, ended)]
    if f == "drain":
        return _drain(ended)
    if f == "txn":
        return [_txn(asked, ended)]
    if f == "transfer":
        return [Part(f, _transfer(asked), "ok" if ended.type == "ok" else None, ended.type)]
    if f in _LOOKS:
        told = _told(model, f, ended.value) if ended.type == "ok" and not ended.unknown_result else None
        return [Part(f, None, told, "info" if ended.unknown_result else ended.type)]
    value = asked
    if ended.type == "ok" and ended.value is not None and f != "contains":
        if asked is not None and ended.value != asked:
            reason = f"the answer to a :{f} of {_short(asked)} says {_short(ended.value)}"
            raise ShapeError(reason)
        value = ended.value
    if f in _STEPS and model == "counter":
        return [Part("add", _amount(f, value), None, ended.type)]
    return [Part(f, input_of(model, value), None, ended.type)]


def input_of(model: str, value: Form) -> Hashable:
    """A call's value as the model takes it."""
    if model in _KNOWN:
        return scalar(value)
    return wire(value)


def wire(form: Form) -> Hashable:
    """A value as JSON would have it: vectors are lists of such values, everything else a scalar."""
    if isinstance(form, tuple):
        return tuple(wire(element) for element in form)
    return scalar(form)


def _told(model: str, f: str, value: Form) -> Hashable:
    if model in _LISTS and f == "read":
        if value is None and model != "queue":
            return ()
        if not isinstance(value, tuple | EdnSet):
            raise ShapeError(f"the answer to a :{f} must be a vector, a list or a set, not {_short(value)}")
        return tuple(scalar(element) for element in value)
    if model == "bank" and f == "read":
        if isinstance(value, tuple):  # ours
            return wire(value)
        if not isinstance(value, EdnMap):
            raise ShapeError(f"the answer to a :read must be {{account balance …}}, not {_short(value)}")
        return tuple((scalar(account), scalar(balance)) for account, balance in value.items())
    return input_of(model, value)


def _cas(asked: Form, ended: Ending) -> Part:
    value = asked
    if value is None and ended.type == "ok":
        value = ended.value
    if not isinstance(value, tuple) or len(value) != 2:
        raise ShapeError(f"the value of a :cas must be [old new], not {_short(value)}", at_end=False)
    if ended.type == "ok" and ended.value is not None and ended.value != value:
        raise ShapeError(f"the answer to a :cas of {_short(value)} says {_short(ended.value)}")
    old, new = value
    pair = scalar(old), scalar(new)
    if ended.type == "fail" and ended.observes:
        return Part("cas", pair, False, "ok")
    return Part("cas", pair, True if ended.type == "ok" else None, ended.type)


def _drain(ended: Ending) -> Sequence[Part]:
    """A dequeue of each item, and one that found the queue empty: that is how a drain knows that it is done.

    Without the last one, a drain that took nothing from a queue that lost everything would show nothing.
    """
    if ended.type == "fail":
        return []
    if ended.type == "info":
        raise ShapeError("a :drain that is not known to have ended may have taken any number of items")
    if not isinstance(ended.value, tuple | EdnSet):
        raise ShapeError(f"the answer to a :drain must be a vector of items, not {_short(ended.value)}")
    return [Part("dequeue", None, item, "ok") for item in (*map(scalar, ended.value), None)]


def _txn(asked: Form, ended: Ending) -> Part:
    """A transaction: `[[:append k 1] [:r k nil]]`, answered by the same with what was read."""
    given = micro_ops(asked)
    if ended.type != "ok" or ended.unknown_result:
        return Part("txn", given, None, "info" if ended.unknown_result else ended.type)
    told = given if ended.value is None else micro_ops(ended.value)
    if [step[:2] for step in told] != [step[:2] for step in given]:
        reason = f"the answer to the transaction {_short(asked)} says {_short(ended.value)}"
        raise ShapeError(reason)
    return Part("txn", given, told, "ok")


def micro_ops(value: Form) -> tuple[tuple[Hashable, ...], ...]:
    """The micro-operations of a transaction, their names without the colon."""
    if isinstance(value, tuple) and all(isinstance(step, tuple) and len(step) == 3 for step in value):
        return tuple((_plain(step[0]), *map(wire, step[1:])) for step in value)
    shape = "[[:append k element] [:r k nil] …], or :w for :append"
    raise ShapeError(f"the value of a :txn must be {shape}, not {_short(value)}", at_end=False)


def _plain(form: Form) -> Hashable:
    return form.text[1:] if isinstance(form, Atom) and form.kind == "keyword" else wire(form)


def _transfer(asked: Form) -> Hashable:
    """`{:from a :to b :amount n}`, as Jepsen has it."""
    if isinstance(asked, tuple):  # ours
        return wire(asked)
    names = [Atom("keyword", f":{name}") for name in ("from", "to", "amount")]
    if not isinstance(asked, EdnMap) or set(asked) != set(names):
        shape = "{:from account :to account :amount number}"
        raise ShapeError(f"the value of a :transfer must be {shape}, not {_short(asked)}", at_end=False)
    return tuple(scalar(asked[name]) for name in names)


def opening_balances(events: Iterable[tuple[str, str, Form]]) -> Hashable | None:
    """What a bank held at first: what a read was told that ended before any transfer began.

    Events are (type, f, value). None if there is no such read.
    """
    for type, f, value in events:
        if f == "transfer":
            return None
        if type == "ok" and f == "read" and isinstance(value, EdnMap):
            return _told("bank", f, value)
    return None


def _amount(f: str, value: Form) -> int:
    if value is None:
        value = 1
    if type(value) is not int:
        raise ShapeError(f"the value of :{f} must be an integer or nil, not {_short(value)}", at_end=False)
    return -value if f.startswith("dec") else value


_KNOWN = frozenset({"cas-register", "counter", "kv", "kv-append", "register", *_LISTS})
"""Models whose operations take a scalar."""

_FAMILIES: Sequence[tuple[str, Collection[str]]] = (
    ("cas-register", {"read", "write", "cas"}),
    ("kv", {"get", "put", "delete", "cas"}),
    ("kv-append", {"get", "put", "append"}),
    ("append", {"append", "read"}),
    ("queue", {"enqueue", "dequeue", "drain", "peek", "length"}),
    ("counter", {*_STEPS, "read"}),
    ("bank", {"read", "transfer"}),
)


@dataclass(frozen=True, slots=True)
class Hint:
    """An event as far as it tells the model."""

    f: str
    value: Form


def guess(hints: Iterable[Hint]) -> str | None:
    """The model that has exactly such operations; None if there is none or more than one."""
    names: set[str] = set()
    sums = writes = False
    for hint in hints:
        names.add(hint.f)
        writes |= hint.f == "txn" and "[:w" in write(hint.value)
        sums |= hint.f == "read" and type(hint.value) is int
    if names == {"txn"}:
        return "multi-register" if writes else "list-append"
    if "add" in names and names <= {"add", *_STEPS, "read"}:
        return "counter" if sums or names & _STEPS else "set"
    if names <= {"add", "remove", "read", "contains"} and names & {"add", "remove"}:
        return "set"
    return next((model for model, family in _FAMILIES if names <= set(family)), None) if names else None


def _short(form: Form) -> str:
    text = write(form)
    return text if len(text) <= 60 else text[:57] + "…"
