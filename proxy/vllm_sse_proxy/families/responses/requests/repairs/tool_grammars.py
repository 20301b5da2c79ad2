"""Custom tools whose input must follow a grammar.

Codex's free-form ``apply_patch`` has one, under the model names that Codex knows. vLLM refuses grammars from 0.32 on both
paths; harmony refuses every custom tool; older simple paths ignore the grammar. It is written at the end of the tool's
description, as text: the model reads it, and nothing holds the model to it any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step
from vllm_sse_proxy.families.requests.members import text_of, tools_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_REFUSED_SINCE: Final = (0, 32)


class ToolGrammars(RequestRepair):
    """Turn the grammar of a custom tool into text."""

    __slots__ = ()

    name: ClassVar = "tool_grammars"
    summary: ClassVar = "the grammar of a custom tool is written into its description"
    lossless: ClassVar = False

    def step(self, facts: Facts) -> Step:
        """Return LOSSLESS where vLLM would ignore the grammar anyway."""
        ignored = facts.harmony is False and facts.is_before(_REFUSED_SINCE)
        return Step.LOSSLESS if ignored else Step.LOSSY

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - every release
        """Return the request without grammars."""
        tools = tools_of(body)
        if not any(map(has_grammar, tools)):
            return None
        return Repaired(
            {**body, "tools": [_with_text(tool) if has_grammar(tool) else tool for tool in tools]}
        )


def has_grammar(tool: Any) -> bool:
    """Return whether a tool is a custom one whose input must follow a grammar."""
    return type_of(tool) == "custom" and type_of(tool.get("format")) == "grammar"


def _with_text(tool: Body) -> Body:
    grammar = tool["format"]
    kept = {member: value for member, value in tool.items() if member != "format"}
    definition = grammar.get("definition")
    if isinstance(definition, str):
        syntax = text_of(grammar.get("syntax"))
        what = "regular expression" if syntax == "regex" else f"{syntax} grammar".lstrip()
        rule = f"The input must match this {what}:\n{definition}"
        description = text_of(tool.get("description"))
        kept["description"] = f"{description}\n\n{rule}" if description else rule
    return kept
