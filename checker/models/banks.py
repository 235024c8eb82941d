"""A bank of several accounts: transfer, balance of one account, read of all balances at once.

`initial` says which accounts there are: a list of opening balances (accounts 0, 1, …), a list of
`[account, balance]`, or `{"balances": either, "negative": true}` for a bank that never refuses. Null is eight
accounts with 100 each. A transfer answers `ok`, or `overdraft` when the account holds less (nothing moved).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar, cast

from checker.models.base import SCALAR, Action, Call, Model, State, Study, boxed, is_scalar, unboxed

_AT_FIRST = (100,) * 8
OK = "ok"
OVERDRAFT = "overdraft"


class Bank(Model):
    """One bank per key."""

    kind: ClassVar[str] = "bank"
    functions: ClassVar[Mapping[str, str]] = {"transfer": "transfer", "balance": "balance", "read": "read"}

    def __init__(self, name: str, initial: Hashable = None) -> None:
        opening, self.negative = _parsed(initial)
        self.accounts = tuple(account for account, _ in opening)
        self._place = {account: place for place, account in enumerate(self.accounts)}
        super().__init__(name, tuple(balance for _, balance in opening))

    def step(self, state: State, call: Action) -> tuple[bool, State]:
        balances = cast(tuple[int, ...], state)
        f = self.functions[call.f]
        if f == "transfer":
            source, target, amount = cast(tuple[Hashable, Hashable, int], call.input)
            payer, payee = self._place[source], self._place[target]
            enough = self.negative or balances[payer] >= amount
            if call.known and call.output != (OK if enough else OVERDRAFT):
                return False, state
            if not enough or payer == payee:
                return True, state
            changed = list(balances)
            changed[payer] -= amount
            changed[payee] += amount
            return True, tuple(changed)
        if not call.known:
            return True, state
        return call.output == (balances[self._place[call.input]] if f == "balance" else balances), state

    def is_observer(self, call: Call) -> bool:
        """Also a transfer that moves nothing: refused, of nothing, or to where it came from."""
        if call.f != "transfer":
            return True
        source, target, amount = cast(tuple[Hashable, Hashable, int], call.input)
        return (call.known and call.output == OVERDRAFT) or amount == 0 or source == target

    def study(self, calls: Sequence[Call]) -> BankStudy:
        return BankStudy(self, calls)

    def removable(self, calls: Sequence[Call]) -> frozenset[int]:
        """Observers, and transfers that nobody can miss.

        Without a transfer from a to b, a holds more from there on and b less. Nobody was told all balances,
        or that of a or b. Nobody else was refused at a; a pending transfer that a now has the money for is
        left out of the order. And nobody else took from b. (A bank that never refuses asks only for the
        first.) So all others are as legal as before and move as much as before.
        """
        observers = {i for i, call in enumerate(calls) if self.is_observer(call)}
        if any(call.f == "read" and call.known for call in calls):
            return frozenset(observers)
        told, refused, taken = set[Hashable](), set[Hashable](), Counter[Hashable]()
        for call in calls:
            if call.f == "balance" and call.known:
                told.add(call.input)
            elif call.f == "transfer" and not self.negative:
                source = cast(tuple[Hashable, ...], call.input)[0]
                if call.known and call.output == OVERDRAFT:
                    refused.add(source)
                else:
                    taken[source] += 1
        found = set(observers)
        for i, call in enumerate(calls):
            if i in observers:
                continue
            source, target, _ = cast(tuple[Hashable, Hashable, int], call.input)
            if not ({source, target} & told or source in refused or taken[target]):
                found.add(i)
        return frozenset(found)

    def show(self, state: State) -> object:
        balances = cast(tuple[int, ...], state)
        if self.accounts == tuple(range(len(balances))):
            return list(balances)
        return [[unboxed(account), balance] for account, balance in zip(self.accounts, balances, strict=True)]

    @classmethod
    def initial_problem(cls, initial: Hashable) -> str | None:
        try:
            _parsed(initial)
        except ValueError as error:
            return str(error)
        return None

    def input_problem(self, f: str, value: object) -> str | None:
        name = self.functions[f]
        if name == "read":
            return None if value is None else "null"
        known = f"an account of {_shown(self.accounts)}"
        if name == "balance":
            return None if self._has(value) else known
        if isinstance(value, tuple) and len(value) == 3 and self._has(value[0]) and self._has(value[1]):
            amount = value[2]
            if type(amount) is int and amount >= 0:
                return None
        return f"[from, to, amount], each of the two {known}, and a number from 0 on"

    def output_problem(self, f: str, value: object) -> str | None:
        name = self.functions[f]
        if name == "balance":
            return None if type(value) is int else "an integer"
        if name == "transfer":
            return None if value in (OK, OVERDRAFT) else f'"{OK}" or "{OVERDRAFT}"'
        if isinstance(value, tuple) and (_is_balances(value) or _is_pairs(value)):
            return None
        return "a list of balances, or of [account, balance]"

    def canonical_input(self, f: str, value: Hashable) -> Hashable:
        if isinstance(value, tuple) and len(value) == 3:
            return boxed(value[0]), boxed(value[1]), value[2]
        return boxed(value)

    def canonical_output(self, f: str, value: Hashable) -> Hashable:
        """Pairs in the order of the accounts, without their names. Left as they are if that is not what the
        accounts are: then no state equals them."""
        if self.functions[f] != "read" or not isinstance(value, tuple) or not value or _is_balances(value):
            return value
        balances = {boxed(account): balance for account, balance in value}
        if len(balances) == len(value) and balances.keys() == self._place.keys():
            return tuple(balances[account] for account in self.accounts)
        return value

    def _has(self, account: object) -> bool:
        return isinstance(account, Hashable) and is_scalar(account) and boxed(account) in self._place


def _shown(accounts: Sequence[Hashable]) -> str:
    names = ", ".join(str(account) for account in accounts[:10])
    return f"{names}, …" if len(accounts) > 10 else names


def _is_balances(value: tuple[object, ...]) -> bool:
    return all(type(balance) is int for balance in value)


def _is_pairs(value: tuple[object, ...]) -> bool:
    return all(
        isinstance(pair, tuple) and len(pair) == 2 and is_scalar(pair[0]) and type(pair[1]) is int
        for pair in value
    )


def _parsed(initial: Hashable) -> tuple[list[tuple[Hashable, int]], bool]:
    """((account, opening balance) of each, whether balances may be negative). Raises ValueError."""
    balances, negative = initial, False
    if isinstance(initial, tuple) and initial and not _is_balances(initial) and not _is_pairs(initial):
        # A JSON object arrives as its pairs.
        fields = dict(pair for pair in initial if isinstance(pair, tuple) and len(pair) == 2)
        if len(fields) != len(initial) or not fields.keys() <= {"balances", "negative"}:
            raise ValueError(_INITIAL)
        balances = fields.get("balances")
        negative = fields.get("negative", False) is True
    if balances is None:
        balances = _AT_FIRST
    if not isinstance(balances, tuple) or not balances:
        raise ValueError(_INITIAL)
    if _is_balances(balances):
        pairs = list(enumerate(cast(tuple[int, ...], balances)))
        opening: list[tuple[Hashable, int]] = [(account, balance) for account, balance in pairs]
    elif _is_pairs(balances):
        opening = [(boxed(account), balance) for account, balance in cast("tuple[tuple[str, int]]", balances)]
    else:
        raise ValueError(_INITIAL)
    if len({account for account, _ in opening}) < len(opening):
        raise ValueError("a bank in which each account is named once")
    return opening, negative


_INITIAL = (
    'a list of opening balances, a list of [account, balance], {"balances": either, "negative": boolean}, or '
    f"null (an account is {SCALAR})"
)


class BankStudy(Study):
    """Advice for one key. useless: pending calls that are removable. label: as they are. lost: nothing."""

    def __init__(self, bank: Bank, calls: Sequence[Call]) -> None:
        super().__init__(calls)
        self.useless = frozenset(i for i in bank.removable(calls) if not calls[i].known)
