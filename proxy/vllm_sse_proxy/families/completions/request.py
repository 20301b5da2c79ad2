"""What a request for a completion says of its stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.chunks import positive, request_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.stream.context import StreamContext

PROMPTS: Final = "prompts"
"""Member of the remembered request that stands for its prompts, which may be long: how many there are."""


def without_prompts(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request without its prompts, but with their number."""
    kept = {name: value for name, value in body.items() if name not in _LONG}
    kept[PROMPTS] = 0 if body.get("prompt_embeds") is not None else _number_of(body.get("prompt"))
    return kept


_LONG: Final = frozenset({"prompt", "prompt_embeds", "suffix", PROMPTS})
"""Members of a request that are not kept as they came."""


def _number_of(prompt: object) -> int:
    """Return how many prompts there are: a text is one, and so is a list of token ids. 0 if that is unknown."""
    if type(prompt) is str:
        return 1
    if type(prompt) is not list or not prompt:
        return 0
    return 1 if type(prompt[0]) is int else len(prompt)


def choices_of(context: StreamContext) -> int:
    """Return how many choices were asked for; 0 if that is not known."""
    body = request_body(context)
    return positive(body.get(PROMPTS)) * (positive(body.get("n")) or 1)
