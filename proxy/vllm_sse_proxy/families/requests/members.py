"""Members of a request: what they are, whatever a client sent in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body


def type_of(value: object) -> str:
    """Return the ``type`` of an item, a part or a tool; the empty string if it has none."""
    type_ = value.get("type") if isinstance(value, dict) else None
    return type_ if isinstance(type_, str) else ""


def text_of(value: object) -> str:
    """Return a string as it is, and anything else as the empty string."""
    return value if isinstance(value, str) else ""


def name_of(value: object) -> str:
    """Return the ``name`` of a tool; the empty string if it has none."""
    return text_of(value.get("name")) if isinstance(value, dict) else ""


def tools_of(body: Body) -> list[Any]:
    """Return the request's tools; empty if it has none."""
    tools = body.get("tools")
    return tools if isinstance(tools, list) else []
