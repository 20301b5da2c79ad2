"""The judges of all families by the names of the families: for `check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.chat import conformance as chat
from vllm_sse_proxy.families.completions import conformance as completions
from vllm_sse_proxy.families.messages import conformance as messages
from vllm_sse_proxy.families.recognition import Family, family_of_stream
from vllm_sse_proxy.families.responses import conformance as responses
from vllm_sse_proxy.families.transcriptions import conformance as transcriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CHUNKS: Final = b'"object":"trans'
"""How vLLM's own chunks of transcriptions and translations name themselves, without white space."""


def judge(stream: bytes, *, dialect: str) -> tuple[Family, Sequence[object]]:
    """Judge a whole body by what it is; return its family and its violations, which print as sentences.

    A body that does not say what it is counts as one of Responses.

    :param dialect: that of Responses.
    """
    family = family_of_stream(stream) or Family.RESPONSES
    if family is Family.RESPONSES:
        return family, responses.check_stream(stream, dialect=dialect)
    return family, _JUDGES[family](stream)


def _judge_transcription(stream: bytes) -> Sequence[object]:
    form = transcriptions.UPSTREAM if _CHUNKS in stream.replace(b" ", b"") else transcriptions.OPENAI
    return transcriptions.check_stream(stream, dialect=form)


_JUDGES: Final[dict[Family, Callable[[bytes], Sequence[object]]]] = {
    Family.CHAT: chat.check_stream,
    Family.COMPLETIONS: completions.check_stream,
    Family.MESSAGES: messages.check_stream,
    Family.TRANSCRIPTIONS: _judge_transcription,
}
