"""What the head of a message says of its body, and a body that is JSON: the same for the proxy and for the middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"


def media_type_of(headers: Mapping[str, str]) -> str:
    """Return the type of a body, in lower case and without parameters; empty if the head names none.

    :param headers: by name, whatever its case.
    """
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def has_type(headers: Mapping[str, str], media_type: str) -> bool:
    """Return whether a body is of this type, and can be read: it is not compressed."""
    coding = headers.get("Content-Encoding", "identity").strip().lower()
    return media_type_of(headers) == media_type and coding in {"", "identity"}


def parse_body(body: bytes) -> dict[str, Any] | None:
    """Return the request as JSON, or None if it is not a JSON object: vLLM will say what is wrong with it."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None
