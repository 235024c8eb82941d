"""The replicated services: results, nothing kept outside the store, limits, hostile operations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft_node.core.operations import decode_fields, encode_fields
from pbft_node.core.services import SERVICES, Service
from pbft_node.core.services.append import MAX_ELEMENTS, MAX_LIST_BYTES
from pbft_node.core.services.null import MAX_RESULT_BYTES, TOO_LARGE, zeros
from pbft_node.core.store import ReadOnlyStore, Store, WriteRefused
from pbft_node.core.types import ClientId

CLIENT = ClientId(1000)


class Replicated:
    """A service with its store."""

    def __init__(self, name: str, store: Store | None = None) -> None:
        self.service: Service = SERVICES[name]()
        self.store = store or Store()

    def execute(self, operation: bytes) -> bytes:
        return self.service.execute(self.store, CLIENT, operation)

    def digest(self) -> bytes:
        return self.store.image().digest

    def copy(self) -> Replicated:
        """A new object on a copy of the store: what was hidden in the old object is gone."""
        copy = Replicated.__new__(Replicated)
        copy.service, copy.store = type(self.service)(), Store(self.store.image())
        return copy


def call(service: Replicated, *fields: bytes) -> tuple[bytes, ...]:
    decoded = decode_fields(service.execute(encode_fields(*fields)))
    assert decoded is not None
    return decoded


def test_kv_results() -> None:
    kv = Replicated("kv")
    assert call(kv, b"get", b"k") == (b"nil",)
    assert call(kv, b"cas", b"k", b"a", b"b") == (b"differs",)
    assert call(kv, b"put", b"k", b"a") == (b"ok",)
    assert call(kv, b"get", b"k") == (b"ok", b"a")
    assert call(kv, b"cas", b"k", b"x", b"y") == (b"differs", b"a")
    assert call(kv, b"cas", b"k", b"a", b"b") == (b"swapped", b"a")
    assert call(kv, b"get", b"k") == (b"ok", b"b")
    assert call(kv, b"delete", b"k") == (b"ok",)
    assert call(kv, b"get", b"k") == (b"nil",)


def test_append_results() -> None:
    lists = Replicated("append")
    assert call(lists, b"read", b"k") == (b"list",)
    assert call(lists, b"append", b"k", b"1") == (b"ok",)
    assert call(lists, b"append", b"k", b"2") == (b"ok",)
    assert call(lists, b"read", b"k") == (b"list", b"1", b"2")


def test_null_answers_as_many_zeros_as_asked_for() -> None:
    null = Replicated("null")
    assert decode_fields(null.execute(zeros(4096))) == (bytes(4096),)
    assert decode_fields(null.execute(zeros(0, 4096))) == (b"",)
    assert decode_fields(null.execute(zeros(MAX_RESULT_BYTES))) == (bytes(MAX_RESULT_BYTES),)
    assert null.execute(zeros(MAX_RESULT_BYTES + 1)) == TOO_LARGE
    assert call(null, b"zeros", b"1", b"") == (b"error", b"unknown operation"), "four bytes say how many"
    assert len(null.store) == 0


def test_a_full_list_takes_nothing_more() -> None:
    many = Replicated("append")
    for _ in range(MAX_ELEMENTS):
        assert call(many, b"append", b"k", b"") == (b"ok",)
    assert call(many, b"append", b"k", b"") == (b"full",)
    assert len(call(many, b"read", b"k")) == 1 + MAX_ELEMENTS
    large = Replicated("append")
    assert call(large, b"append", b"k", bytes(MAX_LIST_BYTES)) == (b"ok",)
    assert call(large, b"append", b"k", b"x") == (b"full",)
    assert call(large.copy(), b"append", b"k", b"x") == (b"full",), "the limit is part of the state"


@pytest.mark.parametrize("name", sorted(SERVICES))
@given(operations=st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_are_executed_alike_and_change_nothing_unless_they_are_an_operation(
    name: str, operations: list[bytes]
) -> None:
    first, second = Replicated(name), Replicated(name)
    empty = first.digest()
    for operation in operations:
        result = first.execute(operation)
        assert result == second.execute(operation)
        if decode_fields(operation) is None:
            assert decode_fields(result) == (b"error", b"unknown operation")
    assert first.digest() == second.digest()
    if all(decode_fields(operation) is None for operation in operations):
        assert first.digest() == empty


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([b"put", b"delete", b"append"]), st.binary(max_size=3), st.binary(max_size=5)
        ),
        max_size=30,
    )
)
def test_all_of_the_state_is_in_the_store(
    steps: list[tuple[bytes, bytes, bytes]],
) -> None:
    for name in SERVICES:
        service = Replicated(name)
        for function, key, value in steps:
            service.execute(encode_fields(function, key, *([] if function == b"delete" else [value])))
        copy = service.copy()
        for _, key, _ in steps:
            read = encode_fields(b"get" if name == "kv" else b"read", key)
            assert copy.execute(read) == service.execute(read)


@pytest.mark.parametrize("name", ["append", "kv"])
def test_a_write_through_a_read_only_view_is_refused_and_a_read_is_not(name: str) -> None:
    write, read = {"kv": (b"put", b"get"), "append": (b"append", b"read")}[name]
    service = Replicated(name)
    call(service, write, b"k", b"v")
    before = service.digest()
    view = ReadOnlyStore(service.store)
    assert decode_fields(service.service.execute(view, CLIENT, encode_fields(read, b"k")))[-1] == b"v"
    with pytest.raises(WriteRefused):
        service.service.execute(view, CLIENT, encode_fields(write, b"k", b"w"))
    assert service.digest() == before


def test_a_long_list_reads_as_it_was_appended() -> None:
    lists = Replicated("append")
    elements = [b"%d" % number * (number % 50) for number in range(500)]
    for element in elements:
        assert call(lists, b"append", b"k", element) == (b"ok",)
        call(lists, b"append", b"k\0\0\0\1", b"of another key")
    assert call(lists, b"read", b"k") == (b"list", *elements)
    assert lists.execute(encode_fields(b"read", b"k")) == encode_fields(b"list", *elements)


def test_fields_have_one_encoding() -> None:
    assert decode_fields(encode_fields(b"a", b"")) == (b"a", b"")
    for broken in (b"", b"\x00", encode_fields(b"a") + b"x", encode_fields(b"a", b"b")[:-1], b"\xff\xff"):
        assert decode_fields(broken) is None, broken
