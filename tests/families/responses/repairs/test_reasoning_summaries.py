"""Where summaries are asked for, raw reasoning is emitted as a summary while it comes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import Repaired, opened, repaired, terminal
from tests.support.streams import Json, message, reasoning, response, summary
from vllm_sse_proxy import Reasoning, RequestContext

LIFE, DONE = reasoning(0, "H", "m")
S_LIFE, S_DONE = summary(0, "H", "m")


def summarised(*events: Json, **settings: Any) -> Repaired:
    return repaired(opened(*events), reasoning=Reasoning.SUMMARY, **settings)


def test_the_text_comes_as_a_summary_and_the_raw_part_follows() -> None:
    made = summarised(*LIFE, terminal(DONE))
    names = [
        event["type"].removeprefix("response.") for event in [*S_LIFE[:-1], *LIFE[1:3], *LIFE[4:], terminal()]
    ]
    assert made.body == names
    assert made.values("reasoning_summary_text.delta", "delta") == ["H", "m"]
    assert made.values("reasoning_text.delta", "delta") == ["Hm"]
    assert made.output == [{**DONE, "summary": S_DONE["summary"]}]
    assert made.repairs["reasoning_summaries"] == 5


def test_what_the_setting_does_not_ask_for_is_not_done() -> None:
    assert "reasoning_summaries" not in repaired(opened(*LIFE, terminal(DONE))).repairs


def test_other_parts_stay() -> None:
    life, done = message(0, "Hi")
    assert "reasoning_summaries" not in summarised(*life, terminal(done)).repairs


def test_events_without_an_index_are_of_the_first_part() -> None:
    bare = [{name: value for name, value in event.items() if name != "content_index"} for event in LIFE]
    assert summarised(*bare, terminal(DONE)).output == summarised(*LIFE, terminal(DONE)).output


def test_a_part_without_text_is_empty() -> None:
    made = summarised(LIFE[0], {**LIFE[1], "part": {"type": "reasoning_text"}}, *LIFE[2:], terminal(DONE))
    assert made.one("reasoning_summary_part.added")["part"] == {"type": "summary_text", "text": ""}


def test_a_summary_of_upstreams_own_is_not_emitted_twice() -> None:
    both = {**DONE, "summary": S_DONE["summary"]}
    events = [LIFE[0], *S_LIFE[1:-1], *LIFE[1:-1], {**LIFE[-1], "item": both}]
    assert summarised(*events, terminal(both)).output == [both]


def asked(echo: Any, *, request: Json | None = None, **settings: Any) -> bool:
    """Return whether a stream whose response echoes this has summaries; `...` echoes nothing."""
    fields = {} if echo is ... else {"reasoning": echo}
    opening = {"type": "response.created", "response": response(**fields)}
    context = RequestContext(body=request)
    made = repaired(
        [opening, *LIFE, terminal(DONE, **fields)], request=context, **{"conforming": False, **settings}
    )
    return "reasoning_summary_text.delta" in made.names


class TestAuto:
    """By default summaries are emitted where the request asks for them."""

    @pytest.mark.parametrize("word", ["auto", "concise", "detailed"])
    @pytest.mark.parametrize("member", ["summary", "generate_summary"])
    def test_asked_for(self, member: str, word: str) -> None:
        assert asked({"effort": "low", member: word})

    @pytest.mark.parametrize(
        "echo", [None, {}, {"summary": None}, {"summary": "none"}, {"summary": 1}, "auto", ...]
    )
    def test_not_asked_for(self, echo: Any) -> None:
        assert not asked(echo)

    def test_the_settings_say_otherwise(self) -> None:
        assert not asked({"summary": "auto"}, reasoning=Reasoning.RAW)
        assert asked(None, reasoning=Reasoning.SUMMARY)

    def test_an_upstream_that_echoes_nothing(self) -> None:
        request: Json = {"reasoning": {"summary": "auto"}}
        assert asked(..., request=request)
        assert not asked(..., request={"reasoning": None})
        assert not asked(..., request={**request, "background": True}), "whoever resumes it does not say"
        assert not asked(None, request=request), "what is echoed counts"

    def test_a_stream_without_a_beginning(self) -> None:
        context = RequestContext(body={"reasoning": {"summary": "auto"}})
        made = repaired([*LIFE, terminal(DONE)], request=context)
        assert made.values("reasoning_summary_text.delta", "delta") == ["H", "m"]
