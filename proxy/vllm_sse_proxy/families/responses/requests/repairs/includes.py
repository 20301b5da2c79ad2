"""Values of ``include`` that vLLM does not know.

It knows six, fills one of them (``message.output_text.logprobs``), and refuses the whole request for any other, on every
release and path. The AI SDK's web search sends ``web_search_call.action.sources``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_KNOWN: Final = frozenset(
    {
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "file_search_call.results",
        "message.input_image.image_url",
        "message.output_text.logprobs",
        "reasoning.encrypted_content",
    }
)


class Includes(RequestRepair):
    """Leave out what vLLM cannot include."""

    __slots__ = ()

    name: ClassVar = "includes"
    summary: ClassVar = "values of `include` that vLLM does not know are left out"
    lossless: ClassVar = True

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - every release
        """Return the request with the values that vLLM knows."""
        include = body.get("include")
        if not isinstance(include, list):
            return None
        kept = [value for value in include if not isinstance(value, str) or value in _KNOWN]
        return Repaired({**body, "include": kept}) if len(kept) < len(include) else None
