"""What vLLM accepts and misreads in ``/v1/messages``, and no repair changes: nobody is refused, so nobody notices.

The proxy leaves such requests as they are, and counts each kind, so that its operator can see it (docs/requests-messages.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.messages.requests.blocks import blocks_of, messages_of
from vllm_sse_proxy.families.requests.members import tools_of, type_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body

MISREAD: Final[dict[str, str]] = {
    "context_management": "ignored on every release: nothing is cleared or summarised on the server",
    "mcp_servers": "ignored on every release",
    "container": "ignored on every release",
    "output_format": "ignored on every release: the answer has any form. `output_config.format` is read from 0.24 on",
    "output_config": "before 0.24: form and effort of the answer are ignored",
    "thinking": "before 0.32: `thinking` is ignored, and the model thinks, or not, as its template has it",
    "error_results": "`is_error` of a tool's result is ignored on every release: the error shows in its text alone",
    "citations": "documents that ask for citations: none come",
    "prefill": "an answer that the client has begun (a last message of the assistant's) is not gone on with",
    "deferred_tools": "before 0.24: `defer_loading` is ignored, and the model is shown all tools at once",
    "parallel_calls": "before 0.28: `disable_parallel_tool_use` is ignored",
}
"""Name of what is misread → what becomes of it."""
_IGNORED: Final = ("context_management", "mcp_servers", "container", "output_format")
_CONFIGURED_SINCE: Final = (0, 24)
_PARALLEL_SINCE: Final = (0, 28)
_THINKING_SINCE: Final = (0, 32)


def misread_in(request: Body, facts: Facts) -> frozenset[str]:
    """Return the names of what upstream misreads in a request that it has accepted.

    :param request: as it was sent.
    """
    found = {name for name in _IGNORED if request.get(name) is not None}
    found.update(_of_old_releases(request, facts))
    messages = messages_of(request)
    if messages and isinstance(messages[-1], dict) and messages[-1].get("role") == "assistant":
        found.add("prefill")
    for message in messages:
        for block in blocks_of(message):
            if isinstance(block, dict):
                found.update(_in_block(block))
    return frozenset(found)


def _of_old_releases(request: Body, facts: Facts) -> Iterator[str]:
    if facts.is_before(_CONFIGURED_SINCE):
        if request.get("output_config") is not None:
            yield "output_config"
        if any(isinstance(tool, dict) and tool.get("defer_loading") for tool in tools_of(request)):
            yield "deferred_tools"
    if facts.is_before(_THINKING_SINCE) and request.get("thinking") is not None:
        yield "thinking"
    choice: Any = request.get("tool_choice")
    if (
        facts.is_before(_PARALLEL_SINCE)
        and isinstance(choice, dict)
        and choice.get("disable_parallel_tool_use")
    ):
        yield "parallel_calls"


def _in_block(block: Body) -> Iterator[str]:
    if type_of(block) == "tool_result" and block.get("is_error") is True:
        yield "error_results"
    citations = block.get("citations")
    if isinstance(citations, dict) and citations.get("enabled") is True:
        yield "citations"
