"""Anthropic's tools that the client runs itself: ``bash``, ``text_editor``, ``memory``, ``computer``.

They are sent by their type alone, because Claude knows what they take. vLLM wants an ``input_schema``: 400 on every release.
Each gets the description and the schema that Anthropic's documentation gives for its type. Its name stays, and so its calls
need nothing undone: their input has the members that the client looks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair
from vllm_sse_proxy.families.requests.members import text_of, tools_of, type_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.requests.document import Body

_STRING: Final[Body] = {"type": "string"}
_INTEGER: Final[Body] = {"type": "integer"}
_RANGE: Final[Body] = {"type": "array", "items": _INTEGER, "minItems": 2, "maxItems": 2}


def _schema(required: tuple[str, ...], properties: Mapping[str, Body]) -> Body:
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def _one_of(*words: str) -> Body:
    return {"type": "string", "enum": list(words)}


_BASH: Final[Body] = {
    "description": "Runs a command in a bash session that lasts, and returns what it prints.",
    "input_schema": _schema(
        (), {"command": _STRING, "restart": {"type": "boolean", "description": "Start the session anew."}}
    ),
}
_OF_EDITOR: Final[Mapping[str, Body]] = {
    "path": {"type": "string", "description": "Absolute path to a file or a folder."},
    "view_range": {**_RANGE, "description": "First and last line, for view; -1 is the end of the file."},
    "file_text": {"type": "string", "description": "The file's content, for create."},
    "old_str": {
        "type": "string",
        "description": "What is replaced, for str_replace; must be in the file once.",
    },
    "new_str": {"type": "string", "description": "What takes its place."},
    "insert_line": {
        "type": "integer",
        "description": "The line after which is inserted, for insert; 0: the beginning.",
    },
    "insert_text": {"type": "string", "description": "What is inserted."},
}
_MEMORY: Final[Body] = {
    "description": "Views, creates, changes, renames and deletes files in the folder /memories, which lasts.",
    "input_schema": _schema(
        ("command",),
        {
            "command": _one_of("view", "create", "str_replace", "insert", "delete", "rename"),
            **_OF_EDITOR,
            "old_path": {"type": "string", "description": "For rename."},
            "new_path": {"type": "string", "description": "For rename."},
        },
    ),
}
_ACTIONS: Final = (
    "screenshot", "left_click", "right_click", "middle_click", "double_click", "triple_click", "left_click_drag",
    "left_mouse_down", "left_mouse_up", "mouse_move", "cursor_position", "scroll", "type", "key", "hold_key", "wait",
)  # fmt: skip
_COMPUTER: Final[Body] = _schema(
    ("action",),
    {
        "action": _one_of(*_ACTIONS),
        "coordinate": {**_RANGE, "description": "x and y in pixels, from the upper left corner."},
        "start_coordinate": {**_RANGE, "description": "Where left_click_drag begins."},
        "text": {"type": "string", "description": "What is typed, or the keys that are pressed."},
        "scroll_direction": _one_of("up", "down", "left", "right"),
        "scroll_amount": _INTEGER,
        "duration": {"type": "number", "description": "Seconds, for wait and hold_key."},
    },
)


class ClientTools(RequestRepair):
    """Say what Anthropic's client-run tools take."""

    __slots__ = ()

    name: ClassVar = "client_tools"
    summary: ClassVar = (
        "Anthropic's tools that the client runs (`bash_…`, `text_editor_…` …) get their `input_schema`"
    )
    lossless: ClassVar = True

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - every release
        """Return the request with these tools spelled out."""
        tools = tools_of(body)
        made = [spelled_out(tool) for tool in tools]
        if all(tool is None for tool in made):
            return None
        return Repaired(
            {**body, "tools": [tool if new is None else new for tool, new in zip(tools, made, strict=True)]}
        )


def spelled_out(tool: Any) -> Body | None:
    """Return a client-run tool with what it takes; None for any other tool."""
    type_ = type_of(tool)
    name = text_of(tool.get("name")) if type_ else ""
    if not name or "input_schema" in tool:
        return None
    kind, _, version = type_.rpartition("_")
    says = _says(kind, version, tool) if version.isdigit() else None
    if says is None:
        return None
    control = tool.get("cache_control")
    return {"name": name, **says, **({} if control is None else {"cache_control": control})}


def _says(kind: str, version: str, tool: Body) -> Body | None:
    """Return description and schema of a kind of tool; None for one that the client does not run.

    :param version: the end of its type, a date.
    """
    match kind:
        case "bash":
            return _BASH
        case "memory":
            return _MEMORY
        case "text_editor":
            return _editor(version)
        case "computer":
            return _computer(tool)
        case _:
            return None


def _editor(version: str) -> Body:
    """Return the editor's; it could undo until spring 2025."""
    commands = ("view", "create", "str_replace", "insert", *(("undo_edit",) if version < "20250429" else ()))
    return {
        "description": "Views, creates and changes files.",
        "input_schema": _schema(("command", "path"), {"command": _one_of(*commands), **_OF_EDITOR}),
    }


def _computer(tool: Body) -> Body:
    """Return the computer's, with the size of its screen in the words."""
    width, height = tool.get("display_width_px"), tool.get("display_height_px")
    size = f" Its screen has {width} × {height} pixels." if type(width) is int and type(height) is int else ""
    return {
        "description": f"Uses mouse, keyboard and screen of a computer.{size} Take a screenshot to see what is there.",
        "input_schema": _COMPUTER,
    }
