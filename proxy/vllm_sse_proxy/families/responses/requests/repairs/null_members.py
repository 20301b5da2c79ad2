"""Members that are ``null`` where vLLM wants a value or nothing at all: 400, on every release and path.

Hand-written code on the SDKs sends them. To OpenAI's API null and absent are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_NOT_NULLABLE: Final = frozenset(
    {
        "tools",
        "tool_choice",
        "service_tier",
        # vLLM's own
        "enable_response_messages",
        "ignore_eos",
        "include_reasoning",
        "include_stop_str_in_output",
        "mm_payload",
        "priority",
        "request_id",
        "skip_special_tokens",
    }
)


class NullMembers(RequestRepair):
    """Leave out the nulls that vLLM refuses."""

    __slots__ = ()

    name: ClassVar = "null_members"
    summary: ClassVar = "`tools`, `tool_choice`, `service_tier` and the like are left out where they are null"
    lossless: ClassVar = True

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - every release
        """Return the request without these nulls."""
        kept = {name: value for name, value in body.items() if value is not None or name not in _NOT_NULLABLE}
        return Repaired(kept) if len(kept) < len(body) else None
