"""What an account says, beside what was emitted."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_sse_proxy.families.responses import agreement


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": None}, {"a": [1]}, True),
        ({"text": ""}, {"text": "x"}, False),
        ({"text": ""}, {"text": None}, True),
        ({}, {"encrypted_content": "x"}, True),
        ([{"a": 1}], [{"a": 1}, {"a": 1}], False),
        ([{"a": 1}], {"a": 1}, False),
    ],
)
def test_a_final_item_may_add_but_not_contradict(one: Any, other: Any, same: bool) -> None:  # noqa: FBT001
    assert agreement.says_the_same(one, other) is same


@pytest.mark.parametrize(
    ("sent", "proven", "missing"),
    [("a", "ab", "b"), ("", "ab", "ab"), ("ab", "ab", ""), ("b", "ab", ""), ("a", None, "")],
)
def test_a_tail_is_what_a_longer_text_adds(sent: str, proven: Any, missing: str) -> None:
    assert agreement.tail(sent, proven) == missing


@pytest.mark.parametrize(
    ("said", "sent", "truer"),
    [
        ("{}", '"a"}', True),
        ("{}", "{]", True),
        ("", "{]", False),
        ("{]", "{}", False),
        ("{]", "{[", True),
        ("{[", "{[1", False),
        ("null", '{"a":1}', False),
        ("\ud800", "{}", False),
        ('{"a":1,"b":[2]}', '{"b": [2], "a": 1}', False),
        ('{"a":1}', '{"a": true}', True),
        ('{"a":1}', '{"a": 1.0}', True),
        ('{"a":' + "[" * 300 + "1" + "]" * 300 + "}", '{"a": ' + "[" * 300 + "1" + "]" * 300 + "}", True),
    ],
)
def test_arguments_that_can_be_run_are_truer(said: str, sent: str, truer: bool) -> None:  # noqa: FBT001
    assert agreement.supersedes(said, sent) is truer
