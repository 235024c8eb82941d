"""Of what two processes of one identity said two things: their traces tell.

Of one (view, number) that both proposed or accepted, or of one number that both executed, two digests. What
was executed counts most. Or one has left a view (its VIEW-CHANGE says that it votes there no more), and the
other proposes or accepts in it afterwards: all traces of a run share a clock. Bounded: numbers kept, bytes
read at one go; nothing is read after the first difference.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_MOST_SLOTS = 100_000
_MOST_VIEWS = 1_000
_VOTES = ("pre-prepare", "prepared", "committed")


@dataclass(slots=True)
class _Said:
    """What one instance's trace tells of digests, from where it is read on."""

    path: Path
    at: int = 0
    votes: dict[tuple[int, int], str] = field(default_factory=dict)
    """(view, number) -> digest of the proposal it made or accepted."""
    executed: dict[int, str] = field(default_factory=dict)
    left: list[tuple[int, int]] = field(default_factory=list)
    """(time, the view it left others for), as they come."""
    latest: dict[int, tuple[int, int]] = field(default_factory=dict)
    """View -> (time, number) of the last proposal it made or accepted there."""
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
            if line[:1] == b"{" and (b'"digest"' in line or b'"view-change"' in line):
                with contextlib.suppress(ValueError, RecursionError):
                    event = json.loads(line)
                    if isinstance(event, dict):
                        self._take(event)

    def _take(self, event: Mapping[str, object]) -> None:
        kind, view, seq, digest = (event.get(name) for name in ("e", "view", "seq", "digest"))
        t_ns = event.get("t_ns")
        if kind == "view-change" and isinstance(view, int) and isinstance(t_ns, int):
            if len(self.left) < _MOST_VIEWS:
                self.left.append((t_ns, view))
            return
        if not isinstance(seq, int) or not isinstance(digest, str) or len(self.votes) >= _MOST_SLOTS:
            return
        if kind in _VOTES and isinstance(view, int):
            self.votes.setdefault((view, seq), digest)
            self.new.append((view, seq))
            if kind == "pre-prepare" and isinstance(t_ns, int) and len(self.latest) < _MOST_VIEWS:
                self.latest[view] = t_ns, seq
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
    return _left(first, twin, ("first", "twin")) or _left(twin, first, ("twin", "first"))


def _left(gone: _Said, stayed: _Said, names: tuple[str, str]) -> Mapping[str, object] | None:
    """A view that one had left when the other took a proposal there."""
    for left_ns, later in gone.left:
        for view, (t_ns, seq) in sorted(stayed.latest.items()):
            if view < later and t_ns > left_ns:
                told = {names[0]: f"left it for view {later}", names[1]: f"took number {seq} there later"}
                return {"what": "view", "view": view, "seq": seq, **told}
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
