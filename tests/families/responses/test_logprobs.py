"""Logprobs that typed clients can read."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_sse_proxy.families.responses.logprobs import is_readable_logprob, whole_logprobs


def test_a_parts_logprobs_have_their_bytes() -> None:
    others = [{"token": "e", "logprob": -1.0}, "x", {"token": 7, "logprob": -2.0}]
    assert whole_logprobs([{"token": "é", "logprob": -0.5, "top_logprobs": others}]) == [
        {
            "token": "é",
            "bytes": [0xC3, 0xA9],
            "logprob": -0.5,
            "top_logprobs": [{"token": "e", "bytes": [0x65], "logprob": -1.0}],
        }
    ]


def test_what_is_whole_is_the_same_list() -> None:
    whole = [{"token": "e", "bytes": [1], "logprob": -1.0, "top_logprobs": []}]
    assert whole_logprobs(whole) is whole


def test_minus_infinity_is_emitted_as_openai_writes_it() -> None:
    (whole,) = whole_logprobs([{"token": "e", "logprob": None, "top_logprobs": "x"}])
    assert whole == {"token": "e", "bytes": [0x65], "logprob": -9999.0, "top_logprobs": []}


@pytest.mark.parametrize("logprobs", [None, "x", ["x", None], [{"token": 7}], [{}]])
def test_what_names_no_token_is_left_out(logprobs: Any) -> None:
    assert whole_logprobs(logprobs) == []


@pytest.mark.parametrize(
    ("logprob", "readable"),
    [
        ({"token": "e", "logprob": -1.0}, True),
        ({"token": "e", "logprob": 0, "top_logprobs": [{"token": "f", "logprob": -1}]}, True),
        ({"token": "e", "logprob": 0, "top_logprobs": [{"token": "f"}]}, False),
        ({"token": "e", "logprob": True}, False),
        ({"token": "e", "logprob": -1.0, "top_logprobs": None}, False),
        ({"token": "e", "logprob": None}, False),
        ({"token": "e", "logprob": -1.0, "top_logprobs": {}}, False),
        ({"token": "e", "logprob": -1.0, "top_logprobs": ["f"]}, False),
        ({"logprob": -1.0}, False),
        ("x", False),
    ],
)
def test_a_deltas_logprob_needs_no_bytes(logprob: Any, readable: bool) -> None:  # noqa: FBT001 - a case
    assert is_readable_logprob(logprob) is readable
