"""Lies to clients: replies with a wrong result, view, timestamp, client or sender; early, too many, or none.

A client accepts what f+1 replicas say (a quorum, for fast reads). Colluders agree on the wrong result they
tell, so that it is f equal ones, the most that must not be enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from nemesis.lies.alternatives import other_result
from nemesis.lies.lie import PRIMARY, Lie, Option, Strategy
from nemesis.lies.opened import Opened, resealed, sent
from nemesis.lies.replies import MOST_RESULTS, body_of, with_result
from nemesis.packets.chance import Slot
from nemesis.packets.packet import CLIENTS, Packet, replica_of
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData
from pbft_node.core.client_codec import encode_read_reply
from pbft_node.core.frames import OF_STATE, RESULT_DIGEST, Frame, MessageType
from pbft_node.core.messages import Message, Reply, Request
from pbft_node.core.seal import Seal
from pbft_node.core.types import FIRST_CLIENT_ID, MAX_SEQUENCE, MAX_TIMESTAMP, ClientId, SeqNum, View

MOST_CLIENTS = 1024
FAR_VIEW = 10**9


class LieToClient(Lie):
    """See the module."""

    action = "lie-to-client"
    strategies = MappingProxyType(
        {
            "result": Strategy("replies a result with another last byte"),
            "other-request": Strategy("replies the result of another request"),
            "stale": Strategy("replies the result of the same client's operation before"),
            "early": Strategy("as primary, replies a wrong result before it was executed", PRIMARY),
            "view": Strategy(f"replies from view {FAR_VIEW}"),
            "timestamp": Strategy("replies to the timestamp after, or before"),
            "client": Strategy("replies to another client's name"),
            "sender": Strategy("replies in the names of all others, too, with its own key"),
            "state": Strategy("replies to reads from another state, and to other requests as to reads"),
            "many": Strategy("replies the same wrong result many times"),
            "omit": Strategy("does not reply"),
        }
    )
    options = MappingProxyType({"clients": Option("which clients", ("all", "half", "one"))})
    says = frozenset({MessageType.REPLY})
    hears = frozenset({MessageType.REQUEST})

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._results: list[bytes] = []
        self._last: dict[int, tuple[int, bytes, bytes]] = {}
        """Of each client: timestamp, result, and the one before."""

    def lie(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Lie``."""
        reply = opened.message
        if not isinstance(reply, Reply) or opened.packet.target != CLIENTS:
            return None
        self._remember(reply)
        if not self._chosen(reply.client):
            return None
        signer = self.signer(opened.replica)
        match self.strategy:
            case "result" | "other-request" | "stale" | "many":
                lie = self.memory.agree(reply.client, reply.timestamp, self._wrong(reply))
                self.said = f"told client {reply.client} a wrong result"
                told = with_result(opened, reply, signer, lie)
                return told * (self.scene.cluster.f + 2) if self.strategy == "many" else told
            case "view":
                self.said = f"told client {reply.client} of view {FAR_VIEW}"
                return resealed(opened, signer, view=FAR_VIEW)
            case "timestamp":
                by = 1 if self.chance.happens(0.5, "timestamp", slot.text()) else -1
                return resealed(opened, signer, seq=min(max(reply.timestamp + by, 0), MAX_TIMESTAMP))
            case "client":
                other = FIRST_CLIENT_ID + (reply.client - FIRST_CLIENT_ID + 1) % 2
                body = body_of(reply, opened.frame.flags, reply.result or bytes(32), client=other)
                return resealed(opened, signer, body=body)
            case "sender":
                others = [i for i in range(self.scene.n) if i != opened.replica]
                return tuple(
                    packet
                    for i in others
                    for packet in sent(
                        opened.packet.source,
                        CLIENTS,
                        opened.peer,
                        signer.posing_as(i).again(opened.peer, opened.frame),
                        signer,
                    )
                )
            case "state":
                return self._from_another_state(opened, reply)
            case "omit":
                self.said = f"no reply to client {reply.client}"
                return ()
        return None

    def _from_another_state(self, opened: Opened, reply: Reply) -> Sequence[Packet]:
        signer, flags = self.signer(opened.replica), opened.frame.flags
        result = reply.result if reply.result is not None else b""
        if reply.state is None:
            shown = encode_read_reply(reply.client, SeqNum(reply.timestamp % 1000), result)
            return resealed(opened, signer, body=shown, flags=(flags & ~RESULT_DIGEST) | OF_STATE)
        state = min(reply.state + 1, MAX_SEQUENCE) if reply.timestamp % 2 else max(reply.state - 1, 0)
        return resealed(opened, signer, body=body_of(reply, flags, result, state=state))

    def overheard(self, packet: Packet, message: Message, frame: Frame, now_ns: int) -> None:
        """An early answer needs the request only."""
        liar = replica_of(packet.target)
        if self.strategy != "early" or not isinstance(message, Request) or liar is None:
            return
        if packet.source != CLIENTS or message.read_only or not self._chosen(message.client):
            return
        lie = self.memory.agree(message.client, message.timestamp, (self._results or [b""])[-1])
        signer = self.signer(liar)
        seal: Seal = signer.seal
        data = seal.reply(message.client, View(self.scene.phase.settled), message.timestamp, lie)
        self.say(sent(packet.target, CLIENTS, message.client, data, signer))

    def _remember(self, reply: Reply) -> None:
        if reply.result is None:
            return
        self._results = [*self._results[1 - MOST_RESULTS :], reply.result]
        timestamp, last, _ = self._last.get(reply.client, (0, b"", b""))
        if reply.timestamp > timestamp:
            self._last.pop(reply.client, None)
            if len(self._last) >= MOST_CLIENTS:
                del self._last[next(iter(self._last))]
            self._last[reply.client] = reply.timestamp, reply.result, last

    def _wrong(self, reply: Reply) -> bytes:
        result = reply.result if reply.result is not None else b""
        if self.strategy == "other-request":
            return other_result(result, self._results)
        before = self._last.get(reply.client, (0, b"", b""))[2]
        if self.strategy == "stale" and before != result:
            return before
        return other_result(result, ())

    def _chosen(self, client: ClientId) -> bool:
        number = client - FIRST_CLIENT_ID
        match self.chosen["clients"]:
            case "half":
                return number % 2 == 0
            case "one":
                return number == 0
        return True
