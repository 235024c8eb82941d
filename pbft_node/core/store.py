"""Where a service keeps its state: a sorted mapping from bytes to bytes that remembers which pages changed.

It is what the replicated memory was in the original library: the service writes, and checkpoints, proofs,
state transfer and the log follow from the pages. Keys are spread over pages by a hash; how many pages there
are is a function of the size of the contents and of nothing else. So equal contents have equal digests,
whatever operations, restarts or state transfers led to them.
"""

from __future__ import annotations

from collections.abc import Iterator

from .frames import Malformed
from .pages import (
    EMPTY,
    ENTRY_OVERHEAD_BYTES,
    Image,
    decode_page,
    encode_page,
    next_image,
    page_of,
    pages_for,
    place_of,
    split_from,
)
from .sorted_keys import SortedKeys

MAX_ENTRY_BYTES = 8 * 1024 * 1024
"""Key and value together; a service must refuse what would be larger."""


class WriteRefused(Exception):
    """Something tried to write through a read-only view; never leaves the core."""


class Store:
    """Contents, by page."""

    def __init__(self, image: Image = EMPTY) -> None:
        """The contents of an image. Raises Malformed when its pages are none."""
        self._pages: list[dict[bytes, bytes]] = [{}]
        self._changed: set[int] = set()
        self._image = EMPTY
        self._keys: SortedKeys | None = None
        self._size_bytes = 0
        self._count = 0
        self.time_ns = 0
        """The time the present operation is executed at, agreed on by all (section 4.6). Services read
        it; it is checkpointed beside the contents, not in them."""
        self.become(image)

    # ------------------------------------------------------------ contents

    def get(self, key: bytes) -> bytes | None:
        """The value, or None when the key is absent."""
        return self._pages[self._index(key)].get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        assert type(key) is bytes, f"a key is bytes, not {type(key).__name__}"
        assert type(value) is bytes, f"a value is bytes, not {type(value).__name__}"
        size = len(key) + len(value)
        assert size <= MAX_ENTRY_BYTES, f"an entry of {size} bytes: the limit is {MAX_ENTRY_BYTES}"
        index = self._index(key)
        page = self._pages[index]
        before = page.get(key)
        if before is None:
            self._size_bytes += ENTRY_OVERHEAD_BYTES + size
            self._count += 1
            if self._keys is not None:
                self._keys.add(key)
        elif before == value:
            return
        else:
            self._size_bytes += len(value) - len(before)
        page[key] = value
        self._changed.add(index)

    def delete(self, key: bytes) -> bool:
        """Remove a key; whether it was there."""
        index = self._index(key)
        value = self._pages[index].pop(key, None)
        if value is None:
            return False
        self._size_bytes -= ENTRY_OVERHEAD_BYTES + len(key) + len(value)
        self._count -= 1
        if self._keys is not None:
            self._keys.remove(key)
        self._changed.add(index)
        return True

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Entries whose keys begin so, by ascending key. Lazily, and writes in between are fine: each step
        goes to the next larger key there is."""
        if self._keys is None:
            self._keys = SortedKeys(key for page in self._pages for key in page)
        key = self._keys.first_from(prefix)
        while key is not None and key.startswith(prefix):
            value = self.get(key)
            assert value is not None, "every sorted key has a value"
            yield key, value
            key = self._keys.first_from(key + b"\0")

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """Of the contents, encoded."""
        return self._size_bytes

    # ------------------------------------------------------------ checkpoints

    def image(self) -> Image:
        """The contents as they are now; costs what changed since the last image."""
        self._set_page_count(pages_for(self._size_bytes))
        if self._changed or len(self._image.pages) != len(self._pages):
            changed = {index: encode_page(self._pages[index]) for index in sorted(self._changed)}
            self._image = next_image(self._image, len(self._pages), changed)
            self._changed.clear()
        return self._image

    def become(self, image: Image) -> None:
        """Take over an image's contents; pages equal to our own are not decoded. Raises Malformed."""
        own = self._image.page_digests
        pages: list[dict[bytes, bytes]] = []
        for index, page in enumerate(image.pages):
            same = index < len(own) and own[index] == image.page_digests[index]
            pages.append(self._pages[index] if same and index not in self._changed else decode_page(page))
        size_bytes = sum(len(page) for page in image.pages)
        if len(pages) != pages_for(size_bytes):
            raise Malformed(f"{len(pages)} pages for contents of {size_bytes} bytes")
        self._pages = pages
        self._changed.clear()
        self._image = image
        self._keys = None
        self._size_bytes = size_bytes
        self._count = sum(len(page) for page in pages)

    def _index(self, key: bytes) -> int:
        """Of its page. A small store has but one."""
        count = len(self._pages)
        return 0 if count == 1 else page_of(place_of(key), count)

    def _set_page_count(self, count: int) -> None:
        """Page by page, unless it grew so much that every key would be moved more than once."""
        if count > 4 * len(self._pages):
            self._spread(count)
        while len(self._pages) < count:
            self._add_page()
        while len(self._pages) > count:
            self._drop_page()

    def _spread(self, count: int) -> None:
        """Put every key where it belongs among so many pages."""
        pages: list[dict[bytes, bytes]] = [{} for _ in range(count)]
        for page in self._pages:
            for key, value in page.items():
                pages[page_of(place_of(key), count)][key] = value
        self._pages = pages
        self._changed = set(range(count))

    def _add_page(self) -> None:
        """Divide one page's keys between it and a new page."""
        last = len(self._pages)
        source = split_from(last)
        old = self._pages[source]
        places = {key: page_of(place_of(key), last + 1) for key in old}
        self._pages[source] = {key: old[key] for key, index in places.items() if index == source}
        self._pages.append({key: old[key] for key, index in places.items() if index == last})
        self._changed.update((source, last))

    def _drop_page(self) -> None:
        """The other way round."""
        entries = self._pages.pop()
        last = len(self._pages)
        self._changed.discard(last)
        target = split_from(last)
        self._pages[target].update(entries)
        self._changed.add(target)


class ReadOnlyStore(Store):
    """A view of a store for operations that may only read: a write raises ``WriteRefused``, and the view
    shows what the store holds at that moment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.time_ns = store.time_ns

    def get(self, key: bytes) -> bytes | None:
        """See ``Store``."""
        return self._store.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Refused."""
        raise WriteRefused

    def delete(self, key: bytes) -> bool:
        """Refused."""
        raise WriteRefused

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """See ``Store``."""
        return self._store.scan(prefix)

    def __len__(self) -> int:
        return len(self._store)

    @property
    def size_bytes(self) -> int:
        """Of the contents, encoded."""
        return self._store.size_bytes

    def image(self) -> Image:
        """Refused: a checkpoint is not taken through a view."""
        raise WriteRefused

    def become(self, image: Image) -> None:
        """Refused."""
        raise WriteRefused
