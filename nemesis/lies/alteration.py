"""Fields of a message altered through its scapy layers, and the message closed again.

A path leads from the frame to a field: ``view``, ``digest`` (of the body), ``time_ns`` (of the batch),
``prepared.0.prepares.1.seq`` (of a frame nested in lists). A nested frame on the way is signed again if the
sealer wrote it; others keep the signature they have, as nobody but their sender can make another. Lengths
and counts follow, unless they are what is altered. What a path does not lead to, is left as it is.

This module imports scapy: import it where a message is opened, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scapy.fields import FlagValue
from scapy.packet import NoPayload, Packet, Raw

from nemesis.dissector import PBFT, PBFTBatch
from nemesis.lies.field_values import stepped
from nemesis.packets.packet import TYPE_NUMBERS
from pbft_node.core.codec import decode_batch
from pbft_node.core.digests import NULL_DIGEST
from pbft_node.core.frames import MACED, SIGNED, Malformed
from pbft_node.core.seal import Seal

Below = Callable[[int, str], int]
"""(bound, purpose) -> a whole number below it, by chance."""


class Alteration:
    """One message being altered. ``known``: the digest that ``known`` stands for."""

    def __init__(self, data: bytes, below: Below, known: bytes | None = None) -> None:
        self._layer = PBFT(data)
        self._below = below
        self._known = NULL_DIGEST if known is None else known
        self._frames: dict[int, tuple[int, Packet]] = {}
        self._lengths: set[int] = set()
        self.readable = isinstance(self._layer, PBFT)
        """Is it a frame at all?"""

    def set(self, path: str, word: object) -> bool:
        """False: there is no such field, it cannot be set so, or it is so already."""
        if not self.readable:
            return False
        found = self._find(path.split("."))
        if found is None:
            return False
        holder, name, frames = found
        was = holder.getfieldval(name)
        now = self._value(holder, name, was, word)
        if now is None or _plain(now) == _plain(was):
            return False
        holder.fields[name] = now
        self._touch(holder, name, frames)
        return True

    def closed(self, seal: Seal | None, me: int, peer: int) -> bytes:
        """As it travels now; ``seal`` closes what ``me`` wrote, None: every tag stays as it was."""
        if seal is None:
            return bytes(self._layer)
        for depth, frame in sorted(self._frames.values(), key=lambda one: -one[0]):
            if depth and frame.sender == me and frame.auth == SIGNED:
                frame.fields["tag"] = _sealed(frame, seal, peer)[1]
        self._layer.clear_cache()
        return b"".join(_sealed(self._layer, seal, peer))

    # Where

    def _find(self, steps: list[str]) -> tuple[Packet, str, list[Packet]] | None:
        at: Any = self._layer
        frames: list[Packet] = []
        for number, step in enumerate(steps):
            if isinstance(at, PBFT):
                frames.append(at)
            if isinstance(at, list):
                if not step.isdecimal() or int(step) >= len(at):
                    return None
                at = at[int(step)]
                continue
            holder = _holder(at, step)
            if holder is None:
                return None
            if number == len(steps) - 1:
                return holder, step, frames
            at = holder.getfieldval(step)
        return None

    def _touch(self, holder: Packet, name: str, frames: list[Packet]) -> None:
        for depth, frame in enumerate(frames):
            self._frames[id(frame)] = depth, frame
            if frame is holder and name == "length":
                self._lengths.add(id(frame))
            if id(frame) not in self._lengths:
                frame.fields["length"] = None
        if f"{name}_count" in holder.fields:
            holder.fields[f"{name}_count"] = None
        self._layer.clear_cache()

    # What

    def _value(self, holder: Packet, name: str, was: Any, word: object) -> Any:
        if isinstance(was, bytes):
            return self._bytes(was, word, name)
        if isinstance(was, list):
            return _of_list(was, word)
        if isinstance(was, int | FlagValue):
            return self._number(int(was), 8 * int(holder.get_field(name).sz), word, name)
        return None

    def _number(self, was: int, bits: int, word: object, name: str) -> int | None:
        step = stepped(word)
        if step is not None:
            return was + step if 0 <= was + step < 1 << bits else None
        if word == "random":
            return self._below(1 << bits, f"random/{name}")
        if word == "flip":
            return was ^ 1 << self._below(bits, f"flip/{name}")
        if isinstance(word, int):
            return word if word < 1 << bits else None
        return TYPE_NUMBERS.get(str(word))

    def _bytes(self, was: bytes, word: object, name: str) -> bytes | None:
        if word == "random":
            return bytes(self._below(256, f"random/{name}/{place}") for place in range(len(was)))
        if word == "flip" and was:
            place = self._below(8 * len(was), f"flip/{name}")
            return was[: place // 8] + bytes([was[place // 8] ^ 1 << place % 8]) + was[place // 8 + 1 :]
        if word == "known":
            return self._known if len(was) == len(self._known) else None
        if word == "batch":
            return self._batch_digest()
        if isinstance(word, str) and word.startswith("hex:"):
            return bytes.fromhex(word[4:])
        return {"empty": b"", "shorter": was[:-1]}.get(str(word))

    def _batch_digest(self) -> bytes | None:
        batch = self._layer.payload
        if not isinstance(batch, PBFTBatch):
            return None
        try:
            return decode_batch(bytes(batch)).digest
        except Malformed:
            return None


def _of_list(was: list[Any], word: object) -> list[Any] | None:
    changed: Mapping[str, list[Any]] = {
        "empty": [],
        "shorter": was[:-1],
        "doubled": was[:1] + was,
        "reversed": was[::-1],
    }
    return changed.get(str(word))


def _plain(value: Any) -> Any:
    """Comparable: scapy compares packets by more than their bytes."""
    return (
        [bytes(one) if isinstance(one, Packet) else one for one in value]
        if isinstance(value, list)
        else value
    )


def _holder(layer: Any, name: str) -> Packet | None:
    """Of frame, body and batch, the first that has the field."""
    if not isinstance(layer, Packet):
        return None
    places = [layer, *([layer.body, layer.payload] if isinstance(layer, PBFT) else [])]
    for place in places:
        if isinstance(place, Packet) and not isinstance(place, Raw | NoPayload) and name in place.fields:
            return place
    return None


def _sealed(frame: Packet, seal: Seal, peer: int) -> tuple[bytes, bytes, bytes]:
    """A frame that is otherwise done: header and body, tag, and what follows. A kind of authentication that a
    replica cannot give stays as it was."""
    was, frame.fields["tag"] = frame.tag, b""
    frame.clear_cache()
    whole, after = bytes(frame), bytes(frame.payload)
    content = whole[: len(whole) - len(after)]
    if frame.auth == SIGNED:
        return content, seal.signed_content(content)[len(content) :], after
    if frame.auth == MACED:
        return content, seal.maced(peer, content)[len(content) :], after
    return content, bytes(was), after
