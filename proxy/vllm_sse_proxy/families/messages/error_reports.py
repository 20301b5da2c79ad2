"""Errors in whatever shape upstream reports them inside a message stream, and Anthropic's one shape.

Shapes that were seen, of vLLM 0.11.1 to 0.33, its chat code, FastAPI and gateways::

    {"type": "error", "error": {"type": "internal_error", "message": "4 validation errors for ChatCompletionStreamResponse…"}}
    {"error": {"message": …, "type": "BadRequestError", "param": null, "code": 400}}          {"error": "text"}
    {"object": "error", "message": …, "type": "InternalServerError", "code": 500}
    {"detail": "Not Found"}                                               {"message": …} below `event: error`

To 0.32 vLLM reads the stream of its own chat code, and an error in there fails pydantic's validation; what the client is sent
is the text of that failure (A03). It cuts what it quotes in the middle, but the code at its end is whole.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.stream.ending import Failure
from vllm_sse_proxy.stream.event import dump_json
from vllm_sse_proxy.stream.payload import decode_text, read_leniently, whole_characters

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body, Event

_UNKNOWN_MESSAGE: Final = "The upstream server reported an error."
_DUMP: Final = re.compile(r"\d+ validation errors? for \w+")
"""How the text of a failed validation begins."""
_DUMPED_CODE: Final = re.compile(r"'code': ?(\d{3})\b")
_STATUS_CODES: Final = range(400, 600)
_SERVER_ERRORS: Final = range(500, 600)

API_ERROR: Final = "api_error"
INVALID_REQUEST: Final = "invalid_request_error"
OVERLOADED: Final = "overloaded_error"
TIMEOUT: Final = "timeout_error"

_STATUS_OF_TYPE: Final = {
    INVALID_REQUEST: HTTPStatus.BAD_REQUEST,
    "authentication_error": HTTPStatus.UNAUTHORIZED,
    "billing_error": HTTPStatus.PAYMENT_REQUIRED,
    "permission_error": HTTPStatus.FORBIDDEN,
    "not_found_error": HTTPStatus.NOT_FOUND,
    "request_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "rate_limit_error": HTTPStatus.TOO_MANY_REQUESTS,
    API_ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
    TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,
    OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Anthropic's types and the HTTP status of each. ``overloaded_error`` is 529 at Anthropic, which is not an HTTP status."""
_TYPE_OF_STATUS: Final = {
    **{status.value: type_ for type_, status in _STATUS_OF_TYPE.items()},
    HTTPStatus.REQUEST_TIMEOUT.value: TIMEOUT,
    529: OVERLOADED,
}
_TYPE_OF_NAME: Final = {
    "badrequesterror": INVALID_REQUEST,
    "badrequest": INVALID_REQUEST,
    "validationerror": INVALID_REQUEST,
    "authenticationerror": "authentication_error",
    "unauthorized": "authentication_error",
    "permissiondeniederror": "permission_error",
    "forbidden": "permission_error",
    "notfounderror": "not_found_error",
    "notfound": "not_found_error",
    "ratelimiterror": "rate_limit_error",
    "toomanyrequests": "rate_limit_error",
    "serviceunavailableerror": OVERLOADED,
    "serviceunavailable": OVERLOADED,
    "gatewaytimeout": TIMEOUT,
}
"""Types of other servers, in lower case without anything but letters → Anthropic's."""
_CODE_OF_PROXY: Final = {
    "body_too_large": "request_too_large",
    "header_too_large": "request_too_large",
    "path_not_allowed": "not_found_error",
    "overloaded": OVERLOADED,
    "shutting_down": OVERLOADED,
    "proxy_shutdown": OVERLOADED,
    "upstream_timeout": TIMEOUT,
    "upstream_connect_timeout": TIMEOUT,
    "upstream_idle_timeout": TIMEOUT,
    "request_timeout": TIMEOUT,
}
"""The proxy's own codes → Anthropic's type, where its general one does not say enough."""


def is_error(event: Event) -> bool:
    """Return whether a payload reports an error: it is named one, or nothing else and holds one."""
    body = event.body
    # The type in the body is not the event's where only a lenient reader reads it.
    if grammar.ERROR in (event.type, body.get("type"), body.get("object")):
        return True
    if event.type in grammar.EVENTS:
        return False
    if event.name == grammar.ERROR:
        return True
    if type(body.get("type")) is str:
        return False
    error = body.get("error", body.get("errors"))
    return (bool(error) and isinstance(error, str | dict | list)) or (
        "detail" in body and bool(body["detail"]) and len(body) == 1
    )


def is_readable(body: Body) -> bool:
    """Return whether an error is in Anthropic's shape, with a type and a message that say something."""
    error = body.get("error")
    if body.get("type") != grammar.ERROR or type(error) is not dict:
        return False
    type_, message = error.get("type"), error.get("message")
    return (
        type(type_) is str
        and type_ in grammar.ERROR_TYPES
        and type(message) is str
        and bool(message)
        and _DUMP.match(message) is None
    )


def read_error(body: Body, *, accepted: bool) -> Body:
    """Return the error that a payload of any shape reports, as Anthropic's error event has it.

    :param accepted: the request was accepted and answered in part, so a report that it is invalid is wrong (C31).
    """
    found = body.get("error") or body.get("errors") or body
    first = found[0] if type(found) is list and found else found
    error: Body = first if type(first) is dict else {"message": first}
    nested = error.get("error")
    if type(nested) is dict:
        error = nested
    message = _message_of(error)
    dump = _DUMP.match(message)
    code = _code_of(error)
    if dump is not None:
        dumped = _DUMPED_CODE.search(message)
        code = int(dumped[1]) if dumped is not None else code
        message = _UNKNOWN_MESSAGE
    type_ = _type_of(error, code)
    if accepted and type_ == INVALID_REQUEST:
        type_ = API_ERROR
    return {"type": type_, "message": message or _UNKNOWN_MESSAGE}


def read_text(data: bytes) -> str:
    """Return the words of an error that is not an object: plain text, or a string in JSON."""
    value = read_leniently(data)
    return (value if type(value) is str else decode_text(data)).strip()


def _message_of(error: Body) -> str:
    for name in ("message", "detail", "msg", "error_description", "error"):
        said = error.get(name)
        if type(said) is str and said.strip():
            return whole_characters(said.strip())
        if type(said) in (dict, list) and said and name == "detail":
            return dump_json(said).decode()
    return ""


def _code_of(error: Body) -> int | None:
    """Return the HTTP status that an error names as its code."""
    for name in ("code", "status", "status_code"):
        code = error.get(name)
        if type(code) is str and code.isdecimal() and len(code) == len("500"):
            code = int(code)
        if type(code) is int and code in _STATUS_CODES:
            return code
    return None


def _type_of(error: Body, code: int | None) -> str:
    type_ = error.get("type")
    if type(type_) is str and type_ in grammar.ERROR_TYPES:
        return type_
    if code is not None:
        general = API_ERROR if code in _SERVER_ERRORS else INVALID_REQUEST
        return _TYPE_OF_STATUS.get(code, general)
    if type(type_) is not str:
        return API_ERROR
    return _TYPE_OF_NAME.get("".join(filter(str.isalpha, type_)).lower(), API_ERROR)


def failure_of(error: Any) -> Failure:
    """Return an error object of Anthropic's shape as a failure, for the HTTP error that takes the stream's place."""
    detail = error if type(error) is dict else {}
    type_, message = detail.get("type"), detail.get("message")
    status = _STATUS_OF_TYPE.get(type_) if type(type_) is str else None
    return Failure(
        status or HTTPStatus.BAD_GATEWAY,
        "upstream_error",
        message if type(message) is str and message else _UNKNOWN_MESSAGE,
        type_ if type(type_) is str and type_ in grammar.ERROR_TYPES else API_ERROR,
    )


def type_for(type_: str, code: str) -> str:
    """Return Anthropic's type for an error of the proxy's, or of upstream's that the proxy passes on.

    :param type_: its type, as OpenAI names them or as Anthropic does.
    :param code: its code.
    """
    if code in _CODE_OF_PROXY:
        return _CODE_OF_PROXY[code]
    return type_ if type_ in grammar.ERROR_TYPES else API_ERROR
