"""Reading JSON of a run folder: quickly, and no otherwise than the standard library does."""

import json
from collections.abc import Callable

import pytest

from checker.fields import parse_json


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": 1}',
        b' {"a": 1}',
        b'{"a": 1} \n',
        b'{"a": 1}{',
        b'{"a": 1} 2',
        b'{"a": [1, NaN, -0.0, 1e999, "\\ud800"], "a": 2}',
        b"{}",
        b"{",
        b"",
        b"[1]",
        b"7",
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": 1}'.encode("utf-32-be"),
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\x01"}',
        b"{\x00",
        b'{"a":' * 100_000,
    ],
)
def test_json_is_what_json_loads_says(content: bytes) -> None:
    def outcome(parse: Callable[[bytes], object]) -> str:
        try:
            return repr(parse(content))
        except (ValueError, RecursionError) as error:
            return type(error).__name__

    assert outcome(parse_json) == outcome(json.loads)
