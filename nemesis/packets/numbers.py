"""Numbers in a rule's data: what is wrong with them, in a sentence. Whatever JSON they are."""

from __future__ import annotations

from collections.abc import Mapping

MOST_DELAY_NS = 5_000_000_000
"""No rule holds a packet longer: a fault must be over soon after it was stopped."""


def whole_problem(data: Mapping[str, object], key: str, least: int, most: int) -> str | None:
    """Why ``data[key]`` is no whole number within bounds, or None."""
    value = data.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return None
    return f"{key} = {value!r:.80}: give a whole number from {least} to {most}"


def choice_problem(data: Mapping[str, object], key: str, choices: tuple[str, ...]) -> str | None:
    """Why ``data[key]`` is none of these words, or None."""
    value = data.get(key)
    if isinstance(value, str) and value in choices:
        return None
    return f"{key} = {value!r:.80}: choose one of {', '.join(choices)}"


def whole(data: Mapping[str, object], key: str, default: int = 0) -> int:
    """Of data that has no problem."""
    value = data.get(key, default)
    assert isinstance(value, int)
    return value
