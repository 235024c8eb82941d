"""Why no order explains the operations on a bank, where the pattern is a known one.

Transfers move money and make none. What an account can hold when somebody looks at it, or takes from it, is
bounded by the transfers that must and those that can have come before, since the beginning or since somebody
was told what it held.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple, cast

from checker.counterexample import Fact
from checker.counterexample.pattern import Explanation, before, ended, explained, fact, first_of
from checker.counterexample.sums import Change, Sums, any_of, between
from checker.counterexample.words import quote, say
from checker.history import Operation
from checker.models.banks import OK, OVERDRAFT, Bank
from checker.models.base import Model

_MOST = 60
"""Operations of which any two are compared."""
_MOST_SHOWN = 3


def explain(
    model: Model, operations: Sequence[Operation], everything: Sequence[Operation]
) -> Explanation | None:
    """The first known pattern, from the plainest to the subtlest."""
    if len(operations) > _MOST:
        return None
    rules = _Reasons(cast(Bank, model), operations)
    return first_of((rules.accounts(), rules.total(), rules.negative(), rules.overdraft(), rules.balance()))


class _Told(NamedTuple):
    """Somebody was told what an account held."""

    op: Operation
    held: int


class _Reasons:
    def __init__(self, bank: Bank, operations: Sequence[Operation]) -> None:
        self._bank = bank
        self._ops = operations
        self._opening = dict(zip(bank.accounts, cast(tuple[int, ...], bank.initial), strict=True))
        self._changes: dict[Hashable, list[Change]] = {account: [] for account in bank.accounts}
        self._told: dict[Hashable, list[_Told]] = {account: [] for account in bank.accounts}
        for op in operations:
            if op.f == "transfer":
                source, target, amount = cast(tuple[Hashable, Hashable, int], op.input)
                if source != target and amount and not (op.type == "ok" and op.output == OVERDRAFT):
                    self._changes[source].append(Change(op, -amount, op.type == "ok"))
                    self._changes[target].append(Change(op, amount, op.type == "ok"))
            for account, held in self._balances(op):
                self._told[account].append(_Told(op, held))

    def _balances(self, op: Operation) -> list[tuple[Hashable, int]]:
        if op.type != "ok" or op.f == "transfer":
            return []
        if op.f == "balance":
            return [(op.input, cast(int, op.output))]
        told = cast(tuple[int, ...], op.output)
        return list(zip(self._bank.accounts, told, strict=True)) if self._fits(told) else []

    def _fits(self, told: tuple[Hashable, ...]) -> bool:
        return len(told) == len(self._bank.accounts) and all(type(held) is int for held in told)

    def _reads(self) -> Iterator[tuple[Operation, tuple[Hashable, ...]]]:
        for op in self._ops:
            if op.f == "read" and op.type == "ok":
                yield op, cast(tuple[Hashable, ...], op.output)

    def accounts(self) -> Iterator[Explanation]:
        for op, told in self._reads():
            if not self._fits(told):
                text = f"{say(op)} returned {quote(told)}, but there are {len(self._bank.accounts)} accounts"
                text += f": {quote(self._bank.accounts)}"
                yield explained("other accounts", fact("contradiction", [op], text))

    def total(self) -> Iterator[Explanation]:
        first = sum(self._opening.values())
        for op, told in self._reads():
            if not self._fits(told):
                continue
            held = sum(cast(tuple[int, ...], told))
            if held != first:
                did = f"{held - first} was made" if held > first else f"{first - held} was lost"
                text = f"{say(op)} returned {quote(told)}, {held} in all, but all accounts together held "
                text += f"{first} at first, and transfers only move money: {did}"
                yield explained("total changed", fact("contradiction", [op], text, held - first))

    def negative(self) -> Iterator[Explanation]:
        if self._bank.negative or min(self._opening.values()) < 0:
            return
        for account, all_told in self._told.items():
            for op, held in all_told:
                if held < 0:
                    text = f"{say(op)} found {held} in account {quote(account)}, but a transfer of more than "
                    text += "there is is refused"
                    yield explained("negative balance", fact("contradiction", [op], text, held))

    def overdraft(self) -> Iterator[Explanation]:
        for op in self._ops:
            if op.f != "transfer" or op.type != "ok":
                continue
            source, _, amount = cast(tuple[Hashable, Hashable, int], op.input)
            if self._bank.negative:
                if op.output == OVERDRAFT:
                    text = f"{say(op)} was refused, but this bank refuses nothing"
                    yield explained("overdraft refused although covered", fact("contradiction", [op], text))
                continue
            for first, held, sums, surely in self._bounds(source, op):
                refused = op.output == OVERDRAFT and held + sums.low >= amount
                if refused or (op.output == OK and held + sums.high < amount):
                    did = "refused although covered" if refused else "allowed although not covered"
                    said = fact("answered", [op], f"{say(op)} was {'refused' if refused else 'carried out'}")
                    steps = self._steps(first, source, op, sums, held, surely)
                    yield explained(f"overdraft {did}", said, *steps)

    def balance(self) -> Iterator[Explanation]:
        for account, all_told in self._told.items():
            for op, found in all_told:
                for first, held, sums, surely in self._bounds(account, op):
                    if sums.has(found - held):
                        continue
                    once = any_of(self._changes[account], op).has(found - self._opening[account])
                    steps = self._steps(first, account, op, sums, held, surely)
                    yield explained(
                        "stale read" if once else "balance nobody could reach",
                        self._found(op, account, found),
                        *steps,
                    )

    def _bounds(
        self, account: Hashable, op: Operation
    ) -> Iterator[tuple[_Told | None, int, Sums, list[Change]]]:
        """What the account can have held when `op` came, since the beginning, or since each look before."""
        yield None, self._opening[account], *between(self._changes[account], None, op)
        for first in self._told[account]:
            if before(first.op, op):
                yield first, first.held, *between(self._changes[account], first.op, op)

    def _steps(
        self,
        first: _Told | None,
        account: Hashable,
        op: Operation,
        sums: Sums,
        held: int,
        surely: Sequence[Change],
    ) -> Iterator[Fact]:
        if first is not None:
            yield self._found(first.op, account, first.held)
            yield ended(first.op, op)
        text = (
            f"whatever the order, the transfers shown leave {sums.shown(held)} in account {quote(account)} "
        )
        text += f"when {say(op)} comes"
        yield fact("possible", [op], text, (held + sums.low, held + sums.high))
        for change in surely[:_MOST_SHOWN]:
            yield ended(change.op, op)

    def _found(self, op: Operation, account: Hashable, held: int) -> Fact:
        return fact("answered", [op], f"{say(op)} found {held} in account {quote(account)}", held)
