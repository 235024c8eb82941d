"""scapy layers for everything that travels between replicas and clients.

    >>> from scapy.all import *
    >>> from nemesis.dissector import *
    >>> for packet in rdpcap("packets.pcapng"): print(packet.comment.decode(), packet[PBFT].summary())

Importing this imports scapy, which takes half a second: who does not open packets does not import it.
Datagrams from and to the ports of a cluster of Traitor's are PBFT; ``bind`` adds others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scapy.layers.inet import UDP
from scapy.packet import Packet, bind_bottom_up

from nemesis.dissector.bodies import (
    PBFTAddress,
    PBFTBatch,
    PBFTCertificate,
    PBFTCheckpoint,
    PBFTCommit,
    PBFTDecided,
    PBFTFetchBatch,
    PBFTFetchParts,
    PBFTFragment,
    PBFTNewView,
    PBFTPart,
    PBFTPrepare,
    PBFTPrePrepare,
    PBFTQueryView,
    PBFTReply,
    PBFTRequest,
    PBFTStateMeta,
    PBFTStateParts,
    PBFTStatus,
    PBFTTellView,
    PBFTViewChange,
)
from nemesis.dissector.frame import PBFT
from pbft_node.core.fragments import Reassembly
from pbft_node.core.messages import Fragment
from pbft_node.core.types import Digest

PORTS = (7000, 7100)
"""Of replicas and of clients, in the runs of ``harness``."""


def bind(*ports: int) -> None:
    """UDP datagrams from or to these ports are PBFT."""
    for port in ports:
        bind_bottom_up(UDP, PBFT, sport=port)
        bind_bottom_up(UDP, PBFT, dport=port)


def whole(packets: Iterable[Packet]) -> Iterator[Packet]:
    """The messages of a capture: ``PBFT`` layers, those that travelled in FRAGMENTs put together where the
    last piece arrives. Pieces themselves, and what is no PBFT, are left out."""
    assemblies: dict[int, Reassembly] = {}
    for packet in packets:
        message = packet.getlayer(PBFT)
        if message is None:
            continue
        piece = message.body
        if not isinstance(piece, PBFTFragment):
            yield message
            continue
        fragment = Fragment(
            message.sender, piece.receiver, Digest(piece.digest), message.seq, message.view, piece.data
        )
        data = assemblies.setdefault(piece.receiver, Reassembly()).add(fragment)
        if isinstance(data, bytes):
            yield PBFT(data)


bind(*PORTS)

__all__ = [
    "PBFT",
    "PBFTAddress",
    "PBFTBatch",
    "PBFTCertificate",
    "PBFTCheckpoint",
    "PBFTCommit",
    "PBFTDecided",
    "PBFTFetchBatch",
    "PBFTFetchParts",
    "PBFTFragment",
    "PBFTNewView",
    "PBFTPart",
    "PBFTPrePrepare",
    "PBFTPrepare",
    "PBFTQueryView",
    "PBFTReply",
    "PBFTRequest",
    "PBFTStateMeta",
    "PBFTStateParts",
    "PBFTStatus",
    "PBFTTellView",
    "PBFTViewChange",
    "bind",
    "whole",
]
