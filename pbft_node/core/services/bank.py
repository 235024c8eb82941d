"""Banks by key: each has ``ACCOUNTS`` accounts of ``OPENING_BALANCE``; transfer, balance, read.

Money moves only between accounts of one bank and never below zero, so every read adds up to the same total;
half a transfer, or one done twice, shows as a wrong total or a balance no order of transfers explains.
"""

from __future__ import annotations

import struct

from ..operations import decode_fields, encode_fields
from ..store import Store
from ..types import ClientId
from .places import parse_natural, place
from .results import OK, UNKNOWN

ACCOUNTS = 8
OPENING_BALANCE = 100
OVERDRAFT = encode_fields(b"overdraft")
_BALANCES = struct.Struct(f">{ACCOUNTS}Q")
_AT_FIRST = _BALANCES.pack(*[OPENING_BALANCE] * ACCOUNTS)


class Banks:
    """See ARCHITECTURE.md, services, for operations and results."""

    def execute(self, store: Store, client: ClientId, operation: bytes) -> bytes:
        """One operation; anything unknown changes nothing."""
        match decode_fields(operation):
            case (b"transfer", key, source, target, amount):
                return _transfer(store, place(b"b", key), source, target, amount)
            case (b"balance", key, name):
                account = _account(name)
                if account is None:
                    return UNKNOWN
                return encode_fields(b"balance", b"%d" % _balances(store, place(b"b", key))[account])
            case (b"read", key):
                balances = _balances(store, place(b"b", key))
                return encode_fields(b"balances", *(b"%d" % balance for balance in balances))
            case _:
                return UNKNOWN


def _account(name: bytes) -> int | None:
    number = parse_natural(name)
    return number if number is not None and number < ACCOUNTS else None


def _balances(store: Store, key: bytes) -> list[int]:
    return list(_BALANCES.unpack(store.get(key) or _AT_FIRST))


def _transfer(store: Store, key: bytes, source: bytes, target: bytes, amount: bytes) -> bytes:
    payer, payee, money = _account(source), _account(target), parse_natural(amount)
    if payer is None or payee is None or money is None:
        return UNKNOWN
    balances = _balances(store, key)
    if balances[payer] < money:
        return OVERDRAFT
    balances[payer] -= money
    balances[payee] += money
    store.put(key, _BALANCES.pack(*balances))
    return OK
