"""Alters fields of messages, by name.

    {"action": "alter", "replicas": [1], "match": {"types": ["COMMIT"]}, "set": {"seq": "+1"}}
    {"action": "alter", "reseal": false, "match": {"types": ["COMMIT"]}, "set": {"digest": "flip"}}

With ``reseal``, the default, the messages that ``replicas`` send in their own name are altered and sealed
with their keys: a lie. Without, any packet is altered and its seal stays, and so breaks: a bad link, not a
Byzantine replica. See ``field_values`` for what a field may be set to. An alteration that changes nothing, or
nothing that a receiver could tell, is none, and is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nemesis.lies.field_values import problem_of_values
from nemesis.lies.lie import problem_of_replicas
from nemesis.lies.opened import Opened, Opener, peer_of, sent
from nemesis.packets.chance import Slot
from nemesis.packets.packet import TYPE_NUMBERS, Header, Packet, host
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import LIES, RuleData, Tamperer, Tampering, Uncounted
from pbft_node.core.codec import decode
from pbft_node.core.frames import HEADER_BYTES, Malformed, MessageType

if TYPE_CHECKING:
    from nemesis.lies.alteration import Alteration

_FRAGMENT = int(MessageType.FRAGMENT)
_PROPOSALS = (int(MessageType.PRE_PREPARE), int(MessageType.PREPARE), int(MessageType.COMMIT))
_DIGEST = slice(HEADER_BYTES, HEADER_BYTES + 32)
MOST_DIGESTS = 4096


class _Fields(Tampering):
    """What both have in common: which fields, and what counts."""

    action = "alter"
    keys = ("set", "reseal", "replicas")

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        values = data["set"]
        assert isinstance(values, Mapping)
        # The digest of the batch comes when the batch is done, in whatever order a plan was written.
        self._values = dict(sorted(values.items(), key=lambda one: one[1] == "batch"))
        self._digests: dict[tuple[int, int], bytes] = {}
        self._altered = self._without_effect = self._unreadable = 0

    def alteration(self, packet: Packet, header: Header, slot: Slot) -> Alteration | None:
        """None: nothing can be set in it, or all is so already."""
        from nemesis.lies.alteration import Alteration  # scapy: half a second, and only for those who alter

        change = Alteration(
            packet.data,
            lambda bound, purpose: self.chance.below(bound, purpose, slot.text()),
            self._digests.get((header.view, header.seq - 1)),
        )
        done = [path for path, word in self._values.items() if change.set(path, word)]
        self.said = f"set {', '.join(f'{path} {self._values[path]}' for path in done)}"
        if not done:
            self._without_effect += 1
        return change if done else None

    def tells(self, before: bytes, after: bytes) -> bool:
        """Could its receiver tell the difference? If not, it is counted as without effect."""
        if before != after and not self._reads_alike(before, after):
            self._altered += 1
            return True
        self._without_effect += 1
        return False

    def learn(self, packet: Packet, header: Header) -> None:
        """The digests that pass by, for ``known``."""
        if header.type in _PROPOSALS:
            self._digests.setdefault((header.view, header.seq), packet.data[_DIGEST])
            if len(self._digests) > MOST_DIGESTS:
                del self._digests[next(iter(self._digests))]

    def report(self) -> Mapping[str, object]:
        """See ``Tamperer``."""
        return {
            "altered": self._altered,
            "without_effect": self._without_effect,
            "unreadable": self._unreadable,
        }

    def _reads_alike(self, before: bytes, after: bytes) -> bool:
        """A header field that messages of the type do not have: the same message, sealed anew."""
        try:
            message, frame = decode(after)
        except Malformed:
            self._unreadable += 1
            return False
        try:
            was, first = decode(before)
        except Malformed:
            return False
        rest = len(first.raw), len(frame.raw)
        return (
            first.body == frame.body
            and before[rest[0] :] == after[rest[1] :]
            and repr(was) == repr(message)  # all of it but ``raw``
        )


class Alter(_Fields):
    """What a liar says, sealed with its own key."""

    stage = LIES

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        replicas = data["replicas"]
        assert isinstance(replicas, list)
        missing = [replica for replica in replicas if replica not in scene.signers]
        if missing:
            raise ValueError(
                f"alter: replica {missing[0]} is not compromised in this run: nobody can sign for it"
            )
        self._liars = frozenset(host(replica) for replica in replicas)
        types = self.match.types
        self._types = frozenset(TYPE_NUMBERS.values()) - {_FRAGMENT} if types is None else types
        self._opener = Opener(self._types)

    def wants(self, source: str, target: str, type_: int) -> bool:
        """See ``Tamperer``."""
        return (
            source in self._liars
            and (self.match.targets is None or target in self.match.targets)
            and (type_ in self._types or type_ == _FRAGMENT)
        )

    def handle(self, packet: Packet, header: Header, now_ns: int) -> Sequence[Packet] | None:
        """See ``Tamperer``."""
        if not self.wants(packet.source, packet.target, header.type):
            return None
        opened = self._opener.open(packet, header)
        if opened is None or isinstance(opened, Uncounted):
            return opened
        self.learn(opened.packet, opened.header)
        if not opened.own or not self.match.header(opened.packet, opened.header, self.scene.n):
            return opened.untouched()
        slot = self.copies.slot(opened.packet, opened.header)
        if not self.match.slot(slot, self.chance):
            return opened.untouched()
        became = self._said_instead(opened, slot)
        return opened.untouched() if became is None else became

    def _said_instead(self, opened: Opened, slot: Slot) -> Sequence[Packet] | None:
        change = self.alteration(opened.packet, opened.header, slot)
        if change is None:
            return None
        signer = self.scene.signers[opened.replica]
        peer = peer_of(opened.packet)
        data = change.closed(signer.seal, signer.principal, peer)
        if not self.tells(opened.packet.data, data):
            return None
        return sent(opened.packet.source, opened.packet.target, peer, data, signer)


class AlterUnsealed(_Fields):
    """What a bad link makes of a packet."""

    def act(self, packet: Packet, header: Header, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        """See ``Tampering``."""
        self.learn(packet, header)
        change = self.alteration(packet, header, slot)
        if change is None:
            return None
        data = change.closed(None, 0, 0)
        return (packet._replace(data=data),) if self.tells(packet.data, data) else None


class _Alter:
    """The action of both."""

    action = "alter"
    imports = ("nemesis.lies.alteration",)

    def problem(self, data: RuleData, n: int) -> str | None:
        """Why the data is no such rule, or None. Whatever JSON it is."""
        if not isinstance(data.get("reseal", True), bool):
            return f"reseal = {data['reseal']!r:.80}: give true or false"
        if data.get("reseal", True):
            problem = problem_of_replicas(data.get("replicas"), n)
        else:
            problem = "replicas: who does not seal anew compromises nobody" if "replicas" in data else None
        return problem or problem_of_values(data.get("set")) or _Fields.problem(data, n) or _misnamed(data)

    def __call__(self, data: RuleData, name: str, scene: Scene) -> Tamperer:
        """A rule at work."""
        return Alter(data, name, scene) if data.get("reseal", True) else AlterUnsealed(data, name, scene)


ALTER = _Alter()


def _misnamed(data: RuleData) -> str | None:
    """A field that no message of the types has would be altered in none of them."""
    from nemesis.dissector.frame import field_names

    match, values = data.get("match", {}), data["set"]
    assert isinstance(match, Mapping)
    assert isinstance(values, Mapping)
    types = match.get("types", list(TYPE_NUMBERS))
    known = {name: None for kind in types for name in field_names(TYPE_NUMBERS[kind])}
    for path in values:
        first = path.split(".")[0]
        if first not in known:
            return f"set: no {' or '.join(types)} has a field {first!r}: there are {', '.join(known)}"
    return None
