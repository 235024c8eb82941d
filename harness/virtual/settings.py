"""The settings of a virtual world: the block ``virtual`` of a plan in ``lockstep`` and ``sim``.

What it costs a datagram to cross the network, how long a replica's turn and its restart take, and single
datagrams whose fate the plan itself decides. Words are read in ``asked``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.virtual.latency import Latency, Uniform, plain

CLIENTS = -1
"""The ``clients`` host, where a replica's number could stand."""
ED25519, KEYED_HASH = SIGNERS = ("ed25519", "keyed-hash")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The plan's own word on one datagram, instead of what the models would say."""

    source: int
    """A replica, or CLIENTS."""
    target: int
    nth: int
    """Among all that were ever sent on this directed link, from 0, those on a cut link included."""
    delays_ns: tuple[int, ...]
    """One for each copy that arrives; empty: it is lost."""


@dataclass(frozen=True, slots=True)
class Virtual:
    """Shares are of datagrams, from 0 to 1. Times are ns."""

    latency: Latency = field(default_factory=Uniform)
    loss: float = 0
    duplication: float = 0
    """Arrives twice, each copy with a delay of its own."""
    reordering: float = 0
    """Held back by up to ``reorder_by_ns`` more, so that later ones overtake it. Models of varying latency
    reorder a little anyway."""
    reorder_by_ns: int = 10_000_000
    bandwidth: int = 0
    """Bytes a second: a datagram takes longer by its size over this. None waits for another. 0: no limit."""
    signer: str = ED25519
    """``keyed-hash``, in ``sim`` only: replicas and clients sign with a hash under a key all of them know.
    Cheap; it protects nothing from a liar, who could sign for anybody."""
    turn_ns: int = 200_000
    """How long a replica works at what reached it before anything leaves it."""
    restart_ns: int = 100_000_000
    """From asking for a new process to its first event."""
    deliveries: tuple[Delivery, ...] = ()
    schedule: Path | None = field(default=None, compare=False)
    """A recorded order to follow as far as it goes (``harness.schedule``); it lies beside the plan."""

    def data(self) -> dict[str, object]:
        """As in ``plan.json``, but for the deliveries."""
        return {
            "latency": self.latency.data(),
            "loss": plain(self.loss),
            "duplication": plain(self.duplication),
            "reordering": plain(self.reordering),
            "reorder_by_ns": self.reorder_by_ns,
            "bandwidth": self.bandwidth,
            "signer": self.signer,
            "turn_ns": self.turn_ns,
            "restart_ns": self.restart_ns,
        }


def host_name(host: int) -> str:
    """``r2``, ``clients``."""
    return "clients" if host == CLIENTS else f"r{host}"


def host_number(name: str) -> int:
    """The reverse of ``host_name``."""
    return CLIENTS if name == "clients" else int(name[1:])
