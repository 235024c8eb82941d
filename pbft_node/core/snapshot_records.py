"""A snapshot in the log: the pages that differ from the snapshot logged before it.

    PAGES      u64 seq, then pages                  as many as it takes, none for a small change
    SNAPSHOT   u64 seq, u64 seq of the snapshot before (0: none), u32 PAGES records that belong to it,
               u32 pages of the service's store, u32 pages of the client table, 32s digest,
               u16 CHECKPOINTs, them, then pages
    a page     u8 store, u32 number, u32 length, bytes; a long one several times so, one after the other

The SNAPSHOT record closes it: PAGES without one behind them are the rest of a write that was cut short and
stand for nothing. Its digest is that of the whole state, so a chain that does not add up is noticed. The
CHECKPOINTs are the proof when the state was fetched: it becomes ours and stable in one record.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from .codec import encode_frames, read_checkpoints
from .digests import DIGEST_BYTES
from .frames import Malformed
from .messages import CLIENTS, SERVICE, Checkpoint
from .pages import EMPTY, MAX_PAGES, Image, next_image
from .reader import BodyReader
from .records import RecordType, record
from .snapshots import Snapshot, take_snapshot
from .types import Digest, SeqNum

RECORD_BYTES = 1024 * 1024
"""Of pages in one record, or a little more. Longer pages are divided: clients choose the keys and can pile
them up on one page, but a record must not be longer than the log takes."""
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_HEAD = struct.Struct(">QQIII")
_PAGE = struct.Struct(">BII")

Changes = tuple[dict[int, list[bytes]], dict[int, list[bytes]]]
"""Of both stores: the parts of each page that changed."""


def snapshot_records(
    snapshot: Snapshot, before: Snapshot | None, proof: Sequence[Checkpoint] = ()
) -> list[bytes]:
    """What to append to the log, in order."""
    groups: list[list[bytes]] = [[]]
    size_bytes = 0
    for page in changed_pages(snapshot, before):
        if size_bytes + len(page) > RECORD_BYTES and groups[-1]:
            groups.append([])
            size_bytes = 0
        groups[-1].append(page)
        size_bytes += len(page)
    records = [record(RecordType.PAGES, _U64.pack(snapshot.seq) + b"".join(pages)) for pages in groups[:-1]]
    head = _HEAD.pack(
        snapshot.seq,
        0 if before is None else before.seq,
        len(records),
        len(snapshot.service.pages),
        len(snapshot.clients.pages),
    )
    votes = encode_frames([vote.raw for vote in proof])
    body = head + snapshot.digest + votes + b"".join(groups[-1])
    return [*records, record(RecordType.SNAPSHOT, body)]


def changed_pages(snapshot: Snapshot, before: Snapshot | None) -> Iterator[bytes]:
    """Encoded, with where they belong."""
    for store, image in ((SERVICE, snapshot.service), (CLIENTS, snapshot.clients)):
        old = EMPTY if before is None else (before.service, before.clients)[store]
        for number, digest in enumerate(image.page_digests):
            if number >= len(old.pages) or old.page_digests[number] != digest:
                page = image.pages[number]
                for start in range(0, max(1, len(page)), RECORD_BYTES):
                    part = page[start : start + RECORD_BYTES]
                    yield _PAGE.pack(store, number, len(part)) + part


class SnapshotReader:
    """Puts snapshots together again, record by record."""

    def __init__(self) -> None:
        self.last: Snapshot | None = None
        """The snapshot read last: what the next one's pages are changes to."""
        self._pages: list[tuple[int, bytes]] = []

    def read_pages(self, payload: bytes) -> None:
        """A PAGES record. Raises Malformed."""
        reader = BodyReader(payload)
        seq = reader.number(_U64)
        self._pages.append((seq, reader.take(len(payload) - reader.position)))

    def read_snapshot(self, payload: bytes) -> tuple[Snapshot, tuple[Checkpoint, ...]]:
        """A SNAPSHOT record: the state, and its proof if it was fetched. Raises Malformed."""
        reader = BodyReader(payload)
        seq, before, parts, service, clients = _HEAD.unpack(reader.take(_HEAD.size))
        digest = Digest(reader.take(DIGEST_BYTES))
        proof = read_checkpoints(reader)
        if before != (0 if self.last is None else self.last.seq):
            raise Malformed(f"changes to a snapshot at {before}, which is not the one before it")
        earlier, self._pages = self._pages, []
        if parts > len(earlier) or any(of != seq for of, _ in earlier[len(earlier) - parts :]):
            raise Malformed(f"{parts} records of pages belong to it, and are not before it")
        bodies = [pages for _, pages in earlier[len(earlier) - parts :]]
        bodies.append(reader.take(len(payload) - reader.position))
        changed: Changes = ({}, {})
        for body in bodies:
            read_changes(body, (service, clients), changed)
        snapshot = take_snapshot(
            SeqNum(seq),
            changed_image(self.last.service if self.last else EMPTY, service, changed[SERVICE]),
            changed_image(self.last.clients if self.last else EMPTY, clients, changed[CLIENTS]),
        )
        if snapshot.digest != digest:
            raise Malformed(f"a state whose digest is {snapshot.digest.hex()}, not {digest.hex()}")
        self.last = snapshot
        return snapshot, proof


def read_changes(body: bytes, counts: tuple[int, int], into: Changes) -> None:
    """Pages, where they belong. Raises Malformed."""
    reader = BodyReader(body)
    while reader.position < len(body):
        store, number, length = _PAGE.unpack(reader.take(_PAGE.size))
        if store > CLIENTS or number >= counts[store]:
            raise Malformed(f"page {number} of store {store}, which has none such")
        into[store].setdefault(number, []).append(reader.take(length))


def changed_image(before: Image, count: int, changed: dict[int, list[bytes]]) -> Image:
    """The image with these changes. Raises Malformed."""
    if not 1 <= count <= MAX_PAGES:
        raise Malformed(f"a store of {count} pages")
    return next_image(before, count, {number: b"".join(parts) for number, parts in changed.items()})
