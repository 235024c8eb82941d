"""What the interceptor holds, and its socket to the harness: lines whole, and bounds."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import pytest

from nemesis.interceptor import held
from nemesis.interceptor.channel import Channel
from nemesis.interceptor.held import Delayed
from nemesis.interceptor.nfqueue import Lost
from nemesis.packets.packet import Packet


def test_delays_have_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MOST_PACKETS", 2)
    delayed = Delayed()
    packets = [Packet("r0", "r1", bytes([i])) for i in range(3)]
    delayed.add(5, packets[0])
    delayed.add(3, packets[1])
    with pytest.raises(Lost, match="delay more than 2"):
        delayed.add(3, packets[2])
    assert delayed.due_ns == 3
    assert list(delayed.due(4)) == [packets[1], packets[2]]
    assert list(delayed.due(5)) == [packets[0]]


def test_channel_keeps_lines_whole_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = socket.socketpair()
    one, other = Channel(left), Channel(right)
    large = {"say": "x" * 1_000_000}
    one.send(large)
    one.send({"say": "end"})
    found: list[Mapping[str, object]] = []
    while len(found) < 2:
        found += other.receive()
        one.flush()
    assert found == [large, {"say": "end"}]
    left.setblocking(True)
    left.sendall(b"[1]\n")
    with pytest.raises(ValueError, match="no object"):
        other.receive()
    one.close()
    assert other.receive() == []
    assert other.over
    other.send({"say": "to nobody"})
    monkeypatch.setattr("nemesis.interceptor.channel.MOST_WAITING_BYTES", 10)
    with pytest.raises(ValueError, match="wait to be read"):
        other.send(large)
    other.close()
