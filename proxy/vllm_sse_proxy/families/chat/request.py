"""What a request for a chat completion says of its stream."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.chunks import positive
from vllm_sse_proxy.families.texts.stop_strings import stop_strings_of
from vllm_sse_proxy.families.texts.tagged_calls import types_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.texts.tagged_calls import Types
    from vllm_sse_proxy.stream.context import StreamContext


class Choice(Enum):
    """What ``tool_choice`` asks for."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"
    UNKNOWN = "unknown"
    """The request is not known."""


_CHOICES: Final = {choice.value: choice for choice in (Choice.AUTO, Choice.NONE, Choice.REQUIRED)}


class Tool:
    """A tool of the request.

    :ivar schema: of its parameters; whatever the request has in its place.
    """

    __slots__ = ("name", "schema")

    def __init__(self, name: str, schema: object) -> None:
        self.name = name
        self.schema = schema

    @property
    def required(self) -> list[Any]:
        """The names of the parameters that it requires."""
        required = self.schema.get("required") if type(self.schema) is dict else None
        return required if type(required) is list else []

    @property
    def requires(self) -> bool:
        """Whether it has parameters that it requires."""
        return bool(self.required)


class ChatRequest:
    """A request, as far as its stream depends on it. Any value is taken; what makes no sense is as good as left out.

    :ivar is_known: whether its body was read.
    :ivar n: how many choices come; 0 if that is not known.
    :ivar tools: by name.
    :ivar choice: what ``tool_choice`` asks for.
    :ivar limit: the most tokens that a choice may have; 0 if the request sets none.
    :ivar can_be_stopped: whether something of the request may end a choice within a call: a string, a token.
    :ivar wants_usage: whether usage comes at the end.
    :ivar named: the tool that has to be called; empty if none is named.
    :ivar keeps_tokens: whether special tokens are to stay in the texts.
    :ivar stops: the strings that end a choice, and are not to stand in it.
    :ivar wants_json: whether the answer is to be JSON.
    :ivar has_thinking_off: whether the model was asked not to think.
    """

    __slots__ = (
        "can_be_stopped",
        "choice",
        "has_thinking_off",
        "is_known",
        "keeps_tokens",
        "limit",
        "n",
        "named",
        "stops",
        "tools",
        "wants_json",
        "wants_usage",
    )

    def __init__(self, body: Mapping[str, Any] | None) -> None:
        self.is_known = body is not None
        body = {} if body is None else body
        self.n = (positive(body.get("n")) or 1) if self.is_known else 0
        self.tools = _tools_of(body.get("tools"))
        self.keeps_tokens = body.get("skip_special_tokens") is False
        keeps_stops = body.get("include_stop_str_in_output") is True
        self.stops = () if keeps_stops else stop_strings_of(body.get("stop"))
        self.limit = positive(body.get("max_completion_tokens")) or positive(body.get("max_tokens"))
        self.can_be_stopped = bool(body.get("stop") or body.get("stop_token_ids"))
        options = body.get("stream_options")
        self.wants_usage = type(options) is dict and options.get("include_usage") is True
        self.has_thinking_off = _has_thinking_off(body)
        self.wants_json = _wants_json(body.get("response_format"))
        self.named = ""
        self.choice = Choice.UNKNOWN
        if self.is_known:
            self._read_choice(body.get("tool_choice"))

    @classmethod
    def of(cls, context: StreamContext) -> ChatRequest:
        """Return the request of a stream, which is read once."""
        asked = context.asked
        if not isinstance(asked, ChatRequest):
            asked = context.asked = cls(context.request.body)
        return asked

    def _read_choice(self, choice: object) -> None:
        if type(choice) is dict:
            name = _name_of(choice.get("function"))
            self.choice = Choice.NAMED if name else Choice.AUTO
            self.named = name
            return
        default = Choice.AUTO if self.tools else Choice.NONE
        self.choice = _CHOICES.get(choice, default) if type(choice) is str else default

    @property
    def only_name(self) -> str:
        """The one name that a call can have; empty if there are several, or none is known."""
        if self.named:
            return self.named
        return next(iter(self.tools)) if len(self.tools) == 1 else ""

    def may_be_called_without_arguments(self, name: str) -> bool:
        """Return whether a tool of the request is known to require no arguments."""
        tool = self.tools.get(name)
        return tool is not None and not tool.requires

    def required_of(self, name: str) -> list[Any] | None:
        """Return the names of the parameters that a tool requires; None for an unknown tool."""
        tool = self.tools.get(name)
        return None if tool is None else tool.required

    def schema_of(self, name: str) -> object:
        """Return the schema of the parameters of a tool, whatever the request has in its place; None for an unknown tool."""
        tool = self.tools.get(name)
        return None if tool is None else tool.schema

    def types(self) -> dict[str, Types]:
        """Return the types of the parameters of each tool."""
        return {name: types_of(tool.schema) for name, tool in self.tools.items()}

    def requires_arguments(self, name: str) -> bool:
        """Return whether a tool of the request is known to require arguments."""
        tool = self.tools.get(name)
        return tool is not None and tool.requires


def _has_thinking_off(body: Mapping[str, Any]) -> bool:
    switches = body.get("chat_template_kwargs")
    if body.get("reasoning_effort") == "none":
        return True
    return type(switches) is dict and any(
        switches.get(name) is False for name in ("enable_thinking", "thinking")
    )


def _wants_json(format_: object) -> bool:
    return type(format_) is dict and format_.get("type") in ("json_object", "json_schema")


def _tools_of(tools: object) -> dict[str, Tool]:
    found: dict[str, Tool] = {}
    if type(tools) is list:
        for tool in tools:
            function = tool.get("function") if type(tool) is dict else None
            name = _name_of(function)
            if name and type(function) is dict:
                found[name] = Tool(name, function.get("parameters"))
    return found


def _name_of(function: object) -> str:
    name = function.get("name") if type(function) is dict else None
    return name if type(name) is str else ""
