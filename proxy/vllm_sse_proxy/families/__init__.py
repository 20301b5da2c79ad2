"""The protocols whose streams are repaired, one package each, and what the shell has to know about each of them.

:data:`FAMILIES` is the one list that the routes, the metrics and the configuration enumerate. The shell imports the core's
types from here, never from a family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import (
    CORE,
    REPAIRS,
    BodyEnd,
    Ending,
    Failure,
    Plan,
    RequestContext,
    StreamNormalizer,
    Tally,
)
from vllm_sse_proxy.sse import encode_event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "CORE",
    "FAMILIES",
    "RESPONSES",
    "BodyEnd",
    "Ending",
    "Endpoint",
    "Failure",
    "Family",
    "Plan",
    "RequestContext",
    "StreamNormalizer",
    "Tally",
    "openai_error",
]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Requests that may be answered by a stream of a family.

    :ivar route: the ``route`` label of the metrics.
    :ivar path: the path as vLLM's router has it, percent-decoded. A final ``{id}`` stands for one segment.
    :ivar stream_in_query: only a request with ``stream=true`` in its query is meant. Otherwise the JSON body says so, and
        it is read before it is forwarded.
    """

    route: str
    method: str
    path: str
    stream_in_query: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """One protocol, as the shell sees it.

    :ivar repairs: the names of its repairs, in the order in which they are applied.
    :ivar limits: what its normalizer may name as the ``limit`` that ended a stream.
    :ivar plan: builds what all streams of a process share; takes the settings as keyword arguments.
    :ivar context: what the repairs may know about a request, given the id in its path ("" without one) and its JSON body
        (None if that was not read).
    :ivar normalizer: makes the normalizer of one stream.
    :ivar error: the body of an HTTP error, as a JSON object, given message, type and code.
    :ivar keepalive: a keep-alive event that fits into the stream now; None if only a comment does.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    repairs: tuple[str, ...]
    limits: tuple[str, ...]
    plan: Callable[..., Plan]
    context: Callable[[str, Mapping[str, Any] | None], RequestContext]
    normalizer: Callable[..., StreamNormalizer]
    error: Callable[[str, str, str], dict[str, Any]]
    keepalive: Callable[[StreamNormalizer], bytes | None]


def openai_error(message: str, type_: str, code: str) -> dict[str, Any]:
    """Return the body of an HTTP error as OpenAI's API has it. Requests of no family get it too."""
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def _responses_context(resource: str, body: Mapping[str, Any] | None) -> RequestContext:
    # Without its input: no response repeats it, and each open stream would hold an agent's whole history.
    kept = None if body is None else {name: value for name, value in body.items() if name != "input"}
    return RequestContext(seed=resource, body=kept)


def _responses_keepalive(normalizer: StreamNormalizer) -> bytes | None:
    number = normalizer.next_number - 1  # it repeats the last number, so that no number is used up
    if number < 0:
        return None
    return encode_event("keepalive", b'{"type":"keepalive","sequence_number":%d}' % number)


RESPONSES: Final = Family(
    name="responses",
    endpoints=(
        Endpoint("responses", "POST", "/v1/responses"),
        Endpoint("responses_get", "GET", "/v1/responses/{id}", stream_in_query=True),
    ),
    repairs=tuple(repair.name for repair in REPAIRS),
    limits=("max_frame_bytes", "max_text_bytes", "max_unsent_items"),
    plan=Plan.build,
    context=_responses_context,
    normalizer=StreamNormalizer,
    error=openai_error,
    keepalive=_responses_keepalive,
)

FAMILIES: Final = (RESPONSES,)
