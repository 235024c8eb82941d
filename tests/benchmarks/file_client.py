"""The client of the ``files`` service, with the cache of a kernel's NFS client.

There is no kernel here (that needs FUSE), so the client is a library and these are its rules:

- names and attributes, from whatever reply brought them, are trusted for ``ATTRIBUTES_SECONDS``;
- data is kept as long as the file's time of modification stays what it was when the data was read or
  written; an ``open`` asks for the attributes unless they are still trusted (close-to-open);
- what is written stays here until the file is closed, then goes out in transfers of the largest size the
  service takes; ``close`` returns when all is acknowledged;
- one operation at a time: no read-ahead, no parallel writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pbft_node.core.operations import decode_fields, encode_fields
from pbft_node.core.services.file_volume import MAX_TRANSFER_BYTES, ROOT

ATTRIBUTES_SECONDS = 3.0
READS = frozenset({b"getattr", b"lookup", b"read", b"readdir", b"statfs"})
Call = Callable[[bytes, bool], bytes]
"""(operation, whether it only reads) -> result."""


class FileError(Exception):
    """The service refused; its argument is NFS' name for the reason."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What ``stat`` shows."""

    number: int
    directory: bool
    mode: int
    size: int
    modified: int


class FileClient:
    """One mount. Paths are relative to the root, ``a/b``; the root is the empty path."""

    def __init__(self, call: Call, clock: Callable[[], float]) -> None:
        self._call = call
        self._clock = clock
        self._attributes: dict[int, tuple[Attributes, float]] = {}
        self._names: dict[tuple[int, str], tuple[int | None, float]] = {}
        self._data: dict[int, tuple[int, bytes]] = {}
        self.operations: dict[str, int] = {}
        """How often each was sent."""

    def forget(self) -> None:
        """Empty the cache: a new mount."""
        self._attributes.clear()
        self._names.clear()
        self._data.clear()

    def stat(self, path: str) -> Attributes:
        """Raises FileError."""
        return self._fresh(self._walk(path))

    def mkdir(self, path: str) -> None:
        """Raises FileError(exist)."""
        parent, name = self._parent(path)
        self._learn_name(parent, name, self._ask("mkdir", parent, name, "755"))

    def write_file(self, path: str, content: bytes) -> None:
        """Create or replace, write, close."""
        parent, name = self._parent(path)
        number = self._lookup(parent, name)
        if number is None:
            attributes = self._learn_name(parent, name, self._ask("create", parent, name, "644"))
        else:
            attributes = self._learn(self._ask("setattr", number, "size", 0))
        for start in range(0, len(content), MAX_TRANSFER_BYTES):
            part = content[start : start + MAX_TRANSFER_BYTES]
            attributes = self._learn(self._ask("write", attributes.number, start, part))
        self._data[attributes.number] = (attributes.modified, content)

    def read_file(self, path: str) -> bytes:
        """Open, read to the end, close."""
        attributes = self._fresh(self._walk(path))
        kept = self._data.get(attributes.number)
        if kept is not None and kept[0] == attributes.modified:
            return kept[1]
        parts: list[bytes] = []
        position = 0
        while position < attributes.size or not parts:
            fields = self._ask("read", attributes.number, position, MAX_TRANSFER_BYTES)
            attributes = self._learn(fields)
            if not fields[-1]:
                break
            parts.append(fields[-1])
            position += len(fields[-1])
        content = b"".join(parts)
        self._data[attributes.number] = (attributes.modified, content)
        return content

    def list_folder(self, path: str) -> list[str]:
        """Names, ascending."""
        number = self._walk(path)
        names: list[str] = []
        while True:
            end, *listed = self._ask("readdir", number, names[-1] if names else "")
            names += [name.decode() for name in listed[::2]]
            if end == b"end":
                return names

    def walk(self, path: str = "") -> Iterator[tuple[str, Attributes]]:
        """Everything below a folder, with its attributes."""
        for name in self.list_folder(path):
            below = f"{path}/{name}" if path else name
            attributes = self.stat(below)
            yield below, attributes
            if attributes.directory:
                yield from self.walk(below)

    def _walk(self, path: str) -> int:
        number = ROOT
        for name in filter(None, path.split("/")):
            found = self._lookup(number, name)
            if found is None:
                raise FileError("noent", path)
            number = found
        return number

    def _parent(self, path: str) -> tuple[int, str]:
        folder, _, name = path.rpartition("/")
        return self._walk(folder), name

    def _lookup(self, folder: int, name: str) -> int | None:
        number, until = self._names.get((folder, name), (None, 0.0))
        if self._clock() < until:
            return number
        try:
            return self._learn_name(folder, name, self._ask("lookup", folder, name)).number
        except FileError as error:
            if error.args[0] != "noent":
                raise
            self._names[folder, name] = (None, self._clock() + ATTRIBUTES_SECONDS)
            return None

    def _fresh(self, number: int) -> Attributes:
        attributes, until = self._attributes.get(number, (None, 0.0))
        if attributes is None or self._clock() >= until:
            attributes = self._learn(self._ask("getattr", number))
        return attributes

    def _learn(self, fields: tuple[bytes, ...]) -> Attributes:
        _, number, kind, mode, size, modified, *_ = fields
        learnt = Attributes(int(number), kind == b"directory", int(mode, 8), int(size), int(modified))
        self._attributes[learnt.number] = (learnt, self._clock() + ATTRIBUTES_SECONDS)
        return learnt

    def _learn_name(self, folder: int, name: str, fields: tuple[bytes, ...]) -> Attributes:
        learnt = self._learn(fields)
        self._names[folder, name] = (learnt.number, self._clock() + ATTRIBUTES_SECONDS)
        return learnt

    def _ask(self, f: str, *arguments: int | str | bytes) -> tuple[bytes, ...]:
        self.operations[f] = self.operations.get(f, 0) + 1
        fields = [a if isinstance(a, bytes) else str(a).encode() for a in (f, *arguments)]
        result = decode_fields(self._call(encode_fields(*fields), fields[0] in READS))
        if not result or result[0] == b"error":
            raise FileError(*(field.decode() for field in (result or (b"", b"no result"))[1:]), f, *arguments)
        return result
