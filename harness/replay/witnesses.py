"""Where a replayed event differs: which of the messages it sends now did others receive in the run?

A hash says that something differs, not what. But what a replica sent stands in the journals of those it
reached, so a message that is made now and was received then is not what differs, and one of the same type,
view and number with other bytes is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.replay.readable import datagram_words
from pbft_node.core.effects import Send
from pbft_node.core.events import Received
from pbft_node.core.frames import peek
from pbft_node.journal_file import JournalError
from pbft_node.journal_reader import read_journal

MOST_SENDS = 40


def other_journals_say(run: Path, n: int, sender: int, sends: Sequence[Send]) -> list[str]:
    """A line for each message to a replica, as far as it can be told."""
    lines = []
    for target in range(n):
        wanted = [send.data for send in sends[:MOST_SENDS] if send.to == target]
        if wanted and target != sender:
            lines += _said_by(run, target, sender, wanted)
    return lines


def _said_by(run: Path, target: int, sender: int, wanted: Sequence[bytes]) -> list[str]:
    same: set[bytes] = set()
    other: dict[bytes, int] = {}
    headers = {peek(data): data for data in wanted}
    try:
        for life in read_journal(run / "replicas" / str(target) / "journal").lives:
            for entry in life.entries():
                if not isinstance(entry.event, Received):
                    continue
                data = entry.event.data
                made = headers.get(peek(data))
                if made is None:
                    continue
                if data in wanted:
                    same.add(data)
                else:
                    other[made] = other.get(made, 0) + 1
    except JournalError:
        return [f"replica {target} has none that can be read"]
    return [
        f"replica {target} received {_how(data in same, other.get(data, 0))}: {datagram_words(data, 'from')}"
        for data in wanted
    ]


def _how(same: bool, others: int) -> str:
    if same:
        return "just this"
    if others:
        return "OTHER BYTES with this header"
    return "nothing of the kind (it may have been lost, or is what differs)"
