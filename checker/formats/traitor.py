"""Reads `history.jsonl`, schema `traitor/history/1`, strictly: what is not exactly a history is refused.

Refusing is part of judging: a reader that skips what it does not understand judges another history than the
one that happened. Every refusal names the file, the line, the rule and what to do. The bytes are hostile
(values come from replicas); nothing in them may raise anything but HistoryError.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from checker.fields import name_twice
from checker.files import read_regular
from checker.formats.traitor_lines import Lines, freeze, parse_line, show
from checker.history import History, HistoryError
from checker.models import MODEL_NAMES, ModelError, initial_problem, model_class, model_named
from checker.models.base import Model

SCHEMA = "traitor/history/1"


def read(path: Path, model: str | None = None, *, forgive_torn_tail: bool = False) -> History:
    """The history in `path`. `model` overrides the header's; a half last line is an error unless forgiven."""
    try:
        content = read_regular(path)
    except OSError as error:
        advice = "Give a run folder or a history file that can be read"
        raise HistoryError(str(path), 0, f"cannot be read ({error.strerror})", advice) from None
    return read_bytes(content, str(path), model, forgive_torn_tail=forgive_torn_tail)


def read_bytes(
    content: bytes,
    source: str,
    model: str | None = None,
    *,
    forgive_torn_tail: bool = False,
    initial: tuple[Hashable] | None = None,
) -> History:
    """As `read`, from memory. `initial`: one value that overrides the header's."""
    if not content.strip():
        raise HistoryError(
            source, 0, "the file is empty", "A history begins with a header line; record it again"
        )
    lines = content.split(b"\n")
    tail = lines.pop()
    if not tail.strip():  # blank lines at the very end say nothing; others are refused
        tail = b""
        while not lines[-1].strip():
            lines.pop()
    torn: int | None = None
    if tail:
        if parse_line(tail) is not None:
            lines.append(tail)
        elif forgive_torn_tail and lines:
            torn = len(lines) + 1
        else:
            raise HistoryError(
                source,
                len(lines) + 1,
                "the file ends in the middle of this line",
                "Delete the half line if the rest is complete, or record it again",
            )
    header = _header(source, lines[0], model, initial)
    reader = Lines(source, header.model)
    digest = hashlib.sha256(content).hexdigest()
    # Nothing of a history is garbage: looking for some again and again would take longer than reading.
    collecting = gc.isenabled()
    gc.disable()
    try:
        reader.take_all(lines)
        operations, nemesis = reader.finish()
    finally:
        if collecting:
            gc.enable()
    return History(source, header.model.name, header.initial, operations, nemesis, digest, torn, reader.gaps)


@dataclass(frozen=True, slots=True)
class _Header:
    """The first line, understood."""

    model: Model
    initial: Hashable


def _header(source: str, line: bytes, override: str | None, given: tuple[Hashable] | None) -> _Header:
    fields = parse_line(line)
    known = ", ".join(MODEL_NAMES)
    if (twice := name_twice(line)) is not None:
        reason = f"name {show(twice)} is in one object of the line twice"
        raise HistoryError(source, 1, reason, "Correct the header: each name once")
    if fields is None or "schema" not in fields:
        reason = f'is not a header: expected {{"schema": "{SCHEMA}", "model": …}}'
        raise HistoryError(source, 1, reason, "Put the header line back; it says how to read the rest")
    if fields["schema"] != SCHEMA:
        reason = f"schema is {show(fields['schema'])}, this reader knows {SCHEMA}"
        raise HistoryError(source, 1, reason, "Judge it with the version that wrote it")
    name = override if override is not None else fields.get("model")
    if not isinstance(name, str):
        raise HistoryError(source, 1, f"model {show(name)} is unknown", f"Name one with --model: {known}")
    if override is not None and ":" in override:
        # The user's own model. A history cannot name one: it would have its code imported.
        try:
            model_class(override)
        except ModelError as error:
            raise HistoryError(source, 0, *str(error).rsplit(". ", 1)) from None
    elif name not in MODEL_NAMES:
        raise HistoryError(source, 1, f"model {show(name)} is unknown", f"Name one with --model: {known}")
    if given is not None:
        must_begin_at(source, name, given[0])
        return _Header(model_named(name, given[0]), given[0])
    try:
        initial = freeze(fields.get("initial"))
    except RecursionError:
        initial = ()
    problem = initial_problem(name, initial)
    if problem is not None:
        raise HistoryError(source, 1, f"initial must be {problem} for model {name}", "Correct the header")
    return _Header(model_named(name, initial), initial)


def must_begin_at(source: str, model: str, initial: Hashable) -> None:
    """Raises HistoryError if no key of `model` can begin at what the user said."""
    problem = initial_problem(model, initial)
    if problem is not None:
        reason = f"--initial {show(initial)} does not fit model {model}: it must be {problem}"
        raise HistoryError(source, 0, reason, "Give such a value, or another --model")
