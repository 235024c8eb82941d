"""The replicated services: results, determinism of snapshots, limits, hostile operations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft_node.core.operations import decode_fields, encode_fields
from pbft_node.core.services import SERVICES, Service
from pbft_node.core.services.append import MAX_ELEMENTS, MAX_LIST_BYTES
from pbft_node.core.types import ClientId

CLIENT = ClientId(1000)


def call(service: Service, *fields: bytes) -> tuple[bytes, ...]:
    decoded = decode_fields(service.execute(CLIENT, encode_fields(*fields)))
    assert decoded is not None
    return decoded


def test_kv_results() -> None:
    kv = SERVICES["kv"]()
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
    lists = SERVICES["append"]()
    assert call(lists, b"read", b"k") == (b"list",)
    assert call(lists, b"append", b"k", b"1") == (b"ok",)
    assert call(lists, b"append", b"k", b"2") == (b"ok",)
    assert call(lists, b"read", b"k") == (b"list", b"1", b"2")


def test_a_full_list_takes_nothing_more() -> None:
    many = SERVICES["append"]()
    for _ in range(MAX_ELEMENTS):
        assert call(many, b"append", b"k", b"") == (b"ok",)
    assert call(many, b"append", b"k", b"") == (b"full",)
    assert len(call(many, b"read", b"k")) == 1 + MAX_ELEMENTS
    large = SERVICES["append"]()
    assert call(large, b"append", b"k", bytes(MAX_LIST_BYTES)) == (b"ok",)
    assert call(large, b"append", b"k", b"x") == (b"full",)
    restored = SERVICES["append"]()
    restored.restore(large.snapshot())
    assert call(restored, b"append", b"k", b"x") == (b"full",), "the limit is part of the state"


@pytest.mark.parametrize("name", sorted(SERVICES))
@given(operations=st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_are_executed_alike_and_change_nothing_unless_they_are_an_operation(
    name: str, operations: list[bytes]
) -> None:
    first, second = SERVICES[name](), SERVICES[name]()
    empty = first.snapshot()
    for operation in operations:
        result = first.execute(CLIENT, operation)
        assert result == second.execute(CLIENT, operation)
        if decode_fields(operation) is None:
            assert decode_fields(result) == (b"error", b"unknown operation")
    assert first.snapshot() == second.snapshot()
    if all(decode_fields(operation) is None for operation in operations):
        assert first.snapshot() == empty


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([b"put", b"delete", b"append"]), st.binary(max_size=3), st.binary(max_size=5)
        ),
        max_size=30,
    )
)
def test_a_snapshot_restores_the_state_and_does_not_depend_on_the_order_of_keys(
    steps: list[tuple[bytes, bytes, bytes]],
) -> None:
    for name in SERVICES:
        service, copy = SERVICES[name](), SERVICES[name]()
        for function, key, value in steps:
            service.execute(CLIENT, encode_fields(function, key, *([] if function == b"delete" else [value])))
        copy.restore(service.snapshot())
        assert copy.snapshot() == service.snapshot()
        for _, key, _ in steps:
            read = encode_fields(b"get" if name == "kv" else b"read", key)
            assert copy.execute(CLIENT, read) == service.execute(CLIENT, read)


def test_fields_have_one_encoding() -> None:
    assert decode_fields(encode_fields(b"a", b"")) == (b"a", b"")
    for broken in (b"", b"\x00", encode_fields(b"a") + b"x", encode_fields(b"a", b"b")[:-1], b"\xff\xff"):
        assert decode_fields(broken) is None, broken
