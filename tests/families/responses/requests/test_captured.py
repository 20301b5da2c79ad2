"""What real clients send is accepted by every release, after at most two more posts."""

from __future__ import annotations

import json
import time
from copy import deepcopy
from typing import Any

import orjson
import pytest

from tests.support.refusals import SERVERS, Server
from tests.support.requests import (
    EXPECTED,
    ITEMS,
    PLANNER,
    SITUATIONS,
    captured,
    changes,
    expectations,
    features,
    sent_to,
)
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.requests.base import RequestRepair
from vllm_sse_proxy.families.responses.requests.conversion import ECHOED
from vllm_sse_proxy.families.responses.requests.plan import conversion_of

CAPTURED = captured()
NO_STORE = {name for name, body in CAPTURED.items() if body.get("previous_response_id")}
"""They ask for a response that vLLM does not have: 404, which is right."""
REFERENCES = {
    name
    for name, body in CAPTURED.items()
    if any(item.get("type") == "item_reference" for item in body["input"] if isinstance(item, dict))
}
ARGUMENTS = '{"type":"create_file","path":"a","diff":"+a"}'
HOPELESS = {
    "ref-unknown",  # an answer that nobody knows is not made up
    "prompt",
    "instr-list",
    "effort-ultra",  # words that nobody knows are not guessed
    "verbosity-bad",
    "out-obj",  # OpenAI refuses these as well
    "out-null",
    "call-args-obj",
    "fn-chat",
    "audio",
    "choice-hosted",  # a call of a tool that nobody runs
    "choice-hosted-preview",
    "out-nocall",
}


def test_expectations() -> None:
    """What each request becomes; ``python -m tests.support.requests`` writes it again, to be read."""
    assert expectations() == json.loads(EXPECTED.read_text("utf-8"))


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_captured_requests_are_accepted(server: Server) -> None:
    facts = Facts(items=ITEMS)
    refused = set()
    for name, body in CAPTURED.items():
        status, attempts = sent_to(server, body, facts)
        assert len(attempts.posts) <= 3
        if status != 200:
            refused.add(name)
    assert refused == NO_STORE
    assert 1 - len(refused) / len(CAPTURED) > 0.97


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_a_proxy_that_has_just_started(server: Server) -> None:
    """References to answers and calls of before are refused; thoughts are left out."""
    refused = {name for name, body in CAPTURED.items() if sent_to(server, body)[0] != 200}
    assert refused - NO_STORE < REFERENCES
    assert "ai-sdk/tool-result-item-reference" not in refused
    assert 1 - len(refused) / len(CAPTURED) > 0.92


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_requests_with_one_feature_are_accepted(server: Server) -> None:
    facts = Facts(items=ITEMS)
    refused = {name for name, each in features().items() if sent_to(server, each["body"], facts)[0] != 200}
    assert refused <= HOPELESS


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_what_is_accepted_goes_out_as_it_came(server: Server) -> None:
    for name, body in CAPTURED.items():
        status, attempts = sent_to(server, body)
        if server.answer(body)[0] == 200 and "gpt-6" not in name:  # their tools would be lost
            assert status == 200
            assert [post.names for post in attempts.posts] == [()]
            assert attempts.posts[0].body == orjson.dumps(body)


def test_a_known_upstream_gets_what_it_accepts_at_once() -> None:
    """With the release and the path known, nothing else is applied first than what upstream would misread."""
    for server in SERVERS:
        major, minor = server.release.split(".")
        facts = Facts(release=(int(major), int(minor)), harmony=server.harmony)
        first = {
            name for body in CAPTURED.values() for name in PLANNER.repaired(body, facts, Step.FIRST).names
        }
        assert first <= {"namespace_tools", "additional_tools", "roles"}
        assert ("roles" in first) is (server.name == "0.12.0 simple")


@pytest.mark.parametrize("step", [Step.LOSSLESS, Step.LOSSY])
@pytest.mark.parametrize("facts", SITUATIONS.values(), ids=list(SITUATIONS))
class TestEveryRequest:
    def test_again(self, facts: Facts, step: Step) -> None:
        """What was repaired has nothing left to repair."""
        for name, body in CAPTURED.items():
            once = PLANNER.repaired(body, facts, step)
            again = PLANNER.repaired(once.body, facts, step)
            assert (name, again.names, again.body) == (name, (), once.body)

    def test_input_is_not_changed(self, facts: Facts, step: Step) -> None:
        for body in CAPTURED.values():
            before = deepcopy(body)
            PLANNER.repaired(body, facts, step)
            assert body == before

    def test_the_same_conversation_has_the_same_beginning(self, facts: Facts, step: Step) -> None:
        """Turn after turn the history becomes the same bytes, so that vLLM finds it in its cache."""
        for name, body in CAPTURED.items():
            longer = {**body, "input": [*_items(body), {"role": "user", "content": "And now?"}]}
            short, long = (PLANNER.repaired(each, facts, step).body for each in (body, longer))
            assert long["input"][:-1] == _items(short), name
            assert {**short, "input": 0} == {**long, "input": 0}

    def test_only_what_repairs_name(self, facts: Facts, step: Step) -> None:
        """Members of the request that no repair is about stay; and so do their places."""
        for body in CAPTURED.values():
            after = PLANNER.repaired(body, facts, step).body
            kept = [name for name in body if name in after]
            assert [name for name in after if name in body] == kept
            touched = {path.partition("[")[0].partition(".")[0] for path, _ in changes(body, after)}
            assert touched <= {
                "input",
                "tools",
                "tool_choice",
                "include",
                "reasoning",
                "text",
                "top_logprobs",
                "instructions",
            }

    def test_the_echo(self, facts: Facts, step: Step) -> None:
        """A response object that echoes the repaired request shows the client its own."""
        for body in CAPTURED.values():
            repairing = PLANNER.repaired(body, facts, step)
            conversion = conversion_of(body, repairing)
            echo = {name: value for name, value in repairing.body.items() if name in ECHOED}
            restored = conversion.restored_response({"output": [], **_defaults(), **echo})
            for member in ECHOED:
                own = body.get(member)
                expected = _defaults().get(member) if own is None else own
                assert restored.get(member) == expected


def test_calls_come_back_as_the_client_knows_them() -> None:
    """Every tool of every captured request is called by the name that upstream was sent."""
    for body in CAPTURED.values():
        repairing = PLANNER.repaired(body, Facts(harmony=True, items=ITEMS), Step.LOSSY)
        conversion = conversion_of(body, repairing)
        functions = [tool for tool in repairing.body.get("tools") or [] if tool["type"] == "function"]
        back = [
            conversion.restored_item(
                {"type": "function_call", "id": "fc_1", "name": tool["name"], "arguments": ARGUMENTS}
            )
            for tool in functions
        ]
        known = {(item["type"], item.get("namespace", ""), item.get("name", "")) for item in back}
        assert known == _known_to_client(body)


def test_long_histories_take_time_in_proportion() -> None:
    turn = [
        item
        for name in ("codex/mcp-results-text-and-image", "openai-agents/shell-result")
        for item in CAPTURED[name]["input"]
    ]
    many = [{"type": "function", "name": "f", "parameters": {}} for _ in range(2000)]
    spaces = [{"type": "namespace", "name": f"n{number}", "tools": many[:2]} for number in range(2000)]
    body = {"input": turn * 1000, "tools": [*many, *spaces, *spaces]}
    start = time.process_time()
    repairing = PLANNER.repaired(body, Facts(harmony=True), Step.LOSSY)
    conversion_of(body, repairing).to_metadata()
    assert time.process_time() - start < 10  # quadratic, it would be hours


def test_repairs_have_no_state() -> None:
    for repair in PLANNER.repairs:
        assert not getattr(repair, "__dict__", None)
        assert isinstance(repair, RequestRepair)


def _items(body: dict[str, Any]) -> list[Any]:
    items = body["input"]
    return items if isinstance(items, list) else [{"role": "user", "content": items}]


def _defaults() -> dict[str, Any]:
    return {"tools": [], "tool_choice": "auto"}


def _known_to_client(body: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return type, namespace and name of the calls that a client expects."""
    tools = list(body.get("tools") or [])
    for item in body["input"] if isinstance(body["input"], list) else []:
        if item.get("type") in ("additional_tools", "tool_search_output"):
            tools += item["tools"]
    calls = {"function": "function_call", "custom": "custom_tool_call"}
    known = set()
    for tool in tools:
        space = tool["name"] if tool["type"] == "namespace" and tool["name"] != "functions" else ""
        for one in tool["tools"] if tool["type"] == "namespace" else [tool]:
            if one["type"] in calls:
                known.add((calls[one["type"]], space, one["name"]))
            elif one["type"] in ("shell", "local_shell", "apply_patch") or one.get("execution") == "client":
                known.add((f"{one['type']}_call", "", ""))
    return known
