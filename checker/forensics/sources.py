"""Every datagram that a run folder recorded, and where it was seen.

Journals of replicas and of their twins show what reached them, `clients.journal` what reached the clients,
`packets.pcapng` what rules put on the wire. What a rule of the nemesis took off the wire (comments `was` and
`dropped`) reached nobody and is no evidence: with it every lie would convict itself. FRAGMENTs are put
together here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from checker.fields import Unreadable
from checker.forensics import capture
from checker.forensics.messages import CARRIERS
from checker.journal import OF_CLIENTS, OF_REPLICA, Arrived, Journal
from checker.wire import FRAGMENT, TYPE_OFFSET, Pieces

CLIENTS = "clients.journal"
MOST_TWINS = 100
"""Looked at, of one replica."""
_NOT_ON_THE_WIRE = ("was", "dropped")


class Seen(NamedTuple):
    """Where a datagram was seen: file of the run folder, time there, and for the capture the packet."""

    place: str
    time_ns: int
    number: int = 0


class Datagram(NamedTuple):
    """A message of one of `CARRIERS`, whole."""

    seen: Seen
    data: bytes


class Sources:
    """Of one run folder. May be read more than once; what is said of it holds of the last time."""

    def __init__(self, folder: Path, replicas: range) -> None:
        self._folder = folder
        self._replicas = replicas
        self.read: list[str] = []
        """Files that were there."""
        self.troubles: list[str] = []
        """Why something that happened may not be there."""
        self.bytes = 0
        """Of datagrams."""

    def there(self) -> bool:
        """There is a journal, or a capture."""
        places = [f"replicas/{name}/journal" for name in self._names()]
        return any((self._folder / place).exists() for place in (*places, capture.PLACE))

    def datagrams(self) -> Iterator[Datagram]:
        """All, file by file."""
        self.read, self.troubles, self.bytes = [], [], 0
        for name in self._names():
            yield from self._counted(self._of_replica(name))
        if (self._folder / CLIENTS).exists():
            yield from self._counted(self._of_clients())
        if (self._folder / capture.PLACE).exists():
            yield from self._counted(self._of_capture())

    def _names(self) -> list[str]:
        """Folders of replicas, and behind each its twins': what somebody sent those is evidence as good."""
        try:
            there = sorted(entry.name for entry in (self._folder / "replicas").iterdir())
        except OSError:
            there = []
        names = []
        for replica in self._replicas:
            twins = [name for name in there if name.startswith(f"{replica}-twin")]
            names += [str(replica), *twins[:MOST_TWINS]]
        return names

    def _counted(self, found: Iterator[Datagram]) -> Iterator[Datagram]:
        pieces = Pieces()
        for one in found:
            self.bytes += len(one.data)
            if one.data[TYPE_OFFSET] != FRAGMENT:
                yield one
            elif (whole := pieces.add(one.data)) is not None and _carries(whole):
                yield Datagram(one.seen, whole)
        if pieces.given_up:
            self.troubles.append(f"{self.read[-1]} has more messages in pieces than are put together")

    def _of_replica(self, name: str) -> Iterator[Datagram]:
        place = f"replicas/{name}/journal"
        journal = self._open(place, OF_REPLICA)
        if journal is None:
            return
        try:
            for now_ns, data in journal.received_at(CARRIERS):
                yield Datagram(Seen(place, now_ns), data)
        finally:
            journal.close()
        self._ended(place, journal)

    def _of_clients(self) -> Iterator[Datagram]:
        journal = self._open(CLIENTS, OF_CLIENTS)
        if journal is None:
            return
        try:
            for entry in journal.of_clients():
                if isinstance(entry, Arrived) and _carries(entry.datagram):
                    yield Datagram(Seen(CLIENTS, entry.now_ns), entry.datagram)
        finally:
            journal.close()
        self._ended(CLIENTS, journal)

    def _of_capture(self) -> Iterator[Datagram]:
        try:
            packets = capture.Capture(self._folder / capture.PLACE)
        except OSError as error:
            self.troubles.append(f"{capture.PLACE} cannot be read: {error.strerror}")
            return
        self.read.append(capture.PLACE)
        try:
            for packet in packets.packets():
                taken = packet.comment.split(" ", 1)[0] in _NOT_ON_THE_WIRE
                if not taken and _carries(packet.data):
                    yield Datagram(Seen(capture.PLACE, packet.time_ns, packet.number), packet.data)
        finally:
            packets.close()
        if packets.why:
            self.troubles.append(f"{capture.PLACE} is not read to its end: {packets.why}")

    def _open(self, place: str, of: int) -> Journal | None:
        try:
            journal = Journal(self._folder / place)
        except OSError as error:
            self.troubles.append(f"{place} cannot be read: {error.strerror}")
            return None
        except Unreadable as error:
            self.troubles.append(f"{place} cannot be read: {error}")
            return None
        if journal.of != of:
            journal.close()
            self.troubles.append(f"{place} is another kind of journal")
            return None
        self.read.append(place)
        return journal

    def _ended(self, place: str, journal: Journal) -> None:
        if journal.why in ("limit", "damaged"):
            why = "had reached its limit" if journal.why == "limit" else "is damaged"
            self.troubles.append(f"{place} {why}")


def _carries(data: bytes) -> bool:
    return len(data) > TYPE_OFFSET and data[TYPE_OFFSET] in CARRIERS


def shows_replies(read: list[str]) -> bool:
    """Whether what clients were told is there."""
    return CLIENTS in read
