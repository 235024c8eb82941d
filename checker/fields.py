"""Typed access to a JSON object that may be anything: every surprise is an `Unreadable` that says where."""

from __future__ import annotations

import contextlib
import json
from typing import cast


class Unreadable(Exception):
    """A file of the run folder that is not what it should be; the text says how."""


_raw_decode = json.JSONDecoder().raw_decode


def parse_json(content: bytes) -> object:
    """``json.loads``, in half the time for what nearly every line is: an object in UTF-8 and nothing around
    it. Raises ValueError or RecursionError."""
    if content[:1] == b"{" and content[1:2] != b"\0":  # else it may be UTF-16, which loads takes, too
        text = content.decode("utf-8", "surrogatepass")
        value, end = _raw_decode(text)
        if end == len(text):
            return cast(object, value)
    return cast(object, json.loads(content))


def name_twice(content: bytes) -> str | None:
    """A name that is twice in one object of JSON, at any depth; None also if it is not JSON.

    Python takes the last of them, other readers the first: such an object says two things.
    """
    found: list[str] = []

    def once(pairs: list[tuple[str, object]]) -> None:
        seen = set[str]()
        for name, _ in pairs:
            if name in seen:
                found.append(name)
            seen.add(name)

    with contextlib.suppress(ValueError, RecursionError):
        json.loads(content, object_pairs_hook=once)
    return found[0] if found else None


def parse_object(content: bytes) -> dict[str, object]:
    """The JSON object in `content`. Raises Unreadable."""
    try:
        value = parse_json(content)
    except (ValueError, RecursionError):
        raise Unreadable("it is not JSON") from None
    if not isinstance(value, dict):
        raise Unreadable("it is not a JSON object")
    return value


class Fields:
    """A JSON object whose fields are asked for by type; what is wrong is said with its place."""

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise Unreadable(f"{place} is not an object")
        self._value = cast(dict[str, object], value)
        self._place = place

    def number(self, name: str) -> int:
        """An integer from 0 on."""
        value = self._value.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Unreadable(f"{self._place}: {name} is {value!r:.40}, not a number from 0 on")
        return value

    def flag(self, name: str) -> bool:
        """A boolean."""
        value = self._value.get(name)
        if not isinstance(value, bool):
            raise Unreadable(f"{self._place}: {name} is {value!r:.40}, not true or false")
        return value

    def text(self, name: str, default: str = "") -> str:
        """A string; null and absent give the default."""
        value = self._value.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise Unreadable(f"{self._place}: {name} is {value!r:.40}, not a string")
        return value

    def listed(self, name: str) -> list[object]:
        """A list."""
        value = self._value.get(name)
        if not isinstance(value, list):
            raise Unreadable(f"{self._place}: {name} is {value!r:.40}, not a list")
        return value

    def objects(self, name: str) -> list[Fields]:
        """A list of objects."""
        return [Fields(value, f"{self._place}: {name}[{i}]") for i, value in enumerate(self.listed(name))]

    def inner(self, name: str) -> Fields:
        """An object."""
        return Fields(self._value.get(name), f"{self._place}: {name}")

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._value.get(name) is not None

    def true_names(self) -> frozenset[str]:
        """Names of the fields that are true."""
        return frozenset(name for name, value in self._value.items() if value is True)

    def raw(self, name: str) -> object:
        """The field as it is."""
        return self._value.get(name)
