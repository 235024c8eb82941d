"""Of what two processes of one identity said two things: their traces tell.

Of one (view, number) that both proposed or accepted, or of one number that both executed, two digests. What
was executed counts most. Bounded: numbers kept, bytes read at one go; nothing is read after the first
difference.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_MOST_SLOTS = 100_000
_VOTES = ("pre-prepare", "prepared", "committed")


@dataclass(slots=True)
class _Said:
    """What one instance's trace tells of digests, from where it is read on."""

    path: Path
    at: int = 0
    votes: dict[tuple[int, int], str] = field(default_factory=dict)
    """(view, number) -> digest of the proposal it made or accepted."""
    executed: dict[int, str] = field(default_factory=dict)
    new: list[tuple[int, int] | int] = field(default_factory=list)
    """What of both was added by the last reading."""

    def read(self, at_once: int) -> None:
        """What is new, whole lines only; no more than so many bytes. The first line may be cut."""
        self.new.clear()
        try:
            with self.path.open("rb") as file:
                file.seek(self.at)
                text = file.read(at_once)
        except OSError:
            return
        whole = text.rfind(b"\n") + 1
        self.at += whole
        for line in text[:whole].split(b"\n"):
            if line[:1] == b"{" and b'"digest"' in line:
                with contextlib.suppress(ValueError, RecursionError):
                    event = json.loads(line)
                    if isinstance(event, dict):
                        self._take(event)

    def _take(self, event: Mapping[str, object]) -> None:
        kind, view, seq, digest = (event.get(name) for name in ("e", "view", "seq", "digest"))
        if not isinstance(seq, int) or not isinstance(digest, str) or len(self.votes) >= _MOST_SLOTS:
            return
        if kind in _VOTES and isinstance(view, int):
            self.votes.setdefault((view, seq), digest)
            self.new.append((view, seq))
        elif kind == "executed":
            self.executed.setdefault(seq, digest)
            self.new.append(seq)


def _difference(first: _Said, twin: _Said) -> Mapping[str, object] | None:
    """The lowest number of which the two say two things now; what was executed counts most."""
    new = {*first.new, *twin.new}
    for seq in sorted(key for key in new if isinstance(key, int)):
        one, other = first.executed.get(seq), twin.executed.get(seq)
        if one is not None and other is not None and one != other:
            return {"what": "executed", "seq": seq, "first": one, "twin": other}
    for view, seq in sorted(key for key in new if isinstance(key, tuple)):
        one, other = first.votes.get((view, seq)), twin.votes.get((view, seq))
        if one is not None and other is not None and one != other:
            return {"what": "proposal", "view": view, "seq": seq, "first": one, "twin": other}
    return None


class Divergence:
    """Of a replica and its twin. ``back``: bytes looked at of what the replica wrote until now; ``at_once``:
    bytes of each trace read by one look."""

    def __init__(self, first: Path, twin: Path, *, back: int, at_once: int) -> None:
        self._said = _Said(first, max(0, _size(first) - back)), _Said(twin)
        self._at_once = at_once
        self._found: Mapping[str, object] | None = None

    def look(self) -> Mapping[str, object] | None:
        """The lowest number of which they say two things by now; None: of none."""
        if self._found is None:
            for said in self._said:
                said.read(self._at_once)
            self._found = _difference(*self._said)
        return self._found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
