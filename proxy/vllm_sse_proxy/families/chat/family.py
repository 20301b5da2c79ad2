"""The family of ``/v1/chat/completions``, as the engine knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.chat.chunks import CALL, kind_of
from vllm_sse_proxy.families.chat.repairs import READ
from vllm_sse_proxy.families.chat.request import ChatRequest
from vllm_sse_proxy.families.chat.settings import ChatSettings
from vllm_sse_proxy.families.chat.view import ChatView
from vllm_sse_proxy.families.chunks import (
    SHARED_TYPES,
    TEXT,
    UNFINISHED,
    ChunkCompleter,
    ChunkFamily,
    ChunkWriter,
)
from vllm_sse_proxy.stream.correction import Correction, Station
from vllm_sse_proxy.stream.family import Endpoint

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body
    from vllm_sse_proxy.stream.exit import Exit, Writer
    from vllm_sse_proxy.stream.repair import Repair
    from vllm_sse_proxy.stream.settings import StreamSettings
    from vllm_sse_proxy.stream.stations import Completer
    from vllm_sse_proxy.stream.view import View


class Chat(ChunkFamily):
    """``POST /v1/chat/completions``, and what of ``POST /invocations`` (Amazon SageMaker's name for all) has messages."""

    name = "chat"
    endpoints: tuple[Endpoint, ...] = (
        Endpoint("chat", "POST", "/v1/chat/completions"),
        Endpoint("invocations", "POST", "/invocations", body_members=("messages",)),
    )
    settings: type[StreamSettings] = ChatSettings
    repairs: tuple[type[Repair], ...] = READ
    corrections: tuple[Correction, ...] = (
        Correction(
            UNFINISHED,
            "a stream that ends before all choices are finished ends with an error; a whole one with `[DONE]`",
            ("C02", "C34"),
            Station.COMPLETE,
        ),
    )
    deltas = frozenset({TEXT, CALL})
    types = SHARED_TYPES | {CALL}
    unremembered = frozenset({"messages"})

    def kind_of(self, body: Body) -> str:
        """Return the type of a chunk."""
        return kind_of(body)

    def view(self) -> View:
        """Return the view of a client that has been sent nothing."""
        return ChatView()

    def completer(self, context: StreamContext, view: View, exit_: Exit) -> Completer:
        """Return the third station."""
        assert isinstance(view, ChatView)  # noqa: S101 - it is this family's own
        view.expected = ChatRequest.of(context).n
        return ChunkCompleter(context, view, exit_)

    def writer(self, context: StreamContext, view: View) -> Writer:  # noqa: ARG002 - it needs nothing
        """Return the last station."""
        return ChunkWriter()


CHAT: Final = Chat()
