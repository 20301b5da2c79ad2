"""``text.format`` of type ``json_object``.

Releases up to 0.16 answer 500: "json_object is not supported". They know schemas, and the one of any object means the same: it
is what vLLM makes of ``json_object`` from 0.17.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step
from vllm_sse_proxy.families.requests.members import type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_SUPPORTED_SINCE: Final = (0, 17)


class JsonObjects(RequestRepair):
    """Ask for any JSON object by its schema."""

    __slots__ = ()

    name: ClassVar = "json_objects"
    summary: ClassVar = "a `json_object` format becomes the schema of any object"
    lossless: ClassVar = True
    answers_500: ClassVar = True

    def step(self, facts: Facts) -> Step:
        """Return NEVER where vLLM knows the format."""
        return Step.NEVER if facts.is_since(_SUPPORTED_SINCE) else Step.LOSSLESS

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - step() has looked at them
        """Return the request with a schema."""
        text = body.get("text")
        if not isinstance(text, dict) or type_of(text.get("format")) != "json_object":
            return None
        schema = {"type": "json_schema", "name": "json_object", "schema": {"type": "object"}}
        return Repaired({**body, "text": {**text, "format": schema}})
