"""Logprobs as typed clients read them: those of deltas need a token and a number, those of parts their bytes, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body


def is_readable_logprob(logprob: Any) -> bool:
    """Return whether a client can read the logprob of a delta: it and its alternatives each have a token and a number."""
    if not _is_numbered(logprob):
        return False
    others = logprob.get("top_logprobs", [])
    return isinstance(others, list) and all(map(_is_numbered, others))


def whole_logprobs(logprobs: Any) -> Any:
    """Return the logprobs with the fields that the types of the ``openai`` package require in parts, and not in deltas (R28).

    :returns: the given list if every entry is whole; entries without a token are useless, and are left out.
    """
    known = logprobs if isinstance(logprobs, list) else []
    whole = [_whole_logprob(one) for one in known if _names_token(one)]
    return logprobs if whole == logprobs else whole


def _whole_logprob(logprob: Body) -> Body:
    others = logprob.get("top_logprobs")
    known = [one for one in others if _names_token(one)] if isinstance(others, list) else []
    return {**_with_bytes(logprob), "top_logprobs": [_with_bytes(one) for one in known]}


def _with_bytes(logprob: Body) -> Body:
    whole: Body = {**logprob}
    if not isinstance(logprob.get("bytes"), list):
        whole["bytes"] = list(logprob["token"].encode("utf-8", "replace"))
    if not _is_numbered(logprob):
        whole["logprob"] = _IMPOSSIBLE
    return whole


def _names_token(logprob: object) -> bool:
    return isinstance(logprob, dict) and isinstance(logprob.get("token"), str)


def _is_numbered(logprob: Any) -> bool:
    return _names_token(logprob) and type(logprob.get("logprob")) in (int, float)


_IMPOSSIBLE: Final = -9999.0
"""What vLLM and OpenAI send for minus infinity, which JSON cannot express: it arrives as NaN or null."""
