"""What a refusal, a model's name or a version says about upstream.

Repairs are chosen by what is in the request, not by what the refusal says: vLLM's words change with every release. But some
words of releases that are out, and so never change, say which of vLLM's two paths is at work, or that the model cannot see.
That spares a request losses that it does not need. Where the words are unknown, nothing is concluded from them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts

_HARMONY: Final = re.compile(
    r"tool type '?[\w-]+'? (?:is )?not supported"
    r"|Unknown input type: "
    r"|No call message found for "
    r"|\d+ validation errors? for Message\b"
    r"|reasoning_effort=.{1,40} is not supported by Harmony"
    r"|logprobs are not supported with gpt-oss models"
    r"|Only 'auto'.{0,20} tool_choice is supported in response API with Harmony"
    r"|'(?:text|content|none|minimal|xhigh)'(?: None)?$"
)
"""Only harmony says so. The last are KeyErrors of 0.12."""
_SIMPLE: Final = re.compile(
    r"Unsupported chat content part type"
    r"|Unknown part type: "
    r"|Unsupported input item type: "
    r"|Encrypted content is not supported"
    r"|'dict object' has no attribute '"
    r"|'role'(?: None)?$"
)
"""Only the simple path says so. The last is a KeyError of releases up to 0.29."""
_TEMPLATE: Final = re.compile(
    r"System message must be at the beginning"
    r"|(?:After the optional system message, )?[Cc]onversation roles must alternate"
    r"|(?:Only|System|Invalid|Unknown|Unexpected|Unsupported|Unrecognized)\b[^:{]{0,60}\broles?\b"
)
"""What chat templates say about roles: those of Qwen, Mistral, Gemma and their like. Harmony has no template."""
_BLIND: Final = re.compile(r"\S+ is not a multimodal model")
_LONGEST: Final = re.compile(
    r"max_completion_tokens=\d+ ?cannot be greater than max_model_len=(max_total_tokens=)?(\d{1,12})\b"
)
_LEFT: Final = re.compile(
    r"'max_tokens' or 'max_completion_tokens' is too large: \d+\. This model's maximum context length is (\d{1,12}) tokens "
    r"and your request has (\d{1,12}) input tokens"
)
"""What newer and older releases say of an answer that may be longer than the context, or than what is left of it."""
_BUDGETLESS: Final = re.compile(r"thinking_token_budget is set but reasoning_config")
_RELEASE: Final = re.compile(r"v?(\d{1,6})\.(\d{1,6})")
_GPT_OSS: Final = re.compile(r"gpt[-_]?oss", re.IGNORECASE)


def after_refusal(facts: Facts, refusal: bytes) -> Facts:
    """Return the facts with what the body of a refusal says about upstream."""
    message = message_of(refusal)
    room = _room(message)
    if room > 0:
        return replace(facts, room=room)
    if _BUDGETLESS.match(message):
        return replace(facts, budgets=False)
    if _BLIND.match(message):
        return replace(facts, harmony=False, sees_pictures=False)
    if _HARMONY.match(message):
        return replace(facts, harmony=True)
    if _TEMPLATE.match(message):
        return replace(facts, harmony=False, strict_template=True)
    return replace(facts, harmony=False) if _SIMPLE.match(message) else facts


def _room(message: str) -> int:
    """Return how many tokens an answer may have, if a refusal says so; else 0."""
    longest = _LONGEST.match(message)
    if longest is not None:
        # Newer releases give what the question leaves; older ones refuse it all, and do not say how long the question is.
        return int(longest[2]) // (2 if longest[1] else 1)
    left = _LEFT.match(message)
    return 0 if left is None else int(left[1]) - int(left[2])


def message_of(refusal: bytes) -> str:
    """Return what a refusal says; the empty string unless it is a JSON object with a message."""
    try:
        document: Any = orjson.loads(refusal)
    except ValueError:
        return ""
    error = document.get("error", document) if isinstance(document, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else ""


def is_json_object(refusal: bytes) -> bool:
    """Return whether a refusal is a JSON object, as all of vLLM's are."""
    try:
        return isinstance(orjson.loads(refusal), dict)
    except ValueError:
        return False


def release_of(version: object) -> tuple[int, int] | None:
    """Return the release that ``GET /version`` names, as (0, 32); None for a development build without a number."""
    found = _RELEASE.match(version) if isinstance(version, str) else None
    release = (int(found[1]), int(found[2])) if found is not None else (0, 0)
    return release if release > (0, 1) else None


def names_gpt_oss(model: object) -> bool:
    """Return whether a model, or the path that it was loaded from, is called gpt-oss: vLLM serves it on the harmony path."""
    return isinstance(model, str) and _GPT_OSS.search(model) is not None
