"""Bytes to messages and back. One encoding for each message, sizes limited, nothing trusted.

Decoding gives a message or raises ``Malformed``; whether its sender wrote it is for ``seal`` to say.
Encoding gives bodies; ``seal`` wraps them in frames.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from .client_codec import decode_ordered_request, decode_reply, decode_request
from .cluster import FINGERPRINT_BYTES, MAX_BATCH
from .digests import DIGEST_BYTES
from .frames import Frame, Malformed, MessageType, parse_frame
from .messages import (
    Batch,
    BatchBody,
    Checkpoint,
    Commit,
    Decided,
    FetchBatch,
    FetchParts,
    FetchState,
    Fragment,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    QueryView,
    StateMeta,
    StateParts,
    Status,
    StoreOffer,
    TellView,
    ViewChange,
)
from .reader import U16, BodyReader
from .state_codec import encode_store_offer, read_addresses, read_parts, read_store_offer
from .types import (
    FIRST_CLIENT_ID,
    MAX_TIME_NS,
    Digest,
    Principal,
    ReplicaId,
    SeqNum,
    View,
)

MAX_REPLICAS = FIRST_CLIENT_ID
MAX_CERTIFICATES = 8192
NONCE_BYTES = 16
MAX_FRAGMENTS = 1 << 16
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_BATCH = struct.Struct(">QH")
_STATUS = struct.Struct(">BQQ")
_ACTIVE = 1
_SUSPECTS = 2


# ---------------------------------------------------------------- encoding


def encode_batch(batch: Batch) -> bytes:
    """The attachment of a PRE-PREPARE, also the body of BATCH."""
    head = _BATCH.pack(batch.time_ns, len(batch.requests))
    return head + b"".join(request.raw for request in batch.requests)


def encode_certificate(certificate: PreparedCertificate) -> bytes:
    """One element of P."""
    return certificate.pre_prepare.raw + encode_frames([p.raw for p in certificate.prepares])


def encode_frames(frames: Sequence[bytes]) -> bytes:
    """A counted list of frames."""
    return U16.pack(len(frames)) + b"".join(frames)


def encode_view_change(proof: Sequence[Checkpoint], prepared: Sequence[PreparedCertificate]) -> bytes:
    """C and P."""
    parts = [encode_frames([c.raw for c in proof]), U16.pack(len(prepared))]
    parts.extend(encode_certificate(certificate) for certificate in prepared)
    return b"".join(parts)


def encode_new_view(view_changes: Sequence[ViewChange], pre_prepares: Sequence[PrePrepare]) -> bytes:
    """V and O."""
    return encode_frames([v.raw for v in view_changes]) + encode_frames([p.raw for p in pre_prepares])


def encode_status(
    parameters: bytes,
    active: bool,
    log_view: View,
    executed: SeqNum,
    view_changes: Sequence[ReplicaId],
    slots: bytes,
    suspects: bool = False,
) -> bytes:
    """Body of STATUS; view and stable are in the header. ``parameters``: ``Cluster.fingerprint``."""
    mode = (_ACTIVE if active else 0) | (_SUSPECTS if suspects else 0)
    held = b"".join(U16.pack(replica) for replica in view_changes)
    return parameters + _STATUS.pack(mode, log_view, executed) + U16.pack(len(view_changes)) + held + slots


def encode_state_meta(proof: Sequence[Checkpoint], service: StoreOffer, clients: StoreOffer) -> bytes:
    """Body of STATE-META."""
    head = encode_frames([c.raw for c in proof])
    return head + encode_store_offer(service) + encode_store_offer(clients)


def encode_fragment_head(receiver: Principal, whole: Digest) -> bytes:
    """What the body of a FRAGMENT begins with; index and count are in the header."""
    return _U32.pack(receiver) + whole


# ---------------------------------------------------------------- decoding


def decode(data: bytes) -> tuple[Message, Frame]:
    """A message and its outer frame. Raises Malformed."""
    frame, end = parse_frame(data)
    if frame.type is MessageType.PRE_PREPARE:
        return _pre_prepare_with_batch(frame, data[end:]), frame
    if end != len(data):
        raise Malformed(f"{len(data) - end} bytes after the message")
    return _DECODERS[frame.type](frame), frame


def decode_pre_prepare(data: bytes) -> PrePrepare:
    """A PRE-PREPARE with its batch, as stored in the log. Raises Malformed."""
    message, _ = decode(data)
    if not isinstance(message, PrePrepare):
        raise Malformed(f"{type(message).__name__} where a PRE-PREPARE belongs")
    return message


def decode_batch(data: bytes) -> Batch:
    """Inverse of ``encode_batch``. Raises Malformed."""
    reader = BodyReader(data)
    time_ns = reader.number(_U64)
    count = reader.count(MAX_BATCH)
    if time_ns > MAX_TIME_NS or (time_ns and not count):
        raise Malformed(f"a batch of {count} requests at time {time_ns}")
    requests = tuple(decode_ordered_request(reader.frame(MessageType.REQUEST)) for _ in range(count))
    reader.end()
    return Batch(requests, time_ns)


def decode_certificate(data: bytes) -> PreparedCertificate:
    """Inverse of ``encode_certificate``. Raises Malformed."""
    reader = BodyReader(data)
    certificate = _certificate(reader)
    reader.end()
    return certificate


def decode_checkpoints(data: bytes) -> tuple[Checkpoint, ...]:
    """Inverse of ``encode_frames`` for a checkpoint proof. Raises Malformed."""
    reader = BodyReader(data)
    checkpoints = read_checkpoints(reader)
    reader.end()
    return checkpoints


def _replica(frame: Frame) -> ReplicaId:
    if frame.sender >= MAX_REPLICAS:
        raise Malformed(f"{frame.type.name} from {frame.sender}, which is no replica")
    return ReplicaId(frame.sender)


def _plain(frame: Frame) -> None:
    if frame.flags:
        raise Malformed(f"flags {frame.flags}")


def _digest(frame: Frame) -> Digest:
    if frame.flags:
        _plain(frame)
    if len(frame.body) != DIGEST_BYTES:
        raise Malformed(f"{frame.type.name} with a body of {len(frame.body)} bytes")
    return Digest(frame.body)


def _pre_prepare(frame: Frame) -> PrePrepare:
    return PrePrepare(View(frame.view), SeqNum(frame.seq), _digest(frame), _replica(frame), frame.raw)


def _pre_prepare_with_batch(frame: Frame, attachment: bytes) -> PrePrepare:
    bare = _pre_prepare(frame)
    if not attachment:
        return bare
    batch = decode_batch(attachment)
    if batch.digest != bare.digest:
        raise Malformed("PRE-PREPARE whose digest is not that of its batch")
    return PrePrepare(bare.view, bare.seq, bare.digest, bare.primary, bare.raw, batch)


def _prepare(frame: Frame) -> Prepare:
    return Prepare(View(frame.view), SeqNum(frame.seq), _digest(frame), _replica(frame), frame.raw)


def _commit(frame: Frame) -> Commit:
    return Commit(View(frame.view), SeqNum(frame.seq), _digest(frame), _replica(frame))


def _decided(frame: Frame) -> Decided:
    if frame.view:
        raise Malformed(f"DECIDED with view {frame.view}")
    return Decided(SeqNum(frame.seq), _digest(frame), _replica(frame))


def _checkpoint(frame: Frame) -> Checkpoint:
    if frame.view:
        raise Malformed(f"CHECKPOINT with view {frame.view}")
    return Checkpoint(SeqNum(frame.seq), _digest(frame), _replica(frame), frame.raw)


def read_checkpoints(reader: BodyReader) -> tuple[Checkpoint, ...]:
    """A counted list of them. Raises Malformed."""
    return tuple(_checkpoint(reader.frame(MessageType.CHECKPOINT)) for _ in range(reader.count(MAX_REPLICAS)))


def _certificate(reader: BodyReader) -> PreparedCertificate:
    pre_prepare = _pre_prepare(reader.frame(MessageType.PRE_PREPARE))
    count = reader.count(MAX_REPLICAS)
    return PreparedCertificate(
        pre_prepare, tuple(_prepare(reader.frame(MessageType.PREPARE)) for _ in range(count))
    )


def _view_change(frame: Frame) -> ViewChange:
    _plain(frame)
    reader = BodyReader(frame.body)
    proof = read_checkpoints(reader)
    prepared = tuple(_certificate(reader) for _ in range(reader.count(MAX_CERTIFICATES)))
    reader.end()
    return ViewChange(View(frame.view), _replica(frame), SeqNum(frame.seq), proof, prepared, frame.raw)


def _new_view(frame: Frame) -> NewView:
    _plain(frame)
    if frame.seq:
        raise Malformed(f"NEW-VIEW with sequence number {frame.seq}")
    reader = BodyReader(frame.body)
    changes = tuple(
        _view_change(reader.frame(MessageType.VIEW_CHANGE)) for _ in range(reader.count(MAX_REPLICAS))
    )
    orders = tuple(
        _pre_prepare(reader.frame(MessageType.PRE_PREPARE)) for _ in range(reader.count(MAX_CERTIFICATES))
    )
    reader.end()
    return NewView(View(frame.view), _replica(frame), changes, orders, frame.raw)


def _status(frame: Frame) -> Status:
    _plain(frame)
    reader = BodyReader(frame.body)
    parameters = reader.take(FINGERPRINT_BYTES)
    mode, log_view, executed = _STATUS.unpack(reader.take(_STATUS.size))
    held = tuple(ReplicaId(reader.number(U16)) for _ in range(reader.count(MAX_REPLICAS)))
    slots = frame.body[reader.position :]
    if mode > (_ACTIVE | _SUSPECTS) or mode == _SUSPECTS or len(slots) > MAX_CERTIFICATES:
        raise Malformed("STATUS that no replica sends")
    return Status(
        _replica(frame),
        parameters,
        View(frame.view),
        bool(mode & _ACTIVE),
        View(log_view),
        SeqNum(frame.seq),
        SeqNum(executed),
        held,
        slots,
        bool(mode & _SUSPECTS),
    )


def _fetch_batch(frame: Frame) -> FetchBatch:
    return FetchBatch(_replica(frame), _digest(frame))


def _batch_body(frame: Frame) -> BatchBody:
    _plain(frame)
    return BatchBody(_replica(frame), decode_batch(frame.body))


def _fetch_state(frame: Frame) -> FetchState:
    _plain(frame)
    BodyReader(frame.body).end()
    return FetchState(_replica(frame), SeqNum(frame.seq))


def _state_meta(frame: Frame) -> StateMeta:
    _plain(frame)
    reader = BodyReader(frame.body)
    proof = read_checkpoints(reader)
    service, clients = read_store_offer(reader), read_store_offer(reader)
    reader.end()
    return StateMeta(_replica(frame), SeqNum(frame.seq), proof, service, clients)


def _fetch_parts(frame: Frame) -> FetchParts:
    _plain(frame)
    return FetchParts(_replica(frame), SeqNum(frame.seq), read_addresses(BodyReader(frame.body)))


def _state_parts(frame: Frame) -> StateParts:
    _plain(frame)
    return StateParts(_replica(frame), SeqNum(frame.seq), read_parts(BodyReader(frame.body)))


def _query_view(frame: Frame) -> QueryView:
    return QueryView(_replica(frame), View(frame.view), _nonce(frame), frame.raw)


def _tell_view(frame: Frame) -> TellView:
    return TellView(_replica(frame), View(frame.view), SeqNum(frame.seq), _nonce(frame))


def _nonce(frame: Frame) -> bytes:
    _plain(frame)
    if len(frame.body) != NONCE_BYTES:
        raise Malformed(f"{frame.type.name} with a body of {len(frame.body)} bytes")
    return frame.body


def _fragment(frame: Frame) -> Fragment:
    _plain(frame)
    reader = BodyReader(frame.body)
    receiver = reader.number(_U32)
    digest = Digest(reader.take(DIGEST_BYTES))
    if not 0 <= frame.seq < frame.view <= MAX_FRAGMENTS:
        raise Malformed(f"fragment {frame.seq} of {frame.view}")
    return Fragment(frame.sender, receiver, digest, frame.seq, frame.view, frame.body[reader.position :])


_DECODERS: dict[MessageType, Callable[[Frame], Message]] = {
    MessageType.REQUEST: decode_request,
    MessageType.PREPARE: _prepare,
    MessageType.COMMIT: _commit,
    MessageType.DECIDED: _decided,
    MessageType.QUERY_VIEW: _query_view,
    MessageType.TELL_VIEW: _tell_view,
    MessageType.REPLY: decode_reply,
    MessageType.CHECKPOINT: _checkpoint,
    MessageType.VIEW_CHANGE: _view_change,
    MessageType.NEW_VIEW: _new_view,
    MessageType.STATUS: _status,
    MessageType.FETCH_BATCH: _fetch_batch,
    MessageType.BATCH: _batch_body,
    MessageType.FETCH_STATE: _fetch_state,
    MessageType.STATE_META: _state_meta,
    MessageType.FETCH_PARTS: _fetch_parts,
    MessageType.STATE_PARTS: _state_parts,
    MessageType.FRAGMENT: _fragment,
}
