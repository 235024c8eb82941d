"""Second processes under a replica's identity, and who talks with which of the two ("Twins", Bano et al.,
OPODIS 2021).

A twin has the keys of its replica and a folder of its own (``replicas/0-twin``, the next one ``0-twin-2``). A
partition decides who meets whom: some peers and one half of the clients talk with the twin only, all others
with the first instance only, in both directions; of two identities that both have twins, first ones talk with
first ones and twins with twins (what a rule delays comes from the first one). Both run honest code. Bounded:
as many twins as the plan's faults start; what is kept of their traces ends at the first difference.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.virtual.host import Ended, Host
from harness.virtual.machine import Machine
from harness.virtual.settings import CLIENTS, host_name
from nemesis.machinery import ProcessState
from pbft_node.core.frames import peek
from pbft_node.core.types import is_client

HostOfTwin = Callable[[int, str, Host | None], Host]
"""(replica, folder's name, whose log it copies) -> its host; None: an empty log, as at the beginning."""
_MOST_SLOTS = 100_000
_READ_BYTES = 16 << 20
_BACK_BYTES = 4 << 20
"""Of the first instance's trace, what is looked at of before it had a twin."""
_VOTES = ("pre-prepare", "prepared", "committed")


@dataclass(slots=True)
class _Said:
    """What one instance's trace tells of digests, from where it is read on."""

    path: Path
    at: int = 0
    votes: dict[tuple[int, int], str] = field(default_factory=dict)
    """(view, number) -> digest of the proposal it made or accepted."""
    executed: dict[int, str] = field(default_factory=dict)

    def read(self) -> None:
        """What is new, whole lines only."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.at)
                text = file.read(_READ_BYTES)
        except OSError:
            return
        whole = text.rfind(b"\n") + 1
        self.at += whole
        for line in text[:whole].split(b"\n"):
            if line[:1] == b"{" and b'"digest"' in line:
                self._take(json.loads(line))

    def _take(self, event: Mapping[str, object]) -> None:
        kind, view, seq, digest = (event.get(name) for name in ("e", "view", "seq", "digest"))
        if not isinstance(seq, int) or not isinstance(digest, str) or len(self.votes) >= _MOST_SLOTS:
            return
        if kind in _VOTES and isinstance(view, int):
            self.votes.setdefault((view, seq), digest)
        elif kind == "executed":
            self.executed.setdefault(seq, digest)


def _difference(first: _Said, twin: _Said) -> Mapping[str, object] | None:
    """The lowest number of which the two say two things; what was executed counts most."""
    for seq in sorted(first.executed.keys() & twin.executed.keys()):
        if first.executed[seq] != twin.executed[seq]:
            told = {"first": first.executed[seq], "twin": twin.executed[seq]}
            return {"what": "executed", "seq": seq, **told}
    for view, seq in sorted(first.votes.keys() & twin.votes.keys()):
        one, other = first.votes[view, seq], twin.votes[view, seq]
        if one != other:
            return {"what": "proposal", "view": view, "seq": seq, "first": one, "twin": other}
    return None


@dataclass(slots=True)
class _Twin:
    """One at work."""

    folder: str
    machine: Machine
    peers: frozenset[int]
    odd: bool
    said: tuple[_Said, _Said]
    heard: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))
    """Hosts that the network carried something to, by instance: the first, the twin."""
    ended: Ended | None = None
    diverged: Mapping[str, object] | None = None

    def meets(self, principal: int) -> bool:
        """Does that replica or client talk with the twin?"""
        return principal % 2 == self.odd if is_client(principal) else principal in self.peers

    def look(self) -> None:
        """Do the two say two things by now?"""
        if self.diverged is None:
            for said in self.said:
                said.read()
            self.diverged = _difference(*self.said)


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
        name = f"{replica}-twin" if nth == 1 else f"{replica}-twin-{nth}"
        machine = self._born(replica, name, copies)
        self._machines.append(machine)
        trace = self._folder / str(replica) / "trace.jsonl"
        said = _Said(trace, max(0, _size(trace) - _BACK_BYTES)), _Said(self._folder / name / "trace.jsonl")
        self.at_work[replica] = _Twin(f"replicas/{name}", machine, peers, clients == "odd", said)
        machine.boot(after_ns)

    def stop(self, replica: int) -> None:
        """See ``Machinery.stop_twin``."""
        twin = self.at_work.pop(replica, None)
        if twin is not None:
            twin.machine.kill()

    def ended(self, replica: int, ended: Ended) -> None:
        """The twin did, by itself."""
        self.at_work[replica].ended = ended

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
        twin.look()
        detail: dict[str, object] = {
            "folder": twin.folder,
            "heard_by": {
                name: {host: heard[host] for host in sorted(heard)}
                for name, heard in zip(("first", "twin"), twin.heard, strict=True)
            },
            "diverged": twin.diverged,
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
        return [(to, data) for to, data in sends if to in self.at_work or twin.meets(to) is speaking]

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
            header = peek(datagram)
            meets = header is not None and is_client(header[1]) and twin.meets(header[1])
        else:
            meets = twin.meets(source)
        return twin.machine.arrive if meets else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
