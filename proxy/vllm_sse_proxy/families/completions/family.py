"""The family of ``/v1/completions``, as the engine knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.chunks import (
    SHARED_TYPES,
    TEXT,
    UNFINISHED,
    ChunkCompleter,
    ChunkFamily,
    ChunkWriter,
)
from vllm_sse_proxy.families.completions.chunks import kind_of
from vllm_sse_proxy.families.completions.repairs import READ
from vllm_sse_proxy.families.completions.request import choices_of, without_prompts
from vllm_sse_proxy.families.completions.view import CompletionsView
from vllm_sse_proxy.stream.context import RequestContext
from vllm_sse_proxy.stream.correction import Correction, Station
from vllm_sse_proxy.stream.family import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body
    from vllm_sse_proxy.stream.exit import Exit, Writer
    from vllm_sse_proxy.stream.repair import Repair
    from vllm_sse_proxy.stream.stations import Completer
    from vllm_sse_proxy.stream.view import View


class Completions(ChunkFamily):
    """``POST /v1/completions``, and what of ``POST /invocations`` (Amazon SageMaker's name for all) has a prompt."""

    name = "completions"
    endpoints: tuple[Endpoint, ...] = (
        Endpoint("completions", "POST", "/v1/completions"),
        Endpoint("invocations", "POST", "/invocations", body_members=("prompt", "prompt_embeds")),
    )
    repairs: tuple[type[Repair], ...] = READ
    corrections: tuple[Correction, ...] = (
        Correction(
            UNFINISHED,
            "a stream that ends before all choices are finished ends with an error; a whole one with `[DONE]`",
            ("L01",),
            Station.COMPLETE,
        ),
    )
    deltas = frozenset({TEXT})
    types = SHARED_TYPES

    def context(self, resource: str, body: Mapping[str, Any] | None) -> RequestContext:
        """Return what the repairs may know of a request: all but its prompts, which may be long."""
        return RequestContext(seed=resource, body=None if body is None else without_prompts(body))

    def kind_of(self, body: Body) -> str:
        """Return the type of a chunk."""
        return kind_of(body)

    def view(self) -> View:
        """Return the view of a client that has been sent nothing."""
        return CompletionsView()

    def completer(self, context: StreamContext, view: View, exit_: Exit) -> Completer:
        """Return the third station."""
        assert isinstance(view, CompletionsView)  # noqa: S101 - it is this family's own
        view.expected = choices_of(context)
        return ChunkCompleter(context, view, exit_)

    def writer(self, context: StreamContext, view: View) -> Writer:  # noqa: ARG002 - it needs nothing
        """Return the last station."""
        return ChunkWriter()


COMPLETIONS: Final = Completions()
