"""With `reasoning = summary`, raw reasoning is told as a summary while it comes."""

from __future__ import annotations

from typing import Any

from tests.support.repairing import Repaired, opened, repaired, terminal
from tests.support.streams import Json, message, reasoning, summary
from vllm_sse_proxy import Reasoning

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


def test_a_summary_of_upstreams_own_is_not_told_twice() -> None:
    both = {**DONE, "summary": S_DONE["summary"]}
    events = [LIFE[0], *S_LIFE[1:-1], *LIFE[1:-1], {**LIFE[-1], "item": both}]
    assert summarised(*events, terminal(both)).output == [both]
