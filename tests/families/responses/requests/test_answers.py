"""Captured requests as they were sent, as they were repaired, and what the client gets of the answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.answers import FOLDER, AnswerGolden, goldens
from tests.support.replay import faults
from tests.support.streams import cut, events_of

if TYPE_CHECKING:
    from typing import Any

GOLDENS = goldens()


def test_every_folder_is_one() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {golden.name for golden in GOLDENS}
    assert len(GOLDENS) >= 6


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)
class TestAnswer:
    def test_what_is_sent(self, golden: AnswerGolden) -> None:
        post = golden.post()
        assert list(post.names) == golden.repairs
        assert post.body + b"\n" == golden.read("sent.json")

    def test_what_upstream_streams(self, golden: AnswerGolden) -> None:
        assert golden.upstream() == golden.read("upstream.sse")

    def test_what_the_client_gets(self, golden: AnswerGolden) -> None:
        made = golden.client([golden.read("upstream.sse")])
        assert made == golden.read("client.sse")
        assert not faults(made)

    def test_the_echo_is_the_clients(self, golden: AnswerGolden) -> None:
        for event in events_of(golden.read("client.sse")):
            if "response" in event:
                shown: dict[str, Any] = event["response"]
                assert shown["tools"] == (golden.request.get("tools") or [])
                for member in ("reasoning", "tool_choice"):
                    if golden.request.get(member) is not None:
                        assert shown[member] == golden.request[member]

    def test_calls_are_of_the_clients_tools(self, golden: AnswerGolden) -> None:
        known = json.dumps(golden.request)
        for item in events_of(golden.read("client.sse"))[-1]["response"]["output"]:
            if item["type"] in ("function_call", "custom_tool_call"):
                assert json.dumps(item["name"]) in known
                assert "namespace" not in item or json.dumps(item["namespace"]) in known


@given(st.sampled_from(GOLDENS), st.lists(st.integers(min_value=0), max_size=30))
def test_every_chunking(golden: AnswerGolden, places: list[int]) -> None:
    assert golden.client(cut(golden.read("upstream.sse"), places)) == golden.read("client.sse")
