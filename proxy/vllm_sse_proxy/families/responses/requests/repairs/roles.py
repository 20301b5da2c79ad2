"""The roles of instructions.

Codex, opencode and LlamaIndex send ``developer`` messages, pydantic-ai ``instructions`` and a ``system`` message beside them.
From 0.24 vLLM makes ``developer`` into ``system`` and puts all of it first, unless the template knows the role. Older releases
hand it to the chat template: strict ones (Qwen 3.5 and later, Mistral) answer 400, others drop the message without a word,
and Codex then works without its instructions. Two system messages without any developer message are not joined even by 0.32.

All instructions become one: ``instructions`` if the request has them, else one system message in front. Never on harmony,
which has developer messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step
from vllm_sse_proxy.families.responses.requests.parts import joined_texts, role_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_JOINED_BY_VLLM_SINCE: Final = (0, 24)
_OF_INSTRUCTIONS: Final = frozenset({"system", "developer"})


class Roles(RequestRepair):
    """Make one system message of all instructions."""

    __slots__ = ()

    name: ClassVar = "roles"
    summary: ClassVar = (
        "`developer` and `system` messages become one, in front, for chat templates that know no more"
    )
    lossless: ClassVar = True
    first: ClassVar = "if upstream is known to be older than 0.24 and not harmony: lenient templates drop `developer` messages"

    def step(self, facts: Facts) -> Step:
        """Return LOSSY where it is not certain that the template wants it: there the instructions would only move."""
        if facts.harmony:
            return Step.NEVER
        if facts.harmony is False and facts.is_before(_JOINED_BY_VLLM_SINCE):
            return Step.FIRST
        return Step.LOSSLESS if facts.strict_template else Step.LOSSY

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request with one instruction; None if it has one already, or one that is not text."""
        if not self.concerns(body, facts):
            return None
        texts: list[str] = []
        kept: list[Any] = []
        for item in body["input"]:
            if not _is_instruction(item):
                kept.append(item)
                continue
            text = _text(item)
            if text is None:
                return None
            texts.append(text)
        instructions = body.get("instructions")
        if isinstance(instructions, str) and instructions:
            joined = "\n\n".join([instructions, *filter(None, texts)])
            return Repaired({**body, "instructions": joined, "input": kept}) if kept else None
        system = {"type": "message", "role": "system", "content": "\n\n".join(filter(None, texts))}
        return Repaired({**body, "input": [system, *kept]})

    def concerns(self, body: Body, facts: Facts) -> bool:  # noqa: ARG002 - the messages are the feature
        """Return whether an instruction is a developer's, or not the only one, or not the first item."""
        items = body.get("input")
        if not isinstance(items, list):
            return False
        first = 0 if body.get("instructions") else 1
        for place, item in enumerate(items):
            if _is_instruction(item) and (place >= first or item["role"] == "developer"):
                return True
        return False


def _is_instruction(item: Any) -> bool:
    return isinstance(item, dict) and role_of(item) in _OF_INSTRUCTIONS


def _text(item: Body) -> str | None:
    content = item.get("content")
    if isinstance(content, list):
        return joined_texts(content, "\n")
    return content if isinstance(content, str) else None
