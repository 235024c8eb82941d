"""No correct replica ever signs two messages that contradict each other, in all its lives together.

Watches every message as it leaves its maker (plug ``watch`` into ``MemoryCluster.on_emit``) and keeps what
it promised. Contradictions are: two digests for one view and number in any of PRE-PREPARE, PREPARE, COMMIT
and the O of a NEW-VIEW; two CHECKPOINT or DECIDED digests for one number; two VIEW-CHANGEs or two NEW-VIEWs
for one view; a VIEW-CHANGE for a view below one already asked for; a vote in a view the replica had left,
unless its log had promised that vote before it left.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from memory_cluster import MemoryCluster

from pbft_node.core.codec import decode, decode_certificate, decode_pre_prepare
from pbft_node.core.effects import Send
from pbft_node.core.frames import HEADER, HEADER_BYTES, MessageType
from pbft_node.core.messages import NewView, PrePrepare
from pbft_node.core.records import RecordType, parse_record

DIGEST_BYTES = 32
IN_VIEW = {MessageType.PRE_PREPARE, MessageType.PREPARE, MessageType.COMMIT}
FOR_EVER = {MessageType.CHECKPOINT, MessageType.DECIDED}
ONE_PER_VIEW = {MessageType.VIEW_CHANGE, MessageType.NEW_VIEW}
WATCHED = IN_VIEW | FOR_EVER | ONE_PER_VIEW | {MessageType.FRAGMENT}


def check_sent(cluster: MemoryCluster) -> None:
    """For a test without liars that did not plug in a watcher: all that was sent, looked at afterwards."""
    promises = Promises(lambda index: cluster.hosts[index].records)
    for source, send in cluster.sent:
        promises.watch(source, send)
    assert not promises.problems, promises.problems[:3]


class Promises:
    """Who promised what. ``records_of`` gives a replica's durable log; ``liars`` may say anything."""

    def __init__(self, records_of: Callable[[int], Sequence[bytes]], liars: Container[int] = ()) -> None:
        self.records_of = records_of
        self.liars = liars
        self.problems: list[str] = []
        self.made: dict[tuple[object, ...], bytes] = {}
        self.said: dict[tuple[object, ...], bytes] = {}
        self.asked: dict[int, int] = {}
        """The highest view each replica asked for in a VIEW-CHANGE: those below it are left."""
        self.pieces: dict[tuple[int, int, bytes], dict[int, bytes]] = {}
        self.last = b""

    def watch(self, source: int, send: Send) -> None:
        """A message leaves ``source``; what it passes on for others is not its own."""
        if send.data is self.last or source in self.liars:
            return
        self.last = send.data
        _, _, type_, _, _, sender, view, seq, length = HEADER.unpack_from(send.data)
        if sender != source or type_ not in WATCHED:
            return
        body = send.data[HEADER_BYTES : HEADER_BYTES + length]
        if type_ == MessageType.FRAGMENT:
            self.piece(source, send.to, view, seq, body)
        elif self.said.get((type_, source, view, seq)) != body:
            self.said[type_, source, view, seq] = body
            self.promise(MessageType(type_), source, view, seq, body, send.data)

    def piece(self, source: int, to: int, count: int, index: int, body: bytes) -> None:
        """A part of a large message, which counts as a whole."""
        key = (source, to, body[4 : 4 + DIGEST_BYTES])
        pieces = self.pieces.setdefault(key, {})
        pieces[index] = body[4 + DIGEST_BYTES :]
        if len(pieces) == count:
            del self.pieces[key]
            self.watch(source, Send(to, b"".join(pieces[i] for i in range(count))))

    def promise(self, type_: MessageType, source: int, view: int, seq: int, body: bytes, data: bytes) -> None:
        if type_ in IN_VIEW:
            key = (source, "in view", view, "number", seq)
            known = self.made.get(key) == body and type_ is not MessageType.COMMIT  # in its own O, say
            self.note(key, body, type_.name)
            left = view < self.asked.get(source, 0)
            if left and not known and not self.promised_in_log(type_, source, view, seq, body):
                self.problems.append(
                    f"replica {source} sent a first {type_.name} for number {seq} in view {view}, "
                    f"after its VIEW-CHANGE to {self.asked[source]}"
                )
        elif type_ in FOR_EVER:
            self.note((source, type_.name, "number", seq), body, type_.name)
        else:
            self.note((source, type_.name, "view", view), body, type_.name)
        if type_ is MessageType.VIEW_CHANGE:
            if view < self.asked.get(source, 0):
                self.problems.append(f"replica {source} asks for view {view} after {self.asked[source]}")
            self.asked[source] = max(view, self.asked.get(source, 0))
        elif type_ is MessageType.NEW_VIEW:
            message, _ = decode(data)
            assert isinstance(message, NewView)
            for proposal in message.pre_prepares:
                self.note((source, "in view", view, "number", proposal.seq), proposal.digest, "NEW-VIEW")

    def note(self, key: tuple[object, ...], content: bytes, name: str) -> None:
        known = self.made.setdefault(key, content)
        if known != content:
            where = " ".join(map(str, key[1:]))
            self.problems.append(f"replica {key[0]} signed two contents {where} (the second in a {name})")

    def promised_in_log(self, type_: MessageType, source: int, view: int, seq: int, digest: bytes) -> bool:
        """A crash may come between the record and its message; STATUS brings that out later, and the
        VIEW-CHANGE sent meanwhile said as much."""
        for data in self.records_of(source):
            found = parse_record(data)
            assert found is not None
            proposals: Sequence[PrePrepare] = ()
            if found.type is RecordType.VIEW_CHANGE and HEADER.unpack_from(found.payload)[6] > view:
                return False
            if found.type is RecordType.PREPARED:
                proposals = [decode_certificate(found.payload).pre_prepare]
            elif found.type is RecordType.PRE_PREPARE and type_ is not MessageType.COMMIT:
                proposals = [decode_pre_prepare(found.payload)]
            elif found.type is RecordType.NEW_VIEW and type_ is not MessageType.COMMIT:
                message, _ = decode(found.payload)
                proposals = message.pre_prepares if isinstance(message, NewView) else ()
            if any((p.view, p.seq, p.digest) == (view, seq, digest) for p in proposals):
                return True
        return False
