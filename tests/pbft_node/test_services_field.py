"""counter, set, queue and bank: results, limits, and equality with a model in plain Python."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replicated import CLIENT, Replicated

from pbft_node.core.operations import decode_fields, encode_fields
from pbft_node.core.services import SERVICES
from pbft_node.core.services.bank import ACCOUNTS, OPENING_BALANCE
from pbft_node.core.services.results import MAX_ELEMENTS, MAX_OBJECT_BYTES
from pbft_node.core.store import ReadOnlyStore, WriteRefused

NUMBERS = (b"1", b"-3", b"0", b"9223372036854775807", b"-0", b"01", b"x")
AMOUNTS = (b"0", b"30", b"100", b"101", b"-1", b"")
KEYS = st.sampled_from([b"", b"k", b"\0\0\0\1k", b"kk"])
VALUES = st.sampled_from([b"", b"0", b"1", b"\xff", b"k"])
ACCOUNT = st.integers(0, ACCOUNTS).map(lambda number: b"%d" % number)
STEPS = {
    "counter": st.tuples(st.just(b"add"), KEYS, st.sampled_from(NUMBERS)),
    "set": st.tuples(st.sampled_from([b"add", b"remove", b"contains"]), KEYS, VALUES),
    "queue": st.one_of(
        st.tuples(st.just(b"enqueue"), KEYS, VALUES),
        st.tuples(st.sampled_from([b"dequeue", b"peek", b"length"]), KEYS),
    ),
    "bank": st.tuples(st.just(b"transfer"), KEYS, ACCOUNT, ACCOUNT, st.sampled_from(AMOUNTS)),
}
READS = {
    "counter": (b"read",),
    "set": (b"read", b"contains"),
    "queue": (b"read", b"peek", b"length"),
    "bank": (b"read", b"balance"),
}


def model_of_counter(state: dict[bytes, int], f: bytes, key: bytes, text: bytes) -> tuple[bytes, ...]:
    if text in (b"-0", b"01", b"x"):
        return (b"error", b"unknown operation")
    value = state.get(key, 0) + int(text)
    if abs(value) >= 2**63:
        return (b"overflow",)
    state[key] = value
    return (b"ok", b"%d" % value)


def model_of_set(state: dict[bytes, set[bytes]], f: bytes, key: bytes, element: bytes) -> tuple[bytes, ...]:
    elements = state.setdefault(key, set())
    if f == b"contains":
        return (b"yes" if element in elements else b"no",)
    (elements.add if f == b"add" else elements.discard)(element)
    return (b"ok",)


def model_of_queue(state: dict[bytes, list[bytes]], f: bytes, key: bytes, *item: bytes) -> tuple[bytes, ...]:
    items = state.setdefault(key, [])
    if f == b"enqueue":
        items.extend(item)
        return (b"ok",)
    if f == b"length":
        return (b"length", b"%d" % len(items))
    if not items:
        return (b"empty",)
    return (b"item", items.pop(0) if f == b"dequeue" else items[0])


def model_of_bank(state: dict[bytes, list[int]], f: bytes, key: bytes, *asked: bytes) -> tuple[bytes, ...]:
    balances = state.setdefault(key, [OPENING_BALANCE] * ACCOUNTS)
    source, target, amount = asked
    if b"%d" % ACCOUNTS in (source, target) or amount in (b"-1", b""):
        return (b"error", b"unknown operation")
    if balances[int(source)] < int(amount):
        return (b"overdraft",)
    balances[int(source)] -= int(amount)
    balances[int(target)] += int(amount)
    return (b"ok",)


MODELS: dict[str, Callable[..., tuple[bytes, ...]]] = {
    "counter": model_of_counter,
    "set": model_of_set,
    "queue": model_of_queue,
    "bank": model_of_bank,
}


def read_of(name: str, state: dict[bytes, object], key: bytes) -> tuple[bytes, ...]:
    """What ``read`` gives by the model."""
    held = state.get(key)
    if name == "counter":
        return (b"value", b"%d" % (held or 0))
    if name == "bank":
        return (b"balances", *(b"%d" % balance for balance in held or [OPENING_BALANCE] * ACCOUNTS))
    return (name.encode(), *(sorted(held or ()) if name == "set" else held or ()))


@pytest.mark.parametrize("name", sorted(MODELS))
@settings(max_examples=50)
@given(data=st.data())
def test_results_are_those_of_the_model_also_after_a_restore(name: str, data: st.DataObject) -> None:
    service, other, state = Replicated(name), Replicated(name), {}
    for step in data.draw(st.lists(STEPS[name], max_size=40)):
        before = service.digest()
        result = service.call(*step)
        assert result == MODELS[name](state, *step), step
        assert other.call(*step) == result
        assert result[0] != b"error" or service.digest() == before, "an error changed something"
        if data.draw(st.booleans()):
            other = other.restored()
    assert service.digest() == other.digest()
    for key in (b"", b"k", b"\0\0\0\1k", b"kk", b"never used"):
        assert service.call(b"read", key) == other.call(b"read", key) == read_of(name, state, key)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_operations_that_only_read_never_write(name: str) -> None:
    service = Replicated(name)
    view = ReadOnlyStore(service.store)
    for f in READS[name]:
        more = {b"contains": [b"e"], b"balance": [b"3"]}.get(f, [])
        for key in (b"k", b"unknown"):
            assert decode_fields(service.service.execute(view, CLIENT, encode_fields(f, key, *more)))
    writes = {"counter": (b"add", b"k", b"1"), "set": (b"add", b"k", b"e"), "queue": (b"enqueue", b"k", b"e")}
    write = writes.get(name, (b"transfer", b"k", b"0", b"1", b"5"))
    with pytest.raises(WriteRefused):
        service.service.execute(view, CLIENT, encode_fields(*write))
    assert service.digest() == Replicated(name).digest()


@pytest.mark.parametrize("name", sorted(SERVICES))
@settings(max_examples=50)
@given(
    words=st.lists(
        st.lists(
            st.one_of(
                st.sampled_from(
                    [b"read", b"add", b"write", b"create", b"lookup", b"remove", b"setattr", b"size"]
                ),
                st.sampled_from([b"1", b"2", b"-1", b"0", b"9999999999999999999", b"k", b"", b"\xff" * 300]),
            ),
            max_size=5,
        ),
        max_size=20,
    )
)
def test_any_words_in_any_number_are_answered_and_errors_change_nothing(
    name: str, words: list[list[bytes]]
) -> None:
    service, other = Replicated(name), Replicated(name)
    for fields in words:
        before = service.digest()
        result = service.call(*fields)
        assert other.call(*fields) == result
        assert result[0] != b"error" or service.digest() == before
    assert service.digest() == other.digest()


@pytest.mark.parametrize(
    ("name", "grow", "shrink"), [("set", b"add", b"remove"), ("queue", b"enqueue", b"dequeue")]
)
def test_what_a_read_returns_whole_is_bounded(name: str, grow: bytes, shrink: bytes) -> None:
    many = Replicated(name)
    for number in range(MAX_ELEMENTS):
        assert many.call(grow, b"k", number) == (b"ok",)
    assert many.call(grow, b"k", b"one more") == (b"full",)
    assert len(many.call(b"read", b"k")) == 1 + MAX_ELEMENTS
    assert many.call(grow, b"other", b"one more") == (b"ok",)
    many.call(*((shrink, b"k", 17) if name == "set" else (shrink, b"k")))
    assert many.call(grow, b"k", b"one more") == (b"ok",)
    large = Replicated(name)
    assert large.call(grow, b"k", bytes(MAX_OBJECT_BYTES)) == (b"ok",)
    assert large.restored().call(grow, b"k", b"x") == (b"full",), "the limit is part of the state"


def test_an_emptied_set_leaves_nothing_behind() -> None:
    sets = Replicated("set")
    empty = sets.digest()
    sets.call(b"add", b"k", b"e")
    assert sets.call(b"remove", b"k", b"e") == sets.call(b"remove", b"k", b"e") == (b"ok",)
    assert sets.digest() == empty


def test_adding_one_gives_unique_numbers() -> None:
    counters = Replicated("counter")
    assert [counters.call(b"add", b"ids", b"1") for _ in range(3)] == [(b"ok", b"%d" % i) for i in (1, 2, 3)]


def test_money_is_conserved_and_never_owed() -> None:
    bank = Replicated("bank")
    assert bank.call("transfer", "b", 0, 1, 60) == (b"ok",)
    assert bank.call("transfer", "b", 0, 1, 60) == (b"overdraft",)
    assert bank.call("transfer", "b", 1, 1, 160) == (b"ok",), "to itself: nothing moves"
    assert bank.call("balance", "b", 1) == (b"balance", b"160")
    _, *balances = bank.call("read", "b")
    assert sum(map(int, balances)) == ACCOUNTS * OPENING_BALANCE
    assert bank.call("transfer", "b", 0, ACCOUNTS, 1)[0] == b"error"
    assert bank.call("transfer", "b", "00", 1, 1)[0] == b"error"
