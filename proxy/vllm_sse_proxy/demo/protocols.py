"""The protocols of the demo's recordings and of `probe`: where each is asked for, who judges it, and who reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy import families
from vllm_sse_proxy.demo.agents import (
    read_like_chat_agent,
    read_like_completions_reader,
    read_like_messages_agent,
)
from vllm_sse_proxy.demo.clients import read_like_codex, read_like_openai_helper
from vllm_sse_proxy.families.chat import conformance as chat
from vllm_sse_proxy.families.completions import conformance as completions
from vllm_sse_proxy.families.messages import conformance as messages
from vllm_sse_proxy.families.responses import conformance as responses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from vllm_sse_proxy.demo.clients import Answer, Reading
    from vllm_sse_proxy.families import judging
    from vllm_sse_proxy.stream.family import Family


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol.

    :ivar family: what repairs it.
    :ivar path: where it is asked for.
    :ivar violations: returns what is wrong with a body, given the request that it answers.
    :ivar readers: imitations of its clients, by the name under which the report has them.
    """

    family: Family
    path: str
    violations: Callable[[bytes, Mapping[str, Any]], Sequence[judging.Violation]]
    readers: tuple[tuple[str, Callable[[Answer], Reading]], ...]


RESPONSES: Final = Protocol(
    family=families.RESPONSES,
    path="/v1/responses",
    violations=lambda body, _: responses.check_stream(body),
    readers=(("Codex", read_like_codex), ("openai helper", read_like_openai_helper)),
)
CHAT: Final = Protocol(
    family=families.CHAT,
    path="/v1/chat/completions",
    violations=lambda body, request: chat.check_stream(body, request=request),
    readers=(("agent", read_like_chat_agent),),
)
COMPLETIONS: Final = Protocol(
    family=families.COMPLETIONS,
    path="/v1/completions",
    violations=lambda body, request: completions.check_stream(body, request=request),
    readers=(("reader", read_like_completions_reader),),
)
MESSAGES: Final = Protocol(
    family=families.MESSAGES,
    path="/v1/messages",
    violations=lambda body, request: messages.check_stream(body, request=request),
    readers=(("agent", read_like_messages_agent),),
)
