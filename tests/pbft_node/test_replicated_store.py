"""The store: a mapping that scans in order, and whose digest is a function of its contents alone.

What the pages depend on: how many there are on the size of the contents, which one a key is on by its hash,
their bytes on the entries. Nothing on history, so replicas that executed the same operations agree,
whichever checkpoints they took, restarts they had and states they fetched in between.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pbft_node.core.frames import Malformed
from pbft_node.core.pages import (
    EMPTY,
    GROUP_PAGES,
    MAX_PAGES,
    PAGE_BYTES,
    PIECE_BYTES,
    Image,
    decode_page,
    digest_of_page,
    encode_page,
    image_of,
    page_of,
    pages_for,
    pieces_of,
    place_of,
    split_from,
)
from pbft_node.core.store import MAX_ENTRY_BYTES, ReadOnlyStore, Store, WriteRefused

KEYS = st.one_of(st.binary(max_size=2), st.sampled_from([b"key-%d" % number for number in range(60)]))
VALUES = st.one_of(st.binary(max_size=3), st.integers(0, 3000).map(lambda size: b"v" * size))


def filled(contents: dict[bytes, bytes]) -> Store:
    store = Store()
    for key, value in contents.items():
        store.put(key, value)
    return store


class AgainstADictionary(RuleBasedStateMachine):
    """Any history of writes, checkpoints, restarts and transfers, beside a plain dictionary."""

    @initialize()
    def begin(self) -> None:
        self.store = Store()
        self.model: dict[bytes, bytes] = {}

    @rule(key=KEYS, value=VALUES)
    def put(self, key: bytes, value: bytes) -> None:
        self.store.put(key, value)
        self.model[key] = value

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        assert self.store.delete(key) == (self.model.pop(key, None) is not None)

    @rule(first=st.integers(0, 59), count=st.integers(0, 60), size=st.integers(0, 1500))
    def put_many(self, first: int, count: int, size: int) -> None:
        for number in range(first, first + count):
            self.put(b"key-%d" % number, b"w" * size)

    @rule()
    def delete_all(self) -> None:
        for key, _ in self.store.scan():
            self.delete(key)

    @rule()
    def checkpoint(self) -> None:
        assert self.store.image().digest == filled(self.model).image().digest

    @rule()
    def restart(self) -> None:
        self.store = Store(image_of(self.store.image().pages))

    @rule(key=KEYS, value=VALUES)
    def fetch_a_state(self, key: bytes, value: bytes) -> None:
        other = filled(self.model | {key: value})
        self.store.become(other.image())
        self.model[key] = value

    @rule(prefix=st.sampled_from([b"", b"k", b"key-1", b"zz"]))
    def scan(self, prefix: bytes) -> None:
        expected = sorted((key, value) for key, value in self.model.items() if key.startswith(prefix))
        assert list(self.store.scan(prefix)) == expected

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        assert self.store.get(key) == self.model.get(key)

    @invariant()
    def sizes_agree(self) -> None:
        assert len(self.store) == len(self.model)
        assert self.store.size_bytes == sum(8 + len(key) + len(value) for key, value in self.model.items())


TestAgainstADictionary = AgainstADictionary.TestCase
TestAgainstADictionary.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


# ---------------------------------------------------------------- pages


def test_the_number_of_pages_follows_from_the_size_and_both_ways() -> None:
    """Grown and shrunk again, checkpoint by checkpoint, it is what it would be if built at once."""
    store, contents = Store(), {}
    for number in range(400):
        contents[b"%d" % number] = b"x" * 200
        store.put(b"%d" % number, b"x" * 200)
        assert len(store.image().pages) == pages_for(store.size_bytes)
    assert len(store.image().pages) == 400 * (8 + 200) // PAGE_BYTES == 20
    for number in range(399, -1, -1):
        del contents[b"%d" % number]
        store.delete(b"%d" % number)
        if number % 50 == 0:
            assert store.image() == filled(contents).image()
    assert store.image() == EMPTY


def test_a_page_more_divides_one_page_only() -> None:
    places = [place_of(b"%d" % number) for number in range(3000)]
    for count in range(1, 70):
        for place in places[:: count // 10 + 1]:
            before, after = page_of(place, count), page_of(place, count + 1)
            assert 0 <= before < count
            assert after == before or (after, before) == (count, split_from(count))
    loads = [0] * 48
    for place in places:
        loads[page_of(place, 48)] += 1
    assert min(loads) > 0
    assert max(loads) < 4 * len(places) / 48


def test_there_are_never_more_pages_than_can_be_described() -> None:
    assert pages_for(0) == pages_for(PAGE_BYTES) == 1
    assert pages_for(10**15) == MAX_PAGES


def test_a_checkpoint_encodes_what_changed_and_shares_the_rest() -> None:
    store = filled({b"%d" % number: b"x" * 100 for number in range(10_000)})
    first = store.image()
    assert len(first.pages) > 200
    assert store.image() is first, "nothing changed"
    store.put(b"7", b"x" * 100)
    assert store.image() is first, "the same value again is no change"
    store.put(b"7", b"y" * 100)
    second = store.image()
    changed = [i for i, page in enumerate(second.pages) if page is not first.pages[i]]
    assert len(changed) == 1
    assert second.digest != first.digest
    assert sum(a != b for a, b in zip(first.group_digests, second.group_digests, strict=True)) == 1
    assert Store(first).get(b"7") == b"x" * 100, "an image never changes"


def test_a_growing_store_changes_few_pages_at_a_time() -> None:
    """No checkpoint at which everything is shuffled."""
    store = filled({b"%d" % number: b"x" * 100 for number in range(5_000)})
    before = store.image()
    for number in range(5_000, 9_000):
        store.put(b"%d" % number, b"x" * 100)
        if number % 40 == 0:
            image = store.image()
            shared = sum(a is b for a, b in zip(before.pages, image.pages, strict=False))
            assert len(before.pages) - shared <= 40 + 2 * (len(image.pages) - len(before.pages))
            before = image


def test_the_tree_covers_every_page() -> None:
    pages = [encode_page({b"%d" % number: b""}) for number in range(2 * GROUP_PAGES + 3)]
    whole = image_of(pages)
    assert len(whole.group_digests) == 3
    digests = {whole.digest, image_of(pages[:-1]).digest, image_of([*pages, b""]).digest}
    for index in (0, 1, GROUP_PAGES - 1, GROUP_PAGES, 2 * GROUP_PAGES, len(pages) - 1):
        digests.add(image_of([*pages[:index], b"", *pages[index + 1 :]]).digest)
    digests.add(image_of([pages[1], pages[0], *pages[2:]]).digest)
    assert len(digests) == 10


@given(sizes=st.lists(st.integers(1, 2 * GROUP_PAGES + 2), min_size=1, max_size=5), data=st.data())
@settings(max_examples=25, deadline=None)
def test_images_taken_step_by_step_equal_images_taken_whole(sizes: list[int], data: st.DataObject) -> None:
    store = Store()
    for size in sizes:
        wanted = size * PAGE_BYTES
        number = 0
        while store.size_bytes < wanted:
            store.put(b"%d" % number, bytes(2000 + data.draw(st.integers(0, 1)) if number < 3 else 2000))
            number += 1
        for key, _ in store.scan():
            if store.size_bytes <= wanted:
                break
            store.delete(key)
        assert store.image() == image_of(store.image().pages)


# ---------------------------------------------------------------- bytes


def test_a_page_has_one_encoding() -> None:
    entries = {b"b": b"2", b"a": b"", b"": b"x" * 300}
    assert decode_page(encode_page(entries)) == entries
    assert decode_page(b"") == {}
    assert encode_page(dict(reversed(entries.items()))) == encode_page(entries)
    page = encode_page(entries)
    doubled = encode_page({b"a": b"1"}) * 2
    backwards = encode_page({b"b": b""}) + encode_page({b"a": b""})
    for broken in (page[:-1], page[:5], page + b"x", doubled, backwards, b"\xff" * 20):
        with pytest.raises(Malformed):
            decode_page(broken)


def test_an_image_with_a_wrong_number_of_pages_is_none() -> None:
    image = filled({b"%d" % number: b"x" * 100 for number in range(200)}).image()
    for pages in (image.pages[:-1], (*image.pages, b""), ()):
        with pytest.raises(Malformed):
            Store(image_of(pages) if pages else Image((), (), (), EMPTY.digest))


def test_a_large_page_is_proved_piece_by_piece() -> None:
    page = encode_page({b"k": bytes(3 * PIECE_BYTES)})
    pieces = pieces_of(page)
    assert [len(piece) for piece in pieces] == [PIECE_BYTES] * 3 + [9]
    assert b"".join(pieces) == page
    assert pieces_of(b"") == [b""]
    others = [page[:-1], page + b"\0", page[:PIECE_BYTES] + b"\1" + page[PIECE_BYTES + 1 :]]
    assert len({digest_of_page(other) for other in [page, *others]}) == 4


# ---------------------------------------------------------------- contents


def test_a_scan_may_be_written_under() -> None:
    store = filled({b"%03d" % number: b"" for number in range(3000)})
    seen = []
    for key, _ in store.scan(b"0"):
        seen.append(key)
        store.delete(key)
        store.put(key + b"5", b"") if len(key) == 3 else None
    assert seen[:4] == [b"000", b"0005", b"001", b"0015"]
    assert not list(store.scan(b"0"))
    assert len(store) == 2000 + 900


def test_what_is_no_bytes_or_too_large_is_a_bug_of_the_service() -> None:
    store = Store()
    for key, value in ((b"k", "text"), ("k", b"v"), (b"k", bytearray(3)), (b"k", bytes(MAX_ENTRY_BYTES))):
        with pytest.raises(AssertionError):
            store.put(key, value)
    assert len(store) == 0


def test_a_read_only_view_shows_the_store_and_refuses_writes() -> None:
    store = filled({b"a": b"1", b"b": b"2"})
    view = ReadOnlyStore(store)
    store.put(b"c", b"3")
    assert (view.get(b"a"), view.get(b"z"), len(view), view.size_bytes) == (b"1", None, 3, store.size_bytes)
    assert list(view.scan(b"")) == list(store.scan(b""))
    for write in (
        lambda: view.put(b"a", b"1"),
        lambda: view.delete(b"z"),
        lambda: view.image(),
        lambda: view.become(EMPTY),
    ):
        with pytest.raises(WriteRefused):
            write()
    assert store.get(b"a") == b"1"
