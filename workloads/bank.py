"""``bank``: transfers between the accounts of a bank, and looks at one account or at all of them.

Money is neither made nor lost: half a transfer, one done twice, or a read between its halves is a wrong sum.
"""

from __future__ import annotations

import random
from typing import ClassVar

from .keyspace import Values
from .objects import Asker, Function, Objects, number, numbers, says
from .operation import Operation, Value
from .parameters import Settings

ACCOUNTS = 8
"""Of each bank, 0 … 7, with 100 each at first: the service's."""
_MOST = 60
"""In one transfer: often enough more than there is."""


class Bank(Objects):
    """A workload over keys that hold one bank each."""

    __slots__ = ()
    table: ClassVar = {
        "transfer": Function({"ok": says("ok"), "overdraft": says("overdraft")}, "[from, to, amount]"),
        "balance": Function({"balance": number}, "an account"),
        "read": Function({"balances": numbers}),
    }

    def asker(self, settings: Settings, clients: int, races: random.Random) -> Asker:
        return _BankAsker(races)

    def input_problem(self, f: str, given: Value) -> str | None:
        accounts = given[:2] if isinstance(given, list) else [given]
        if not all(type(account) is int and 0 <= account < ACCOUNTS for account in accounts):
            return f"input = {given!r:.80}: accounts are 0 to {ACCOUNTS - 1}"
        if f == "balance":
            return None if type(given) is int else f"input = {given!r:.80}: balance takes an account"
        if isinstance(given, list) and len(given) == 3 and type(given[2]) is int and 0 < given[2] < 2**31:
            return None
        return f"input = {given!r:.80}: transfer takes [from, to, amount]"


class _BankAsker(Asker):
    def __init__(self, races: random.Random) -> None:
        self._races = races

    def ask(self, f: str, number: int, client: int, values: Values) -> Operation:
        key, draw = f"k{number}", self._races.randrange
        source, target, amount = draw(ACCOUNTS), draw(ACCOUNTS), 1 + draw(_MOST)
        if f == "transfer":
            return Operation(f, key, [source, target, amount])
        return Operation(f, key, source if f == "balance" else None)
