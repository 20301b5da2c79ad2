from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_sse_proxy.families.requests.document import plain, read, write


@pytest.mark.parametrize(
    "number",
    [
        "1.0",
        "1e5",
        "1E+05",
        "-0",
        "-0.0",
        "0.10",
        "12345678901234567890123",
        "1e999",
        "3.141592653589793238462643",
        "7",
    ],
)
def test_numbers_keep_their_spelling(number: str) -> None:
    raw = f'{{"temperature":{number},"tools":[{{"parameters":{{"maximum":{number}}}}}]}}'.encode()
    tree = read(raw)
    assert tree is not None
    assert write({**tree, "model": "m"}) == raw[:-1] + b',"model":"m"}'


def test_a_number_with_thousands_of_digits() -> None:
    raw = b'{"seed":' + b"9" * 10_000 + b"}"
    tree = read(raw)
    assert tree is not None
    assert write(tree) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'"text"',
        b"{",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":"\xff"}',
        b'{"a":1}{',
        b"[" * 100_000,
    ],
)
def test_what_is_no_json_object(raw: bytes) -> None:
    assert read(raw) is None


def test_the_last_of_two_members_with_one_name() -> None:
    assert read(b'{"a":1,"b":2,"a":3}') == {"a": 3, "b": 2}


def test_half_a_surrogate_pair() -> None:
    raw = b'{"input":["\\ud83d","\\u00e9",{"a":"b"}]}'
    tree = read(raw)
    assert tree is not None
    written = write(tree)
    assert written is not None
    assert json.loads(written) == json.loads(raw)
    assert plain(tree["input"]) == b'["\\ud83d","\\u00e9",{"a":"b"}]'


def test_what_cannot_be_written() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    assert write({"input": deep}) is None
    assert plain(deep) is None
    assert write({"\ud83d": 1}) is None


@given(
    st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
)
def test_round_trip(tree: dict[str, Any]) -> None:
    raw = json.dumps(tree).encode()
    parsed = read(raw)
    assert parsed is not None
    written = write(parsed)
    assert written is not None
    assert json.loads(written) == tree


def test_a_part_of_a_tree() -> None:
    tree = read(b'{"a":[1.0,{"b":1e3}]}')
    assert tree is not None
    assert plain(tree["a"]) == b'[1.0,{"b":1e3}]'
    assert orjson.loads(b'{"a":[1.0,{"b":1e3}]}')["a"] == [1.0, {"b": 1000.0}]
