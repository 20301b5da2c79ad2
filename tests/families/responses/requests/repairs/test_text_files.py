from __future__ import annotations

import base64

import pytest

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.text_files import TextFiles

REPAIR = TextFiles()


def data(text: bytes, type_: str | None = "text/plain") -> str:
    encoded = base64.b64encode(text).decode()
    return encoded if type_ is None else f"data:{type_};base64,{encoded}"


def after(**part: object) -> object:
    body = body_after(REPAIR, {"input": [{"role": "user", "content": [{"type": "input_file", **part}]}]})
    return body["input"][0]["content"][0]


@pytest.mark.parametrize(
    "type_",
    ["text/plain", "text/csv;charset=utf-8", "application/json", "application/ld+json", "TEXT/X-PYTHON"],
)
def test_files_that_are_text(type_: str) -> None:
    expected = {"type": "input_text", "text": "a.txt:\né"}
    assert after(filename="a.txt", file_data=data("é".encode(), type_)) == expected


def test_files_without_a_type_or_a_name() -> None:
    assert after(file_data=data(b"a")) == {"type": "input_text", "text": "a"}
    for type_ in (None, "", "application/octet-stream"):
        assert after(file_data=data(b"a", type_)) == {"type": "input_text", "text": "a"}


def test_files_in_outputs() -> None:
    item = {"type": "function_call_output", "output": [{"type": "input_file", "file_data": data(b"a")}]}
    assert body_after(REPAIR, {"input": [item]})["input"][0]["output"] == [
        {"type": "input_text", "text": "a"}
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"file_data": data(b"%PDF-1.4", "application/pdf")},
        {"file_data": data(b"%PDF-1.4", None)},
        {"file_data": data(b"a\x00b", None)},
        {"file_data": data(b"\xff")},
        {"file_data": "data:text/plain;base64,???"},
        {"file_data": "data:text/plain,a%20b"},
        {"file_data": ""},
        {"file_id": "file_1"},
        {"file_url": "https://x/a.txt"},
        {"file_data": 7},
    ],
)
def test_other_files(part: dict[str, object]) -> None:
    body = {"input": [{"role": "user", "content": [{"type": "input_file", **part}]}]}
    assert repaired_by(REPAIR, body) is None
    assert (
        repaired_by(
            REPAIR,
            {"input": [{"role": "user", "content": [{"type": "input_text", "file_data": data(b"a")}]}]},
        )
        is None
    )
