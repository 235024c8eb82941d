"""The capture of what rules did: read back by scapy, which shares no code with its writer."""

from __future__ import annotations

import dataclasses
import io
import struct
from pathlib import Path

import pytest

from nemesis.packets.activation import Activation
from nemesis.packets.capture import Capture
from nemesis.packets.packet import Packet, header_of
from pbft_node.core.frames import MACED, MessageType, header_and_body

PLACES = {"r0": ("10.77.0.1", 7000), "r1": ("10.77.0.2", 7000), "clients": ("10.77.1.1", 7100)}


def packet(data: bytes = b"abc", source: str = "r0", target: str = "r1") -> Packet:
    return Packet(source, target, data)


def done(was: Packet | None, *now: Packet, note: str = "note", time_ns: int = 5) -> Activation:
    header = header_of(was.data if was else now[0].data)
    return Activation(time_ns, "f0", 1, "act", header, was, now, note)


def captured(*activations: Activation, most_bytes: int = 1 << 20) -> bytes:
    out = io.BytesIO()
    capture = Capture(out.write, PLACES, most_bytes)
    for one in activations:
        capture(one)
    capture.close()
    capture.close()
    return out.getvalue()


def read(data: bytes, tmp_path: Path) -> list[tuple[bytes, str]]:
    """Payload and comment of every packet, after its headers were checked."""
    from scapy.all import IP, UDP, rdpcap

    (tmp_path / "packets.pcapng").write_bytes(data)
    found = []
    for one in rdpcap(str(tmp_path / "packets.pcapng")):
        again = IP(bytes(one))
        del again.chksum, again[UDP].chksum
        assert bytes(IP(bytes(again))) == bytes(one), "a checksum or a length is wrong"
        found.append((bytes(one[UDP].payload), one.comment.decode()))
    return found


def blocks(data: bytes) -> list[int]:
    """Their types, each block's two lengths agreeing."""
    kinds, at = [], 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        assert size % 4 == 0
        assert struct.unpack_from("<I", data, at + size - 4) == (size,)
        kinds.append(kind)
        at += size
    return kinds


def test_every_packet_says_what_became_of_it(tmp_path: Path) -> None:
    one = packet()
    data = captured(
        done(one),
        done(one, packet(b"xyz")),
        done(None, packet(b"made up", "r1", "clients")),
        done(one, one._replace(delay_ns=2_500_000)),
        done(one, one, one._replace(delay_ns=1_000_000)),
    )
    assert read(data, tmp_path) == [
        (b"abc", "dropped | f0/1 act | note"),
        (b"abc", "was | f0/1 act | note"),
        (b"xyz", "altered | f0/1 act | note"),
        (b"made up", "injected | f0/1 act | note"),
        (b"abc", "delayed 2.500 ms | f0/1 act | note"),
        (b"abc", "was | f0/1 act | note"),
        (b"abc", "sent | f0/1 act | note"),
        (b"abc", "sent delayed 1.000 ms | f0/1 act | note"),
    ]


def test_what_is_spoilt_or_held_back_is_said(tmp_path: Path) -> None:
    from scapy.all import IP, UDP, rdpcap

    one = packet()
    held = [dataclasses.replace(done(*what), keeps=True) for what in ((one,), (None, one))]
    (tmp_path / "x").write_bytes(captured(done(one, one._replace(spoilt=True)), *held))
    found = rdpcap(str(tmp_path / "x"))
    assert [said.comment.split(b" |")[0] for said in found] == [b"was", b"spoilt", b"held back", b"let go"]
    right = IP(bytes(found[1]))
    del right[UDP].chksum
    assert IP(bytes(right))[UDP].chksum == found[0][UDP].chksum != found[1][UDP].chksum


def test_hosts_and_times(tmp_path: Path) -> None:
    from scapy.all import IP, UDP, rdpcap

    time_ns = (1 << 32) * 3 + 123_456_789
    (tmp_path / "x").write_bytes(captured(done(None, packet(b"y", "r1", "clients"), time_ns=time_ns)))
    (one,) = rdpcap(str(tmp_path / "x"))
    assert (one[IP].src, one[UDP].sport, one[IP].dst, one[UDP].dport) == (
        "10.77.0.2", 7000, "10.77.1.1", 7100,
    )  # fmt: skip
    assert int(one.time * 10**9) == time_ns


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 60_000, 65_507, 65_508, 200_000])
@pytest.mark.parametrize("filling", [b"\x00", b"\xff", b"\x01"])
def test_any_length(size: int, filling: bytes, tmp_path: Path) -> None:
    data = captured(done(packet(filling * size)))
    assert blocks(data) == [0x0A0D0D0A, 1, 6, 5]
    assert read(data, tmp_path)[0][0] == filling * min(size, 65_507), "no datagram is longer"


def test_it_has_a_bound_and_says_so(tmp_path: Path) -> None:
    many = [done(packet(bytes(100)), note=f"{number}") for number in range(1000)]
    data = captured(*many, most_bytes=20_000)
    assert len(data) <= 20_000
    assert blocks(data)[-1] == 5
    assert b"packets are left out" in data
    from scapy.all import rdpcap

    (tmp_path / "x").write_bytes(data)
    found = rdpcap(str(tmp_path / "x"))
    comments = [one.comment.decode() for one in found]
    assert 50 < len(found) < 100
    assert comments[-1].startswith("the capture is full")
    assert comments[-1].endswith(f"| {len(found) - 1}")
    assert not [said for said in comments[:-1] if "full" in said]


def test_a_long_note_is_cut(tmp_path: Path) -> None:
    ((_, comment),) = read(captured(done(packet(), note="ä" * 50_000)), tmp_path)
    assert 900 < len(comment) < 1100


def test_the_same_bytes_again() -> None:
    data = header_and_body(MessageType.COMMIT, MACED, 0, 1, 2, 3, bytes(32))
    one = done(packet(data), packet(data[::-1]))
    assert captured(one, one) == captured(one, one)
