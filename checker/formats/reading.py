"""How a history is to be read, and what the reader has to say beside the history itself."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from checker.history import History

FORMATS = ("traitor", "jepsen-edn", "porcupine-log", "porcupine-kv")
EXPORTS = ("edn", "jsonl")
FailPolicy = Literal["never-happened", "observer"]
FAIL_POLICIES: Sequence[FailPolicy] = ("never-happened", "observer")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for; None leaves it to the format."""

    model: str | None = None
    fail: FailPolicy | None = None
    forgive_torn_tail: bool = False
    initial: tuple[Hashable] | None = None
    """The first value of every key. In a tuple of its own, since null is a value, too."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A history and how it was read."""

    history: History
    format: str
    counts: tuple[int, int, int]
    """Operations that ended `ok`, `fail` and `info` (or not at all) in the file's own words."""
    processes: int
    notes: tuple[str, ...] = ()
    initial_given: bool = False
    """The user said what every key begins at (`--initial`)."""

    def sentence(self) -> str:
        """How much of what was read."""
        ok, fail, info = self.counts
        total = ok + fail + info
        return (
            f"read {total} operation{'' if total == 1 else 's'} ({ok} ok, {fail} fail, {info} info) of "
            f"{self.processes} process{'' if self.processes == 1 else 'es'}, format {self.format}, "
            f"model {self.history.model}{self._initial()}"
        )

    def _initial(self) -> str:
        if not self.initial_given:
            return ""
        from checker.formats.traitor_lines import show

        return f", every key begins at {show(self.history.initial)}"

    def to_json(self) -> dict[str, object]:
        """As the coverage line's details have it."""
        ok, fail, info = self.counts
        counts = {"ok": ok, "fail": fail, "info": info, "processes": self.processes}
        return {"format": self.format, **counts, "notes": list(self.notes)}


def initial_of(text: str) -> Hashable:
    """What was typed as `--initial`, immutable. Raises ValueError with a text that says what is wrong."""
    from checker.fields import name_twice, parse_json
    from checker.formats.traitor_lines import freeze

    content = text.encode("utf-8", "surrogateescape")
    try:
        value = freeze(parse_json(content))
    except (ValueError, RecursionError):
        raise ValueError(f"{text!r:.80} is not JSON: 0, null, '\"a\"' and '[1, 2]' are") from None
    twice = name_twice(content)
    if twice is not None:
        raise ValueError(f"{text!r:.80} has the name {twice!r:.40} twice")
    return value
