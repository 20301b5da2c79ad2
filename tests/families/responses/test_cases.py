"""Small streams that once left worse than they came (issue 12): each is one of a kind, and says what must leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.repairing import Repaired, repaired
from tests.support.replay import faults

CASES = Path(__file__).parents[2] / "cases"


def case(name: str, *, conforming: bool = True) -> Repaired:
    return repaired((CASES / f"{name}.sse").read_bytes(), conforming=conforming)


def items(made: Repaired, *types: str) -> list[dict[str, Any]]:
    """Return what a client gets that takes items when they are done."""
    done = [event["item"] for event in made.all("output_item.done")]
    return [item for item in done if item["type"] in types]


def calls(made: Repaired) -> list[dict[str, Any]]:
    return items(made, "function_call", "custom_tool_call")


def texts(made: Repaired) -> list[str]:
    """Return the text of each emitted message and reasoning item, as it stands in the final output too."""
    streamed = [_text(item) for item in items(made, "message", "reasoning")]
    assert streamed == [_text(item) for item in made.output if item["type"] in ("message", "reasoning")]
    return streamed


def _text(item: dict[str, Any]) -> str:
    return "".join(part["text"] for part in (*item.get("summary", []), *item.get("content", [])))


def ending(made: Repaired) -> str:
    type_: str = made.events[-1]["type"]
    return type_.removeprefix("response.")


class TestEnds:
    """K1 to K3: no success and no failure without a word for it."""

    @pytest.mark.parametrize(
        ("name", "end"),
        [
            ("end-completed-with-id-only", "completed"),
            ("end-completed-with-stale-status", "completed"),
            ("end-middle-item-incomplete", "completed"),
            ("end-half-call-not-in-output", "completed"),
            ("end-half-call-completed-without-account", "incomplete"),
            ("end-done-after-half-custom-call", "failed"),
            ("end-done-after-half-message", "failed"),
            ("end-eof-after-reasoning", "failed"),
            ("end-private-cancelled", "failed"),
        ],
    )
    def test_what_upstream_said(self, name: str, end: str) -> None:
        assert ending(case(name)) == end

    @pytest.mark.parametrize("name", ["end-completed-with-id-only", "end-completed-with-stale-status"])
    def test_a_stale_object_makes_nothing_incomplete(self, name: str) -> None:
        made = case(name)
        assert [item["status"] for item in made.output] == ["completed"]
        assert texts(made) == ["Hi there."]

    def test_only_what_upstream_called_incomplete_is(self) -> None:
        made = case("end-middle-item-incomplete")
        assert [item.get("status") for item in made.output] == ["incomplete", "completed"]

    @pytest.mark.parametrize(
        "name",
        [
            "end-done-after-half-custom-call",
            "end-half-call-completed-without-account",
            "end-half-call-not-in-output",
        ],
    )
    def test_half_a_call_is_never_whole(self, name: str) -> None:
        made = case(name)
        assert all(call["status"] == "incomplete" for call in calls(made))
        assert [item["status"] for item in made.output if "call_id" in item] == ["incomplete"]
        assert not items(made, "custom_tool_call")

    def test_a_private_end_is_what_it_says(self) -> None:
        failed = case("end-private-cancelled").one("failed")["response"]
        assert failed["error"]["message"] == "The response was cancelled."


class TestCalls:
    """K5 and K6: every call exactly once, with arguments that can be read."""

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("calls-arguments-differ-in-final", ['{"city": "Rome", "days": "3"}']),
            ("calls-markup-in-arguments", ['{"city": "Rome</\uff5cDSML\uff5cparameter"}']),
            ("calls-final-call-repeated", ["{}"]),
            ("calls-several-truncated", ['{"city": "Rome"}', '{"city": "Oslo"}']),
            ("calls-arguments-only-in-completed", ['{"city":"Rome"}', '{"city":"Oslo"}']),
            ("calls-nameless-with-empty-done", ['{"a":1}']),
        ],
    )
    def test_once_and_readable(self, name: str, arguments: list[str]) -> None:
        made = case(name)
        assert [call["arguments"] for call in calls(made)] == arguments
        assert [item["arguments"] for item in made.output if "call_id" in item] == arguments
        assert all(call["status"] == "completed" for call in calls(made))

    def test_two_items_have_two_ids(self) -> None:
        made = case("calls-unsent-items-with-one-id")
        assert texts(made) == ["One.", "Two."]
        assert len({item["id"] for item in made.output}) == 2


class TestCallsAsText:
    """K7: a call that a parser missed is a call, whatever its markup."""

    @pytest.mark.parametrize("name", ["calls-as-text-dsml", "calls-as-text-pythonic"])
    def test_the_call_once_and_its_markup_not_at_all(self, name: str) -> None:
        made = case(name)
        assert [(call["name"], json.loads(call["arguments"])) for call in calls(made)] == [
            ("get_weather", {"city": "Rome"})
        ]
        assert texts(made) == ["Use the tool."]
        assert [item["type"] for item in made.output] == ["reasoning", "function_call"]


class TestEcho:
    """K8: the echo of the tools says what a call is."""

    def test_a_namespace_gets_its_name_back(self) -> None:
        made = case("calls-namespace-flattened")
        announced = [event["item"] for event in made.all("output_item.added")]
        for places in (announced, calls(made), made.output):
            assert [(item["name"], item["namespace"]) for item in places if "call_id" in item] == [
                ("list_apps", "mcp__desk")
            ]

    def test_a_custom_tool_is_called_as_one(self) -> None:
        made = case("calls-custom-tool-as-function")
        patch = '*** Begin Patch\n*** Add File: a.txt\n+hello "you"\n*** End Patch'
        assert [(call["type"], call["name"], call["input"]) for call in calls(made)] == [
            ("custom_tool_call", "apply_patch", patch)
        ]
        assert "".join(event["delta"] for event in made.all("custom_tool_call_input.delta")) == patch
        assert not made.all("function_call_arguments.delta")


class TestTexts:
    """K9: every word exactly once."""

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("text-echo-across-items", ["Hmm", "Hmm again"]),
            ("text-final-answer-is-part-of-earlier", ["I will answer yes or no.", "yes"]),
            ("text-final-content-is-string", ["Hi"]),
            ("text-final-in-chat-shape", ["Hi there"]),
            ("text-part-added-again", ["Hi"]),
            ("text-reasoning-final-has-summary", ["SumThink"]),
        ],
    )
    def test_every_word_once(self, name: str, said: list[str]) -> None:
        made = case(name)
        assert texts(made) == said
        deltas = [event["delta"] for event in made.events if event["type"].endswith("text.delta")]
        assert sorted("".join(deltas)) == sorted("".join(said))


def _all_cases() -> list[str]:
    return sorted(path.stem for path in CASES.glob("*.sse"))


@pytest.mark.parametrize("name", _all_cases())
def test_each_leaves_conforming_and_a_second_time_unchanged(name: str) -> None:
    made = case(name, conforming=False)
    assert faults(made.stream) == []
    assert repaired(made.stream).stream == made.stream
