"""What one operation writes, kept apart: it reads as done, and is done or dropped as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft_node.core.staged_store import StagedStore
from pbft_node.core.store import MAX_ENTRY_BYTES, Store

KEYS = st.sampled_from([b"", b"a", b"a\0", b"ab", b"b", b"\xff"])
WRITES = st.lists(st.tuples(KEYS, st.one_of(st.none(), st.sampled_from([b"", b"1", b"2"]))), max_size=12)


def apply(store: Store, writes: list[tuple[bytes, bytes | None]]) -> list[bool]:
    return [store.delete(key) if value is None else bool(store.put(key, value)) for key, value in writes]


@given(before=WRITES, writes=WRITES, prefix=KEYS)
def test_it_reads_as_the_store_would_after_the_writes(
    before: list[tuple[bytes, bytes | None]], writes: list[tuple[bytes, bytes | None]], prefix: bytes
) -> None:
    below, plain = Store(), Store()
    apply(below, before)
    apply(plain, before)
    untouched = below.image().digest
    staged = StagedStore(below)
    assert apply(staged, writes) == apply(plain, writes)
    assert list(staged.scan(prefix)) == list(plain.scan(prefix))
    assert [staged.get(key) for key, _ in before + writes] == [plain.get(key) for key, _ in before + writes]
    assert len(staged) == len(plain)
    assert below.image().digest == untouched, "written before commit"
    staged.commit()
    assert below.image().digest == plain.image().digest


@given(before=WRITES, during=WRITES)
def test_writes_during_a_scan_show_as_in_the_store(
    before: list[tuple[bytes, bytes | None]], during: list[tuple[bytes, bytes | None]]
) -> None:
    below, plain = Store(), Store()
    apply(below, before)
    apply(plain, before)
    staged = StagedStore(below)
    for store in (staged, plain):
        seen = []
        for step, entry in enumerate(store.scan()):
            seen.append(entry)
            apply(store, during[step : step + 1])
        if store is staged:
            expected = seen
    assert seen == expected


@pytest.mark.parametrize(
    "wrong",
    [
        lambda store: store.put("k", b"v"),
        lambda store: store.put(b"k", 7),
        lambda store: store.put(b"k", bytearray(b"v")),
        lambda store: store.put(b"k", bytes(MAX_ENTRY_BYTES)),
        lambda store: store.delete("k"),
        lambda store: store.image(),
        lambda store: store.become(None),
    ],
)
def test_what_a_service_may_not_do_is_an_ordinary_exception(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        wrong(StagedStore(Store()))


def test_the_agreed_time_shows_through() -> None:
    store = Store()
    store.time_ns = 17
    assert StagedStore(store).time_ns == 17
