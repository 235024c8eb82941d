"""Did a client ask for that? An executed request held against the history, field by field.

An operation on the wire is a list of texts: its function, its key, its input (ARCHITECTURE.md, "Services").
Of a model whose operations are not written so nothing is said. A fast read that was ordered after all went
under the timestamp after the one it was invoked with. Clients whom the history does not know are the health
probes, which only read; and those that the ledger says lie, which ask for what they like in their own names.
"""

from __future__ import annotations

from collections.abc import Hashable

from checker.history import READS, History, Operation
from checker.models.base import boxed
from checker.wire import Frame, operation_fields

WIRE = {"read": ("read", "get"), "write": ("write", "put")}
"""Functions that a service may call otherwise: `register` is served by `kv`."""
_KNOWN = frozenset({"register", "cas-register", "kv", "append", "set", "counter", "queue", "bank"})
"""Models whose workloads are written so. What comes under another is not compared until it is listed here."""


_ANSWERS = frozenset(
    {
        ("read", "list"),
        ("read", "set"),
        ("read", "queue"),
        ("read", "value"),
        ("read", "balances"),
        ("balance", "balance"),
        ("length", "length"),
        ("dequeue", "item"),
        ("peek", "item"),
    }
)
"""Functions, and the first text of an answer that goes on with the output itself."""


class Asked:
    """What clients asked for, by client and timestamp."""

    def __init__(self, history: History, liars: tuple[int, int] | None = None) -> None:
        """``liars``: the first and the last id of clients that lie."""
        self._liars = range(0) if liars is None else range(liars[0], liars[1] + 1)
        self._model = history.model
        self._torn = history.torn_line is not None
        self._operations = {
            (op.client, op.timestamp): op
            for op in history.operations
            if op.client is not None and op.timestamp is not None
        }
        self._clients = {client for client, _ in self._operations}
        self.compared = 0
        """Executed requests that are the history's, byte for byte."""
        self.probes = 0
        """Executed requests of clients that are not in the history."""
        self.of_liars = 0
        """Executed requests of clients that lie."""

    def operation(self, client: int, timestamp: int) -> Operation | None:
        """The history's operation of that request, also of a fast read that was ordered after all."""
        found = self._operations.get((client, timestamp))
        if found is None:
            before = self._operations.get((client, timestamp - 1))
            found = before if before is not None and before.f in READS else None
        return found

    def problem(self, request: Frame) -> str | None:
        """Why nobody asked for this, or None."""
        fields = operation_fields(request.body)
        if request.sender in self._liars and request.sender not in self._clients:
            self.of_liars += 1
            return None
        if request.sender not in self._clients:
            self.probes += 1
            if fields is not None and fields[:1] and _text(fields[0]) in READS:
                return None
            return f"it does {_shown(fields)}, and the history knows no such client"
        op = self.operation(request.sender, request.seq)
        if op is None:
            if self._torn:  # it may have stood in the half line
                return None
            return f"it does {_shown(fields)}, which that client never asked for"
        same = says_the_same(self._model, op, fields)
        if same is None:
            return None
        self.compared += 1
        if same:
            return None
        return f"it does {_shown(fields)}, and operation {op.index} asked for {asked_for(op)}"


def says_the_same(model: str, op: Operation, fields: tuple[bytes, ...] | None) -> bool | None:
    """Whether an operation on the wire is this one of the history; None: not comparable."""
    expected = _expected(op) if model in _KNOWN else None
    if expected is None:
        return None
    said = tuple(map(_text, fields or ()))
    return said[:1] != () and said[0] in WIRE.get(op.f, (op.f,)) and said[1:] == expected


def answers_the_same(model: str, op: Operation, fields: tuple[bytes, ...] | None) -> bool | None:
    """Whether a result on the wire is the output the history has for this operation; None: not comparable."""
    if model not in _KNOWN:
        return None
    match tuple(map(_text, fields or ())):
        case ("swapped", actual):
            return op.output == (True, actual)
        case ("differs", *actual) if len(actual) < 2:
            return op.output == (False, actual[0] if actual else None)
        case ("ok",) if op.f == "transfer":
            return op.output == "ok"
        case ("overdraft",):
            return op.output == "overdraft"
        case ("ok", value):
            return (op.f in READS or op.f == "add") and _texts(op.output) == (value,)
        case ("ok",):
            return op.f not in READS and op.output is None
        case ("nil",):
            return op.f in READS and op.output is None
        case ("empty",):
            return op.f in ("dequeue", "peek") and op.output is None
        case ("yes",) | ("no",) as there:
            flag = there == ("yes",)
            return op.f == "contains" and op.output in (flag, boxed(flag))
        case (head, *values) if (op.f, head) in _ANSWERS:
            said, shown = tuple(values), _texts(op.output)
            return said == shown if head != "set" or shown is None else sorted(said) == sorted(shown)
    return False


def asked_for(op: Operation) -> str:
    """For people."""
    return f"{' '.join((op.f, *(_expected(op) or ())))!a:.120}"


def _expected(op: Operation) -> tuple[str, ...] | None:
    """Key and input as texts; None: not of a kind that is written so."""
    given = _texts(op.input)
    return None if given is None else (op.key, *given)


def _texts(value: Hashable) -> tuple[str, ...] | None:
    """A value as the services write it: null is nothing, a list its elements."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, int) and not isinstance(value, bool):
        return (str(value),)
    if not isinstance(value, tuple | frozenset):
        return None
    texts: list[str] = []
    for element in value:
        if isinstance(element, bool) or not isinstance(element, str | int):
            return None
        texts.append(str(element))
    return tuple(texts)


def _text(field: bytes) -> str:
    return field.decode("utf-8", "backslashreplace")


def _shown(fields: tuple[bytes, ...] | None) -> str:
    if fields is None:
        return "what is no operation"
    return f"{' '.join(map(_text, fields[:5]))!a:.120}"
