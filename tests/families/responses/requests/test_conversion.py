from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.requests import captured
from vllm_sse_proxy.families.requests import Facts, RequestAttempts, Step
from vllm_sse_proxy.families.responses.requests import (
    KEY,
    NOTHING,
    Conversion,
    ConvertedTool,
    ResponsesPlanner,
    ToolKind,
    conversion_in,
    unrepaired_conversion,
    without_key,
)
from vllm_sse_proxy.families.responses.requests.conversion import MAX_VALUE_CHARACTERS
from vllm_sse_proxy.families.responses.requests.plan import conversion_of

PLANNER = ResponsesPlanner()
HARMONY = Facts(harmony=True)


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "description": "d", "parameters": {}, **more}


def namespace(name: str, *tools: dict[str, Any]) -> dict[str, Any]:
    return {"type": "namespace", "name": name, "description": "", "tools": list(tools)}


def of(*tools: dict[str, Any], **members: Any) -> tuple[Conversion, dict[str, Any]]:
    """Return the conversion of a request with these tools, and the request as harmony gets it."""
    body = {"model": "m", "input": "Hi", "tools": list(tools), **members}
    repairing = PLANNER.repaired(body, HARMONY, Step.LOSSY)
    return conversion_of(body, repairing), repairing.body


def call(name: str, arguments: str = "{}", **more: Any) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": name,
        "arguments": arguments,
        **more,
    }


SHELL, LOCAL_SHELL, PATCH = {"type": "shell"}, {"type": "local_shell"}, {"type": "apply_patch"}
SEARCH = {"type": "tool_search", "execution": "client"}
CUSTOM = {"type": "custom", "name": "run", "description": "d"}


class TestNames:
    conversion, sent = of(
        function("plain"),
        namespace("crm", function("get"), function("plain")),
        namespace("hr", function("get"), function("fire")),
    )

    def test_what_is_sent(self) -> None:
        names = [tool["name"] for tool in self.sent["tools"]]
        assert names == ["plain", "crm__get", "crm__plain", "hr__get", "hr__fire"]

    @pytest.mark.parametrize(
        ("name", "known"),
        [
            ("crm__get", ("crm", "get")),
            ("hr__get", ("hr", "get")),
            ("crm.get", ("crm", "get")),  # models call so, too
            ("fire", ("hr", "fire")),  # only one namespace has it
            ("get", None),  # two have it
            ("plain", None),  # it is the client's own
            ("crm__unknown", None),
            ("", None),
            (None, None),
            (7, None),
        ],
    )
    def test_what_a_model_calls(self, name: object, known: tuple[str, str] | None) -> None:
        assert self.conversion.names_of(name) == known
        assert not self.conversion.is_custom(name)

    def test_the_call(self) -> None:
        back = self.conversion.restored_item(call("crm__get", status="completed"))
        assert back == call("get", status="completed", namespace="crm")

    def test_what_is_left_alone(self) -> None:
        for item in (
            call("plain"),
            call("get"),
            call("x", namespace="crm"),
            {"type": "message"},
            {"type": 1},
        ):
            assert self.conversion.restored_item(item) is item


def test_a_joined_name_that_is_taken() -> None:
    conversion, sent = of(
        function("crm__get"),
        namespace("crm", function("get")),
        namespace("a", function("b__c")),
        namespace("a__b", function("c")),
    )
    names = [tool["name"] for tool in sent["tools"]]
    assert names == ["crm__get", "crm__get_2", "a__b__c", "a__b__c_2"]
    assert [conversion.names_of(name) for name in names] == [
        None,
        ("crm", "get"),
        ("a", "b__c"),
        ("a__b", "c"),
    ]


def test_a_namespace_with_a_hundred_characters() -> None:
    conversion, sent = of(namespace("n" * 100, function("get")))
    assert sent["tools"][0]["name"] == "n" * 100 + "__get"
    assert conversion.names_of("n" * 100 + "__get") == ("n" * 100, "get")


def test_the_default_namespace() -> None:
    conversion, sent = of(namespace("functions", function("wait"), CUSTOM))
    assert [tool["name"] for tool in sent["tools"]] == ["wait", "run"]
    assert conversion.names_of("wait") is None
    assert conversion.is_custom("run")
    assert "namespace" not in conversion.restored_item(call("run"))


class TestCustomTools:
    def test_a_call(self) -> None:
        conversion, _ = of(CUSTOM)
        back = conversion.restored_item(call("run", '{"input": "a\\nb"}', status="completed"))
        assert back == {
            "type": "custom_tool_call",
            "id": "ctc_1",
            "call_id": "call_1",
            "name": "run",
            "input": "a\nb",
            "status": "completed",
        }
        assert conversion.is_custom("run")

    def test_in_a_namespace(self) -> None:
        conversion, _ = of(namespace("crm", CUSTOM))
        back = conversion.restored_item(call("crm__run", '{"input": "a"}'))
        assert (back["type"], back["name"], back["namespace"], back["input"]) == (
            "custom_tool_call",
            "run",
            "crm",
            "a",
        )
        own = {"type": "custom_tool_call", "id": "ctc_1", "name": "crm__run", "input": "a"}
        assert conversion.restored_item(own) == {**own, "name": "run", "namespace": "crm"}

    def test_a_name_that_is_taken(self) -> None:
        conversion, sent = of(function("run"), CUSTOM)
        assert [tool["name"] for tool in sent["tools"]] == ["run", "run_2"]
        assert conversion.restored_item(call("run"))["type"] == "function_call"
        assert conversion.restored_item(call("run_2"))["name"] == "run"

    def test_without_call_id_and_arguments(self) -> None:
        conversion, _ = of(CUSTOM)
        back = conversion.restored_item({"type": "function_call", "name": "run"})
        assert back == {"type": "custom_tool_call", "name": "run"}

    def test_a_request_that_was_not_repaired(self) -> None:
        """0.24's simple path accepts custom tools, and streams the calls of functions."""
        conversion = unrepaired_conversion({"tools": [CUSTOM, function("f")], "input": "Hi"})
        assert conversion.restored_item(call("run", "bare"))["input"] == "bare"
        assert conversion.restored_item(call("f"))["type"] == "function_call"

    def test_one_that_upstream_knows_as_a_custom_tool(self) -> None:
        """0.32's simple path does it right: the same object comes back."""
        conversion = unrepaired_conversion({"tools": [CUSTOM], "input": "Hi"})
        item = {"type": "custom_tool_call", "id": "ctc_1", "name": "run", "input": "a"}
        response = {"output": [item], "tools": [CUSTOM]}
        assert conversion.restored_item(item) is item
        assert conversion.restored_response(response) is response


class TestToolsThatTheClientRuns:
    def test_a_search(self) -> None:
        conversion, _ = of(SEARCH)
        back = conversion.restored_item(call("tool_search", '{"query":"a"}', status="completed"))
        assert back["type"] == "tool_search_call"
        assert (back["id"], back["execution"], back["arguments"]) == ("tsc_1", "client", {"query": "a"})
        assert conversion.restored_item(call("tool_search", "not JSON"))["arguments"] == "not JSON"
        assert conversion.restored_item(call("tool_search", ""))["arguments"] == {}

    @pytest.mark.parametrize(
        ("arguments", "commands"),
        [
            ('{"commands":["ls"]}', ["ls"]),
            ('{"commands":"ls"}', ["ls"]),
            ('{"commands":[1,"ls"]}', ["ls"]),
            ('{"commands":1}', []),
            ("[]", []),
            ("rm -rf", []),  # what cannot be read is not run
        ],
    )
    def test_a_shell(self, arguments: str, commands: list[str]) -> None:
        conversion, _ = of(SHELL)
        back = conversion.restored_item(call("shell", arguments))
        assert back["type"] == "shell_call"
        assert back["action"] == {"commands": commands, "timeout_ms": None, "max_output_length": None}

    def test_a_local_shell(self) -> None:
        conversion, _ = of(LOCAL_SHELL)
        back = conversion.restored_item(call("local_shell", '{"command":["ls"],"timeout_ms":5}'))
        assert back["type"] == "local_shell_call"
        assert back["action"] == {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": 5}

    @pytest.mark.parametrize(
        ("arguments", "operation"),
        [
            (
                '{"type":"update_file","path":"a","diff":"+b"}',
                {"type": "update_file", "path": "a", "diff": "+b"},
            ),
            ('{"type":"create_file","path":"a"}', {"type": "create_file", "path": "a", "diff": ""}),
            ('{"type":"delete_file","path":"a","diff":"x"}', {"type": "delete_file", "path": "a"}),
        ],
    )
    def test_a_patch(self, arguments: str, operation: dict[str, str]) -> None:
        conversion, _ = of(PATCH)
        back = conversion.restored_item(call("apply_patch", arguments))
        assert (back["type"], back["id"], back["operation"]) == ("apply_patch_call", "apc_1", operation)

    @pytest.mark.parametrize(
        "arguments", ["{}", '{"type":["a"],"path":"a"}', '{"type":"create_file","path":1}', "+a"]
    )
    def test_a_patch_that_cannot_be_read(self, arguments: str) -> None:
        """The client says that there is no such file, and the model tries again."""
        conversion, _ = of(PATCH)
        back = conversion.restored_item(call("apply_patch", arguments))
        assert back["operation"] == {"type": "update_file", "path": "", "diff": arguments}

    def test_ids(self) -> None:
        conversion, _ = of(CUSTOM, SHELL)
        assert conversion.restored_item(call("run"))["id"] == "ctc_1"
        assert conversion.restored_item(call("shell", id="other"))["id"] == "sh_other"


class TestResponses:
    def test_output_and_echo(self) -> None:
        conversion, sent = of(
            namespace("crm", function("get")), tool_choice="auto", reasoning={"effort": "xhigh"}
        )
        response = {
            "id": "resp_1",
            "output": [call("crm__get"), {"type": "message"}, "no item"],
            "tools": sent["tools"],
            "tool_choice": "auto",
            "reasoning": sent["reasoning"],
        }
        assert conversion.restored_response(response) == {
            "id": "resp_1",
            "output": [call("get", namespace="crm"), {"type": "message"}, "no item"],
            "tools": [namespace("crm", function("get"))],
            "tool_choice": "auto",
            "reasoning": {"effort": "xhigh"},
        }

    def test_tools_that_were_left_out(self) -> None:
        conversion, _ = of({"type": "file_search", "vector_store_ids": ["v"]}, tool_choice="auto")
        restored = conversion.restored_response({"output": [], "tools": [], "tool_choice": "none"})
        assert restored["tools"] == [{"type": "file_search", "vector_store_ids": ["v"]}]
        assert restored["tool_choice"] == "auto"

    def test_tools_that_were_elsewhere(self) -> None:
        body = {
            "input": [
                {"type": "additional_tools", "tools": [function("f")]},
                {"role": "user", "content": "Hi"},
            ]
        }
        conversion = conversion_of(body, PLANNER.repaired(body, HARMONY, Step.FIRST))
        assert conversion.restored_response({"tools": [function("f")]})["tools"] == []

    def test_nothing_to_restore(self) -> None:
        response = {"id": "resp_1", "output": [call("f")], "metadata": {"a": "b"}}
        assert NOTHING.restored_response(response) is response
        assert not NOTHING
        conversion, _ = of(CUSTOM)
        assert conversion
        assert conversion.restored_response({"status": "queued"})["status"] == "queued"


def background(*tools: dict[str, Any], **members: Any) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return a repaired background request, and the response that upstream stores for it."""
    body = {"model": "m", "input": "Hi", "tools": list(tools), "background": True, **members}
    attempts = RequestAttempts(PLANNER, json.dumps(body).encode(), body, HARMONY, Step.LOSSY)
    post = attempts.first()
    if post.step is Step.FIRST:
        return None, {}
    sent = json.loads(post.body)
    return sent, {
        "id": "resp_1",
        "output": [],
        "tools": sent.get("tools", []),
        "metadata": sent.get("metadata"),
    }


class TestInMetadata:
    def test_the_way_there_and_back(self) -> None:
        tools = [
            function("plain"),
            namespace("crm", function("get"), CUSTOM),
            namespace("a", function("b__c")),
            namespace("a__b", function("c")),
            function("crm__own"),
            {"type": "custom", "name": "patch"},
            SEARCH,
            SHELL,
            PATCH,
        ]
        sent, response = background(*tools)
        assert sent is not None
        assert len(sent["metadata"][KEY]) <= MAX_VALUE_CHARACTERS
        own, _ = of(*tools)
        carried = conversion_in(response)
        assert carried is not None
        for name in [*(tool["name"] for tool in sent["tools"]), "get", "crm.get", "b__c", "x"]:
            assert carried.names_of(name) == own.names_of(name), name
            assert carried.is_custom(name) == own.is_custom(name)
            assert carried.restored_item(call(name)) == own.restored_item(call(name))
        assert {tool.sent: tool.kind for tool in carried.tools} == {
            tool.sent: tool.kind for tool in own.tools
        }

    def test_it_is_taken_out_again(self) -> None:
        for metadata, left in (({"metadata": {"a": "b"}}, {"a": "b"}), ({"metadata": {}}, {}), ({}, None)):
            _, response = background(CUSTOM, **metadata)
            carried = conversion_in(response)
            assert carried is not None
            assert carried.restored_response(response)["metadata"] == left

    def test_the_echo_as_far_as_there_is_room(self) -> None:
        tools = [CUSTOM, function("f"), namespace("crm", function("get", description="x" * 600))]
        _, response = background(*tools, reasoning={"effort": "xhigh"})
        carried = conversion_in(response)
        assert carried is not None
        restored = carried.restored_response({**response, "reasoning": {"effort": "high"}})
        assert restored["reasoning"] == {"effort": "xhigh"}
        assert restored["tools"] == [{**CUSTOM, "format": {"type": "text"}}, *tools[1:]]

    def test_tools_of_other_kinds(self) -> None:
        _, response = background(
            SEARCH, SHELL, namespace("crm", CUSTOM, function("get")), function("long", description="x" * 600)
        )
        carried = conversion_in(response)
        assert carried is not None
        restored = carried.restored_response(response)["tools"]
        assert [tool["type"] for tool in restored] == ["tool_search", "shell", "namespace", "function"]
        assert restored[2]["tools"] == [{**CUSTOM, "format": {"type": "text"}}, function("get")]

    def test_a_tool_of_the_default_namespace_whose_name_is_taken(self) -> None:
        conversion, sent = of(
            function("f"), namespace("functions", function("f")), namespace("", function("f"))
        )
        assert [tool["name"] for tool in sent["tools"]] == ["f", "f_2", "f_3"]
        assert conversion.restored_item(call("f_2")) == call("f", namespace="functions")
        assert conversion.restored_item(call("f_3")) == call("f")

    def test_small_echoes_travel(self) -> None:
        _, response = background({"type": "web_search", "external_web_access": True}, function("f"), CUSTOM)
        carried = conversion_in(response)
        assert carried is not None
        assert {"type": "web_search", "external_web_access": True} in carried.restored_response(response)[
            "tools"
        ]

    def test_where_there_is_no_room(self) -> None:
        assert background(CUSTOM, metadata={str(number): "x" for number in range(16)}) == (None, {})
        assert background(CUSTOM, metadata={KEY: "mine"}) == (None, {})
        assert background(CUSTOM, metadata="text") == (None, {})
        many = [namespace("n" * 40 + str(number), function("f")) for number in range(20)]
        assert background(*many) == (None, {})

    def test_nothing_to_carry(self) -> None:
        body = {
            "model": "m",
            "input": "Hi",
            "background": True,
            "include": ["web_search_call.action.sources"],
        }
        attempts = RequestAttempts(PLANNER, json.dumps(body).encode(), body, HARMONY, Step.LOSSLESS)
        assert json.loads(attempts.first().body) == {**body, "include": []}

    def test_every_captured_request(self) -> None:
        for body in captured().values():
            sent, response = background(
                *body.get("tools") or [], input=body["input"], tool_choice=body.get("tool_choice", "auto")
            )
            if sent is not None and KEY in sent.get("metadata", {}):
                assert conversion_in(response) is not None

    @pytest.mark.parametrize(
        "value",
        [None, 1, "", "{", "[]", "{}", '{"v":2}', '{"v":"1"}'],
    )
    def test_values_of_others(self, value: Any) -> None:
        assert conversion_in({"metadata": {KEY: value}}) is None
        assert conversion_in({"metadata": None}) is None
        assert conversion_in({}) is None

    @given(
        st.dictionaries(
            st.sampled_from("snkem"),
            st.recursive(
                st.none() | st.integers() | st.text(max_size=5),
                lambda each: (
                    st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each, max_size=3)
                ),
                max_leaves=6,
            ),
        )
    )
    def test_values_that_are_nearly_ours(self, members: dict[str, Any]) -> None:
        """A client can put anything there: it harms nothing but its own answer, and nothing raises."""
        response = {
            "metadata": {KEY: json.dumps({"v": 1, **members})},
            "tools": [function("a__b"), "x"],
            "output": [call("a__b"), call("b")],
        }
        carried = conversion_in(response)
        assert carried is not None
        restored = carried.restored_response(response)
        assert KEY not in (restored["metadata"] or {})

    def test_the_parts_that_are_believed(self) -> None:
        value = {
            "v": 1,
            "n": [["a", "crm", "b"], ["a"], 7],
            "s": [1, "x"],
            "k": {"c": "custom", "d": "?"},
            "e": {"id": "resp_2"},
        }
        response = {
            "id": "resp_1",
            "metadata": {KEY: json.dumps(value)},
            "tools": [function("x__y")],
            "output": [],
        }
        carried = conversion_in(response)
        assert carried is not None
        assert carried.restored_response(response)["id"] == "resp_1"
        assert [carried.names_of(name) for name in ("a", "x__y")] == [("crm", "b"), ("x", "y")]
        assert carried.is_custom("c")

    def test_without_a_conversion(self) -> None:
        assert without_key({KEY: "1", "a": "b"}, added=True) == {"a": "b"}
        assert without_key({KEY: "1"}, added=True) is None
        assert without_key({KEY: "1"}, added=False) == {}


def test_conversions_of_tools_that_stay_what_they_are() -> None:
    conversion = Conversion([ConvertedTool("a", "a", ToolKind.FUNCTION, "a")])
    assert not conversion
    assert conversion.tools == []
