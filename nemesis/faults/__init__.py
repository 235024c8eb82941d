"""Every kind of fault, by the name a spec or ``--fault`` uses. To add one: a file, and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from nemesis.faults.alter import AlteredFields
from nemesis.faults.byzzfuzz import ByzzFuzz
from nemesis.faults.clients import CLIENTS
from nemesis.faults.clock import Clock
from nemesis.faults.disk import Disk
from nemesis.faults.fault import Fault, FaultKind, Params, Receipt, Victims
from nemesis.faults.kill import Kill
from nemesis.faults.lies import LYING
from nemesis.faults.network_kinds import NETWORK
from nemesis.faults.partition import Partition
from nemesis.faults.pause import Pause
from nemesis.faults.script import SCRIPTED
from nemesis.faults.twins import Twins

_PACKETS: tuple[FaultKind, ...] = (*NETWORK, *CLIENTS, AlteredFields(), ByzzFuzz(), *LYING)
_ALL: tuple[FaultKind, ...] = (Kill(), Pause(), Partition(), Clock(), Disk(), Twins(), *_PACKETS)
KINDS: Mapping[str, FaultKind] = MappingProxyType({kind.name: kind for kind in (*_ALL, *SCRIPTED)})

__all__ = ["KINDS", "Fault", "FaultKind", "Params", "Receipt", "Victims"]
