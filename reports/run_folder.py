"""Opening the files of a run folder, every one of which may be missing, cut short or hostile.

Nothing here raises for what a file holds. What could not be read becomes a ``Notice`` that the report
prints, so that a reader knows what the page does not show. Memory is bounded: lines are streamed, and
there is a cap on their number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from reports.untrusted import mapping, shown

MAX_DOCUMENT_BYTES = 64 << 20
MAX_LINE_BYTES = 16 << 20
MAX_LINES = 2_000_000

_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True, slots=True)
class Notice:
    """What the report could not show, and why."""

    file: str
    text: str


@dataclass(slots=True)
class RunFolder:
    """Reads files below ``path`` and remembers what was wrong with them."""

    path: Path
    notices: list[Notice] = field(default_factory=list)

    def notice(self, file: str, text: str) -> None:
        self.notices.append(Notice(file, text))

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def document(self, name: str, missing: str | None) -> Mapping[str, object]:
        """A file of one JSON object, else an empty one. ``missing``: what the reader loses then."""
        path = self.path / name
        if not path.is_file():
            if missing is not None:
                self.notice(name, f"missing: {missing}")
            return {}
        try:
            with path.open("rb") as file:
                data = file.read(MAX_DOCUMENT_BYTES + 1)
        except OSError as error:
            self.notice(name, f"cannot be read: {shown(error.strerror or str(error))}")
            return {}
        if len(data) > MAX_DOCUMENT_BYTES:
            self.notice(name, f"larger than {MAX_DOCUMENT_BYTES >> 20} MiB; not read")
            return {}
        value, problem = parse(data)
        if problem is None and not isinstance(value, dict):
            problem = "holds no JSON object"
        if problem is not None:
            self.notice(name, problem)
        return mapping(value)

    def lines(self, name: str, missing: str | None = None) -> Iterator[tuple[int, Mapping[str, object]]]:
        """(line number from 1, object) for every line that is a JSON object. Others are counted."""
        path = self.path / name
        if not path.is_file():
            if missing is not None:
                self.notice(name, f"missing: {missing}")
            return
        bad = 0
        first = ""
        try:
            with path.open("rb") as file:
                for number, line in enumerate(_bounded_lines(file), start=1):
                    if number > MAX_LINES:
                        self.notice(name, f"only the first {MAX_LINES:,} lines are in this report")
                        break
                    if not line.strip():
                        continue
                    value, problem = parse(line)
                    if isinstance(value, dict):
                        yield number, value
                    else:
                        bad += 1
                        first = first or f"line {number}: {problem or 'holds no JSON object'}"
        except OSError as error:
            self.notice(name, f"cannot be read: {shown(error.strerror or str(error))}")
        if bad:
            self.notice(name, f"{bad:,} unreadable {'line' if bad == 1 else 'lines'} left out; {first}")


def _bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE_BYTES):
        yield line


def parse(data: bytes) -> tuple[object, str | None]:
    """The JSON value, or None and what is wrong with it."""
    text = data.decode("utf-8", "backslashreplace").strip()
    try:
        value, end = _decode(text)  # json.loads would scan for space twice
        return (
            (value, None)
            if end == len(text)
            else (None, f"is not one JSON value (text after character {end})")
        )
    except json.JSONDecodeError as error:
        return None, f"is not JSON ({error.msg} at character {error.pos})"
    except (ValueError, RecursionError) as error:
        return None, f"is not JSON we read ({shown(str(error), 80) or type(error).__name__})"
