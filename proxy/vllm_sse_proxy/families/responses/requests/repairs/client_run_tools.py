"""The SDKs' tools that the client runs itself: ``shell``, ``local_shell``, ``apply_patch``.

Harmony refuses the tools, 0.32's simple path drops them, and no release knows their calls and outputs in the history (400 or
500). Each becomes a function with the members of its call, and the history likewise. A call comes back as ``shell_call``,
``local_shell_call`` or ``apply_patch_call``.

A ``shell`` in a container of OpenAI's is not the client's: :mod:`hosted_tools` leaves it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair
from vllm_sse_proxy.families.requests.document import plain
from vllm_sse_proxy.families.requests.members import text_of, tools_of, type_of
from vllm_sse_proxy.families.responses.requests.tools import (
    ConvertedTool,
    NamePool,
    ToolKind,
    changed_choice,
    names_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.requests.document import Body

_INTEGER: Final = {"type": "integer"}
_STRINGS: Final = {"type": "array", "items": {"type": "string"}}

_FUNCTIONS: Final[Mapping[str, Body]] = {
    ToolKind.SHELL: {
        "description": "Runs shell commands on the user's machine, and returns what they print.",
        "parameters": {
            "type": "object",
            "properties": {
                "commands": {**_STRINGS, "description": "The commands, in order."},
                "timeout_ms": _INTEGER,
                "max_output_length": _INTEGER,
            },
            "required": ["commands"],
            "additionalProperties": False,
        },
    },
    ToolKind.LOCAL_SHELL: {
        "description": "Runs a command on the user's machine, and returns what it prints.",
        "parameters": {
            "type": "object",
            "properties": {
                "command": {**_STRINGS, "description": "The program and its arguments."},
                "working_directory": {"type": "string"},
                "timeout_ms": _INTEGER,
            },
            "required": ["command"],
            "additionalProperties": False,
        },
    },
    ToolKind.APPLY_PATCH: {
        "description": "Creates, updates or deletes one file.",
        "parameters": {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
                "path": {"type": "string"},
                "diff": {
                    "type": "string",
                    "description": "The change in V4A format; for a new file its lines, each after a +. "
                    "Left out for delete_file.",
                },
            },
            "required": ["type", "path"],
            "additionalProperties": False,
        },
    },
}

_CALLS: Final[Mapping[str, tuple[str, str]]] = {
    "shell_call": (ToolKind.SHELL, "action"),
    "local_shell_call": (ToolKind.LOCAL_SHELL, "action"),
    "apply_patch_call": (ToolKind.APPLY_PATCH, "operation"),
}
"""Type of a call → its tool, and the member that holds what is done."""
_OUTPUTS: Final = frozenset({"shell_call_output", "local_shell_call_output", "apply_patch_call_output"})


class ClientRunTools(RequestRepair):
    """Turn the tools that a client runs itself into functions."""

    __slots__ = ()

    name: ClassVar = "client_run_tools"
    summary: ClassVar = (
        "`shell`, `local_shell` and `apply_patch` tools become functions, and their calls come back"
    )
    lossless: ClassVar = True
    answers_500: ClassVar = True

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - every release
        """Return the request with functions in the place of these tools."""
        tools, items = tools_of(body), body.get("input")
        history = items if isinstance(items, list) else []
        if not any(map(is_client_run, tools)) and not any(
            type_of(item) in _CALLS or type_of(item) in _OUTPUTS for item in history
        ):
            return None
        functions = _Functions(tools)
        changed: Body = dict(body)
        if tools:
            changed["tools"] = functions.tools
        if history:
            call_ids = {
                text_of(item.get("id")): item.get("call_id") for item in history if type_of(item) in _CALLS
            }
            changed["input"] = [functions.item(item, call_ids) for item in history]
        if "tool_choice" in body:
            changed["tool_choice"] = changed_choice(body["tool_choice"], functions.choice)
        return Repaired(changed, tuple(functions.converted))


def is_client_run(tool: Any) -> bool:
    """Return whether a tool is one that the client runs itself."""
    if type_of(tool) not in _FUNCTIONS:
        return False
    return not type_of(tool.get("environment")).startswith("container")


class _Functions:
    """The tools of a request with functions in the place of those that the client runs, and what became of the names."""

    __slots__ = ("_sent", "converted", "tools")

    def __init__(self, tools: list[Any]) -> None:
        self.tools: list[Any] = []
        self.converted: list[ConvertedTool] = []
        self._sent: dict[str, str] = {}
        pool = NamePool(names_of(tools))
        for tool in tools:
            kind = type_of(tool)
            if not is_client_run(tool):
                self.tools.append(tool)
            elif kind not in self._sent:
                sent = self._sent[kind] = pool.take(kind)
                self.tools.append({"type": "function", "name": sent, **_FUNCTIONS[kind]})
                self.converted.append(ConvertedTool(sent, sent, ToolKind(kind), kind))

    def item(self, item: Any, call_ids: Mapping[str, Any]) -> Any:
        """Return a call or an output of the history as that of a function.

        :param call_ids: of the calls, by their ids: an output of ``local_shell`` may name its call by its id alone.
        """
        type_ = type_of(item)
        if type_ in _CALLS:
            kind, member = _CALLS[type_]
            return {
                "type": "function_call",
                "call_id": item.get("call_id"),
                "name": self._sent.get(kind, str(kind)),
                "arguments": _arguments(item.get(member), is_patch=member == "operation"),
            }
        if type_ in _OUTPUTS:
            own = text_of(item.get("id"))
            call_id = item.get("call_id") or call_ids.get(own) or own
            return {"type": "function_call_output", "call_id": call_id, "output": _output(item)}
        return item

    def choice(self, choice: Body) -> Body | None:
        """Return the choice of one of these tools as that of a function; None for any other."""
        sent = self._sent.get(type_of(choice))
        return None if sent is None else {"type": "function", "name": sent}


def _arguments(action: Any, *, is_patch: bool) -> str:
    """Return what a call does as a function's arguments: without nulls, and without what a function has no member for."""
    left_out = () if is_patch else ("type", "env", "user")
    members = action.items() if isinstance(action, dict) else ()
    kept = {name: value for name, value in members if value is not None and name not in left_out}
    return (plain(kept) or b"{}").decode()


def _output(item: Body) -> str:
    """Return what a call printed: a text as it is, anything else as JSON."""
    output = item.get("output")
    spelled = b"" if output is None else plain(output)
    text = output if isinstance(output, str) else (spelled or b"").decode()
    status = text_of(item.get("status"))
    if item["type"] != "apply_patch_call_output":
        return text
    if status == "failed":
        return f"failed: {text}" if text else status
    return text or status
