"""What a field of a message may be set to, as data in a plan.

7, "COMMIT"        that number, that type of message
"hex:00ff"         those bytes
"+1", "-3"         so much more or less; not below 0 nor above what the field can hold
"random"           anything of the same width or length
"flip"             one bit of it turned
"known"            of a digest: that of the number before in the same view, where it passed by; else the
                   null digest
"batch"            the digest of the batch that the altered PRE-PREPARE carries
"empty", "shorter", "doubled", "reversed"   of lists: without its elements, without the last, with the
                   first twice, in reverse; of bytes: none, without the last
"""

from __future__ import annotations

import re

from nemesis.packets.packet import TYPE_NUMBERS

WORDS = ("random", "flip", "known", "batch", "empty", "shorter", "doubled", "reversed")
MOST_NUMBER = 2**64 - 1
MOST_FIELDS = 16
_STEP = re.compile(r"[+-][0-9]{1,19}\Z")
_HEX = re.compile(r"hex:([0-9a-f]{2}){0,4096}\Z")
_PATH = re.compile(r"[a-z][a-z_]{0,31}(\.([a-z][a-z_]{0,31}|[0-9]{1,5})){0,11}\Z")


def problem_of_values(value: object) -> str | None:
    """Why this is no ``set`` of fields, or None. Whatever JSON it is."""
    if not isinstance(value, dict) or not 0 < len(value) <= MOST_FIELDS:
        return f'set = {value!r:.80}: give an object of fields and values, such as {{"view": "+1"}}'
    for path, word in value.items():
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            return f"set: {path!r:.80} is no field: give a name such as view, digest or proof.0.seq"
        if not _is_value(word):
            return (
                f'set.{path} = {word!r:.80}: give a whole number, a type of message, "+1", "-1", '
                f'"hex:…", or one of {", ".join(WORDS)}'
            )
    return None


def _is_value(word: object) -> bool:
    if isinstance(word, int) and not isinstance(word, bool):
        return 0 <= word <= MOST_NUMBER
    if not isinstance(word, str):
        return False
    return word in WORDS or word in TYPE_NUMBERS or bool(_STEP.fullmatch(word) or _HEX.fullmatch(word))


def stepped(word: object) -> int | None:
    """Of ``+1``: 1."""
    return int(word) if isinstance(word, str) and _STEP.fullmatch(word) else None
