"""The stage of the scripts in ``scripts/*.txt``: real cores, network and clock moved by the script alone.

Messages wait in flight until the script delivers them; timers wait until it fires them. STATUS messages of
a start are dropped. What a command caused is told in words (``script_words``), the same line of several
replicas once. The language is at the top of ``test_scripts``.
"""

from __future__ import annotations

from dataclasses import dataclass

from members import Members
from memory_cluster import SimulatedKeys
from script_words import Words, message_name

from pbft_node.core.client import Client
from pbft_node.core.cluster import MILLISECOND_NS, Cluster
from pbft_node.core.codec import decode
from pbft_node.core.effects import Compact, Completed, Effect, Halt, Persist, Rejected, Send, SetTimer, Trace
from pbft_node.core.events import Event, Received, Started, TimerFired
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import NewView, ViewChange
from pbft_node.core.replica import Replica
from pbft_node.core.services import SERVICES
from pbft_node.core.types import FIRST_CLIENT_ID, ClientId, ReplicaId

MAX_DELIVERIES = 5_000
"""Of one ``deliver all``: a storm is a failure, not a hang."""


@dataclass(frozen=True)
class Flying:
    """A message on its way."""

    source: int
    to: int
    type: MessageType
    data: bytes

    def matches(self, pattern: str) -> bool:
        """``0->1 PREPARE``; ``*`` for any of the three."""
        link, _, name = pattern.partition(" ")
        source, _, to = link.partition("->")
        pairs = ((source, who(self.source)), (to, who(self.to)), (name or "*", message_name(self.type)))
        return all(wanted in ("*", found) for wanted, found in pairs)


def who(principal: int) -> str:
    return str(principal) if principal < FIRST_CLIENT_ID else f"c{principal - FIRST_CLIENT_ID}"


def number(text: str) -> int:
    """A replica ``2``, a client ``c1``, a view ``v1``, a number ``n7``."""
    return FIRST_CLIENT_ID + int(text[1:]) if text[0] == "c" else int(text.lstrip("vn"))


class Stage:
    """One cluster under a script."""

    def __init__(self, **settings: int) -> None:
        small: dict[str, object] = {"n": 4, "checkpoint_interval": 4, "window": 8, "pipeline": 8}
        small["service"] = "append"
        names = {"K": "checkpoint_interval", "L": "window", "batch": "batch_limit"}
        chosen = {names.get(name, name): value for name, value in settings.items()}
        self.cluster = Cluster(cluster_id=b"scripts of tests", **(small | chosen))  # type: ignore[arg-type]
        self.words = Words()
        self.now_ns = 0
        self.replicas: dict[int, Replica] = {}
        self.logs: dict[int, list[bytes]] = {index: [] for index in range(self.cluster.n)}
        self.timers: dict[tuple[int, str], tuple[int, int]] = {}
        self.clients: dict[int, Client] = {}
        self.requests: dict[int, bytes] = {}
        self.flying: list[Flying] = []
        self.held: list[str] = []
        self.dying: dict[int, str] = {}
        self.view_changes: dict[tuple[int, int], ViewChange] = {}
        self.told: list[tuple[str, str]] = []
        self.tells_sends = True
        for index in range(self.cluster.n):
            self.start(index)
        self.told = []

    # ------------------------------------------------------------ machines

    def start(self, index: int) -> None:
        service = SERVICES[self.cluster.service]()
        self.replicas[index] = Replica(self.cluster, ReplicaId(index), SimulatedKeys(index), service)
        self.timers = {key: due for key, due in self.timers.items() if key[0] != index}
        self.happens(index, Started(tuple(self.logs[index]), nonce=b"%16d" % index))
        self.flying = [f for f in self.flying if (f.source, f.type) != (index, MessageType.STATUS)]

    def happens(self, index: int, event: Event) -> None:
        if index in self.clients:
            self.carry_out(index, self.clients[index].handle(event, self.now_ns))
        elif index in self.replicas:
            self.carry_out(index, self.replicas[index].handle(event, self.now_ns))

    def carry_out(self, source: int, effects: list[Effect]) -> None:
        for effect in effects:  # a batch has its name before anybody tells of it
            if isinstance(effect, Send):
                self.words.learn(decode(effect.data)[0])
        for effect in effects:
            match effect:
                case Send(to, data):
                    if self.dies_at(source, data):
                        return
                    self.send(source, to, data)
                case Persist(record):
                    self.logs[source].append(record)
                case Compact(records):
                    self.logs[source] = list(records)
                case SetTimer(name, generation, delay_ns):
                    self.timers[source, name] = (generation, self.now_ns + delay_ns)
                case Trace(kind, fields):
                    line = self.words.trace(kind, fields)
                    if line:
                        self.tell(source, line)
                case Rejected(sender, message, reason):
                    sender_name = "somebody" if sender is None else who(sender)
                    self.tell(source, f"rejects {message.replace('_', '-')} of {sender_name}: {reason}")
                case Halt(reason):
                    self.tell(source, f"halts: {reason}")
                    self.replicas.pop(source, None)
                case Completed(timestamp, result, replicas):
                    self.tell(
                        source, f"has {self.words.result(result)} for {timestamp} from {list(replicas)}"
                    )
                case _:
                    self.timers.pop((source, effect.name), None)

    def dies_at(self, source: int, data: bytes) -> bool:
        """The script wants it dead before this message leaves."""
        if self.dying.get(source) != message_name(MessageType(data[5])):
            return False
        del self.dying[source]
        self.tell(source, "dies")
        del self.replicas[source]
        return True

    def send(self, source: int, to: int, data: bytes) -> None:
        message, frame = decode(data)
        self.flying.append(Flying(source, to, frame.type, data))
        if isinstance(message, ViewChange):
            self.view_changes[message.replica, message.view] = message
        if self.tells_sends and source < FIRST_CLIENT_ID:
            name = message_name(frame.type)
            self.tell(source, f"sends {name} {self.words.message(message)}".rstrip(), who(to))

    # ------------------------------------------------------------ telling

    def tell(self, source: int, line: str, to: str = "") -> None:
        self.told.append((f"{who(source)} {line}", to))

    def take_told(self) -> list[str]:
        """Sends of one message to many as one line; in a bulk, one line for all who say the same."""
        merged: dict[str, list[str]] = {}
        for line, to in self.told:
            name, _, what = line.partition(" ")
            if to:
                merged.setdefault(f"{line} to", []).append(to)
            elif self.tells_sends:
                merged.setdefault(line, [])
            else:
                merged.setdefault(f" {what}", []).append(name)
        self.told = []
        return [
            f"{','.join(sorted(set(names)))}{line}"
            if line[0] == " "
            else f"{line} {','.join(names)}".rstrip()
            for line, names in merged.items()
        ]

    # ------------------------------------------------------------ the network

    def take(self, pattern: str) -> list[Flying]:
        """Out of the air."""
        found = [flying for flying in self.flying if flying.matches(pattern)]
        self.flying = [flying for flying in self.flying if not flying.matches(pattern)]
        return found

    def arrive(self, flying: Flying) -> None:
        self.happens(flying.to, Received(flying.data))

    def next_free(self) -> Flying | None:
        """The oldest that no ``hold`` keeps."""
        for index, flying in enumerate(self.flying):
            if not any(flying.matches(pattern) for pattern in self.held):
                return self.flying.pop(index)
        return None

    def deliver_all(self) -> None:
        for _ in range(MAX_DELIVERIES):
            flying = self.next_free()
            if flying is None:
                return
            self.arrive(flying)
        raise AssertionError(f"{MAX_DELIVERIES} messages and no end of it")

    def fire(self, name: str, index: int) -> None:
        assert (index, name) in self.timers, f"no timer {name} runs at {index}: {sorted(self.timers)}"
        generation, due_ns = self.timers.pop((index, name))
        self.now_ns = max(self.now_ns, due_ns)
        self.happens(index, TimerFired(name, generation))

    # ------------------------------------------------------------ clients

    def invoke(self, client: int, operation: bytes, to: list[int]) -> None:
        """The request reaches these replicas at once."""
        if client not in self.clients:
            keys = SimulatedKeys(client)
            self.clients[client] = Client(self.cluster, ClientId(client), keys, retry=False)
        effects = self.clients[client].invoke(operation, self.now_ns)
        (self.requests[client],) = [effect.data for effect in effects if isinstance(effect, Send)]
        self.ask_again(client, to)

    def ask_again(self, client: int, to: list[int]) -> None:
        """The same bytes."""
        message, _ = decode(self.requests[client])
        self.words.learn(message)
        for replica in to:
            self.happens(replica, Received(self.requests[client]))

    # ------------------------------------------------------------ lies

    def lie(self, to: int, data: bytes) -> None:
        """Something sealed with the liar's keys arrives."""
        self.words.learn(decode(data)[0])
        self.happens(to, Received(data))

    def cast(self, to: int) -> Members:
        return Members(self.cluster, to)

    def lying_view_change(self, source: int, view: int, shown: str, like: int) -> ViewChange:
        """P as replica ``like`` has it, for these numbers only."""
        replica = self.replicas[like]
        numbers = [] if shown == "none" else [number(part) for part in shown.split(",")]
        certificates = [replica.certificates[seq] for seq in numbers]  # type: ignore[index]
        stable, proof = replica.stable, replica.stable_proof
        return self.cast(0).view_change(view, source, *certificates, stable=stable, proof=proof)

    def lying_new_view(self, source: int, view: int, quorum: str, order: dict[int, str]) -> NewView:
        """From the VIEW-CHANGEs these replicas sent; ``order`` says what O has instead."""
        changes = [self.view_changes[number(part), view] for part in quorum.split(",")]
        cast = self.cast(0)
        proposals = []
        for proposal in cast.order(view, changes, by=source):
            instead = order.get(proposal.seq)
            if instead == "missing":
                continue
            digest = proposal.digest if instead is None else self.words.digest_of(instead)
            proposals.append(cast.pre_prepare(proposal.seq, view=view, by=source, digest=digest))
        return cast.new_view(view, *changes, order=proposals, by=source)

    def in_ms(self, due_ns: int) -> int:
        return (due_ns - self.now_ns) // MILLISECOND_NS
