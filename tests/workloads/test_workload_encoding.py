"""The workloads' own wire encoding: agrees with the replicas', survives anything."""

from hypothesis import given
from hypothesis import strategies as st

from pbft_node.core.operations import decode_fields, encode_fields
from workloads.encoding import pack, unpack
from workloads.registry import WORKLOADS


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)))))
def test_both_sides_write_the_same_bytes(fields: list[str]) -> None:
    data = pack(*fields)
    assert data == encode_fields(*(field.encode() for field in fields))
    assert decode_fields(data) == tuple(field.encode() for field in fields)
    assert unpack(data) == tuple(fields)


@given(st.binary())
def test_any_bytes_are_fields_or_nothing(data: bytes) -> None:
    fields = unpack(data)
    assert fields is None or pack(*fields) == data


def test_what_is_not_exactly_one_encoding_is_nothing() -> None:
    good = pack("ok", "v")
    assert unpack(good + b"x") is None
    assert unpack(good[:-1]) is None
    assert unpack(b"") is None
    assert unpack(b"\xff\xff") is None
    assert unpack(encode_fields(b"ok", b"\xff")) is None


@given(st.binary(max_size=200), st.sampled_from(sorted(WORKLOADS)))
def test_hostile_results_are_info_with_a_word(data: bytes, name: str) -> None:
    workload = WORKLOADS[name]
    for f in (*workload.functions, "no such function"):
        outcome = workload.decode(f, data)
        if outcome.type != "ok":
            assert outcome.error in ("unreadable", "refused", "full")
