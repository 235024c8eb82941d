"""Second processes under a replica's identity, and who talks with which of the two ("Twins", Bano et al.,
OPODIS 2021).

A twin has the keys of its replica and a folder of its own (``replicas/0-twin``, the next one ``0-twin-2``). A
partition decides who meets whom: some peers and one half of the clients talk with the twin only, all others
with the first instance only, in both directions; of two identities that both have twins, first ones talk with
first ones and twins with twins (what a rule delays comes from the first one). Both run honest code. Bounded:
as many twins as the plan's faults start; what is kept of their traces ends at the first difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.divergence import Divergence
from harness.twin_folders import twin_folder
from harness.virtual.host import Ended, Host
from harness.virtual.machine import Machine
from harness.virtual.settings import CLIENTS, host_name
from nemesis.machinery import ProcessState
from nemesis.sides import Side

HostOfTwin = Callable[[int, str, Host | None], Host]
"""(replica, folder's name, whose log it copies) -> its host; None: an empty log, as at the beginning."""
_READ_BYTES = 16 << 20
_BACK_BYTES = 4 << 20
"""Of the first instance's trace, what is looked at of before it had a twin."""


@dataclass(slots=True)
class _Twin:
    """One at work."""

    folder: str
    machine: Machine
    side: Side
    told: Divergence
    heard: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))
    """Hosts that the network carried something to, by instance: the first, the twin."""
    ended: Ended | None = None


class Twins:
    """Of one world. ``folder`` is the run's; ``born`` makes a twin's machine; ``send`` takes what leaves it,
    as its replica's own."""

    def __init__(
        self,
        folder: Path,
        born: Callable[[int, str, bool], Machine],
        send: Callable[[int, Sequence[tuple[int, bytes]]], None],
    ) -> None:
        self.at_work: dict[int, _Twin] = {}
        """By replica; empty in most runs, at all times."""
        self.speaking = False
        """What is sent now, comes from a twin."""
        self._folder = folder / "replicas"
        self._born = born
        self._send = send
        self._names: Counter[int] = Counter()
        self._machines: list[Machine] = []

    def start(self, replica: int, peers: frozenset[int], clients: str, copies: bool, after_ns: int) -> None:
        """See ``Machinery.start_twin``."""
        assert replica not in self.at_work, "it has a twin already"
        self._names[replica] += 1
        nth = self._names[replica]
        name = twin_folder(replica, nth)
        machine = self._born(replica, name, copies)
        self._machines.append(machine)
        trace = self._folder / str(replica) / "trace.jsonl"
        told = Divergence(trace, self._folder / name / "trace.jsonl", back=_BACK_BYTES, at_once=_READ_BYTES)
        self.at_work[replica] = _Twin(f"replicas/{name}", machine, Side.of(peers, clients), told)
        machine.boot(after_ns)

    def stop(self, replica: int) -> None:
        """See ``Machinery.stop_twin``."""
        twin = self.at_work.pop(replica, None)
        if twin is not None:
            twin.machine.kill()

    def ended(self, replica: int, ended: Ended) -> None:
        """The twin did, by itself."""
        twin = self.at_work.get(replica)
        if twin is not None:
            twin.ended = ended

    def leave(self, replica: int, sends: Sequence[tuple[int, bytes]]) -> None:
        """What a twin sent."""
        self.speaking = True
        try:
            self._send(replica, sends)
        finally:
            self.speaking = False

    def process(self, replica: int) -> ProcessState | None:
        """See ``Machinery.twin``."""
        twin = self.at_work.get(replica)
        if twin is None:
            return None
        detail: dict[str, object] = {
            "folder": twin.folder,
            "heard_by": {
                name: {host: heard[host] for host in sorted(heard)}
                for name, heard in zip(("first", "twin"), twin.heard, strict=True)
            },
            "diverged": twin.told.look(),
        }
        if twin.ended is not None:
            detail |= {"exit_code": twin.ended.code, "last_lines": list(twin.ended.last_lines[-3:])}
        state = twin.machine.process()
        return replace(state, detail={**state.detail, **detail})

    def close(self) -> None:
        """End them, and let go of everything but the files."""
        for machine in self._machines:
            machine.host.close()

    # Who talks with whom

    def let_out(self, replica: int, sends: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """What of the sends of the instance that speaks is for those it talks with."""
        twin = self.at_work.get(replica)
        if twin is None:
            return [] if self.speaking else list(sends)
        speaking = self.speaking
        return [(to, data) for to, data in sends if to in self.at_work or twin.side.meets(to) is speaking]

    def route(self, source: int, target: int, datagram: bytes) -> Callable[[bytes], None] | None:
        """Where it goes, if that is a twin. Either may be the clients' host."""
        if source in self.at_work:
            self.at_work[source].heard[self.speaking][host_name(target)] += 1
        twin = self.at_work.get(target)
        if twin is None:
            return None
        if source in self.at_work:
            meets = self.speaking
        elif source == CLIENTS:
            meets = twin.side.asked_by(datagram)
        else:
            meets = twin.side.meets(source)
        return twin.machine.arrive if meets else None
