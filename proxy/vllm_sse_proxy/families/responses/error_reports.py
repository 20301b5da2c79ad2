"""Errors in whatever shape upstream reports them: what says that an event is one, and the words that it has (issue 12, K4).

Shapes that were seen, of vLLM (0.10.0 on), its forks, FastAPI, gateways and other vendors' servers::

    {"error": {"message": …, "type": …, "param": …, "code": 500}}          {"error": "text"}
    {"object": "error", "message": …, "type": "BadRequestError", "code": 400}
    {"type": "error", "error": {"type": "overloaded_error", "message": …}}
    {"detail": "Not Found"}      {"detail": [{"loc": ["body", "model"], "msg": "Field required", "type": "missing"}]}
    {"message": …, "code": …}    under an `event:` line that names an error
    [{"error": {"code": 503, "message": …, "status": "UNAVAILABLE"}}]       as the whole body

An error ends the response as failed, so it takes more than a word to find one: an event that is of the protocol, or is about
one item, is not an error, and neither is a vendor's event that carries anything beside its error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.events import canonical_type, is_typed
from vllm_sse_proxy.stream.event import dump_json
from vllm_sse_proxy.stream.payload import decode_text, whole_characters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.stream.event import Body, Event

_ERROR_NAMES: Final = ("error", "errors", "exception", "failure")
"""How names of errors end, in small letters: ``error``, ``stream_error``, ``BadRequestError``, ``http.exception`` …"""
_LONGEST_ENDING: Final = 9
_NO_TYPES: Final = frozenset({"", grammar.ERROR, "response.error", "about:blank", "object"})
"""What a ``type`` beside a message may be without saying which kind of error it is."""
_CODE_LIKE: Final = re.compile(r"[a-z]+(?:_[a-z]+)+")
"""Types such as ``overloaded_error`` are what other vendors have instead of a code."""

_ABOUT_AN_ITEM: Final = ("item_id", "output_index", "item", "part")
_NESTED: Final = ("error", "errors", "exception")
_MESSAGES: Final = ("message", "msg", "error_message", "error_msg", "error_description")
_DETAILS: Final = ("detail", "details")
_TITLES: Final = ("description", "title", "reason")
_CODES: Final = ("code", "status_code", "statusCode", "error_code", "errorCode", "status")
_TYPES: Final = ("type", "error_type", "errorType", "name")
_BESIDE: Final = frozenset(
    {
        *(
            "object",
            "sequence_number",
            "event_id",
            "response_id",
            "request_id",
            "id",
            "created",
            "created_at",
        ),
        *("timestamp", "model", "param", "instance", "event", "success", "ok", "metadata", "response"),
        *("traceback", "stack", "hint", "help", "documentation_url", "retry_after", "user_id", "provider"),
        *("level", "severity", "kind", "domain"),
    }
)
"""Members that may stand beside an error without the event being about anything else."""
_THAT_SPEAK: Final = frozenset({*_NESTED, *_MESSAGES, *_DETAILS, *_TITLES})
"""Members in which a message may stand: most payloads have none of them."""
_OF_ERRORS: Final = frozenset({*_NESTED, *_MESSAGES, *_DETAILS, *_TITLES, *_CODES, *_TYPES, *_BESIDE})
_DEEPEST: Final = 4
"""Levels of objects around a message; the deepest one seen has two."""
_MOST_ENTRIES: Final = 20
"""Entries of a list of errors that are passed on: FastAPI makes one for each member of a union."""
_FIRST_STATUS: Final = 400
_LAST_STATUS: Final = 599


def report_in(event: Event, *, bare: bool = False) -> Body | None:
    """Return the object in which an event reports an error, for :func:`read_report`; None if it reports none.

    :param bare: the payload stands in the body without being an event of it, and nothing follows: then every message is
        upstream's last word.
    """
    body = event.body
    if event.type == grammar.ERROR:
        return body
    if event.type in grammar.EVENT_FIELDS:
        return None
    name = event.name or ""
    named = grammar.ALIASES.get(name, name) == grammar.ERROR
    if not body:
        return _text_of(event) if named or (name and _names_error(name)) else None
    type_ = canonical_type(body) if is_typed(body) else ""
    if named or type_ == grammar.ERROR:
        return body
    if any(about in body for about in _ABOUT_AN_ITEM):
        return None
    if body.get("object") == grammar.ERROR or _names_error(name):
        return body
    if type_ and not _OF_ERRORS.issuperset(body):
        return None
    if bare or _names_error(type_):
        return body if _says_something(body) else None
    return body if _holds_error(body, typed=type_ != "") else None


def _names_error(name: str) -> bool:
    return name[-_LONGEST_ENDING:].lower().endswith(_ERROR_NAMES)


def _text_of(event: Event) -> Body:
    """Return a payload other than an object as an error: plain text, or a string or list in JSON, is its message."""
    text = decode_text(event.raw or b"")
    try:
        value = orjson.loads(text)
    except (ValueError, UnicodeEncodeError):
        value = whole_characters(text)
    return {"errors": [value]} if isinstance(value, str) else {"errors": value}


def _says_something(body: Body) -> bool:
    return not _THAT_SPEAK.isdisjoint(body) and "message" in read_report(body)


def _holds_error(body: Body, *, typed: bool) -> bool:
    """Return whether a payload that nothing names an error says that it is one."""
    nested = body.get("error")
    if isinstance(nested, str | dict) and nested and not typed:
        return True
    codes = [body[name] for name in _CODES if name in body]
    if not _says_something(body) or any(_is_success(code) for code in codes):
        return False
    if nested or body.get("errors") or any(_is_failure(code) for code in codes):
        return True
    return not typed and body.get("detail") is not None  # FastAPI's own, that has nothing else


def _is_success(code: object) -> bool:
    """Return whether a code is an HTTP status that reports no error."""
    return type(code) is int and 0 <= code < _FIRST_STATUS


def _is_failure(code: object) -> bool:
    """Return whether a code is an HTTP status that reports an error, or says so in a word."""
    if isinstance(code, str):
        return code.lower() in (grammar.ERROR, "fail", "failed") or (
            len(code) == len(str(_FIRST_STATUS)) and code.isdecimal() and _is_failure(int(code))
        )
    return type(code) is int and _FIRST_STATUS <= code <= _LAST_STATUS


def read_report(report: object) -> Body:
    """Return the words of an error of any shape: ``message``, ``code``, ``type`` and ``param``, each if it is known.

    All of them are strings, and none is empty. The innermost object speaks first.
    """
    words = _Words()
    words.read(report, 0)
    if "code" not in words.known and _CODE_LIKE.fullmatch(words.known.get("type", "")):
        words.note("code", words.known["type"])
    return {**words.known}


class _Words:
    """What an error says, collected from the inside out.

    :ivar known: what is known so far.
    """

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def note(self, name: str, value: str) -> None:
        """Take note of something that is not known yet."""
        if value:
            self.known.setdefault(name, value)

    def read(self, node: object, depth: int) -> None:
        """Take note of all that a node says and nothing inside it has said."""
        if depth > _DEEPEST:
            return
        if isinstance(node, str):
            self.note("message", node.strip())
        elif isinstance(node, list):
            self._read_list(node, depth)
        elif isinstance(node, dict):
            self._read_object(node, depth)

    def _read_object(self, node: Mapping[str, Any], depth: int) -> None:
        for name in _NESTED:
            if not isinstance(node.get(name), str):
                self.read(node.get(name), depth + 1)
        for name in _MESSAGES:
            self.read(node.get(name), depth + 1)
        self._read_short_error(node)
        for name in _DETAILS:
            self.read(node.get(name), depth + 1)
        for name in _TITLES:
            title = node.get(name)
            self.note("message", title.strip() if isinstance(title, str) else "")
        for name in _CODES:
            self.note("code", _code(node.get(name), name))
        for name in _TYPES:
            type_ = node.get(name)
            if isinstance(type_, str) and type_ not in _NO_TYPES:
                self.note("type", type_)
        param = node.get("param")
        if param is not None:
            self.note("param", param if isinstance(param, str) else dump_json(param).decode())

    def _read_short_error(self, node: Mapping[str, Any]) -> None:
        """Read an ``error`` that is a string: the message, what stands before one (``Bad Request``), or a code."""
        short = node.get("error")
        if not isinstance(short, str) or not short:
            return
        said = self.known.get("message")
        if said is None:
            self.note("message", short.strip())
        elif _CODE_LIKE.fullmatch(short):
            self.note("code", short)
        elif short not in said:
            self.known["message"] = f"{short}: {said}"

    def _read_list(self, entries: list[Any], depth: int) -> None:
        """Read a list of errors: the messages of all, the rest of the first that has it."""
        messages = []
        for entry in entries[:_MOST_ENTRIES]:
            words = _Words()
            words.read(entry, depth + 1)
            place = entry.get("loc") if isinstance(entry, dict) else None
            where = ".".join(map(str, place)) if isinstance(place, list) else ""
            message = words.known.pop("message", "")
            if message:
                messages.append(f"{where}: {message}" if where else message)
            if not where:  # the type of a validation error is the rule that was broken
                for name, value in words.known.items():
                    self.note(name, value)
        self.note("message", "; ".join(messages))


def _code(value: object, name: str) -> str:
    if isinstance(value, str):
        return "" if name == "status" and not value.isdecimal() else value
    if type(value) is int or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return ""
