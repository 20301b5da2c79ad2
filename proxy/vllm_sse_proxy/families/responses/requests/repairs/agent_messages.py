"""What one agent of Codex writes to another.

With ``multi_agent_v2`` a child agent of Codex finds its task in an item ``agent_message``, which no release of vLLM knows:
400. It becomes a user message with the author and the text. Its part ``encrypted_content`` holds plain text when the model is
not OpenAI's; what looks encrypted is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.members import text_of, type_of
from vllm_sse_proxy.families.responses.requests.base import ItemRepair

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body

_ENCRYPTED: Final = re.compile(r"gAAAA[\w=-]+|[\w+/=-]{64,}")
"""A Fernet token, or base64 longer than any word."""


class AgentMessages(ItemRepair):
    """Turn messages between agents into user messages."""

    __slots__ = ()

    name: ClassVar = "agent_messages"
    summary: ClassVar = "an `agent_message` of Codex becomes a user message that names its author"
    lossless: ClassVar = True

    def replacement(self, item: Body, index: int, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every place is the same
        """Return a user message for an agent's."""
        if type_of(item) != "agent_message":
            return None
        content = item.get("content")
        parts = content if isinstance(content, list) else [{"type": "input_text", "text": text_of(content)}]
        readable = [part for part in map(_readable, parts) if part is not None]
        author, recipient = text_of(item.get("author")), text_of(item.get("recipient"))
        if author:
            heading = f"Message from {author} to {recipient}:" if recipient else f"Message from {author}:"
            readable.insert(0, {"type": "input_text", "text": heading})
        return [{"type": "message", "role": "user", "content": readable}] if readable else []


def _readable(part: Any) -> Body | None:
    """Return a part that vLLM knows; None if nobody here can read it."""
    if type_of(part) != "encrypted_content":
        return part if isinstance(part, dict) else None
    text = text_of(part.get("encrypted_content"))
    return {"type": "input_text", "text": text} if text and not _ENCRYPTED.fullmatch(text) else None
