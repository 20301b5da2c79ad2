"""The protocols of the demo's recordings: where each is asked for, who judges it, and who reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.demo.agents import read_like_chat_agent, read_like_messages_agent
from vllm_sse_proxy.demo.clients import read_like_codex, read_like_openai_helper
from vllm_sse_proxy.families.chat import conformance as chat
from vllm_sse_proxy.families.messages import conformance as messages
from vllm_sse_proxy.families.responses import conformance as responses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from vllm_sse_proxy.demo.clients import Answer, Reading
    from vllm_sse_proxy.families import judging


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol.

    :ivar path: where it is asked for.
    :ivar violations: returns what is wrong with a body, given the request that it answers.
    :ivar readers: imitations of its clients, by the name under which the report has them.
    """

    path: str
    violations: Callable[[bytes, Mapping[str, Any]], Sequence[responses.Violation | judging.Violation]]
    readers: tuple[tuple[str, Callable[[Answer], Reading]], ...]


RESPONSES: Final = Protocol(
    path="/v1/responses",
    violations=lambda body, _: responses.check_stream(body),
    readers=(("Codex", read_like_codex), ("openai helper", read_like_openai_helper)),
)
CHAT: Final = Protocol(
    path="/v1/chat/completions",
    violations=lambda body, request: chat.check_stream(body, request=request),
    readers=(("agent", read_like_chat_agent),),
)
MESSAGES: Final = Protocol(
    path="/v1/messages",
    violations=lambda body, request: messages.check_stream(body, request=request),
    readers=(("agent", read_like_messages_agent),),
)
