"""What must be converted back in the answer to a request that was repaired.

Upstream was sent tools under other names and as other kinds than the client knows, and echoes members of the request that
are not the client's. A :class:`Conversion` knows both ways. It is asked item by item while an answer streams, and restores
whole response objects. A background response is fetched later, perhaps through another replica: for it the conversion travels
in the request's ``metadata``, under :data:`KEY`, which vLLM stores and echoes, and is taken out on every way back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.requests.members import text_of, tools_of, type_of
from vllm_sse_proxy.families.responses.custom_calls import custom_item
from vllm_sse_proxy.families.responses.requests.tools import SEPARATOR, ConvertedTool, ToolKind, names_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vllm_sse_proxy.families.requests.document import Body

KEY: Final = "vllm_sse_proxy"
"""The reserved key in ``metadata``."""
MAX_KEYS: Final = 16
MAX_VALUE_CHARACTERS: Final = 512
"""Limits of OpenAI's API on ``metadata``; vLLM has none, but clients check what they get."""

ECHOED: Final = ("tools", "tool_choice", "reasoning", "text", "instructions")
"""Members of a request that vLLM echoes in its response objects, and that repairs change."""

_VERSION: Final = 1
_CALL_TYPES: Final[Mapping[ToolKind, tuple[str, str]]] = {
    ToolKind.TOOL_SEARCH: ("tool_search_call", "tsc_"),
    ToolKind.SHELL: ("shell_call", "sh_"),
    ToolKind.LOCAL_SHELL: ("local_shell_call", "lsh_"),
    ToolKind.APPLY_PATCH: ("apply_patch_call", "apc_"),
}
"""Kind of a tool → type of its calls, and how their ids begin."""
_FUNCTION_PREFIX: Final = "fc_"
_OPERATIONS: Final = frozenset({"create_file", "update_file", "delete_file"})


class Conversion:
    """The way back of one request.

    :param tools: those that upstream knows otherwise than the client.
    :param echo: the client's own values, as JSON, of members that upstream echoes otherwise. As JSON, because an open stream
        keeps them: 40 KB of tools are 300 KB as objects.
    :param plain: names of the tools that upstream knows as the client does: none of them means a tool of a namespace.
    :param added_metadata: whether the client sent no ``metadata``, so that its echo is to be empty.
    """

    __slots__ = ("_bare", "_plain", "_sent", "added_metadata", "echo")

    def __init__(
        self,
        tools: Iterable[ConvertedTool] = (),
        echo: Mapping[str, bytes] | None = None,
        *,
        plain: Iterable[str] = (),
        added_metadata: bool = False,
    ) -> None:
        self.echo: Mapping[str, bytes] = echo or {}
        self.added_metadata = added_metadata
        self._sent: dict[str, ConvertedTool] = {}
        self._bare: dict[str, ConvertedTool | None] = {}
        """what a model may call a tool of a namespace as well; None where it may mean more than one"""
        for tool in tools:
            earlier = self._sent.pop(tool.was, None)
            self._sent[tool.sent] = tool if earlier is None else tool.following(earlier)
        self._sent = {name: tool for name, tool in self._sent.items() if not _is_unchanged(tool)}
        self._plain = tuple(name for name in plain if name not in self._sent)
        for tool in self._sent.values():
            if tool.namespace:
                self._bare[tool.name] = None if tool.name in self._bare else tool
                self._bare[f"{tool.namespace}.{tool.name}"] = tool
        for name in (*self._plain, *self._sent):
            self._bare.pop(name, None)

    def __bool__(self) -> bool:
        """Return whether there is anything to convert back."""
        return bool(self._sent or self.echo)

    @property
    def tools(self) -> list[ConvertedTool]:
        """The converted tools, each with the name that upstream has for it."""
        return list(self._sent.values())

    def tool(self, name: object) -> ConvertedTool | None:
        """Return the tool that upstream means by a name; None if the client knows it by that name, and as a function.

        A model may call a tool of a namespace by its bare name, or as ``namespace.name``, where that means one tool only.
        """
        if not isinstance(name, str):
            return None
        return self._sent.get(name) or self._bare.get(name)

    def names_of(self, name: object) -> tuple[str, str] | None:
        """Return the client's namespace (perhaps empty) and name of what upstream calls so; None if it is the same."""
        tool = self.tool(name)
        return None if tool is None else (tool.namespace, tool.name)

    def is_custom(self, name: object) -> bool:
        """Return whether upstream's function of this name is a custom tool of the client's."""
        tool = self.tool(name)
        return tool is not None and tool.kind is ToolKind.CUSTOM

    def restored_item(self, item: Body) -> Body:
        """Return an output item as the client knows it; the same object if nothing was converted."""
        type_ = item.get("type")
        if type_ not in ("function_call", "custom_tool_call") or item.get("namespace"):
            return item
        tool = self.tool(item.get("name"))
        if tool is None:
            return item
        if type_ == "custom_tool_call" or tool.kind is ToolKind.FUNCTION:
            is_known = not tool.namespace and tool.name == item["name"]
            return item if is_known else _named(item, tool)
        if tool.kind is ToolKind.CUSTOM:
            return _named(custom_item(item), tool)
        return _client_run_call(item, tool.kind)

    def restored_response(self, response: Body) -> Body:
        """Return a response object as the client expects it; the same object if nothing was converted."""
        changed: Body = {}
        output = response.get("output")
        if isinstance(output, list):
            restored = [self.restored_item(item) if isinstance(item, dict) else item for item in output]
            if any(new is not old for new, old in zip(restored, output, strict=True)):
                changed["output"] = restored
        for member, value in self.echo.items():
            if member in response:
                changed[member] = orjson.loads(value)
        if "tools" not in self.echo and self._sent:
            rebuilt = self._rebuilt(tools_of(response))
            if rebuilt != response.get("tools"):
                changed["tools"] = rebuilt
        metadata = response.get("metadata")
        if isinstance(metadata, dict) and KEY in metadata:
            changed["metadata"] = without_key(metadata, added=self.added_metadata)
        return {**response, **changed} if changed else response

    def to_metadata(self) -> str | None:
        """Return the conversion as a value for ``metadata``; None if it is too long for one.

        Names that are joined from a namespace and a name need not be listed: the echoed tools have them. Of the client's own
        values those go along that find room.
        """
        spaces = list(dict.fromkeys(tool.namespace for tool in self._sent.values() if tool.namespace))
        names = [
            [tool.sent, tool.namespace, tool.name]
            for tool in self._sent.values()
            if _taken_apart(tool.sent, spaces) != (tool.namespace, tool.name)
        ]
        names += [[name, "", name] for name in self._plain if _taken_apart(name, spaces)[0]]
        kinds = {tool.sent: tool.kind for tool in self._sent.values() if tool.kind is not ToolKind.FUNCTION}
        carried: Body = {"v": _VERSION}
        for member, value in (("s", spaces), ("n", names), ("k", kinds), ("m", self.added_metadata)):
            if value:
                carried[member] = value
        if len(_compact(carried)) > MAX_VALUE_CHARACTERS:
            return None
        for member, spelled in self.echo.items():
            more = {**carried, "e": {**carried.get("e", {}), member: orjson.Fragment(spelled)}}
            if len(_compact(more)) <= MAX_VALUE_CHARACTERS:
                carried = more
        return _compact(carried)

    def _rebuilt(self, tools: list[Any]) -> list[Any]:
        """Return the client's tools as far as upstream's echo of them shows them."""
        rebuilt: list[Any] = []
        spaces: dict[str, list[Any]] = {}
        for tool in tools:
            known = self.tool(tool.get("name")) if type_of(tool) in ("function", "custom") else None
            if known is None:
                rebuilt.append(tool)
                continue
            own = _own_tool(tool, known)
            if not known.namespace:
                rebuilt.append(own)
                continue
            if known.namespace not in spaces:
                spaces[known.namespace] = []
                rebuilt.append(
                    {
                        "type": "namespace",
                        "name": known.namespace,
                        "description": "",
                        "tools": spaces[known.namespace],
                    }
                )
            spaces[known.namespace].append(own)
        return rebuilt


NOTHING: Final = Conversion()
"""The conversion of a request that was sent as it came."""


def conversion_in(response: Body) -> Conversion | None:
    """Return the conversion that travels in a response's ``metadata``; None if there is none.

    What is there may come from anywhere: nothing in it is believed before its type was looked at.
    """
    metadata = response.get("metadata")
    spelled = metadata.get(KEY) if isinstance(metadata, dict) else None
    try:
        carried: Any = orjson.loads(spelled) if isinstance(spelled, str) else None
    except ValueError:
        carried = None
    if not isinstance(carried, dict) or carried.get("v") != _VERSION:
        return None
    tools = _carried_tools(carried, names_of(tools_of(response)))
    echo = carried.get("e")
    values = echo if isinstance(echo, dict) else {}
    return Conversion(
        tools,
        {member: orjson.dumps(values[member]) for member in ECHOED if member in values},
        plain=names_of(tools_of(response)),
        added_metadata=carried.get("m") is True,
    )


def without_key(metadata: Body, *, added: bool) -> Body | None:
    """Return ``metadata`` without the reserved key.

    :param added: whether the client sent none; then null is left where nothing else is in it.
    """
    kept = {name: value for name, value in metadata.items() if name != KEY}
    return kept if kept or not added else None


def _carried_tools(carried: Body, sent: list[str]) -> list[ConvertedTool]:
    """Return the tools that a carried conversion is about.

    :param sent: the names of the tools that upstream echoes.
    """
    kinds = carried.get("k")
    kind_of = kinds if isinstance(kinds, dict) else {}
    listed_spaces = carried.get("s")
    spaces = [space for space in listed_spaces if text_of(space)] if isinstance(listed_spaces, list) else []
    names = {name: _taken_apart(name, spaces) for name in sent}
    listed = carried.get("n")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, list) and len(entry) == 3 and all(isinstance(word, str) for word in entry):  # noqa: PLR2004 - sent, namespace, name
            names[entry[0]] = (entry[1], entry[2])
    for name in kind_of:
        names.setdefault(name, ("", name))
    return [
        ConvertedTool(name, name, _kind(kind_of.get(name)), own, space)
        for name, (space, own) in names.items()
        if space or own != name or name in kind_of
    ]


def _kind(word: object) -> ToolKind:
    for kind in ToolKind:
        if kind == word:
            return kind
    return ToolKind.FUNCTION


def _compact(carried: Body) -> str:
    return orjson.dumps(carried).decode()


def _is_unchanged(tool: ConvertedTool) -> bool:
    return tool.kind is ToolKind.FUNCTION and not tool.namespace and tool.sent == tool.name


def _taken_apart(name: str, spaces: list[str]) -> tuple[str, str]:
    """Return the namespace and the name that a joined name is made of: the longest of these namespaces that fits."""
    longest = ""
    for space in spaces:
        if len(space) > len(longest) and name.startswith(space + SEPARATOR):
            longest = space
    return (longest, name[len(longest) + len(SEPARATOR) :]) if longest else ("", name)


def _named(item: Body, tool: ConvertedTool) -> Body:
    """Return a call under the client's names."""
    named = {**item, "name": tool.name}
    if tool.namespace:
        named["namespace"] = tool.namespace
    return named


def _own_tool(tool: Body, known: ConvertedTool) -> Body:
    """Return a tool of upstream's echo as the client's."""
    if known.kind is ToolKind.FUNCTION or tool["type"] == "custom":
        return {**tool, "name": known.name}
    described = {"name": known.name, "description": tool.get("description")}
    if known.kind is ToolKind.CUSTOM:
        return {"type": "custom", **described, "format": {"type": "text"}}
    if known.kind is ToolKind.TOOL_SEARCH:
        return {"type": "tool_search", "execution": "client", "parameters": tool.get("parameters")}
    return {"type": str(known.kind)}


def _typed_call(item: Body, kind: ToolKind, members: Body) -> Body:
    """Return a call of another type: the same id under another prefix, the same ``call_id`` and ``status``."""
    call: Body = {"type": _CALL_TYPES[kind][0], "id": _call_id(kind, text_of(item.get("id")))}
    if "call_id" in item:
        call["call_id"] = item["call_id"]
    call.update(members)
    if item.get("status") is not None:
        call["status"] = item["status"]
    return call


def _call_id(kind: ToolKind, id_: str) -> str:
    """Return the id that the client gets for an item of upstream's with this id."""
    return _CALL_TYPES[kind][1] + id_.removeprefix(_FUNCTION_PREFIX)


def _client_run_call(item: Body, kind: ToolKind) -> Body:
    """Return the call of a tool that the client runs itself; without arguments, as it is announced.

    A patch that cannot be read is one of no file: the client says so, and the model tries again.
    """
    spelled = text_of(item.get("arguments"))
    try:
        arguments: Any = orjson.loads(spelled or "{}")
    except ValueError:
        arguments = None
    if kind is ToolKind.TOOL_SEARCH:
        found = spelled if arguments is None else arguments
        return _typed_call(item, kind, {"execution": "client", "arguments": found})
    members = arguments if isinstance(arguments, dict) else {}
    if kind is ToolKind.SHELL:
        return _typed_call(item, kind, {"action": _shell_action(members)})
    if kind is ToolKind.LOCAL_SHELL:
        action = {"type": "exec", "command": _strings(members.get("command")), "env": {}}
        more = {name: members[name] for name in ("working_directory", "timeout_ms") if name in members}
        return _typed_call(item, kind, {"action": {**action, **more}})
    return _typed_call(item, kind, {"operation": _operation(members, spelled)})


def _operation(members: Body, spelled: str) -> Body:
    """Return what a patch does.

    :param spelled: the arguments that it was read from.
    """
    type_, path = type_of(members), members.get("path")
    if type_ not in _OPERATIONS or not isinstance(path, str):
        return {"type": "update_file", "path": "", "diff": spelled}
    operation: Body = {"type": type_, "path": path}
    if type_ != "delete_file":
        operation["diff"] = text_of(members.get("diff"))
    return operation


def _shell_action(members: Body) -> Body:
    return {
        "commands": _strings(members.get("commands")),
        "timeout_ms": members.get("timeout_ms"),
        "max_output_length": members.get("max_output_length"),
    }


def _strings(value: object) -> list[str]:
    """Return a list of strings; a single one is a list of one, and anything else is none."""
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
