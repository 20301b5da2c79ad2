"""Response objects: whether clients can read one, and one that they can read, made of what upstream and the request say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses.ids import derive_id
from vllm_sse_proxy.families.responses.item_fields import IN_PROGRESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import RequestContext
    from vllm_sse_proxy.stream.event import Body


def is_readable(response: Mapping[str, Any]) -> bool:
    """Return whether a response object has every field that clients need, each of a type that they can read."""
    if not all(name in response for name in _MINIMUM):
        return False
    return all(
        type(value) in _PLAINLY_USABLE.get(name, ()) or _is_usable(name, value)
        for name, value in response.items()
    )


def _is_usable(name: str, value: object) -> bool:
    kinds = _MINIMUM.get(name)
    if kinds is None:
        if name in _MEMBERS:
            return value is None or (isinstance(value, dict) and all(one in value for one in _MEMBERS[name]))
        if name == "instructions" and isinstance(value, list):  # OpenAI's API knows messages here
            return all(isinstance(one, dict) and isinstance(one.get("role"), str) for one in value)
        known = _KINDS.get(name) or _REQUIRED.get(name, _UNKNOWN)[0]
        return value is None or not known or _is_of(value, known)
    if not _is_of(value, kinds) or value == "" or (name == "object" and value != "response"):
        return False
    if name == "tools":
        return all(isinstance(tool, dict) and isinstance(tool.get("type"), str) for tool in value)  # type: ignore[attr-defined]
    if name == "tool_choice":
        return value in _TOOL_CHOICES if isinstance(value, str) else _is_tool_choice(value)  # type: ignore[arg-type]
    return True


def _is_tool_choice(choice: Mapping[str, Any]) -> bool:
    type_ = choice.get("type")
    return isinstance(type_, str) and (type_ != "function" or isinstance(choice.get("name"), str))


def _is_of(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


_TOOL_CHOICES: Final = ("none", "auto", "required")
_MINIMUM: Final[dict[str, tuple[type, ...]]] = {
    "id": (str,),
    "object": (str,),
    "created_at": (int, float),
    "model": (str,),
    "output": (list,),
    "parallel_tool_calls": (bool,),
    "tool_choice": (str, dict),
    "tools": (list,),
}
"""Fields without which no client reads a response object."""


def complete_response(response: Mapping[str, Any], view: ClientView, request: RequestContext) -> Body:
    """Return a response object with every field that the specifications require.

    Each field takes upstream's value, else the request's, else a neutral one. ``created_at`` is 0 if it is unknown, because
    the core has no clock.
    """
    body = request.body
    asked: Body = body if isinstance(body, dict) else dict(body or {})
    shape = _shape_of(response)
    if shape.is_known and all(_is_usable(name, response[name]) for name in shape.doubtful):
        complete: Body = {**_BEGINNING, **response}
        lacking: Iterable[str] = shape.lacking
    else:
        model = asked.get("model")
        complete = {
            **_BEGINNING,
            "id": view.response_id or derive_id("resp", request.seed),
            "model": model if isinstance(model, str) and model else "unknown",
            "output": [],
        }
        complete |= {
            name: value
            for name, value in response.items()
            if type(value) in _PLAINLY_USABLE.get(name, ()) or _is_usable(name, value)
        }
        lacking = _lacking_in(complete)
    for name in lacking:
        wanted = asked.get(name)
        complete[name] = wanted if wanted is not None and _may_be_asked(name, wanted) else _NEUTRAL[name]
    return complete


def _may_be_asked(name: str, wanted: object) -> bool:
    """Return whether a request's value is one that a response object may have."""
    return isinstance(wanted, _REQUIRED[name][0]) and _is_usable(name, wanted)


def _lacking_in(response: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the required fields that a response object lacks, or has a null in that is not neutral."""
    return tuple(
        name
        for name, (_, neutral) in _REQUIRED.items()
        if response.get(name) is None and not (name in response and neutral is None)
    )


class _Shape:
    """What follows for a response object from the names of its fields and their JSON types alone.

    :ivar is_known: whether it has the fields that no request can supply, and no value but the doubtful ones must be looked at.
    :ivar doubtful: fields whose values must be looked at: the types say that they may be of use.
    :ivar lacking: fields to be filled in, if all of the doubtful ones are of use.
    """

    __slots__ = ("doubtful", "is_known", "lacking")

    def __init__(self, response: Mapping[str, Any]) -> None:
        self.is_known = all(name in response for name in _BEGINNING)
        self.doubtful = tuple(
            name for name, value in response.items() if type(value) not in _PLAINLY_USABLE.get(name, ())
        )
        self.lacking = _lacking_in(response)


def _shape_of(response: Mapping[str, Any]) -> _Shape:
    """Return the shape of a response object: all objects of one server have the same few."""
    sign = (tuple(response), tuple([type(value) for value in response.values()]))
    shape = _SHAPES.get(sign)
    if shape is None:
        shape = _Shape(response)
        if sum(map(len, response)) <= _LONG_NAMES:  # they come from upstream, and could fill the memory
            if len(_SHAPES) >= _MANY_SHAPES:
                _SHAPES.clear()
            _SHAPES[sign] = shape
    return shape


_SHAPES: Final[dict[tuple[object, ...], _Shape]] = {}
_MANY_SHAPES: Final = 64
"""Shapes that are remembered. A server has two or three: before and after the answer, with and without tools."""
_LONG_NAMES: Final = 2048
"""Characters of the names of an object whose shape is remembered; OpenAI's objects have some 500."""
_BEGINNING: Final[Body] = {
    "id": None,
    "object": "response",
    "created_at": 0,
    "status": IN_PROGRESS,
    "model": None,
    "output": None,
}
"""Fields that an object begins with, in this order. The nulls are places for values that an object has, or is given."""
_NULL: Final = type(None)
_REQUIRED: Final[dict[str, tuple[tuple[type, ...], Any]]] = {
    "status": ((str,), IN_PROGRESS),
    "error": ((_NULL,), None),
    "incomplete_details": ((_NULL,), None),
    "completed_at": ((_NULL,), None),
    "instructions": ((str,), None),
    "previous_response_id": ((str,), None),
    "max_output_tokens": ((int,), None),
    "max_tool_calls": ((int,), None),
    "safety_identifier": ((str,), None),
    "prompt_cache_key": ((str,), None),
    "usage": ((_NULL,), None),
    "parallel_tool_calls": ((bool,), True),
    "tool_choice": ((str, dict), "auto"),
    "tools": ((list,), []),
    "temperature": ((int, float), 1.0),
    "top_p": ((int, float), 1.0),
    "presence_penalty": ((int, float), 0.0),
    "frequency_penalty": ((int, float), 0.0),
    "top_logprobs": ((int,), 0),
    "truncation": ((str,), "disabled"),
    "background": ((bool,), False),
    "store": ((bool,), True),
    "service_tier": ((str,), "default"),
    "metadata": ((dict,), {}),
    "text": ((dict,), {"format": {"type": "text"}}),
    "reasoning": ((dict,), {"effort": None, "summary": None}),
}
"""Field → what a request's value may be, and the neutral value. OpenAI's API sends them all; Open Responses requires them."""
_NEUTRAL: Final[Body] = {name: neutral for name, (_, neutral) in _REQUIRED.items()}
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "error": (dict,),
    "incomplete_details": (dict,),
    "completed_at": (int, float),
    "instructions": (str, list),
    "usage": (dict,),
    "user": (str,),
    "input_transformations": (list,),
}
"""What a response's value may be, where that is not what a request's may be."""
_MEMBERS: Final[dict[str, tuple[str, ...]]] = {
    "prompt": ("id",),
    "conversation": ("id",),
    "tool_usage": ("image_gen", "web_search"),
    "moderation": ("input", "output"),
    "image": ("context_compression",),
    "access_programs": ("cyber",),
    "prompt_cache_options": ("mode", "ttl"),
    "prompt_cache_diagnostics": ("type",),
}
"""Objects that a response need not have, and what they must hold."""
_UNKNOWN: Final[tuple[tuple[type, ...], Any]] = ((), None)
_PLAINLY_USABLE: Final[dict[str, frozenset[type]]] = {
    **{name: frozenset((*kinds, _NULL)) for name, (kinds, _) in _REQUIRED.items()},
    **{name: frozenset((*kinds, _NULL)) for name, kinds in _KINDS.items()},
    **{name: frozenset(kinds) for name, kinds in _MINIMUM.items()},
    "instructions": frozenset((str, _NULL)),
    **dict.fromkeys(("id", "object", "model", "tool_choice", "tools"), frozenset()),
}
"""Types of values that ``_is_usable`` always accepts. The look-up spares it 20 µs for a whole response object."""


def response_so_far(view: ClientView, request: RequestContext) -> Body:
    """Return the response object that was emitted last, made readable; one with neutral values if there is none yet."""
    response = view.response
    if response is None or not is_readable(response):
        response = complete_response(response or {}, view, request)
    return with_whole_functions(response)


def with_whole_functions(response: Body) -> Body:
    """Return a readable response object whose echoed tools have all required fields; nameless functions are left out."""
    if not response["tools"]:
        return response
    tools = [_whole_tool(tool) for tool in response["tools"]]
    whole = [tool for tool in tools if tool["type"] != "function" or isinstance(tool.get("name"), str)]
    return response if whole == response["tools"] else {**response, "tools": whole}


def _whole_tool(tool: Body) -> Body:
    if tool["type"] == "namespace" and not isinstance(tool.get("description"), str):
        return {**tool, "description": ""}
    return _whole_function(tool) if tool["type"] == "function" else tool


def _whole_function(tool: Body) -> Body:
    """Return an echoed function with the fields that typed clients insist on: null where the request gave no value."""
    changes: Body = {
        name: None
        for name, kind in _FUNCTION.items()
        if tool.get(name, _UNSAID) is not None and not isinstance(tool.get(name, _UNSAID), kind)
    }
    if "description" not in tool:
        changes.pop("description")
    return tool | changes if changes else tool


_UNSAID: Final = object()
_FUNCTION: Final[dict[str, type]] = {"parameters": dict, "strict": bool, "description": str}
"""Nullable fields of a function; all of them are required except its description."""


def known_code(code: object) -> str:
    """Return the code of ``response.error`` for a code of upstream's: the SDKs' types have a closed list."""
    if code in ("429", 429):
        return "rate_limit_exceeded"
    return code if isinstance(code, str) and code in _SDK_CODES else "server_error"


_SDK_CODES: Final = frozenset(
    {
        *("server_error", "rate_limit_exceeded", "invalid_prompt", "data_residency_mismatch", "bio_policy"),
        *("misalignment_policy_violation", "vector_store_timeout", "invalid_image", "invalid_image_format"),
        *("invalid_base64_image", "invalid_image_url", "invalid_image_mode", "image_too_large"),
        *("image_too_small", "image_parse_error", "image_content_policy_violation", "image_file_too_large"),
        *("unsupported_image_media_type", "empty_image_file", "failed_to_download_image"),
        "image_file_not_found",
    }
)
