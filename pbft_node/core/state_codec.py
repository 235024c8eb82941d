"""Bodies of the messages of state transfer (section 5.3): the top of the tree, and any parts of it."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from .digests import DIGEST_BYTES
from .frames import Malformed
from .messages import CLIENTS, Address, Part, PartKind, StoreOffer
from .pages import GROUP_PAGES, MAX_PAGES, PIECE_BYTES, groups_for
from .reader import BodyReader
from .types import Digest

MAX_PIECES = 65_535
"""Of one page, 2 GiB: clients choose the keys, and can pile them up on one page."""
MAX_PART_BYTES = max(PIECE_BYTES, MAX_PIECES * DIGEST_BYTES, GROUP_PAGES * DIGEST_BYTES)
MAX_PARTS = 64
"""In one message."""
_COUNT = struct.Struct(">I")
_ADDRESS = struct.Struct(">BBIH")
_LENGTH = struct.Struct(">I")
PART_OVERHEAD_BYTES = _ADDRESS.size + _LENGTH.size


def encode_store_offer(offer: StoreOffer) -> bytes:
    """Of STATE-META."""
    return _COUNT.pack(offer.pages) + b"".join(offer.group_digests)


def read_store_offer(reader: BodyReader) -> StoreOffer:
    """Inverse of ``encode_store_offer``. Raises Malformed."""
    pages = reader.number(_COUNT)
    if not 1 <= pages <= MAX_PAGES:
        raise Malformed(f"a store of {pages} pages")
    return StoreOffer(pages, digests_in(reader.take(groups_for(pages) * DIGEST_BYTES)))


def digests_in(data: bytes) -> tuple[Digest, ...]:
    """Digests side by side; ``data`` is a multiple of their size."""
    return tuple(Digest(data[at : at + DIGEST_BYTES]) for at in range(0, len(data), DIGEST_BYTES))


def encode_addresses(addresses: Sequence[Address]) -> bytes:
    """Body of FETCH-PARTS."""
    return b"".join(_ADDRESS.pack(*address) for address in addresses)


def read_addresses(reader: BodyReader) -> tuple[Address, ...]:
    """Inverse of ``encode_addresses``. Raises Malformed."""
    if len(reader.data) > MAX_PARTS * _ADDRESS.size:
        raise Malformed(f"more than {MAX_PARTS} parts asked for at once")
    addresses = []
    while reader.position < len(reader.data):
        addresses.append(_address(reader))
    return tuple(addresses)


def encode_parts(parts: Sequence[Part]) -> bytes:
    """Body of STATE-PARTS."""
    pieces: list[bytes] = []
    for address, data in parts:
        pieces += (_ADDRESS.pack(*address), _LENGTH.pack(len(data)), data)
    return b"".join(pieces)


def read_parts(reader: BodyReader) -> tuple[Part, ...]:
    """Inverse of ``encode_parts``. Raises Malformed."""
    parts: list[Part] = []
    while reader.position < len(reader.data):
        address = _address(reader)
        length = reader.number(_LENGTH)
        if length > MAX_PART_BYTES or len(parts) == MAX_PARTS:
            raise Malformed(
                f"part {len(parts)} of {length} bytes: the limits are {MAX_PARTS}, {MAX_PART_BYTES}"
            )
        parts.append(Part(address, reader.take(length)))
    return tuple(parts)


def _address(reader: BodyReader) -> Address:
    kind, store, number, piece = _ADDRESS.unpack(reader.take(_ADDRESS.size))
    if kind not in PartKind._value2member_map_ or store > CLIENTS:
        raise Malformed(f"part of kind {kind} of store {store}")
    return Address(PartKind(kind), store, number, piece)
