"""The envelope of every PBFT message as a scapy layer: header, ``body`` by type, ``tag``; after a PRE-PREPARE
its batch as payload (see ``pbft_node.core.frames``).

    PBFT(type="COMMIT", sender=1, view=0, seq=7, body=PBFTCommit(digest=…))

Whatever the bytes are, dissecting does not raise: without a whole header they are ``Raw``, a body that does
not fit its type is ``Raw`` inside a ``PBFT``. Building what was dissected gives the same bytes. ``length`` is
worked out where it is None; the tag is whatever it is told to be: layers have no keys.
"""

from __future__ import annotations

import struct
from typing import Any

from scapy.config import conf
from scapy.fields import (
    ByteEnumField,
    ByteField,
    IntField,
    LongField,
    PacketLenField,
    StrField,
    StrFixedLenField,
)
from scapy.packet import NoPayload, Packet

from nemesis.dissector.fields import Items, Unfit
from pbft_node.core.authentication import MAC_BYTES
from pbft_node.core.frames import (
    AUTHENTICATOR,
    COUNT,
    HEADER,
    HEADER_BYTES,
    MACED,
    MAGIC,
    SIGNED,
    TAG_BYTES,
    VERSION,
    MessageType,
)

NAMES = {int(kind): kind.name for kind in MessageType}
_LENGTH_BYTES = 4

BODIES: dict[int, type[Packet]] = {}
"""Message type -> the layer of its body; ``bodies`` fills it."""
PAYLOADS: dict[int, type[Packet]] = {}
"""Message type -> what follows its tag."""


class _Body(PacketLenField):
    """By the type in the header; ``Raw`` where it does not fit, None where it is empty."""

    def __init__(self, name: str) -> None:
        super().__init__(name, NoPayload(), conf.raw_layer, length_from=lambda pkt: int(pkt.length))
        self.default = None

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, Any]:
        """See ``Field``."""
        size = int(pkt.length)
        data, rest = s[:size], s[size:]
        if not data:
            return rest, None
        try:
            return rest, BODIES.get(pkt.type, conf.raw_layer)(data, _parent=pkt)
        except (Unfit, struct.error):
            return rest, conf.raw_layer(data, _parent=pkt)


def _tag_bytes(auth: int, rest: bytes) -> int:
    if auth != AUTHENTICATOR:
        return TAG_BYTES[auth]
    if len(rest) < COUNT.size:
        raise Unfit("an authenticator without its count")
    (count,) = COUNT.unpack_from(rest)
    return COUNT.size + int(count) * MAC_BYTES


def frame_bytes(data: bytes) -> int:
    """How long the frame is that the bytes begin with. Raises Unfit when they begin with none."""
    if len(data) < HEADER_BYTES:
        raise Unfit(f"{len(data)} bytes: shorter than a header")
    magic, version, _, auth, _, _, _, _, length = HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION or auth not in (SIGNED, MACED, AUTHENTICATOR):
        raise Unfit("not the header of a PBFT frame")
    body_end = HEADER_BYTES + int(length)
    whole = body_end + _tag_bytes(auth, data[body_end : body_end + COUNT.size])
    if whole > len(data):
        raise Unfit(f"{len(data)} bytes of a frame of {whole}")
    return whole


class _Tag(StrField):
    """A signature, a MAC, or the count and MACs of an authenticator. Of zeros where it is None."""

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, bytes]:
        """See ``Field``."""
        size = _tag_bytes(pkt.auth, s)
        return s[size:], s[:size]

    def i2m(self, pkt: Any, x: Any) -> bytes:
        """See ``Field``."""
        if x is None:
            return bytes(TAG_BYTES.get(pkt.auth, COUNT.size))
        return bytes(super().i2m(pkt, x))

    def any2i(self, pkt: Any, x: Any) -> Any:
        """See ``Field``."""
        return x

    def i2repr(self, pkt: Any, x: Any) -> str:
        """See ``Field``."""
        return "zeros" if x is None else bytes(x).hex()


class PBFT(Packet):
    """A frame."""

    name = "PBFT"
    fields_desc = [
        StrFixedLenField("magic", MAGIC, length=len(MAGIC)),
        ByteField("version", VERSION),
        ByteEnumField("type", int(MessageType.PREPARE), NAMES),
        ByteEnumField("auth", MACED, {SIGNED: "signature", MACED: "MAC", AUTHENTICATOR: "authenticator"}),
        ByteField("flags", 0),
        IntField("sender", 0),
        LongField("view", 0),
        LongField("seq", 0),
        IntField("length", None),
        _Body("body"),
        _Tag("tag", None),
    ]

    @classmethod
    def dispatch_hook(cls, _pkt: bytes | None = None, *args: Any, **kargs: Any) -> type[Packet]:
        """See ``Packet``: bytes that are no frame are ``Raw``."""
        if _pkt is not None and _pkt != b"":
            try:
                frame_bytes(bytes(_pkt))
            except Unfit:
                return conf.raw_layer
        return cls

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """See ``Packet``."""
        return PAYLOADS.get(self.type, conf.raw_layer)

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        """See ``Packet``."""
        if self.length is None:
            tag = self.get_field("tag").i2m(self, self.tag)
            length = len(pkt) - HEADER_BYTES - len(tag)
            at = HEADER_BYTES - _LENGTH_BYTES
            pkt = pkt[:at] + length.to_bytes(_LENGTH_BYTES, "big") + pkt[HEADER_BYTES:]
        return pkt + pay

    def mysummary(self) -> str:
        """See ``Packet``: one line."""
        kind = NAMES.get(self.type, str(self.type))
        digest = getattr(self.body, "digest", None)
        shown = f" {digest[:4].hex()}…" if isinstance(digest, bytes) else ""
        return f"PBFT {kind} of {self.sender}, view {self.view}, number {self.seq}{shown}"


def take_frame(kind: MessageType) -> Any:
    """For ``Items``: a frame of that type, and no other."""

    def one(data: bytes, parent: Any) -> tuple[Packet, bytes]:
        size = frame_bytes(data)
        if data[5] != kind:
            raise Unfit(f"a frame of type {data[5]} where {kind.name} belongs")
        return PBFT(data[:size], _parent=parent), data[size:]

    return one


def frames(name: str, count: str, kind: MessageType) -> Items:
    """A list of nested frames; ``count`` is the field that says how many."""
    return Items(name, take_frame(kind), lambda pkt: int(getattr(pkt, count)))


def field_names(kind: int) -> tuple[str, ...]:
    """Of frame, body and payload of messages of that type."""
    layers = (PBFT, BODIES.get(kind), PAYLOADS.get(kind))
    return tuple(field.name for layer in layers if layer is not None for field in layer.fields_desc)
