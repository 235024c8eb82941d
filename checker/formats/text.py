"""A history's bytes as text."""

from __future__ import annotations

from checker.history import HistoryError

_BOM = b"\xef\xbb\xbf"


def without_mark(content: bytes) -> bytes:
    """Without the mark some editors put in front of UTF-8."""
    return content.removeprefix(_BOM)


def decoded(content: bytes, source: str) -> str:
    """The text. Raises HistoryError if it is empty or not UTF-8."""
    content = without_mark(content)
    if not content.strip():
        raise HistoryError(source, 0, "the file is empty", "There is no history in it; record it again")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"byte 0x{content[error.start]:02x} is not text in UTF-8"
        raise HistoryError(source, line, reason, "Give the history itself, as text and not packed") from None
