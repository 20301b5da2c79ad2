"""Messages as vLLM wants them.

Releases up to 0.20 refuse messages of the assistant without ``id``, ``status`` and ``annotations``, which the AI SDK's
open-responses provider, LangChain and opencode send; 0.24 refuses one with a type and a string for its content. Every release
refuses an assistant's parts without ``"type": "message"`` around them, a ``status`` that is null, and parts under the names of
chat completions. A refusal part fails on the simple path (400 up to 0.12, then 500), and so does a message without parts. Of
several texts of an assistant's message the simple path reads the first only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.requests.members import text_of, type_of
from vllm_sse_proxy.families.responses.requests.base import ItemRepair
from vllm_sse_proxy.families.responses.requests.parts import TEXTS, input_part, role_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body


class MessageShapes(ItemRepair):
    """Complete messages."""

    __slots__ = ()

    name: ClassVar = "message_shapes"
    summary: ClassVar = (
        "messages get the members and the types of parts that vLLM wants; refusals become text"
    )
    lossless: ClassVar = True
    answers_500: ClassVar = True

    def replacement(self, item: Body, index: int, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every release
        """Return the complete message; nothing for one of the assistant's that says nothing."""
        role = role_of(item)
        if not role:
            return None
        content = item.get("content")
        if role == "assistant":
            if content is None or content == []:
                return []
            has_parts = isinstance(content, list) or (isinstance(content, str) and "type" in item)
            changed = _answer(item, index) if has_parts else _without_nulls(item)
        else:
            changed = _without_nulls(item)
            if isinstance(content, list):
                changed["content"] = [input_part(part) or part for part in content]
        return None if changed == item else [changed]


def _without_nulls(item: Body) -> Body:
    return {
        member: value for member, value in item.items() if member not in ("status", "id") or value is not None
    }


def _answer(item: Body, index: int) -> Body:
    """Return a message of the assistant with everything that an output item has, and its texts in one part."""
    changed: Body = {"type": "message", **item}
    if not text_of(item.get("id")):
        changed["id"] = f"msg_{index}"
    if not text_of(item.get("status")):
        changed["status"] = "completed"
    content = item["content"]
    if isinstance(content, str):
        content = [{"type": "output_text", "text": content}]
    parts = [_output_part(part) for part in content]
    if len(parts) > 1 and all(type_of(part) == "output_text" for part in parts):
        annotations = [annotation for part in parts for annotation in part["annotations"]]
        text = "".join(part["text"] for part in parts)
        parts = [{"type": "output_text", "text": text, "annotations": annotations}]
    changed["content"] = parts
    return changed


def _output_part(part: Any) -> Any:
    """Return a part of an answer as ``output_text``; what holds no text stays as it is."""
    type_ = type_of(part)
    text = part.get("refusal") if type_ == "refusal" else part.get("text") if type_ in TEXTS else None
    if not isinstance(text, str):
        return part
    if type_ == "output_text" and isinstance(part.get("annotations"), list):
        return part
    return {"type": "output_text", "text": text, "annotations": []}
