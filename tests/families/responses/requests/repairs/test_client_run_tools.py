from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.client_run_tools import ClientRunTools

REPAIR = ClientRunTools()


USER = {"role": "user", "content": "Hi"}
F = {"type": "function", "name": "shell"}


def test_tools_become_functions() -> None:
    tools = [
        {"type": "shell", "environment": {"type": "local"}},
        {"type": "local_shell"},
        {"type": "apply_patch"},
    ]
    result = repaired_by(REPAIR, {"input": "Hi", "tools": tools})
    assert result is not None
    assert [(tool["type"], tool["name"]) for tool in result.body["tools"]] == [
        ("function", "shell"),
        ("function", "local_shell"),
        ("function", "apply_patch"),
    ]
    assert [tool.kind for tool in result.tools] == ["shell", "local_shell", "apply_patch"]


def test_a_shell_of_openais_is_not_the_clients() -> None:
    for place in ("container_auto", "container_reference"):
        assert repaired_by(REPAIR, {"tools": [{"type": "shell", "environment": {"type": place}}]}) is None
    assert repaired_by(REPAIR, {"tools": [F, {"type": "custom", "name": "apply_patch"}]}) is None


def test_names_that_are_taken_and_tools_that_stand_twice() -> None:
    after = body_after(
        REPAIR, {"tools": [F, {"type": "shell"}, {"type": "shell"}], "tool_choice": {"type": "shell"}}
    )
    assert [tool["name"] for tool in after["tools"]] == ["shell", "shell_2"]
    assert after["tool_choice"] == {"type": "function", "name": "shell_2"}
    other = body_after(REPAIR, {"tools": [{"type": "shell"}], "tool_choice": {"type": "apply_patch"}})
    assert other["tool_choice"] == {"type": "apply_patch"}


def after(*items: object) -> list[dict[str, object]]:
    history = body_after(REPAIR, {"input": [USER, *items]})["input"]
    assert isinstance(history, list)
    return history[1:]


def test_a_shell_in_the_history() -> None:
    action = {"commands": ["ls"], "timeout_ms": None, "max_output_length": 10}
    printed = [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]
    call, output = after(
        {"type": "shell_call", "id": "sh_1", "call_id": "c", "action": action, "status": "completed"},
        {"type": "shell_call_output", "call_id": "c", "output": printed, "max_output_length": 10},
    )
    arguments = '{"commands":["ls"],"max_output_length":10}'
    assert call == {"type": "function_call", "call_id": "c", "name": "shell", "arguments": arguments}
    assert output["call_id"] == "c"
    assert output["output"] == '[{"stdout":"a","stderr":"","outcome":{"type":"exit","exit_code":0}}]'


def test_a_local_shell_in_the_history() -> None:
    action = {"type": "exec", "command": ["ls"], "env": {}, "working_directory": "/"}
    call, output, orphan = after(
        {"type": "local_shell_call", "id": "lsh_1", "call_id": "c", "action": action},
        {"type": "local_shell_call_output", "id": "lsh_1", "output": "a"},
        {"type": "local_shell_call_output", "id": "lsh_2", "output": None},
    )
    assert call["arguments"] == '{"command":["ls"],"working_directory":"/"}'
    assert (output["call_id"], output["output"]) == ("c", "a")
    assert (orphan["call_id"], orphan["output"]) == ("lsh_2", "")


def test_a_patch_in_the_history() -> None:
    operation = {"type": "update_file", "path": "a", "diff": "+b"}
    call, done, failed, silent = after(
        {"type": "apply_patch_call", "id": "apc_1", "call_id": "c", "operation": operation},
        {"type": "apply_patch_call_output", "call_id": "c", "status": "completed", "output": "ok"},
        {"type": "apply_patch_call_output", "call_id": "c", "status": "failed", "output": "no such file"},
        {"type": "apply_patch_call_output", "call_id": "c", "status": "failed"},
    )
    assert call["arguments"] == '{"type":"update_file","path":"a","diff":"+b"}'
    assert [each["output"] for each in (done, failed, silent)] == ["ok", "failed: no such file", "failed"]
    (completed,) = after({"type": "apply_patch_call_output", "call_id": "c", "status": "completed"})
    assert completed["output"] == "completed"


def test_a_call_that_says_nothing() -> None:
    (call,) = after({"type": "shell_call", "call_id": "c"})
    assert call["arguments"] == "{}"


def test_other_requests() -> None:
    assert repaired_by(REPAIR, {"input": [USER, "?"], "tools": [F]}) is None
