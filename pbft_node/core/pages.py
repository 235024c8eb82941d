"""The pages of a store at a checkpoint, and the tree of digests over them (section 5.3, the partition tree).

    root digest      count of pages, digests of groups
    group digest     digests of up to 256 pages
    page digest      digests of its pieces; nearly every page is one piece
    piece            at most 32 KiB of the page, so that each travels, and is proved, by itself

An image never changes. The next one shares every page that stayed the same, so taking it costs what
changed since, not what there is.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .digests import digest_of
from .frames import Malformed
from .types import Digest

PAGE_BYTES = 4096
"""A store has a page for so many bytes of contents."""
MAX_PAGES = 1 << 18
"""Pages of a larger store grow instead: the group digests must fit into one STATE-META."""
GROUP_PAGES = 256
PIECE_BYTES = 32 * 1024
ENTRY_OVERHEAD_BYTES = 8
_ENTRY = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Image:
    """A store's contents, immutable."""

    pages: tuple[bytes, ...]
    page_digests: tuple[Digest, ...]
    group_digests: tuple[Digest, ...]
    digest: Digest


# ---------------------------------------------------------------- which page a key is on


def pages_for(size_bytes: int) -> int:
    """How many pages contents of this size have. It depends on nothing else, so equal contents have equal
    pages whatever led to them."""
    return min(MAX_PAGES, max(1, size_bytes // PAGE_BYTES))


def place_of(key: bytes) -> int:
    """A number that spreads keys evenly. Not a checksum: clients choose keys, and could pile them up."""
    return int.from_bytes(hashlib.sha256(key).digest()[:4], "big")


def page_of(place: int, count: int) -> int:
    """Linear hashing: with a page more only one page is split, not every page shuffled."""
    mask = (1 << (count - 1).bit_length()) - 1
    index = place & mask
    return index if index < count else index & (mask >> 1)


def split_from(last: int) -> int:
    """The page whose keys were divided when page ``last`` was added."""
    return last - (1 << (last.bit_length() - 1))


# ---------------------------------------------------------------- a page as bytes


def encode_page(entries: Mapping[bytes, bytes]) -> bytes:
    """Entries by ascending key."""
    parts: list[bytes] = []
    for key in sorted(entries):
        value = entries[key]
        parts += (_ENTRY.pack(len(key), len(value)), key, value)
    return b"".join(parts)


def decode_page(data: bytes) -> dict[bytes, bytes]:
    """Inverse of ``encode_page``. Raises Malformed."""
    entries: dict[bytes, bytes] = {}
    position, last = 0, b""
    while position < len(data):
        if position + _ENTRY.size > len(data):
            raise Malformed("a page that ends inside an entry")
        key_bytes, value_bytes = _ENTRY.unpack_from(data, position)
        middle = position + _ENTRY.size + key_bytes
        end = middle + value_bytes
        key = data[position + _ENTRY.size : middle]
        if end > len(data) or (entries and key <= last):
            raise Malformed("a page whose entries are cut short or out of order")
        entries[key] = data[middle:end]
        position, last = end, key
    return entries


# ---------------------------------------------------------------- the tree


def pieces_of(page: bytes) -> list[bytes]:
    """A page as it travels; an empty page is one empty piece."""
    return [page[start : start + PIECE_BYTES] for start in range(0, len(page), PIECE_BYTES)] or [b""]


def piece_digest(piece: bytes) -> Digest:
    """Of a piece."""
    return digest_of(b"piece", piece)


def page_digest(piece_digests: Sequence[Digest]) -> Digest:
    """Of a page, from its pieces."""
    return digest_of(b"page", b"".join(piece_digests))


def digest_of_page(page: bytes) -> Digest:
    """Of a page, from its bytes."""
    return page_digest([piece_digest(piece) for piece in pieces_of(page)])


def group_digest(page_digests: Sequence[Digest]) -> Digest:
    """Of up to GROUP_PAGES pages."""
    return digest_of(b"group", b"".join(page_digests))


def root_digest(pages: int, group_digests: Sequence[Digest]) -> Digest:
    """Of a store."""
    return digest_of(b"store", pages.to_bytes(4, "big"), b"".join(group_digests))


def groups_for(pages: int) -> int:
    """How many groups so many pages have."""
    return -(-pages // GROUP_PAGES)


EMPTY_PAGE_DIGEST = digest_of_page(b"")
EMPTY = Image(
    (b"",),
    (EMPTY_PAGE_DIGEST,),
    (group_digest((EMPTY_PAGE_DIGEST,)),),
    root_digest(1, (group_digest((EMPTY_PAGE_DIGEST,)),)),
)


def image_of(pages: Sequence[bytes]) -> Image:
    """The image of these pages, digested whole."""
    return next_image(EMPTY, len(pages), dict(enumerate(pages)))


def next_image(before: Image, count: int, changed: Mapping[int, bytes]) -> Image:
    """The image that differs from ``before`` in these pages and has ``count`` of them; every page from the
    old count on must be among the changed ones."""
    pages, digests = list(before.pages[:count]), list(before.page_digests[:count])
    pages += [b""] * (count - len(pages))
    digests += [EMPTY_PAGE_DIGEST] * (count - len(digests))
    stale: set[int] = set()
    if count != len(before.pages):
        stale.update(range(groups_for(min(count, len(before.pages))) - 1, groups_for(count)))
    for index, page in changed.items():
        pages[index] = page
        digests[index] = digest_of_page(page)
        stale.add(index // GROUP_PAGES)
    groups = list(before.group_digests[: groups_for(count)])
    groups += [EMPTY_PAGE_DIGEST] * (groups_for(count) - len(groups))
    for group in sorted(stale):
        groups[group] = group_digest(digests[group * GROUP_PAGES : (group + 1) * GROUP_PAGES])
    return Image(tuple(pages), tuple(digests), tuple(groups), root_digest(count, groups))
