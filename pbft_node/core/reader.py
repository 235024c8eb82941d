"""Taking a body apart from the front, every step checking what is left. Raises Malformed, nothing else."""

from __future__ import annotations

import struct

from .frames import MACED, Frame, Malformed, MessageType, parse_frame

U16 = struct.Struct(">H")


class BodyReader:
    """A position in a body."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        end = self.position + count
        if end > len(self.data):
            raise Malformed("body too short")
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def number(self, shape: struct.Struct) -> int:
        """One integer of that shape."""
        (value,) = shape.unpack(self.take(shape.size))
        assert isinstance(value, int)
        return value

    def count(self, limit: int, shape: struct.Struct = U16) -> int:
        """How many elements follow: at most ``limit``."""
        value = self.number(shape)
        if value > limit:
            raise Malformed(f"{value} elements where {limit} are allowed")
        return value

    def frame(self, expected: MessageType) -> Frame:
        """A frame inside the body that others can check, too: signed, or a REQUEST with its authenticator."""
        frame, self.position = parse_frame(self.data, self.position)
        if frame.type is not expected:
            raise Malformed(f"{frame.type.name} where {expected.name} belongs")
        if frame.auth == MACED:
            raise Malformed(f"{expected.name} without a signature inside another message")
        return frame

    def end(self) -> None:
        """Nothing may be left."""
        if self.position != len(self.data):
            raise Malformed(f"{len(self.data) - self.position} bytes too many")
