"""``call_id``s of answers to calls, as upstream has stored the calls (R11).

vLLM up to 0.31 streams a call under one ``call_id`` and stores it under another. The client got the streamed one and answers
with it; given a ``previous_response_id``, vLLM then finds no such call: 400 "No call message found for call_…". So an answer
to a call that the stored response does not have gets the id of a stored call that is still unanswered, in their order.

Nothing is remembered between requests: the stored response itself says which ids it knows, so any replica can do this.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CALLS: Final = frozenset({"function_call", "custom_tool_call"})
# A quote inside a JSON string is escaped, so these bytes are always a member.
_CALL_ID: Final = re.compile(rb'("call_id"\s*:\s*)("(?:[^"\\]|\\.)*")')
_OUTPUTS: Final = frozenset({f"{type_}_output" for type_ in _CALLS})


def answered_response(request: Mapping[str, Any] | None) -> str | None:
    """Return the id of the stored response whose calls a request answers; None if it answers no such calls."""
    if request is None:
        return None
    id_ = request.get("previous_response_id")
    return id_ if isinstance(id_, str) and id_ and any(_ids(request.get("input"), _OUTPUTS)) else None


def with_stored_ids(body: bytes, request: Mapping[str, Any], stored: Mapping[str, Any]) -> bytes:
    """Return the request's body with the ids that the stored response knows; unchanged if it is not certain which is which.

    Only those ids change; every other byte stays.

    :param request: the same body as a JSON object.
    """
    known = list(_ids(stored.get("output"), _CALLS))
    answered = list(dict.fromkeys(_ids(request.get("input"), _OUTPUTS)))
    own = set(_ids(request.get("input"), _CALLS))  # calls that the client sends along itself
    unknown = [id_ for id_ in answered if id_ not in known and id_ not in own]
    waiting = [id_ for id_ in known if id_ not in answered]
    if len(unknown) != len(waiting):
        return body
    new = {
        orjson.dumps(old): orjson.dumps(stored_id) for old, stored_id in zip(unknown, waiting, strict=True)
    }
    return _CALL_ID.sub(lambda found: found[1] + new.get(found[2], found[2]), body)


def _ids(items: object, types: frozenset[str]) -> Iterator[str]:
    """Yield the call_ids of the items that have one of these types."""
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("type") in types and isinstance(item.get("call_id"), str):
            yield item["call_id"]
