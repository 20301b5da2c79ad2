"""The streams of chat completions and messages that real clients are run against, and what is kept of it. No client runs."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

from tests.labs import results
from tests.labs.clients import chat_streams, loops, messages_streams
from tests.labs.clients.conversations import WEATHER
from tests.labs.clients.judge import history_of
from tests.labs.clients.run import read_results, scenario_names
from tests.labs.clients.suites import CHAT, MESSAGES, SUITES
from tests.labs.clients.table import left_over
from tests.labs.clients.upstream import brings_output
from tests.support.upstream import Chunk
from vllm_sse_proxy.families.chat import conformance as chat_judge
from vllm_sse_proxy.families.messages import conformance as messages_judge

if TYPE_CHECKING:
    from tests.labs.clients.explanations import Explanation
    from tests.labs.clients.suites import Suite

NEW = pytest.mark.parametrize("suite", [CHAT, MESSAGES], ids=lambda suite: suite.name)
JUDGES = {"chat": chat_judge.check_stream, "messages": messages_judge.check_stream}


@NEW
def test_perfect_streams_conform(suite: Suite) -> None:
    for name, turns in suite.references(WEATHER).items():
        for steps in turns:
            stream = b"".join(step.data for step in steps if isinstance(step, Chunk))
            if stream and not name.startswith("golden"):
                assert not JUDGES[suite.name](stream), name


@NEW
def test_every_row_has_scenarios_of_its_own(suite: Suite) -> None:
    made = suite.scenarios(WEATHER)
    assert [name for name, _, _ in suite.rows()] == list(dict.fromkeys(one.row for one in made))
    assert len({one.name for one in made}) == len(made)
    assert {one.reference for one in made} <= set(suite.references(WEATHER))


def test_a_damage_is_one() -> None:
    for streams in (chat_streams, messages_streams):
        perfect = streams.conversations()
        for row in streams.DAMAGES:
            for name in row.on:
                assert row.damage(deepcopy(perfect[name][0])) != perfect[name][0], row.name


@NEW
def test_the_results_are_of_the_pinned_versions(suite: Suite) -> None:
    for client in suite.clients:
        pins = client.environment.pins
        text = "".join(file.read_text("utf-8") for file in (pins if isinstance(pins, list) else [pins]))
        for package, version in read_results(suite)[client.name].versions.items():
            assert f"{package}=={version}" in text or f'"{package}": "{version}"' in text, client.name


@NEW
def test_what_is_not_perfect_is_explained(suite: Suite) -> None:
    open_ = [one for one in left_over(suite) if not any(known.explains(*one) for known in suite.explanations)]
    assert not open_


@pytest.mark.parametrize(
    ("suite", "explanation"),
    [(suite, one) for suite in (CHAT, MESSAGES) for one in suite.explanations],
    ids=lambda value: getattr(value, "title", getattr(value, "name", "")),
)
def test_every_explanation_is_needed(suite: Suite, explanation: Explanation) -> None:
    assert any(explanation.explains(*one) for one in left_over(suite))


class TestLoops:
    def test_what_is_run_exists(self) -> None:
        assert set(loops.CHOSEN) <= set(scenario_names(CHAT))

    def test_opencode_comes_to_an_end_through_the_proxy(self) -> None:
        counts = results.read(loops.NAME)["counts"]
        assert list(counts) == list(loops.CHOSEN)
        assert any(not loops.Count(*before).ended for before, _ in counts.values())
        assert all(loops.Count(*after).ended for _, after in counts.values())

    @pytest.mark.parametrize(
        ("count", "shown"),
        [
            (loops.Count(31, 9, ended=False, failed=False), "**31 in 9 s, and on**"),
            (loops.Count(6, 70, ended=True, failed=True), "6 in 70 s, then the error"),
            (loops.Count(1, 2, ended=True, failed=False), "1"),
        ],
    )
    def test_shows_what_came_of_it(self, count: loops.Count, shown: str) -> None:
        assert str(count) == shown


def test_suites_have_results_of_their_own() -> None:
    assert len({suite.results for suite in SUITES.values()}) == len(SUITES)


def test_history_of_chat_replaces_ids_by_their_order() -> None:
    def history(call: str, output: str) -> list[object]:
        function = {"name": "f", "arguments": "{}"}
        messages: list[dict[str, object]] = [
            {"role": "user", "content": "?"},
            {
                "role": "assistant",
                "reasoning_content": "Hm",
                "tool_calls": [{"id": call, "function": function}],
            },
            {"role": "tool", "tool_call_id": output, "content": "o"},
        ]
        assert brings_output({"messages": messages})
        assert not brings_output({"messages": messages[:2]})
        return history_of([{"messages": messages[:1]}, {"messages": messages}])

    assert history("a", "a") == [["reasoning", "Hm"], ["call", 0, "f", "{}"], ["output", 0]]
    assert history("a", "b") != history("b", "b") == history("a", "a")


def test_history_has_outputs_in_the_order_of_their_calls() -> None:
    calls = [{"id": id_, "function": {"name": "f", "arguments": "{}"}} for id_ in "ab"]
    asked: list[dict[str, object]] = [{"role": "assistant", "tool_calls": calls}]
    outputs = [{"role": "tool", "tool_call_id": id_, "content": "o"} for id_ in "ba"]
    assert history_of([{"messages": []}, {"messages": [*asked, *outputs]}])[2:] == [
        ["output", 0],
        ["output", 1],
    ]


def test_history_of_messages_has_blocks() -> None:
    thinking = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    use = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": [thinking, {"type": "text", "text": ""}, use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "o"}]},
    ]
    assert brings_output({"messages": messages})
    assert history_of([{"messages": []}, {"messages": messages}]) == [
        ["thinking", "Hm"], ["call", 0, "f", {}], ["output", 0],
    ]  # fmt: skip
