"""Constructors for every event that the proxy inserts; no other module builds one.

Theory of operation. Upstream leaves events out: an announcement, the closings of a part, a whole item that only the terminal
event shows. The completer (:mod:`.complete`) decides *that* an event is missing; this module decides what it says. There are
three layers, each built from the one above it:

*Objects* are what events carry: response objects (:func:`complete_response`), items (:func:`announced`, :func:`emitted_item`)
and parts (:func:`new_part`, :func:`emitted_part`). They take ids, indexes and texts from the client's view, so that every
inserted event agrees with what was emitted before it.

*Events* wrap one object each: :func:`item_added`, :func:`part_done`, :func:`delta`, :func:`text_done` and so on.

*Sequences* are the events that something goes through from its announcement to its closing: :func:`life_of_part` and
:func:`life_of_item` for what was never streamed, :func:`end_of_part` for what upstream left open.

Two sources can describe the same thing: the events that were emitted, and upstream's own *account* (a done item, or an item of
the final output). What was emitted wins, because the client has it already; an account adds what the deltas cannot carry
(annotations, encrypted content) and text that continues the emitted text. The one exception is :func:`supersedes`.

Nothing here reads a clock or a random number, so a stream that is replayed and repaired again produces the same events: a
client that reconnects with ``starting_after`` continues where it stopped (docs/adr/0005-resume-by-whole-replay.md).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.responses import grammar, item_fields
from vllm_sse_proxy.families.responses.events import inserted
from vllm_sse_proxy.families.responses.grammar import Holder, ItemKind, TextRun, item_kind
from vllm_sse_proxy.families.responses.view import ItemView, PartView, RunView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.event import Body, Event
    from vllm_sse_proxy.stream.repair import RequestContext

IN_PROGRESS: Final = "in_progress"
COMPLETED: Final = "completed"
INCOMPLETE: Final = "incomplete"

_ID_BYTES: Final = 12
"""24 hexadecimal digits: 96 bits, far from any collision within a response."""


def derive_id(prefix: str, *parts: object) -> str:
    """Return an id that depends on nothing but ``parts``: the same stream repaired again gets the same ids."""
    digest = blake2b("/".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES)
    return f"{prefix}_{digest.hexdigest()}"


# Response


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


def looks_like_vllm(response: Mapping[str, Any]) -> bool:
    """Return whether vLLM made the response object: since 0.11 it lacks the ``error`` field of OpenAI's objects (R27)."""
    return "error" not in response and "parallel_tool_calls" in response


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


def items_so_far(view: ClientView) -> list[Body]:
    """Return the emitted items; those that are still open are incomplete."""
    return [item.item if item.closed else emitted_item(item, status=INCOMPLETE) for item in view.items]


def failed(response: Mapping[str, Any], error: Mapping[str, Any]) -> Event:
    """Return ``response.failed`` for an error, with a code that the SDKs' types know."""
    return lifecycle(
        grammar.FAILED,
        response,
        status="failed",
        error={"code": known_code(error.get("code")), "message": str(error.get("message", ""))},
    )


def known_code(code: object) -> str:
    """Return the code of ``response.error`` for a code of upstream's: the SDKs' types have a closed list."""
    if code in ("429", 429):
        return "rate_limit_exceeded"
    return code if isinstance(code, str) and code in _SDK_CODES else "server_error"


_SDK_CODES: Final = frozenset(
    {
        *("server_error", "rate_limit_exceeded", "invalid_prompt", "data_residency_mismatch", "bio_policy"),
        *("misalignment_policy_violation", "vector_store_timeout", "invalid_image", "invalid_image_format"),
        *(
            "invalid_base64_image",
            "invalid_image_url",
            "image_too_large",
            "image_too_small",
            "image_parse_error",
        ),
        *("image_content_policy_violation", "invalid_image_mode", "image_file_too_large"),
        *(
            "unsupported_image_media_type",
            "empty_image_file",
            "failed_to_download_image",
            "image_file_not_found",
        ),
    }
)


def lifecycle(type_: str, response: Mapping[str, Any], *, status: str, **changes: Any) -> Event:
    """Return a lifecycle event that carries ``response`` with this status."""
    return inserted(type_, response={**response, "status": status, **changes})


def opening(type_: str, response: Mapping[str, Any]) -> Event:
    """Return ``response.created`` or ``response.in_progress``, with the response as it is before any output."""
    changes: Body = {"output": []}
    for name in ("usage", "error", "incomplete_details", "completed_at"):
        if name in response:
            changes[name] = None
    return lifecycle(type_, response, status=IN_PROGRESS, **changes)


def error_body(*, code: str, message: str, error_type: str, param: object = None) -> Body:
    """Return the fields of an ``error`` event, flat and nested at once: some clients read one form, some the other."""
    nested = {"type": error_type, "code": code, "message": message, "param": param}
    return {"code": code, "message": message, "param": param, "error": nested}


# Items


def announced(item: Mapping[str, Any], kind: ItemKind) -> Body:
    """Return ``item`` as it is announced: everything that later events bring is at its zero value."""
    zero: Body = {**item}
    if kind is grammar.MESSAGE:
        zero["content"] = []
        zero.setdefault("role", "assistant")
    elif kind is grammar.REASONING:
        zero["summary"] = []
        if zero.get("content") is not None:
            zero["content"] = []
        zero.pop("encrypted_content", None)
    elif kind.run is not None:
        zero[kind.run.field] = ""
    zero |= item_fields.announced_fields(item)
    zero |= required_fields(zero)
    status = item_fields.opened_status(kind.type, item.get("status"))
    if kind is grammar.REASONING and item.get("status") is None:
        zero.pop("status", None)
    elif status is not None:
        zero["status"] = status
    return zero


def required_fields(item: Mapping[str, Any], *, open_responses: bool = False) -> Body:
    """Return the fields that an item's type requires and the item lacks, apart from texts and names.

    :param open_responses: leave alone types that only OpenAI's API knows; in this dialect their fields are upstream's own.
    """
    type_ = item.get("type")
    if not isinstance(type_, str) or (open_responses and type_ not in item_fields.OF_OPEN_RESPONSES):
        return {}
    changes = item_fields.missing_fields(type_, item)
    call_id = item.get("call_id")
    if type_ in grammar.OTHER_CALLS and not (isinstance(call_id, str) and call_id):
        changes["call_id"] = derive_id("call", item.get("id"), type_)
    return changes


def new_item(kind: ItemKind, id_: str, **fields: Any) -> Body:
    """Return the item that an event without an announcement implies, with every field that its type requires."""
    item: Body = {"id": id_, "type": kind.type, "status": IN_PROGRESS}
    if kind is grammar.MESSAGE:
        item |= {"role": "assistant", "content": []}
    elif kind is grammar.REASONING:
        item |= {"summary": [], "content": []}
    elif kind.run is not None:
        item[kind.run.field] = ""
    item |= required_fields(item)
    if kind is grammar.CODE_CALL:
        item["outputs"] = []
    elif kind is grammar.IMAGE_CALL:
        item["result"] = None
    return item | fields


def item_added(index: int, item: Body) -> Event:
    """Return the announcement of an item."""
    return inserted(grammar.ITEM_ADDED, output_index=index, item=item)


def item_done(index: int, item: Body) -> Event:
    """Return the closing of an item."""
    return inserted(grammar.ITEM_DONE, output_index=index, item=item)


def emitted_item(item: ItemView, *, status: str, proven: Mapping[str, Any] | None = None) -> Body:
    """Return the item as its done event must show it to agree with the emitted events.

    :param status: its status; a reasoning item that has none anywhere gets none, as in OpenAI's streams.
    :param proven: upstream's own account of the item, for what the deltas did not carry (annotations, encrypted
        content, …).
    """
    base: Body = {**item.item}
    if proven is not None and proven.get("type") == item.type:
        base |= proven
    base |= {
        name: item.item.get(name)
        for name in (*_NAMES, *item.kind.required)
        if name in item.item or name in base
    }
    if item.kind is grammar.MESSAGE or item.kind is grammar.REASONING:
        content = emitted_parts(item.parts, base.get("content"))
        if content or item.kind is grammar.MESSAGE or base.get("content") is not None:
            base["content"] = content
    if item.kind is grammar.REASONING:
        base["summary"] = emitted_parts(item.summaries, base.get("summary"))
    if item.own is not None and item.own.run is not None:
        base[item.own.run.field] = item.own.text
    has_status = "status" in item.item or base.get("status") not in (None, COMPLETED)
    if has_status or item_fields.needs_status(item.type) or status == INCOMPLETE:
        base["status"] = item_fields.fitting_status(item.type, status)
    return base


def is_as_emitted(item: ItemView, said: Mapping[str, Any]) -> bool:
    """Return whether upstream's done item agrees with what was emitted of it: its names, its parts, its text."""
    names = (*_NAMES, *item.kind.required) if item.type in grammar.ITEM_KINDS else _NAMES[:2]
    if item.item.get("call_id") is not None and said.get("call_id") != item.item["call_id"]:
        return False
    if any(said.get(name) != item.item.get(name) for name in names):
        return False
    own = item.own
    if own is not None and own.run is not None and (own.text or said.get(own.run.field)):
        return bool(said.get(own.run.field) == own.text)
    if item.kind is grammar.MESSAGE or item.kind is grammar.REASONING:
        return _are_as_emitted(item.parts, said.get("content")) and _are_as_emitted(
            item.summaries, said.get("summary")
        )
    return True


_NAMES: Final = ("id", "type", "name", "call_id", "role", "phase")
"""Fields that identify an item: they may not change between its announcement and its closing."""


def _are_as_emitted(emitted: list[PartView], said: object) -> bool:
    parts = [part.part for part in emitted]
    known = said if isinstance(said, list) else []
    return parts == known or says_the_same(parts, known)


def says_the_same(emitted: object, said: object) -> bool:
    """Return whether ``said`` repeats what was emitted; it may fill in what was empty, as OpenAI's own final items do."""
    if isinstance(emitted, list) and isinstance(said, list):
        return len(emitted) == len(said) and all(map(says_the_same, emitted, said))
    if isinstance(emitted, dict) and isinstance(said, dict):
        for name in {**emitted, **said}:
            one, other = emitted.get(name), said.get(name)
            if one is other or name in _FREE or _is_addition(name, one, other):
                continue
            if not says_the_same(one, other):
                return False
        return True
    return emitted == said


def _is_addition(name: str, emitted: object, said: object) -> bool:
    return _is_nothing(emitted) and (_is_nothing(said) or name not in _STREAMED)


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)


_FREE: Final = frozenset({"encrypted_content", "fingerprint", "sequence_number"})
"""Fields that may differ between the done item and the final one in OpenAI's own streams ."""
_STREAMED: Final = frozenset(
    {*_NAMES, "status", "content", "summary", "text", "refusal", "arguments", "input", "code"}
)
"""Fields that are complete once an item is closed: the final item cannot add to them."""


def final_item(item: ItemView, account: Mapping[str, Any]) -> Body:
    """Return an item of the final output: the emitted item, with the fields that only upstream's final account of it has.

    The account cannot add what the stream has brought (texts, status), because two items may share one account (R08).
    """
    if account.get("type") != item.type:
        return item.item
    final = {
        **account,
        **{name: value for name, value in item.item.items() if value is not None or name not in account},
    }
    return {
        name: value
        for name, value in final.items()
        if name not in _STREAMED or item.item.get(name) is not None or _is_nothing(value)
    }


def emitted_parts(parts: list[PartView], proven: object) -> list[Body]:
    """Return the emitted parts as they are closed; parts of the account supply the fields that deltas do not carry."""
    accounts = accounts_of(parts, proven)
    return [emitted_part(part, accounts.get(part.index)) for part in parts]


def emitted_part(
    part: PartView, proven: object = None, *, text: str | None = None, annotations: list[Any] | None = None
) -> Body:
    """Return one emitted part as it is closed; a part that is closed already stays as it was emitted."""
    if part.closed:
        return part.part
    base: Body = {**part.part}
    if isinstance(proven, dict) and proven.get("type") == part.type:
        base |= proven
    if part.run is not None:
        base[part.run.field] = part.text if text is None else text
    if part.type == "output_text":
        base["annotations"] = list(part.annotations if annotations is None else annotations)
        if not isinstance(base.get("logprobs"), list) or (part.logprobs and not base["logprobs"]):
            base["logprobs"] = list(part.logprobs)
        base["logprobs"] = whole_logprobs(base["logprobs"])
    return base


def whole_logprobs(logprobs: Any) -> Any:
    """Return the logprobs with the fields that the types of the ``openai`` package require in parts, and not in deltas (R28).

    :returns: the given list if every entry is whole; entries without a token are useless, and are left out.
    """
    whole = (
        [_whole_logprob(one) for one in logprobs if _names_token(one)] if isinstance(logprobs, list) else []
    )
    return logprobs if whole == logprobs else whole


def is_readable_logprob(logprob: Any) -> bool:
    """Return whether a client can read the logprob of a delta: it and its alternatives each have a token and a number."""
    if not _is_numbered(logprob):
        return False
    others = logprob.get("top_logprobs", [])
    return isinstance(others, list) and all(map(_is_numbered, others))


def _is_numbered(logprob: Any) -> bool:
    return _names_token(logprob) and type(logprob.get("logprob")) in (int, float)


def _names_token(logprob: object) -> bool:
    return isinstance(logprob, dict) and isinstance(logprob.get("token"), str)


def _whole_logprob(logprob: Body) -> Body:
    others = logprob.get("top_logprobs")
    known = [one for one in others if _names_token(one)] if isinstance(others, list) else []
    return {**_with_bytes(logprob), "top_logprobs": [_with_bytes(one) for one in known]}


def _with_bytes(logprob: Body) -> Body:
    whole: Body = {**logprob}
    if not isinstance(logprob.get("bytes"), list):
        whole["bytes"] = list(logprob["token"].encode("utf-8", "replace"))
    if not _is_numbered(logprob):
        whole["logprob"] = _IMPOSSIBLE
    return whole


_IMPOSSIBLE: Final = -9999.0
"""What vLLM and OpenAI send for minus infinity, which JSON cannot express: it arrives as NaN or null."""


# Parts and texts


def new_part(type_: str) -> Body:
    """Return a part at its zero value."""
    if type_ == "output_text":
        return {"type": type_, "text": "", "annotations": [], "logprobs": []}
    return {"type": type_, grammar.RUN_OF_PART[type_].field: ""}


def part_added(item: ItemView, run: TextRun, index: int, part: Body | None = None) -> Event:
    """Return the announcement of the part that ``run`` grows in."""
    type_ = grammar.SUMMARY_ADDED if run.holder is Holder.SUMMARY else grammar.PART_ADDED
    return inserted(type_, **_place(item, run, index), part=part or new_part(run.part_type or ""))


def part_done(
    item: ItemView,
    part: PartView,
    proven: object = None,
    *,
    text: str | None = None,
    annotations: list[Any] | None = None,
) -> Event:
    """Return the closing of a part, given the text and annotations that it has by then."""
    summary = part.type == grammar.SUMMARY_TEXT.part_type
    type_ = grammar.SUMMARY_DONE if summary else grammar.PART_DONE
    place = {
        "item_id": item.id,
        "output_index": item.index,
        "summary_index" if summary else "content_index": part.index,
    }
    return inserted(type_, **place, part=emitted_part(part, proven, text=text, annotations=annotations))


def delta(item: ItemView, run: TextRun, index: int, text: str) -> Event:
    """Return one delta of a text."""
    fields: Body = {"delta": text}
    if run is grammar.OUTPUT_TEXT:
        fields["logprobs"] = []
    return inserted(run.delta, **_place(item, run, index), **fields)


def text_done(item: ItemView, text: RunView, index: int = 0, *, said: str | None = None) -> Event:
    """Return the done event of a text: the sum of its deltas, or ``said`` in its place."""
    run = text.run
    if run is None:
        message = "a part of an unknown type has no text to finish"
        raise ValueError(message)
    fields: Body = {run.done_field: text.text if said is None else said}
    if run is grammar.OUTPUT_TEXT:
        fields["logprobs"] = list(text.logprobs) if isinstance(text, PartView) else []
    if run is grammar.FUNCTION_ARGUMENTS:
        fields["name"] = item.item.get(
            "name", ""
        )  # required by OpenAI's OpenAPI document, unknown to its SDK
    return inserted(run.done, **_place(item, run, index), **fields)


def progress(type_: str, item: ItemView) -> Event:
    """Return an event without content that reports the progress of an item."""
    return inserted(type_, item_id=item.id, output_index=item.index)


def _place(item: ItemView, run: TextRun, index: int) -> Body:
    place: Body = {"item_id": item.id, "output_index": item.index}
    if run.holder is Holder.PART:
        place["content_index"] = index
    elif run.holder is Holder.SUMMARY:
        place["summary_index"] = index
    return place


# Sequences of events


def supersedes(said: str, emitted: str) -> bool:
    """Return whether a call's final arguments replace those that its deltas added up to.

    Arguments are executed, not displayed: a done event that contradicts its deltas is better than a tool that runs with half
    of its arguments (R12: first delta lost; R33: input sent again in full). Arguments that differ only in white space or in
    the order of their members are the same (F01: the fork's done events hold an object). Of what cannot be read, the beginning
    alone is worth less than the whole.
    """
    if not said or said.startswith(emitted):
        return False
    if not are_arguments(said):
        return not are_arguments(emitted) and not emitted.startswith(said)
    return canonical_json(said) != canonical_json(emitted)


def canonical_json(text: str) -> bytes | None:
    """Return bytes that are equal for texts that hold the same JSON; None for a text that is not JSON."""
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
    except TypeError:  # nested deeper than orjson writes, and not deeper than it reads
        return text.encode()
    except (ValueError, UnicodeEncodeError):
        return None


def are_arguments(text: str) -> bool:
    """Return whether a text is what a function can be run with: a JSON object. What was cut, or lost a piece, is not."""
    try:
        return type(orjson.loads(text)) is dict
    except (ValueError, UnicodeEncodeError):
        return False


def tail(emitted: str, proven: object) -> str:
    """Return what a proven text adds to the end of the emitted one; empty if it does not continue it."""
    if isinstance(proven, str) and len(proven) > len(emitted) and proven.startswith(emitted):
        return proven[len(emitted) :]
    return ""


def missing_end(run: TextRun, emitted: str, proven: object) -> str:
    """Return what a proven text adds to the end of an emitted one; arguments that can be read are whole (issue 12, K6).

    A brace too many makes them unreadable (R49).
    """
    missing = tail(emitted, proven)
    if missing and run.is_json and are_arguments(emitted) and not are_arguments(emitted + missing):
        return ""
    return missing


def end_of_part(item: ItemView, part: PartView, account: object) -> list[Event]:
    """Return the events that close an open part; text that ``account`` adds is emitted first, as one more delta."""
    known: Body = account if isinstance(account, dict) and account.get("type") == part.type else {}
    events: list[Event] = []
    run, text, annotations = part.run, part.text, part.annotations
    if run is not None and not part.done:
        missing = tail(text, known.get(run.field))
        if missing:
            events.append(delta(item, run, part.index, missing))
            text += missing
        if not annotations and isinstance(known.get("annotations"), list):
            annotations = known["annotations"]
            place = {"item_id": item.id, "output_index": item.index, "content_index": part.index}
            events += [
                inserted(grammar.ANNOTATION_ADDED, **place, annotation_index=index, annotation=annotation)
                for index, annotation in enumerate(annotations)
            ]
        events.append(text_done(item, part, part.index, said=text))
    events.append(part_done(item, part, known, text=text, annotations=annotations))
    return events


def life_of_part(item: ItemView, index: int, account: Body) -> list[Event]:
    """Return all events of a part that upstream showed only when it was complete; none for a type without text."""
    run = grammar.RUN_OF_PART.get(account["type"])
    if run is None:
        return []
    part = PartView(index, new_part(account["type"]))
    return [part_added(item, run, index, part.part), *end_of_part(item, part, account)]


def life_of_item(index: int, item: Body, *, status: str | None = None) -> list[Event]:
    """Return all events of an item that upstream showed only when it was complete: announcement, texts, closings."""
    kind = item_kind(item.get("type"))
    start = announced(item, kind)
    view = ItemView(index, start)
    final = status or item_fields.closed_status(kind.type, item.get("status"))
    events = [item_added(index, start)]
    for parts, field, types in (
        (view.summaries, "summary", ("summary_text",)),
        (view.parts, "content", kind.parts),
    ):
        for account in unsent_parts(
            item.get(field), parts, types if field == "content" or kind.summaries else ()
        ):
            life = life_of_part(view, len(parts), account)
            part = PartView(len(parts), life[-1].body["part"])
            part.closed = True
            parts.append(part)
            events += life
    if final == COMPLETED:
        events += [progress(type_, view) for type_ in kind.progress]
    own = view.own
    if own is not None and own.run is not None:
        said = item.get(own.run.field)
        if isinstance(said, str) and said:
            events.append(delta(view, own.run, 0, said))
            own.grow(said)
        events.append(text_done(view, own))
    if final == COMPLETED:
        events += [progress(type_, view) for type_ in kind.finish]
    events.append(item_done(index, emitted_item(view, status=final, proven=item)))
    return events


def unsent_parts(said: object, emitted: list[PartView], types: tuple[str, ...]) -> list[Body]:
    """Return the parts of an account that have no counterpart among the emitted ones, up to the first without text.

    Only parts of the given types count; others may stand before them (issue 12, K9), and empty ones of which the stream lost
    the announcement.
    """
    if not isinstance(said, list):
        return []
    known = [view for view in emitted if view.type in types]
    if len(said) <= len(known):
        return []
    parts = [part for part in said if isinstance(part, dict) and part.get("type") in types]
    unsent: list[Body] = []
    for part in _without_counterpart(parts, [view.text for view in known]):
        if not isinstance(part.get(grammar.RUN_OF_PART[part["type"]].field), str):
            break
        unsent.append(part)
    return unsent


def _without_counterpart(parts: list[Body], texts: list[str]) -> list[Body]:
    """Return the parts to which no emitted text corresponds.

    A text corresponds to the first part behind its predecessor's that begins with it: a part before that was lost. Texts that
    no part begins with lack a piece; they correspond to the first parts that are left.
    """
    at = 0
    left: list[Body] = []
    for part in parts:
        said = part.get(grammar.RUN_OF_PART[part["type"]].field)
        if at < len(texts) and isinstance(said, str) and said.startswith(texts[at]):
            at += 1
        elif at == len(texts) or said != "":
            left.append(part)
    return left[len(texts) - at :]


def texts_in(parts: object) -> str:
    """Return all text of the parts of an account that are of known types."""
    texts: list[str] = []
    for part in parts if type(parts) is list else []:
        type_ = part.get("type") if type(part) is dict else None
        run = grammar.RUN_OF_PART.get(type_) if type(type_) is str else None
        text = part.get(run.field) if run is not None else None
        if type(text) is str:
            texts.append(text)
    return "".join(texts)


def accounts_of(emitted: list[PartView], said: object) -> dict[int, object]:
    """Return, for the index of an emitted part, the account's part of the same type with the same rank among that type."""
    waiting: dict[str, list[Body]] = {}
    for part in reversed(said if isinstance(said, list) else []):
        if isinstance(part, dict) and isinstance(part.get("type"), str):
            waiting.setdefault(part["type"], []).append(part)
    accounts: dict[int, object] = {}
    for view in emitted:
        parts = waiting.get(view.type)
        if parts:
            accounts[view.index] = parts.pop()
    return accounts


def typed_part(event: Event, item: ItemView) -> Event:
    """Return a part event with a part of a type that its item can hold; the event itself if it has one."""
    if event.type not in (grammar.PART_ADDED, grammar.PART_DONE):
        return event
    part = event.body["part"]
    if not item.kind.parts or part["type"] in item.kind.parts:
        return event
    run = grammar.RUN_OF_PART[item.kind.parts[0]]
    own = grammar.RUN_OF_PART.get(part["type"])
    text = part.get(own.field) if own is not None and own.holder is Holder.PART else ""
    return event.having(part={**new_part(item.kind.parts[0]), run.field: text})


def is_part_as_emitted(part: PartView, said: Mapping[str, Any]) -> bool:
    """Return whether upstream's closing of a part agrees with what was emitted of it."""
    if part.logprobs and not said.get("logprobs"):
        return False
    if part.run is grammar.OUTPUT_TEXT and said.get("annotations") != part.annotations:
        return False
    return said["type"] == part.type and (part.run is None or said.get(part.run.field) == part.text)


def done_item(item: ItemView, said: Body, *, text_is_open: bool) -> Body:
    """Return a done item that is the sum of its events; the given item if it is that already.

    :param text_is_open: the closing of the item's own text is still held, and the done item may settle what it says.
    """
    status = said.get("status")
    # An item that was announced with a status is closed with one; OpenAI's reasoning items never have any.
    lacks_status = item.item.get("status") is not None and status is None
    if is_as_emitted(item, said) and not lacks_status:
        return said
    known = status if status in (COMPLETED, INCOMPLETE) else COMPLETED
    done = emitted_item(item, status=known, proven=said)
    run = item.kind.run
    if text_is_open and run is not None and run.field in said:
        done[run.field] = said[run.field]
    return done


def as_opening(event: Event) -> Event:
    """Return an opening of upstream's with a response that has no output yet; the event itself if it has none."""
    response, statuses = event.body["response"], grammar.STATUSES_OF[event.type]
    status = response.get("status")
    known = isinstance(status, str) and status in statuses
    if known and not response.get("output"):
        return event
    wanted = status if known else IN_PROGRESS if IN_PROGRESS in statuses else "queued"
    return event.having(response={**response, "status": wanted, "output": []})


class ItemNamer:
    """Gives names to unsent items: ids that the client does not know yet, and a ``call_id`` for each call."""

    def __init__(self, view: ClientView, request: RequestContext) -> None:
        self._view = view
        self._seed = view.response_id or request.seed
        self._taken: dict[str, None] = {}

    def named(self, item: Body, index: int) -> Body:
        """Return the item with an id, a ``call_id`` and arguments if it needs them; the item itself if it has them all."""
        kind = item_kind(item.get("type"))
        view, taken = self._view, self._taken
        names: Body = {}
        id_, call_id = item.get("id"), item.get("call_id")
        if not isinstance(id_, str) or not id_ or id_ in view.by_id or f"id {id_}" in taken:
            names["id"] = derive_id(kind.id_prefix, self._seed, index)
        if "call_id" in kind.required and (
            not isinstance(call_id, str)
            or not call_id
            or call_id in view.by_call_id
            or f"call {call_id}" in taken
        ):
            names["call_id"] = derive_id("call", self._seed, index)
        taken[f"id {id_}"] = taken[f"call {call_id}"] = None
        if kind.acts and kind.run is not None and not isinstance(item.get(kind.run.field), str):
            names[kind.run.field] = ""
        return {**item, **names} if names else item


def has_name(item: Mapping[str, Any]) -> bool:
    """Return whether an item has a name, if it is a call that must have one: names are never guessed."""
    name = item.get("name")
    return "name" not in item_kind(item.get("type")).required or (isinstance(name, str) and name != "")


def summed_up(item: ItemView, account: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return an item of the final output.

    :param account: upstream's own account of it, None if there is none.
    """
    if not item.closed:  # a call that was cut
        return emitted_item(item, status=INCOMPLETE, proven=account)
    if account is None:
        return item.item
    is_whole = not _has_null_logprobs(account) and not _lacks_text(item, account)
    if is_whole and (
        account == item.item or (account.get("type") == item.type and says_the_same(item.item, account))
    ):
        return account
    final = final_item(item, account)
    run = item.kind.run
    if run is not None and item.kind.acts and account.get("type") == item.type:
        # Upstream closed the call in the middle, too long ago for its closing to be held (R19). Clients that run calls from
        # the final output need all of its arguments.
        whole, emitted = account.get(run.field), str(final.get(run.field))
        if isinstance(whole, str) and whole.startswith(emitted) and not are_arguments(emitted):
            return {**final, run.field: whole}
    return final


def _lacks_text(item: ItemView, account: Mapping[str, Any]) -> bool:
    """Return whether an account of a call lacks the field of its arguments or input; it was emitted with an empty one."""
    return item.own is not None and item.own.run is not None and account.get(item.own.run.field) is None


def _has_null_logprobs(account: Mapping[str, Any]) -> bool:
    """Return whether a text part has ``"logprobs": null``, where the streamed one has a list (R27)."""
    content = account.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and "logprobs" in part and part["logprobs"] is None for part in content
    )
