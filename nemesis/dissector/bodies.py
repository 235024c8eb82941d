"""The body of every message type as a scapy layer, field by field as ``codec``, ``client_codec`` and
``state_codec`` of ``pbft_node.core`` have them. The counts of lists are worked out where they are None.
"""

from __future__ import annotations

from typing import Any

from scapy.fields import (
    ByteEnumField,
    ConditionalField,
    FieldLenField,
    FlagsField,
    IntField,
    LongField,
    ShortField,
    StrField,
)
from scapy.packet import Packet

from nemesis.dissector.fields import DIGEST_BYTES, Counted, Digest, Items, Numbers, Sized, Unfit
from nemesis.dissector.frame import BODIES, PAYLOADS, frame_bytes, frames, take_frame
from pbft_node.core.cluster import FINGERPRINT_BYTES
from pbft_node.core.codec import NONCE_BYTES
from pbft_node.core.frames import OF_STATE, RESULT_DIGEST, MessageType
from pbft_node.core.messages import PartKind
from pbft_node.core.pages import MAX_PAGES, groups_for


def _count(name: str, of: str) -> FieldLenField:
    return FieldLenField(name, None, fmt="H", count_of=of)


class PBFTRequest(Packet):
    """The header's sequence number is the timestamp; its view names the replier, as the flags say."""

    name = "REQUEST"
    fields_desc = [StrField("operation", b"")]


class PBFTBatch(Packet):
    """After a PRE-PREPARE, outside its signature; also the body of BATCH."""

    name = "batch"
    fields_desc = [
        LongField("time_ns", 0),
        _count("requests_count", "requests"),
        frames("requests", "requests_count", MessageType.REQUEST),
    ]


class PBFTPrePrepare(Packet):
    """The batch is the payload of its frame."""

    name = "PRE-PREPARE"
    fields_desc = [Digest("digest")]


class PBFTPrepare(Packet):
    """A vote."""

    name = "PREPARE"
    fields_desc = [Digest("digest")]


class PBFTCommit(Packet):
    """A vote."""

    name = "COMMIT"
    fields_desc = [Digest("digest")]


class PBFTDecided(Packet):
    """A word."""

    name = "DECIDED"
    fields_desc = [Digest("digest")]


class PBFTCheckpoint(Packet):
    """The digest of a state."""

    name = "CHECKPOINT"
    fields_desc = [Digest("digest")]


class PBFTFetchBatch(Packet):
    """Of the batch wanted."""

    name = "FETCH-BATCH"
    fields_desc = [Digest("digest")]


def _flag(bit: int, is_set: bool) -> Any:
    return lambda pkt: bool(getattr(pkt.parent, "flags", 0) & bit) == is_set


class PBFTReply(Packet):
    """The header's flags say which fields there are."""

    name = "REPLY"
    fields_desc = [
        IntField("client", 1000),
        ConditionalField(LongField("state", 0), _flag(OF_STATE, True)),
        ConditionalField(Digest("result_digest"), _flag(RESULT_DIGEST, True)),
        ConditionalField(StrField("result", b""), _flag(RESULT_DIGEST, False)),
    ]


class PBFTCertificate(Packet):
    """An element of P."""

    name = "certificate"
    fields_desc = [
        Items("pre_prepare", take_frame(MessageType.PRE_PREPARE), lambda _: 1),
        _count("prepares_count", "prepares"),
        frames("prepares", "prepares_count", MessageType.PREPARE),
    ]


def _take_certificate(data: bytes, parent: Any) -> tuple[Packet, bytes]:
    """Its size first, so that it gets no byte too many."""
    end = frame_bytes(data)
    if len(data) < end + 2:
        raise Unfit("a certificate without the count of its prepares")
    count = int.from_bytes(data[end : end + 2], "big")
    end += 2
    for _ in range(count):
        end += frame_bytes(data[end:])
    return PBFTCertificate(data[:end], _parent=parent), data[end:]


class PBFTViewChange(Packet):
    """C and P."""

    name = "VIEW-CHANGE"
    fields_desc = [
        _count("proof_count", "proof"),
        frames("proof", "proof_count", MessageType.CHECKPOINT),
        _count("prepared_count", "prepared"),
        Items("prepared", _take_certificate, lambda pkt: int(pkt.prepared_count)),
    ]


class PBFTNewView(Packet):
    """V and O."""

    name = "NEW-VIEW"
    fields_desc = [
        _count("view_changes_count", "view_changes"),
        frames("view_changes", "view_changes_count", MessageType.VIEW_CHANGE),
        _count("pre_prepares_count", "pre_prepares"),
        frames("pre_prepares", "pre_prepares_count", MessageType.PRE_PREPARE),
    ]


class PBFTStatus(Packet):
    """``slots``: a byte per number from ``executed`` + 1."""

    name = "STATUS"
    fields_desc = [
        Sized("parameters", bytes(FINGERPRINT_BYTES), length=FINGERPRINT_BYTES),
        FlagsField("mode", 0, 8, ["active", "suspects"]),
        LongField("log_view", 0),
        LongField("executed", 0),
        _count("view_changes_count", "view_changes"),
        Numbers("view_changes", lambda pkt: int(pkt.view_changes_count)),
        StrField("slots", b""),
    ]


def _groups(pages: str) -> Any:
    def size(pkt: Any) -> int:
        count = int(getattr(pkt, pages))
        if not 1 <= count <= MAX_PAGES:
            raise Unfit(f"a store of {count} pages")
        return groups_for(count) * DIGEST_BYTES

    return size


class PBFTStateMeta(Packet):
    """The top of both stores of a checkpoint: digests of groups, side by side."""

    name = "STATE-META"
    fields_desc = [
        _count("proof_count", "proof"),
        frames("proof", "proof_count", MessageType.CHECKPOINT),
        IntField("service_pages", 1),
        Counted("service_groups", bytes(DIGEST_BYTES), length_from=_groups("service_pages")),
        IntField("client_pages", 1),
        Counted("client_groups", bytes(DIGEST_BYTES), length_from=_groups("client_pages")),
    ]


_KINDS = {int(kind): kind.name for kind in PartKind}
_STORES = {0: "service", 1: "clients"}


class PBFTAddress(Packet):
    """Of a part of a checkpoint."""

    name = "address"
    fields_desc = [
        ByteEnumField("kind", min(_KINDS), _KINDS),
        ByteEnumField("store", 0, _STORES),
        IntField("number", 0),
        ShortField("piece", 0),
    ]


class PBFTPart(Packet):
    """A part and its address."""

    name = "part"
    fields_desc = [
        *PBFTAddress.fields_desc,
        FieldLenField("data_length", None, fmt="I", length_of="data"),
        Counted("data", b"", length_from=lambda pkt: pkt.data_length),
    ]


_ADDRESS_BYTES = 8
_LENGTH_BYTES = 4


def _take_address(data: bytes, parent: Any) -> tuple[Packet, bytes]:
    return PBFTAddress(data[:_ADDRESS_BYTES], _parent=parent), data[_ADDRESS_BYTES:]


def _take_part(data: bytes, parent: Any) -> tuple[Packet, bytes]:
    head = _ADDRESS_BYTES + _LENGTH_BYTES
    end = head + int.from_bytes(data[_ADDRESS_BYTES:head], "big")
    if end > len(data):
        raise Unfit("a part that is cut short")
    return PBFTPart(data[:end], _parent=parent), data[end:]


class PBFTFetchParts(Packet):
    """To the end of the body."""

    name = "FETCH-PARTS"
    fields_desc = [Items("addresses", _take_address)]


class PBFTStateParts(Packet):
    """To the end of the body."""

    name = "STATE-PARTS"
    fields_desc = [Items("parts", _take_part)]


class PBFTQueryView(Packet):
    """A question."""

    name = "QUERY-VIEW"
    fields_desc = [Sized("nonce", bytes(NONCE_BYTES), length=NONCE_BYTES)]


class PBFTTellView(Packet):
    """Its answer."""

    name = "TELL-VIEW"
    fields_desc = [Sized("nonce", bytes(NONCE_BYTES), length=NONCE_BYTES)]


class PBFTFragment(Packet):
    """Piece ``seq`` of ``view`` pieces, by the header (see ``whole``)."""

    name = "FRAGMENT"
    fields_desc = [IntField("receiver", 0), Digest("digest"), StrField("data", b"")]


BODIES.update(
    {
        int(kind): layer
        for kind, layer in {
            MessageType.REQUEST: PBFTRequest,
            MessageType.PRE_PREPARE: PBFTPrePrepare,
            MessageType.PREPARE: PBFTPrepare,
            MessageType.COMMIT: PBFTCommit,
            MessageType.REPLY: PBFTReply,
            MessageType.CHECKPOINT: PBFTCheckpoint,
            MessageType.VIEW_CHANGE: PBFTViewChange,
            MessageType.NEW_VIEW: PBFTNewView,
            MessageType.STATUS: PBFTStatus,
            MessageType.FETCH_BATCH: PBFTFetchBatch,
            MessageType.BATCH: PBFTBatch,
            MessageType.STATE_META: PBFTStateMeta,
            MessageType.FETCH_PARTS: PBFTFetchParts,
            MessageType.STATE_PARTS: PBFTStateParts,
            MessageType.FRAGMENT: PBFTFragment,
            MessageType.DECIDED: PBFTDecided,
            MessageType.QUERY_VIEW: PBFTQueryView,
            MessageType.TELL_VIEW: PBFTTellView,
        }.items()
    }
)
"""FETCH-STATE has no body."""
PAYLOADS[int(MessageType.PRE_PREPARE)] = PBFTBatch
