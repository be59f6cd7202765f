"""JSON from clients: what is refused, and how it is said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ancestral.errors import InvalidRequest
from ancestral.service.jobs.strict_json import parse_json
from ancestral.service.ws.bounded_websocket import parse


@pytest.mark.parametrize("value", [{}, [], {"a": {"b": [1, -2.5e3, True, None, "é"]}}, 2**64, "", {"": 0}])
def test_what_the_standard_library_reads(value: Any) -> None:
    assert parse_json(json.dumps(value), "The body") == value


@pytest.mark.parametrize(
    ("text", "param", "code", "words"),
    [
        ('{"a": 1, "a": 1}', "a", "duplicate_parameter", "a: given twice"),
        ('{"b": [{"a": 1, "c": 2, "a": 3}]}', "a", "duplicate_parameter", "a: given twice"),
        ('{\n "a" 1}', None, "json_invalid", "The body is not JSON: Expecting ':' delimiter at line 2, column 6."),
        (r'{"a": {"\ud800": 1}}', r"\ud800", "unknown_parameter", "valid Unicode"),
        (r'{"\ud800": 1, "\ud800": 1}', r"\ud800", "unknown_parameter", "valid Unicode"),
        ("[" * 100_000, None, "json_invalid", "nested too deeply"),
    ],
)
def test_what_is_refused(text: str, param: str | None, code: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_json(text, "The body")
    assert (refused.value.param, refused.value.code) == (param, code)
    assert words in refused.value.message


def test_a_number_that_is_too_long_is_left_to_its_field() -> None:
    assert parse_json('{"seed": ' + "9" * 10_000 + "}", "The body") == {"seed": float("inf")}


def test_messages_of_websockets_are_read_alike() -> None:
    with pytest.raises(InvalidRequest, match="text: given twice"):
        parse('{"type": "input.text", "text": "a", "text": "b"}')
