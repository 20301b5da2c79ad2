"""Whose fault each way of ending is, and what an operator can do about it: a table of docs/operations.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vllm_sse_proxy.families.responses.ending import Ending


@dataclass(frozen=True, slots=True)
class Advice:
    """What an operator should know about an ending.

    :ivar fault: whose it is.
    :ivar remedy: what to do, with the names of settings in backquotes.
    """

    fault: str
    remedy: str


ADVICE: Final[dict[Ending, Advice]] = {
    Ending.COMPLETED: Advice("nobody's", "nothing"),
    Ending.INCOMPLETE: Advice("nobody's", "if it is unwanted: a larger `max_output_tokens` in the request"),
    Ending.FAILED: Advice("vLLM's, or the request's", "read vLLM's log"),
    Ending.UPSTREAM_ERROR: Advice(
        "vLLM's, or the request's", "read vLLM's log; the error's text is in the stream"
    ),
    Ending.UNTERMINATED: Advice("vLLM's", "nothing at once: the answer is whole. Look for a newer vLLM"),
    Ending.TRUNCATED: Advice(
        "vLLM's", "read vLLM's log for an exception at that time; look for a newer vLLM"
    ),
    Ending.CUT: Advice(
        "vLLM's, or what is between",
        "see whether vLLM was restarted or killed; else suspect a balancer's limit between proxy and vLLM",
    ),
    Ending.RESET: Advice(
        "vLLM's, or what is between",
        "as `cut`; a firewall that forgets connections resets them too",
    ),
    Ending.IDLE_TIMEOUT: Advice(
        "vLLM's",
        "see whether vLLM hangs; if it only thinks for a long time, raise `idle_timeout_seconds`",
    ),
    Ending.SHUTDOWN: Advice("the operator's", "raise `drain_timeout_seconds` and the grace period around it"),
    Ending.LIMIT: Advice(
        "vLLM's, or the setting's",
        "raise `max_frame_bytes` or `max_text_bytes`, with the memory for it",
    ),
    Ending.EMPTY: Advice("vLLM's", "read vLLM's log: the request failed after it was accepted"),
    Ending.CLIENT_GONE: Advice(
        "the client's, or what is between",
        "nothing, if users cancel; if all go after the same time, it is a timeout on the way to the client",
    ),
}
