"""The kinds of faults that are the network's doing. To add one: a file, and a line here."""

from __future__ import annotations

from nemesis.faults.fault import FaultKind
from nemesis.faults.packet_copies import PacketCopies
from nemesis.faults.packet_corruption import PacketCorruption
from nemesis.faults.packet_delay import PacketDelay
from nemesis.faults.packet_loss import PacketLoss
from nemesis.faults.packet_order import PacketOrder
from nemesis.faults.packet_rate import PacketRate
from nemesis.faults.packet_replay import ReplayOfOlderView, ReplayOfRestart, ReplayOfRun

NETWORK: tuple[FaultKind, ...] = (
    PacketLoss(),
    PacketDelay(),
    PacketCopies(),
    PacketOrder(),
    PacketRate(),
    PacketCorruption(),
    ReplayOfRun(),
    ReplayOfOlderView(),
    ReplayOfRestart(),
)
